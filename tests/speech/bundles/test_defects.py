from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from speech.bundles.defects import FILES, MANIFEST, BundleError, check_id, load_bundle, read_gate, trained_on, verify
from speech.bundles.gate import Gate
from speech.defects.calibration import IDENTITY, Calibration
from speech.defects.diagnose import Diagnosis, diagnose
from speech.defects.feature_distance import describe as describe_features
from speech.defects.multilabel import MultilabelCalibration, Platt
from speech.defects.sounds import SoundScale
from speech.defects.training_distance import LEAST_CLIPS, describe, figures_of
from speech.files import read_json, sha256_file, write_json
from speech.home import Home
from tests.bundles import CLASSES, METRICS, tiny_model, tiny_multilabel_model, write_tiny_bundle
from tests.recordings import hum


@pytest.fixture
def folder(data_home: Home) -> Path:
    return write_tiny_bundle(data_home, "tiny-1", seed=3)


def sign_anew(folder: Path) -> None:
    """Write a manifest that fits, so that what is tested is what comes after the checksums."""
    manifest = read_json(folder / MANIFEST)
    for name in FILES:
        manifest["files"][name] = {"sha256": sha256_file(folder / name), "bytes": (folder / name).stat().st_size}
    write_json(folder / MANIFEST, manifest)


def edit_config(folder: Path, edit: Callable[[dict], None]) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    edit(config)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    sign_anew(folder)


def edit_weights(folder: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> None:
    state = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    edit(state)
    save_file(state, folder / "model.safetensors")
    sign_anew(folder)


def alike(one: Diagnosis, other: Diagnosis) -> None:
    """Equal but for the last bit: which kernel computes depends on where in memory weights lie."""
    np.testing.assert_allclose(one.logits, other.logits, rtol=1e-5)
    np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-5)
    assert one.markers == pytest.approx(other.markers, rel=1e-5)
    assert (one.verdicts, one.places, one.exclusive) == (other.verdicts, other.places, other.exclusive)


def test_a_loaded_bundle_diagnoses_as_the_model_it_was_made_of(folder: Path) -> None:
    clip = hum(1.3)
    loaded = load_bundle(folder)
    assert loaded.id == "tiny-1"
    assert not loaded.model.training
    assert loaded.metrics == METRICS
    assert read_gate(loaded.config) == Gate()
    assert trained_on(folder) == {"ab" * 32}
    alike(diagnose(loaded.model, [clip])[0], diagnose(tiny_model(seed=3), [clip])[0])


def test_a_bundle_brings_its_calibration(data_home: Home) -> None:
    calibration = Calibration(1.7, (0.1, -0.2, 0.0, 0.3), 0.6, 0.5, {"burr": ("р",), "stutter": ()})
    loaded = load_bundle(write_tiny_bundle(data_home, "tiny-2", calibration=calibration))
    assert loaded.calibration == calibration


def test_a_bundle_of_the_first_format_still_loads_and_calibrates_nothing(folder: Path) -> None:
    edit_config(folder, lambda config: (config.pop("calibration"), config.update(format=1)))
    manifest = read_json(folder / MANIFEST)
    write_json(folder / MANIFEST, manifest | {"format": 1})
    assert load_bundle(folder).calibration == IDENTITY


MULTILABEL = MultilabelCalibration(CLASSES, {name: Platt(1.7, -0.3, 0.8, 0.6) for name in CLASSES[1:]})


def test_a_bundle_records_that_classes_are_not_exclusive(data_home: Home) -> None:
    model = tiny_multilabel_model(3)
    folder = write_tiny_bundle(data_home, "tiny-2", model=model, calibration=MULTILABEL)
    loaded = load_bundle(folder)
    assert not loaded.model.spec.exclusive
    assert loaded.calibration == MULTILABEL
    clip = hum(1.3)
    alike(diagnose(loaded.model, [clip], loaded.calibration)[0], diagnose(model, [clip], MULTILABEL)[0])
    edit_config(folder, lambda config: config.pop("multilabel_calibration"))
    assert load_bundle(folder).calibration == MultilabelCalibration(CLASSES)


def test_format_4_does_not_say_from_how_much_on_a_place_is_one(data_home: Home) -> None:
    given = replace(MULTILABEL, heard_from={"burr": 0.2})
    folder = write_tiny_bundle(data_home, "tiny-4", model=tiny_multilabel_model(3), calibration=given)
    assert load_bundle(folder).calibration.heard_from == {"burr": 0.2}

    def as_then(config: dict) -> None:
        config.update(format=4)
        config["multilabel_calibration"].pop("heard_from")

    edit_config(folder, as_then)
    write_json(folder / MANIFEST, read_json(folder / MANIFEST) | {"format": 4})
    assert load_bundle(folder).calibration.heard_from == {}


def test_scales_of_sounds_are_kept_and_checked(data_home: Home) -> None:
    given = replace(MULTILABEL, letters={"burr": ("р",)}, sounds={"burr": SoundScale((-1.0, 2.0), 0.5)})
    folder = write_tiny_bundle(data_home, "tiny-5", model=tiny_multilabel_model(3), calibration=given)
    assert load_bundle(folder).calibration == given

    def without_letters(config: dict) -> None:
        config["multilabel_calibration"]["letters"] = {}

    edit_config(folder, without_letters)
    with pytest.raises(BundleError, match="sounds: burr is told by no letters"):
        load_bundle(folder)
    edit_config(folder, lambda config: config["multilabel_calibration"].pop("sounds"))
    assert load_bundle(folder).calibration.sounds == {}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_older_formats_are_exclusive(folder: Path, version: int) -> None:
    def as_then(config: dict) -> None:
        config.update(format=version)
        config.pop("multilabel_calibration")
        config["model"].pop("exclusive")

    edit_config(folder, as_then)
    write_json(folder / MANIFEST, read_json(folder / MANIFEST) | {"format": version})
    loaded = load_bundle(folder)
    assert loaded.model.spec.exclusive
    assert loaded.calibration == IDENTITY


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda config: config["model"].update(exclusive=True), "field multilabel_calibration: .*not exclusive"),
        (lambda config: config["model"].update(classes=["a", "b", "c", "d"]), "lack none"),
        (lambda config: config["multilabel_calibration"]["defects"].pop("burr"), "differ in burr"),
        (lambda config: config["multilabel_calibration"]["defects"]["burr"].update(temperature=0.0), "temperature"),
        (lambda config: config["multilabel_calibration"]["defects"]["burr"].update(yes_from=1.1), "yes_from"),
        (lambda config: config["multilabel_calibration"].update(letters={"burr": ["ж"]}), "burr with ж"),
        (lambda config: config.update(calibration=CALIBRATION), "field calibration: .*for exclusive classes"),
    ],
)
def test_a_calibration_of_defects_that_does_not_fit_is_refused(
    data_home: Home, edit: Callable[[dict], None], message: str
) -> None:
    folder = write_tiny_bundle(data_home, "tiny-2", model=tiny_multilabel_model(), calibration=MULTILABEL)
    edit_config(folder, edit)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


CALIBRATION = Calibration(1.5, letters={"burr": ("р",)}).as_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.0}, "calibration.temperature"),
        ({"temperature": float("nan")}, "calibration.temperature"),
        ({"bias": [0.0, float("inf"), 0.0, 0.0]}, "calibration.bias"),
        ({"bias": [0.0]}, "1 values for 4 classes"),
        ({"unsure_below": 1.1}, "calibration.unsure_below"),
        ({"fewest_letters": -1.0}, "calibration.fewest_letters"),
        ({"letters": {"burr": ["ж"]}}, "burr with ж"),
        ({"letters": {"lisp": []}}, "lisp"),
    ],
)
def test_a_calibration_that_does_not_fit_is_refused(folder: Path, change: dict, message: str) -> None:
    edit_config(folder, lambda config: config.update(calibration=CALIBRATION | change))
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_a_bundle_is_the_seven_files_it_promises(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {*FILES, MANIFEST}
    verify(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_anywhere_is_found(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} was changed"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: os.truncate(folder / "model.safetensors", 1000), "cut off"),
        (lambda folder: (folder / "metrics.json").unlink(), "does not hold the files of a bundle: metrics.json"),
        (lambda folder: (folder / "extra.py").write_text("1"), "extra.py"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "cannot be read"),
        (lambda folder: (folder / MANIFEST).write_text("[]"), "cannot be read"),
        (lambda folder: (folder / MANIFEST).write_text('{"format": 1, "files": {}}'), "does not hold the files"),
        (lambda folder: (folder / MANIFEST).write_text('{"format": 99, "files": {}}'), "bundle format 99"),
        (lambda folder: (folder / MANIFEST).unlink(), "cannot be read"),
        (shutil.rmtree, "there is no bundle"),
    ],
)
def test_files_that_are_not_those_of_the_manifest_are_refused(
    folder: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(folder)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_a_link_is_no_file_of_a_bundle(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "README.md", tmp_path / "card")
    (folder / "README.md").symlink_to(tmp_path / "card")
    with pytest.raises(BundleError, match="no plain file"):
        verify(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda config: config.update(id="tiny-2"), "names another bundle"),
        (lambda config: config.update(format=99), "bundle format 99"),
        (lambda config: config.update(recipe="tts"), "field recipe"),
        (lambda config: config.update(recipe="asr"), "field model.architecture"),
        (lambda config: config.update(code="x.py"), "field code"),
        (lambda config: config.pop("model"), "field model"),
        (lambda config: config["audio"].update(sample_rate=8000), "field audio.sample_rate"),
        (lambda config: config["model"].update(marked=[True]), "1 values for 4 classes"),
        (lambda config: config["model"].update(classes=["a", "a", "b", "c"]), "named twice"),
        (lambda config: config["model"].update(width=17), "does not fit"),
        (lambda config: config["model"]["encoder"].update(hidden_size=48), "does not fit"),
        (lambda config: config["model"]["encoder"].update(model_type="bert"), "does not fit"),
        (lambda config: config["model"]["encoder"].update(model_type="unheard-of"), "unheard-of"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(folder: Path, edit: Callable[[dict], None], message: str) -> None:
    edit_config(folder, edit)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda state: state.pop("other_words.classes.bias"), "Missing key"),
        (lambda state: state.update(more=torch.zeros(1)), "Unexpected key"),
        (lambda state: state["other_words.classes.bias"].fill_(float("nan")), "not finite"),
        (lambda state: state["marker_head.linear.weight"].fill_(float("-inf")), "not finite"),
        (lambda state: state.update({"other_words.classes.bias": torch.zeros(5)}), "size mismatch"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    folder: Path, edit: Callable[[dict[str, torch.Tensor]], None], message: str
) -> None:
    edit_weights(folder, edit)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_weights_that_are_no_safetensors_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x80\x04pickle")
    sign_anew(folder)
    with pytest.raises(BundleError, match="does not fit"):
        load_bundle(folder)


def test_cutting_off_the_weights_of_a_loaded_bundle_does_not_harm_it(folder: Path) -> None:
    # In a process of its own: were the file still mapped, the process would die.
    script = (
        "import os, sys; from pathlib import Path; from speech.bundles.defects import load_bundle;"
        "from speech.defects.diagnose import warm_up; bundle = load_bundle(Path(sys.argv[1]));"
        "os.truncate(bundle.folder / 'model.safetensors', 10); warm_up(bundle.model); print('alive')"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(folder)], cwd=Path(__file__).parents[3], capture_output=True, text=True
    )
    assert result.stdout.strip() == "alive", result.stderr


@pytest.mark.parametrize("bundle_id", ["", "a", "../x", "a/b", "Upper", "a..b", ".hidden", "a" * 101, "a b", "имя"])
def test_ids_that_could_leave_the_folder_are_refused(bundle_id: str) -> None:
    with pytest.raises(BundleError, match="no bundle id"):
        check_id(bundle_id)


def test_a_writer_cannot_use_such_an_id(data_home: Home) -> None:
    with pytest.raises(BundleError, match="no bundle id"):
        write_tiny_bundle(data_home, "../outside")
    assert not list(data_home.root.rglob("config.yaml"))


def test_a_bundle_knows_what_its_training_clips_sound_like(folder: Path) -> None:
    write_json(folder / "statistics.json", describe([figures_of(hum(1.0, seed)) for seed in range(LEAST_CLIPS)]))
    sign_anew(folder)
    training_distance = load_bundle(folder).training_distance
    assert training_distance is not None
    assert not training_distance.of(figures_of(hum(1.0, 5))).unlike
    assert training_distance.of(figures_of(0.05 * hum(1.0, 5))).unlike


@pytest.mark.parametrize("away", [0.0, 5.0])
def test_a_bundle_knows_what_the_model_makes_of_its_training_clips(folder: Path, away: float) -> None:
    heard = [diagnose(tiny_model(), [hum(1.0, seed)])[0].features for seed in range(LEAST_CLIPS)]
    told = describe_features(np.array(heard) + away, np.ones(LEAST_CLIPS), [""] * LEAST_CLIPS)
    write_json(folder / "statistics.json", told)
    sign_anew(folder)
    bundle = load_bundle(folder)
    found = bundle.distance_of(diagnose(bundle.model, [hum(1.0, 5)])[0])
    assert found is not None
    assert found.why == (("encoder_features",) if away else ())


def test_features_of_another_model_are_refused(folder: Path) -> None:
    told = describe_features(np.random.default_rng(0).normal(size=(30, 5)), np.ones(30), [""] * 30)
    write_json(folder / "statistics.json", told)
    sign_anew(folder)
    with pytest.raises(BundleError, match=r"tiny-1/statistics\.json, field feature_distance\.centre: 5 features"):
        load_bundle(folder)


@pytest.mark.parametrize("older", [{"seconds": {"0.5": 3.1}, "level_dbfs": {"0.5": -20.0}}, {}, []])
def test_a_bundle_of_before_loads_without_knowing(folder: Path, older: object) -> None:
    write_json(folder / "statistics.json", older)
    sign_anew(folder)
    bundle = load_bundle(folder)
    assert bundle.training_distance is None
    assert bundle.feature_distance is None
    assert bundle.distance_of(diagnose(bundle.model, [hum(1.0, 1)])[0]) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"training_distance": {"clips": 20}}',
            r"tiny-1/statistics\.json, field training_distance\.figures: Field required",
        ),
        ('{"training_distance": []}', r"tiny-1/statistics\.json, field training_distance"),
        ("{", r"tiny-1/statistics\.json cannot be read"),
    ],
)
def test_statistics_that_cannot_be_read_are_refused(folder: Path, text: str, message: str) -> None:
    (folder / "statistics.json").write_text(text, encoding="utf-8")
    sign_anew(folder)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)
