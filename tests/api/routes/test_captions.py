from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from api.routes.captions import LINE_LETTERS, LINES, LONGEST_SECONDS, PAUSE_SECONDS, segments, srt, vtt
from speech.ctc.decoding import SpokenWord

MOMENT = re.compile(r"(\d\d):(\d\d):(\d\d)[,.](\d{3})")


def said(count: int, seed: int) -> list[SpokenWord]:
    """Words of one to sixty letters, with pauses up to a second and a half."""
    generator = np.random.default_rng(seed)
    words, now = [], 0.0
    for _ in range(count):
        now += float(generator.choice([0.05, 0.2, 1.5], p=[0.6, 0.35, 0.05]))
        length = int(generator.choice([1, 5, 12, 60], p=[0.2, 0.5, 0.29, 0.01]))
        end = now + 0.06 * length
        words.append(SpokenWord("ы" * length, round(now, 3), round(end, 3), float(generator.uniform(0.1, 1))))
        now = end
    return words


@pytest.mark.parametrize("seed", range(20))
def test_segments_hold_every_word_once_and_can_be_read(seed: int) -> None:
    words = said(300, seed)
    found = segments(words)
    assert [word for segment in found for word in segment.words] == words
    for segment in found:
        assert 0 <= segment.end - segment.start <= LONGEST_SECONDS + 1e-9
        assert all(len(line) <= LINE_LETTERS for line in segment.lines)
        assert len(segment.lines) <= LINES
        assert "".join(segment.lines).replace(" ", "") == "".join(word.text for word in segment.words)
        assert segment.mean_log_probability <= 0
        gaps = [after.start - before.end for before, after in itertools.pairwise(segment.words)]
        assert all(gap < PAUSE_SECONDS for gap in gaps)
    for before, after in itertools.pairwise(found):
        assert before.end <= after.start


def test_nothing_said_is_no_segment() -> None:
    assert segments([]) == []
    assert (srt([]), vtt([])) == ("", "WEBVTT\n\n")


def test_a_word_of_many_seconds_does_not_stay_longer_than_a_segment_may() -> None:
    (segment,) = segments([SpokenWord("да", 1.0, 20.0, 0.5)])
    assert (segment.start, segment.end) == (1.0, 8.0)


def test_subrip_and_webvtt() -> None:
    found = segments([SpokenWord("раз", 0.5, 0.9, 1.0), SpokenWord("<б>&", 3599.9996, 3600.4, 1.0)])
    assert srt(found) == ("1\n00:00:00,500 --> 00:00:00,900\nраз\n\n2\n01:00:00,000 --> 01:00:00,400\n<б>&\n\n")
    assert vtt(found) == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:00.900\nраз\n\n01:00:00.000 --> 01:00:00.400\n&lt;б&gt;&amp;\n\n"
    )
    assert len(MOMENT.findall(srt(found))) == 4
