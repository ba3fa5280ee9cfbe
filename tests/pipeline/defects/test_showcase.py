"""Which clips are shown, and what is drawn of them."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.defects.showcase import KINDS, Exhibit, choose, kind_of, nearby, showcase_picture, title_of
from speech.defects.localisation import Place
from tests.bundles import CLASSES
from tests.pipeline.evaluation.exhibits import answer, clip, noise

MOST_BYTES = 150_000  # Dagster keeps the picture in its event log


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def reddish(png: bytes) -> int:
    red, green, blue = np.moveaxis(pixels(png), -1, 0)
    return int(((red > green + 40) & (red > blue + 40)).sum())


def test_one_of_each_kind_is_shown_by_hash_and_not_by_how_sure_it_is() -> None:
    clips = [clip(name, "burr") for name in ("e", "c", "b", "d", "a")]
    answers = [
        answer("burr"),
        answer("burr"),
        answer("none"),
        answer("stutter"),
        answer("burr", unsure=["burr", "stutter"]),
    ]
    assert [(shown.clip.clip, shown.kind) for shown in choose(clips, answers)] == [
        ("c", "right"),
        ("b", "wrong"),
        ("a", "unsure"),
    ]
    again = choose(clips[::-1], answers[::-1])
    assert [shown.clip.clip for shown in again] == ["c", "b", "a"]  # the order of the clips does not matter


def test_where_a_kind_is_missing_the_next_hash_steps_in() -> None:
    clips = [clip(name, "burr") for name in "dcba"]
    chosen = choose(clips, [answer("burr"), answer("none"), answer("none"), answer("none")])
    assert [(shown.clip.clip, shown.kind) for shown in chosen] == [("d", "right"), ("a", "wrong"), ("b", "wrong")]


def test_fewer_clips_than_kinds_are_all_shown() -> None:
    (shown,) = choose([clip("a", "burr")], [answer("none")])
    assert shown.as_dict() == {"clip": "a", "kind": "wrong", "labels": ["burr"], "named": {"none": 0.7}}
    assert title_of(shown) == "wrong: true burr, named none (0.70)"


@pytest.mark.parametrize(
    ("named", "unsure", "kind"),
    [
        (("burr", "stutter"), (), "right"),
        (("burr",), (), "wrong"),  # one is missing
        (("burr", "fricative_g", "stutter"), (), "wrong"),  # one is too many
        (("none",), (), "wrong"),
        (("burr", "stutter"), ("fricative_g",), "unsure"),
    ],
)
def test_of_several_defects_all_must_be_named(named: tuple[str, ...], unsure: tuple[str, ...], kind: str) -> None:
    both = clip("a", "burr", also=("stutter",))
    assert kind_of(both, answer(*named, exclusive=False, unsure=unsure)) == kind


def test_several_defects_are_named_with_a_probability_each() -> None:
    both = clip("a", "burr", also=("stutter",))
    (shown,) = choose([both], [answer("burr", "stutter", exclusive=False)])
    assert shown.as_dict() == {
        "clip": "a", "kind": "right", "labels": ["burr", "stutter"], "named": {"burr": 0.7, "stutter": 0.7},
    }  # fmt: skip
    assert title_of(shown) == "right: true burr + stutter, named burr (0.70) + stutter (0.70)"
    every = Exhibit(both, answer(*CLASSES[1:], exclusive=False, unsure=["burr"]), "unsure")
    first, second = title_of(every).splitlines()  # in one line it would run into the clip's id
    assert first.startswith("unsure: true burr + stutter, most probable burr (0.70)")
    assert second.endswith("stutter (0.70)")


def test_no_defect_is_named_with_its_own_probability_though_another_be_higher() -> None:
    (shown,) = choose([clip("a")], [replace(answer("none"), exclusive=False, probabilities=(0.2, 0.4, 0.4, 0.4))])
    assert title_of(shown) == "right: true none, named none (0.20)"


def test_the_picture_shows_the_places() -> None:
    there = Place(0.2, 0.6, "burr", 0.9)
    with_place, without = (
        showcase_picture([Exhibit(clip("a", "burr"), answer("burr", places=places), "right")])
        for places in ([there], [])
    )
    assert reddish(with_place) > 10 * reddish(without) > 0  # without, there is the legend alone


def test_a_letter_that_is_heard_is_drawn() -> None:
    heard = np.zeros((50, 2), dtype=np.float32)
    silent = showcase_picture([Exhibit(clip("a"), answer("none", intensity=heard), "right")])
    loud = heard.copy()
    loud[20:25, 0] = 0.5
    drawn = showcase_picture([Exhibit(clip("a"), answer("none", intensity=loud), "right")])
    assert silent != drawn


def test_classes_without_letters_and_clips_of_a_frame_can_be_drawn() -> None:
    bare = answer("stutter", letters=(), intensity=np.zeros((50, 0), dtype=np.float32))
    tiny = answer("none", seconds=0.02, letters=())
    both = [Exhibit(clip("a"), bare, "wrong"), Exhibit(clip("b", load=lambda: noise(0.001)), tiny, "right")]
    assert pixels(showcase_picture(both)).shape[1] == 900


@pytest.mark.parametrize("seconds", [5.0, 60.0])
def test_the_picture_is_small_whatever_it_shows(seconds: float) -> None:
    heard = np.exp(-8 * np.random.default_rng(1).random((int(seconds * 50), 2))).astype(np.float32)
    places = [
        Place(start, start + 0.1, defect, 0.1)
        for start, defect in zip(np.linspace(0, seconds - 0.2, 12), ["burr", "stutter"] * 6, strict=True)
    ]
    full = answer("burr", places=places, seconds=seconds, intensity=heard)
    known = {"р": 12, "г": 7}
    shown = [
        Exhibit(clip(kind * 3, "stutter", counts=known, load=lambda: noise(seconds)), full, kind) for kind in KINDS
    ]
    assert len(showcase_picture(shown)) < MOST_BYTES


def test_the_same_clips_give_the_same_picture() -> None:
    exhibit = Exhibit(clip("a", "burr"), answer("burr", places=[Place(0.2, 0.6, "burr", 0.9)]), "right")
    assert showcase_picture([exhibit]) == showcase_picture([exhibit])


def test_a_letter_sounds_within_reach_of_the_gate() -> None:
    intensity = np.zeros((9, 1))
    intensity[4] = 1.0
    curve = nearby(intensity, 0.02)[:, 0]
    np.testing.assert_allclose(curve, [0, 0, *[1 - np.exp(-1.0)] * 5, 0, 0])
