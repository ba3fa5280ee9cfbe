"""The tables of `python -m bench.people`, of corpora made here and of a tiny bundle with random weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench import people
from bench.corpora.clips import Clip, CorpusError, write_clips
from bench.people_errors import Outcome, among_surest, outright
from bench.people_voices import Voice, voices
from bench.service_judge import Judge, Said
from speech.audio.decode import SAMPLE_RATE
from speech.home import Home
from tests.bundles import write_tiny_bundle
from tests.pipeline.defects.test_disfluency import SPEECH


def corpus(folder: Path, *rows: tuple[str, str, str]) -> None:
    """Clips of (speaker, language, letters' name); each is words of tones."""
    clips = []
    for number, (speaker, language, letter) in enumerate(rows):
        file = f"wav/{number}.wav"
        (folder / "wav").mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / file, SPEECH, SAMPLE_RATE)
        letters = ((letter, 0.3, 0.4),) if letter else ()
        clips.append(Clip(file, "", speaker, language, "here", "CC0", True, letters=letters))
    write_clips(folder, clips)


class Stand:
    """Answers in turn what it is told to, and keeps how long each recording was."""

    def __init__(self, *answers: Said | None) -> None:
        self.answers: Iterator[Said | None] = iter(answers)
        self.seconds: list[float] = []
        self.bundle = Stand.Bundle()

    class Bundle:
        class config:
            class model:
                classes = ("none", "burr", "stutter")

    def judge(self, recording: bytes) -> Said | None:
        return next(self.answers)

    def judge_samples(self, samples: np.ndarray) -> Said | None:
        self.seconds.append(len(samples) / SAMPLE_RATE)
        return next(self.answers)


FLUENT = Said((), (), False, 0.9, True)
STUTTERS = Said(("stutter",), ("stutter",), True, 0.8, True)
BURRS = Said((), ("burr",), False, 0.4, False)


def one_voice(folder: Path, clips: int) -> Voice:
    corpus(folder / "festvox-ru", *[("anna", "ru", "")] * clips)
    (voice,) = voices(folder, None)
    return voice


def test_voices_are_people_probes_and_synthesisers(tmp_path: Path) -> None:
    corpus(tmp_path / "klettres", ("klettres-ru", "ru", ""), ("klettres-uk", "uk", ""))
    corpus(tmp_path / "rhvoice", ("rhvoice-anna", "ru", ""), ("rhvoice-irina", "ru", ""))
    found = [(voice.name, voice.kind, len(voice.clips)) for voice in voices(tmp_path, None)]
    assert found == [("klettres-ru", "person", 1), ("klettres-uk", "probe", 1), ("rhvoice", "synthesiser", 2)]


def test_a_quick_look_takes_the_same_clips_whatever_else_is_there(tmp_path: Path) -> None:
    all_of_them, few = one_voice(tmp_path, 9), voices(tmp_path, 3)[0]
    assert few.clips == all_of_them.clips[:3]
    assert [clip.file for clip in all_of_them.clips] != sorted(clip.file for clip in all_of_them.clips)


def test_without_corpora_the_command_is_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"python -m bench\.corpora"):
        voices(tmp_path, None)


def test_alarms_are_counted_by_hand_and_refusals_left_out(tmp_path: Path) -> None:
    voice = one_voice(tmp_path, 5)
    outcomes: list[Outcome] = []
    found = people.alarms(Stand(FLUENT, STUTTERS, None, BURRS, FLUENT), voice, outcomes)  # type: ignore[arg-type]
    assert {name: (share.hits, share.of) for name, share in found.items()} == {
        '"yes" of any': (1, 4),
        "named any": (2, 4),
        "named burr": (1, 4),
        "named stutter": (1, 4),
        "unlike training": (1, 4),
    }
    assert [(one.outright, one.wrong) for one in outcomes] == [
        (True, False),
        (True, True),
        (False, True),
        (True, False),
    ]


def test_each_clip_is_joined_once_with_pauses(tmp_path: Path) -> None:
    voice = one_voice(tmp_path, 5)
    stand = Stand(FLUENT, STUTTERS)
    named, yes = people.joinings(stand, voice, 2)  # type: ignore[arg-type]
    assert (named.hits, named.of, yes.hits) == (1, 2, 1)
    assert stand.seconds == [pytest.approx(2 * len(SPEECH) / SAMPLE_RATE + 0.3)] * 2


def test_stutter_cut_in_is_told_from_its_twin(tmp_path: Path) -> None:
    outcomes: list[Outcome] = []
    stand = Stand(STUTTERS, FLUENT, FLUENT, STUTTERS)
    told = people.cut_stutter(stand, one_voice(tmp_path, 2), outcomes)  # type: ignore[arg-type]
    assert [one.wrong for one in outcomes] == [False, False, True, True]
    assert (told.stuttered.hits, told.fluent.hits, told.fluent.of) == (1, 1, 2)
    assert told.f1 == 0.5


def test_errors_are_counted_among_the_surest_and_among_the_decided() -> None:
    outcomes = [
        Outcome(0.9, True, False),
        Outcome(0.5, False, True),
        Outcome(0.8, True, True),
        Outcome(0.4, False, True),
    ]
    decided, wrong = outright(outcomes)
    assert (decided.hits, decided.of, wrong.hits, wrong.of) == (2, 4, 1, 2)
    assert [among_surest(outcomes, share).value for share in (1.0, 0.75, 0.5, 0.25)] == [0.75, 2 / 3, 0.5, 0.0]
    assert "| all | 4 |" in people.errors_table({"anna": outcomes})


def test_a_bundle_is_judged_by_the_services_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus(tmp_path / "corpora" / "festvox-ru", ("man", "ru", "р"), ("man", "ru", "г"))
    corpus(tmp_path / "corpora" / "klettres", ("klettres-uk", "uk", ""))
    folder = write_tiny_bundle(Home(tmp_path), "tiny")
    assert people.main(["--corpora", str(tmp_path / "corpora"), "--bundle", str(folder)]) == 0
    shown = capsys.readouterr().out
    for title in (
        "## tiny",
        "Letters within 50 ms",
        "Alarms",
        "Fluent clips joined",
        "Stutter cut into people",
        "Errors against",
    ):
        assert title in shown
    assert "| klettres-uk | probe | uk |" in shown


def test_what_the_service_refuses_is_counted_by_its_code(tmp_path: Path) -> None:
    with Judge(write_tiny_bundle(Home(tmp_path), "tiny")) as judge:
        assert judge.judge(b"no sound") is None
        assert judge.judge_samples(np.zeros(SAMPLE_RATE, np.float32)) is None
        assert judge.refused == {"not_audio": 1, "silent": 1}


def test_a_folder_that_is_no_bundle_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus(tmp_path / "corpora" / "festvox-ru", ("man", "ru", ""))
    (tmp_path / "empty").mkdir()
    assert people.main(["--corpora", str(tmp_path / "corpora"), "--bundle", str(tmp_path / "empty")]) == 1
    assert "empty/manifest.json" in capsys.readouterr().err
