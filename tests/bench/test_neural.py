"""The judgement by a neural synthesiser's voices, on an archive of tones: no synthesiser is fetched here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import neural
from bench.corpora.kokoro import Kokoro
from samples.make_mini import LABELS
from samples.make_natural import Spoken, archive
from speech.bundles.defects import load_bundle
from speech.defects.diagnose import Diagnosis
from speech.home import Home
from tests.bundles import CLASSES, write_tiny_bundle
from tests.recordings import hum


def answer(*probabilities: float) -> Diagnosis:
    return Diagnosis(CLASSES, probabilities, probabilities, {}, 1.0, {})


def test_training_and_judges_share_no_voice(tmp_path: Path) -> None:
    for name in ("af_heart", "am_adam", "bf_lily", "zm_yunxia", "af_sky", "bm_george", "ef_dora"):
        (tmp_path / f"{name}.bin").touch()
    model = Kokoro(tmp_path, (), tmp_path)
    assert set(model.voices) & set(model.judging_voices) == set()
    assert set(model.voices) | set(model.judging_voices) == {path.stem for path in tmp_path.iterdir()}
    assert model.voices
    assert model.judging_voices


def test_an_archive_is_judged_class_by_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = [Spoken(hum(1.0, seed), LABELS[seed % 4], f"voice-{seed // 4}", "") for seed in range(8)]
    archive(clips, tmp_path / "neural.zip", 1)
    folder = write_tiny_bundle(Home(tmp_path), "tiny-1")
    found = neural.judged(load_bundle(folder), tmp_path / "neural.zip")
    assert sorted(one.label for one in found) == sorted(clip.label for clip in clips)
    assert neural.main(["--archive", str(tmp_path / "neural.zip"), "--bundle", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "on 8 clips of 2 voices" in shown
    assert all(f"| {name} | 2 |" in shown for name in CLASSES)


def test_the_auc_is_of_one_class_against_none() -> None:
    burr = [neural.Judged("burr", f"v{n}", answer(0.1, 0.6 + 0.05 * n, 0.1, 0.1)) for n in range(4)]
    none = [neural.Judged("none", f"v{n}", answer(0.7, 0.1 + 0.05 * n, 0.1, 0.1)) for n in range(4)]
    other = [neural.Judged("stutter", "v0", answer(0.0, 0.99, 0.0, 0.01))]
    assert neural.auc(burr + none + other, "burr")["value"] == 1.0
    halves = [neural.Judged("burr", "v0", answer(0.5, 0.2, 0.0, 0.3)), *none[2:], *none[:1]]
    assert neural.auc(halves, "burr")["value"] == pytest.approx(np.mean([0.5, 0.0, 1.0]))


def test_without_an_archive_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_tiny_bundle(Home(tmp_path), "tiny-1")
    assert neural.main(["--archive", str(tmp_path / "none.zip"), "--bundle", str(folder)]) == 1
    assert "none.zip" in capsys.readouterr().err
