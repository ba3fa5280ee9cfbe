from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

import speech.bundles.files
from speech.bundles.gate import Gate
from speech.files import read_json, write_json
from speech.home import Home
from speech.serving.inventory import Listed, inventory
from speech.serving.pointer import pointer_file, publish
from tests.bundles import CLASSES, METRICS, write_tiny_bundle

NOW = datetime(2025, 3, 2, 10, 15, tzinfo=UTC)  # a day after the bundles of `write_tiny_bundle`


def listed(home: Home) -> dict[str, Listed]:
    return {bundle.id: bundle for bundle in inventory(home, now=NOW).bundles}


def states(home: Home) -> dict[str, str]:
    return {name: bundle.state for name, bundle in listed(home).items()}


def rewrite(folder: Path, name: str, text: str) -> None:
    """Replace a file of a bundle, its manifest fitting it."""
    (folder / name).write_text(text, encoding="utf-8")
    manifest = read_json(folder / "manifest.json")
    manifest["files"][name]["bytes"] = (folder / name).stat().st_size
    write_json(folder / "manifest.json", manifest)


def created(folder: Path, when: str) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    rewrite(folder, "config.yaml", yaml.safe_dump(config | {"created": when}, allow_unicode=True))


def test_an_empty_data_folder_holds_no_bundle(data_home: Home) -> None:
    assert inventory(data_home).bundles == []
    assert inventory(data_home).pointer is None


def test_every_bundle_is_listed_with_how_it_stands(data_home: Home) -> None:
    for name in ("tiny-1", "tiny-2", "tiny-3", "tiny-4"):
        write_tiny_bundle(data_home, name)
    for name in ("tiny-1", "tiny-2", "tiny-3"):
        publish(data_home, name)
    write_tiny_bundle(data_home, "tiny-poor", metrics=METRICS | {"macro_f1": 0.4})
    poor = METRICS | {"macro_f1": 0.4}
    write_tiny_bundle(data_home, "tiny-overridden", metrics=poor, gate=Gate(override="a trial"))
    (data_home.bundles / ".tiny-5.half").mkdir()
    (data_home.bundles / "notes.txt").write_text("no bundle")
    assert states(data_home) == {
        "tiny-1": "published_before",
        "tiny-2": "previous",
        "tiny-3": "in_service",
        "tiny-4": "ready",
        "tiny-poor": "refused_by_gate",
        "tiny-overridden": "ready",
    }
    assert "macro-F1 0.400" in listed(data_home)["tiny-poor"].reasons[0]
    overridden = listed(data_home)["tiny-overridden"]
    assert (overridden.gate_override, len(overridden.reasons)) == ("a trial", 1)


def test_a_bundle_tells_its_scores_age_lineage_and_size(data_home: Home) -> None:
    figures = {
        "majority_macro_f1": 0.1,
        "calibration": {"test": {"after": {"ece": {"value": 0.04}}}},
        "markers": {"mae": 0.5},
        "clips": 40,
        "speakers": float("nan"),
    }
    folder = write_tiny_bundle(data_home, "tiny-1", metrics=METRICS | figures)
    (bundle,) = inventory(data_home, now=NOW).bundles
    assert (bundle.recipe, bundle.created, bundle.age_seconds) == ("defects", "2025-03-01T10:15:00+00:00", 86400.0)
    assert bundle.lineage == {"archive": "0" * 64}
    assert bundle.bytes == sum(path.stat().st_size for path in folder.iterdir())
    scores = bundle.scores
    assert (scores.macro_f1, scores.majority_macro_f1, scores.class_f1) == (0.8, 0.1, dict.fromkeys(CLASSES, 0.8))
    assert (scores.calibration_error, scores.marker_error) == (0.04, 0.5)
    assert (scores.test_clips, scores.test_speakers) == (40, None)


def test_the_newest_comes_first_whatever_it_is_called(data_home: Home) -> None:
    for name, when in (("tiny-a", "2025-03-01T10:00:00+00:00"), ("tiny-b", "2025-03-01T09:00:00-05:00"),
                       ("tiny-c", "2025-02-01T10:00:00"), ("tiny-d", "some day")):  # fmt: skip
        created(write_tiny_bundle(data_home, name), when)
    found = inventory(data_home, now=NOW).bundles
    assert [bundle.id for bundle in found] == ["tiny-b", "tiny-a", "tiny-c", "tiny-d"]
    assert found[-1].age_seconds is None


def test_broken_bundles_are_listed_and_say_what_is_wrong(data_home: Home) -> None:
    for name in ("cut", "more", "less", "link", "old", "config", "figures", "deep", "gate", "copied"):
        write_tiny_bundle(data_home, f"tiny-{name}")
    root = data_home.bundles
    os.truncate(root / "tiny-cut" / "model.safetensors", 100)
    (root / "tiny-more" / "model.pkl").write_bytes(b"")
    (root / "tiny-less" / "metrics.json").unlink()
    (root / "tiny-link" / "README.md").unlink()
    (root / "tiny-link" / "README.md").symlink_to("/etc/hostname")
    write_json(root / "tiny-old" / "manifest.json", {"format": 99, "files": {}})
    rewrite(root / "tiny-config", "config.yaml", "format: 4\n")
    rewrite(root / "tiny-figures", "metrics.json", '{"per_class": [1]}')
    rewrite(root / "tiny-deep", "metrics.json", "[" * 100_000)
    config = yaml.safe_load((root / "tiny-gate" / "config.yaml").read_text(encoding="utf-8"))
    rewrite(root / "tiny-gate", "config.yaml", yaml.safe_dump(config | {"gate": {"min_macro_f1": "high"}}))
    shutil.copytree(root / "tiny-copied", root / "tiny-renamed")
    (root / "No bundle id").mkdir()
    (root / "tiny-empty").mkdir()
    found = listed(data_home)
    expected = {
        "tiny-cut": "model.safetensors was changed or cut off: 100 bytes",
        "tiny-more": "model.pkl",
        "tiny-less": "metrics.json",
        "tiny-link": "README.md is no plain file",
        "tiny-old": "bundle format 99",
        "tiny-config": "config.yaml, field",
        "tiny-figures": "field per_class",
        "tiny-deep": "recursion",
        "tiny-gate": "field gate: min_macro_f1",
        "tiny-renamed": "names another bundle, 'tiny-copied'",
        "No bundle id": "is no bundle id",
        "tiny-empty": "manifest.json cannot be read",
    }
    assert found.pop("tiny-copied").state == "ready"
    assert {name: bundle.state for name, bundle in found.items()} == dict.fromkeys(expected, "broken")
    for name, message in expected.items():
        assert message in found[name].reasons[0], name
    assert found["tiny-cut"].bytes > 100


def test_what_the_pointer_names_and_is_gone_is_listed_as_broken(data_home: Home) -> None:
    for name in ("tiny-1", "tiny-2"):
        publish(data_home, write_tiny_bundle(data_home, name).name)
    shutil.rmtree(data_home.bundles / "tiny-1")
    assert states(data_home) == {"tiny-2": "in_service", "tiny-1": "broken"}
    assert "there is no bundle" in listed(data_home)["tiny-1"].reasons[0]


def test_a_broken_pointer_is_said_and_the_bundles_are_listed_all_the_same(data_home: Home) -> None:
    publish(data_home, write_tiny_bundle(data_home, "tiny-1").name)
    pointer_file(data_home).write_text("current: [")
    found = inventory(data_home)
    assert [bundle.state for bundle in found.bundles] == ["published_before"]
    assert found.pointer_error is not None
    assert "cannot be read" in found.pointer_error


def test_no_file_is_hashed_for_the_list(data_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_bundle(data_home, "tiny-1")
    hashed: list[Path] = []
    monkeypatch.setattr(speech.bundles.files, "sha256_file", hashed.append)
    assert states(data_home) == {"tiny-1": "ready"}
    assert hashed == []


def test_a_change_of_a_bundle_is_seen_at_the_next_call(data_home: Home) -> None:
    folder = write_tiny_bundle(data_home, "tiny-1")
    assert states(data_home) == {"tiny-1": "ready"}
    os.truncate(folder / "model.safetensors", 100)
    assert states(data_home) == {"tiny-1": "broken"}
