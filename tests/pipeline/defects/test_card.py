"""What the model card says, of a model judged on a corpus of two groups."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.defects.card import model_card
from pipeline.defects.corpus import Corpus
from pipeline.defects.weights import save_model
from pipeline.evaluation.shortcuts import Shortcut
from speech.bundles.defects import BundleConfig, read_config
from speech.bundles.gate import Gate
from speech.home import Home
from tests.bundles import tiny_model, write_tiny_bundle
from tests.pipeline.defects.test_judgement import corpus, judged


@pytest.fixture
def grouped(tmp_path: Path) -> Corpus:
    """Twenty test clips of adults and four of children, their group named `|` as a table's user may."""
    whole = corpus(tmp_path, {"train": 8, "validation": 12, "test": 24})
    records = [
        replace(record, group="children|" if record.row is not None and record.row >= 20 else "adults")
        for record in whole.clips.records
    ]
    return replace(whole, clips=replace(whole.clips, records=tuple(records)))


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    folder.mkdir()
    save_model(tiny_model(3), folder)
    return folder


@pytest.fixture
def champion(data_home: Home) -> Path:
    return write_tiny_bundle(data_home, "tiny-champion", seed=1, gate=Gate(override="to be seen"))


@pytest.fixture
def config(champion: Path) -> BundleConfig:
    return read_config(champion)


def section(card: str, heading: str) -> str:
    found = card.split(f"# {heading}\n", 1)
    assert len(found) == 2, card
    return found[1].split("\n#", 1)[0]


def test_it_says_what_the_data_hold(config: BundleConfig, grouped: Corpus, trained: Path) -> None:
    data = section(model_card(config, judged(grouped, trained).metrics, grouped), "Data")
    assert "| split | clips | speakers | hours | none | burr | fricative_g | stutter | unlabelled |" in data
    hours = sum(record.seconds for record in grouped.clips.of_split("train")) / 3600
    assert f"| train | 8 | 4 | {hours:.2f} | 2 | 2 | 2 | 2 | 0 |" in data
    assert "language `ru` from hums" in data
    assert "No speaker is in two splits." in data
    assert "people or generated voices the data do not say" in data


def test_it_says_what_the_data_do_not_hold(config: BundleConfig, grouped: Corpus, trained: Path) -> None:
    limits = section(model_card(config, judged(grouped, trained).metrics, grouped), "Limits")
    assert "shorter than 0.2 s or longer than 30 s" in limits
    assert "The rarest class in training is none: 2 clips, speakers: 2." in limits
    assert "adults (8); 0 of no group" in limits
    assert "16000 Hz (8); none below 16000 Hz" in limits


def test_without_speakers_and_groups_it_says_so(config: BundleConfig, tmp_path: Path, trained: Path) -> None:
    whole = corpus(tmp_path, {"train": 8, "validation": 12, "test": 12})
    records = tuple(replace(record, speaker=None, source_rate=8000) for record in whole.clips.records)
    bare = replace(whole, clips=replace(whole.clips, records=records, speakers_known=False))
    card = model_card(config, judged(bare, trained).metrics, bare)
    assert "| train | 8 | unknown |" in card
    assert "a speaker may be on both sides" in section(card, "Data")
    assert "names no groups of speakers" in section(card, "Limits")
    assert section(card, "Limits").rstrip().splitlines()[-2] == (
        "- Sample rates of the training recordings, with their clips: 8000 Hz (8)."
    )
    assert "By group" not in card


def test_it_gives_each_group_its_figures_or_the_reason(config: BundleConfig, grouped: Corpus, trained: Path) -> None:
    metrics = judged(grouped, trained).metrics
    groups = section(model_card(config, metrics, grouped), "By group of speakers")
    adults, children = metrics["groups"]
    accuracy = adults["accuracy"]
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    figures = f"{accuracy['value']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}]"
    assert "| adults | 20 | 10 |" in groups
    assert figures in groups
    assert children["clips"] == 4
    assert "| children\\| | 4 | 2 |  |  | too few clips to score: 10 are needed |" in groups


def test_it_gives_the_comparison_with_its_interval(
    config: BundleConfig, grouped: Corpus, trained: Path, champion: Path
) -> None:
    metrics = judged(grouped, trained, champion).metrics
    beside = section(model_card(config, metrics, grouped), "Beside the model that was in service")
    compared: dict[str, Any] = metrics["champion"]
    difference = compared["difference"]
    interval = f"{difference['value']:.3f} [{difference['low']:.3f}, {difference['high']:.3f}]"
    assert f"{compared['candidate_macro_f1']:.3f} against {compared['macro_f1']:.3f}" in beside
    assert interval in beside
    assert f"probability {compared['risk']:.3f}" in beside
    assert "was trained on" not in beside
    alone = model_card(config, judged(grouped, trained).metrics, grouped)
    assert "Not compared: none." in alone


def test_it_tells_what_a_model_could_have_learned_instead(config: BundleConfig, grouped: Corpus, trained: Path) -> None:
    metrics = judged(grouped, trained).metrics
    assert "## Shortcuts" not in model_card(config, metrics, grouped)
    found = Shortcut("duration", {"value": 0.61, "low": 0.52, "high": 0.7}, 0.25, 0.31).as_dict()
    audited = replace(grouped, clips=replace(grouped.clips, meta=grouped.clips.meta | {"shortcuts": [found]}))
    told = section(model_card(config, metrics, audited), "Shortcuts")
    assert "| duration | length | 0.610 [0.520, 0.700] | 0.250 | 0.310 | tells the class |" in told
    assert "read the same sentences for every class" in told


def test_it_warns_of_what_it_is_not(config: BundleConfig, grouped: Corpus, trained: Path) -> None:
    card = model_card(config, judged(grouped, trained).metrics, grouped)
    assert card.index("no medical device") < card.index("## Data")
    assert "hint for the ear" in section(card, "Letters and places")
    assert "override of the gate.** The reason given: to be seen" in section(card, "Gate")
    assert "{" not in card  # every figure was filled in
    assert "\n\n\n" not in card
