"""A recogniser's bundle: format, gate and way into service of the defects', and the files of its tokenizer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from speech.bundles.defects import (
    MANIFEST,
    BundleError,
    RecogniserConfig,
    files_of,
    load_bundle,
    read_config,
    read_defects_config,
    read_gate,
    verify,
)
from speech.bundles.gate import GateRefused, WerGate
from speech.bundles.recogniser import load_recogniser_bundle
from speech.bundles.transfer import export_bundle, import_bundle
from speech.ctc.folder import Recogniser
from speech.ctc.transcription import transcribe
from speech.files import read_json, sha256_file, write_json
from speech.home import Home
from speech.serving.history import read_history
from speech.serving.inventory import inventory
from speech.serving.pointer import NoPreviousError, publish, read_pointer, rollback
from tests.bundles import write_tiny_bundle
from tests.recognisers import WER_METRICS, tiny_lasr, tiny_recogniser, write_tiny_recogniser
from tests.recordings import hum


@pytest.fixture
def recogniser(tmp_path: Path) -> Recogniser:
    return tiny_recogniser(tmp_path / "vocabulary")


@pytest.fixture
def folder(data_home: Home, recogniser: Recogniser) -> Path:
    return write_tiny_recogniser(data_home, "asr-1", recogniser)


def sign_anew(folder: Path) -> None:
    manifest = read_json(folder / MANIFEST)
    names = {path.name for path in folder.iterdir()} - {MANIFEST}
    manifest["files"] = {
        name: {"sha256": sha256_file(folder / name), "bytes": (folder / name).stat().st_size} for name in names
    }
    write_json(folder / MANIFEST, manifest)


@pytest.mark.parametrize("kind", ["wav2vec2", "lasr"])
def test_a_loaded_bundle_hears_what_its_recogniser_heard(data_home: Home, tmp_path: Path, kind: str) -> None:
    made = tiny_recogniser(tmp_path / "vocabulary") if kind == "wav2vec2" else tiny_lasr()
    loaded = load_recogniser_bundle(write_tiny_recogniser(data_home, "asr-1", made))
    assert (loaded.id, loaded.metrics, loaded.recogniser.language) == ("asr-1", WER_METRICS, "ru")
    assert read_gate(loaded.config) == WerGate()
    assert not loaded.recogniser.model.training
    clip = hum(1.7, 3)
    np.testing.assert_allclose(loaded.recogniser.emissions([clip])[0], made.emissions([clip])[0], atol=1e-4)
    assert transcribe(loaded.recogniser, [clip])[0].text == transcribe(made, [clip])[0].text != ""


def test_its_files_are_those_of_the_manifest_and_none_is_code_or_pickle(folder: Path) -> None:
    verify(folder)
    assert set(files_of(folder)) == {path.name for path in folder.iterdir()}
    assert {"vocab.json", "tokenizer_config.json", "preprocessor_config.json"} <= set(files_of(folder))
    assert {path.suffix for path in folder.iterdir()} == {".json", ".yaml", ".safetensors", ".txt", ".md"}


def test_each_recipe_reads_its_own(data_home: Home, folder: Path) -> None:
    assert isinstance(read_config(folder), RecogniserConfig)
    defects = write_tiny_bundle(data_home, "tiny-1")
    for load in (load_bundle, read_defects_config):
        with pytest.raises(BundleError, match="asr-1 is of the recipe asr, not defects"):
            load(folder)
    with pytest.raises(BundleError, match="tiny-1 is of the recipe defects, not asr"):
        load_recogniser_bundle(defects)


def rewrite(name: str, edit: Callable[[dict], None]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        value = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
        edit(value)
        (folder / name).write_text(yaml.safe_dump(value) if name.endswith("yaml") else json.dumps(value))
        sign_anew(folder)

    return change


def spoil_weights(edit: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        state = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
        edit(state)
        save_file(state, folder / "model.safetensors")
        sign_anew(folder)

    return change


def lose(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        sign_anew(folder)

    return change


def add(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_text("{}")
        sign_anew(folder)

    return change


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda folder: (folder / "vocab.json").write_text("{}"), "asr-1/vocab.json was changed"),
        (lambda folder: (folder / "vocab.json").unlink(), "vocab.json"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer.json"),
        (lose("vocab.json"), "vocab.json is missing"),
        (lose("preprocessor_config.json"), "preprocessor_config.json"),
        (add("pytorch_model.bin"), "does not hold the files of a bundle: pytorch_model.bin"),
        (add("custom.py"), "does not hold the files of a bundle: custom.py"),
        (rewrite("vocab.json", lambda value: value.update({"ё": 99})), "token 99 .'ё'. has none"),
        (rewrite("config.yaml", lambda value: value["model"].update(vocabulary=36)), "field model: 36 outputs"),
        (rewrite("config.yaml", lambda value: value["model"].update(blank=40)), "field model: .*blank is 40"),
        (rewrite("config.yaml", lambda value: value["model"]["architecture"].update(hidden_size=64)), "does not fit"),
        (rewrite("config.yaml", lambda value: value["model"]["architecture"].update(model_type="bert")), "model_type"),
        (rewrite("config.yaml", lambda value: value.update(recipe="tts")), "field recipe"),
        (rewrite("config.yaml", lambda value: value.update(id="asr-2")), "names another bundle, 'asr-2'"),
        (spoil_weights(lambda state: state["lm_head.bias"].fill_(float("nan"))), "lm_head.bias holds values"),
        (spoil_weights(lambda state: state.pop("lm_head.bias")), "model.safetensors does not fit"),
        (rewrite(MANIFEST, lambda value: value.pop("recipe")), "does not hold the files of a bundle"),
    ],
)  # fmt: skip
def test_a_broken_bundle_is_refused_by_name(folder: Path, break_it: Callable[[Path], None], said: str) -> None:
    break_it(folder)
    with pytest.raises(BundleError, match=said) as refused:
        load_recogniser_bundle(folder)
    assert "asr-1" in str(refused.value)


def test_code_that_a_configuration_names_is_not_fetched(folder: Path) -> None:
    def edit(value: dict) -> None:
        value["model"]["architecture"] |= {
            "auto_map": {"AutoModelForCTC": "someone/evil--code.Model"},
            "attn_implementation": "someone/evil",
            "_attn_implementation_internal": "someone/evil",
        }

    rewrite("config.yaml", edit)(folder)
    assert load_recogniser_bundle(folder).recogniser.emissions([hum(1.0)])


def test_publishing_asks_the_gate_of_word_errors(data_home: Home, recogniser: Recogniser) -> None:
    write_tiny_bundle(data_home, "tiny-1")
    write_tiny_recogniser(data_home, "asr-1", recogniser)
    write_tiny_recogniser(data_home, "asr-2", recogniser)
    write_tiny_recogniser(data_home, "asr-bad", recogniser, metrics=WER_METRICS | {"wer": 0.31})
    write_tiny_recogniser(data_home, "asr-none", recogniser, metrics={"cer": 0.0})
    write_tiny_recogniser(data_home, "asr-let", recogniser, metrics={"wer": 0.9}, gate=WerGate(override="a trial"))
    publish(data_home, "tiny-1")
    publish(data_home, "asr-1")
    for name, said in (("asr-bad", "WER 0.310 on 140 words"), ("asr-none", "WER unknown on unknown words")):
        with pytest.raises(GateRefused, match=said):
            publish(data_home, name)
    publish(data_home, "asr-2", by="a test")
    pointer = read_pointer(data_home, "asr")
    assert pointer is not None
    assert (pointer.current, pointer.previous) == ("asr-2", "asr-1")
    assert rollback(data_home, "asr").current == "asr-1"
    assert [(one.action, one.after) for one in read_history(data_home, "asr")] == [
        ("published", "asr-1"), ("published", "asr-2"), ("rolled_back", "asr-1"),
    ]  # fmt: skip
    defects = read_pointer(data_home)
    assert defects is not None
    assert defects.current == "tiny-1"
    with pytest.raises(NoPreviousError):
        rollback(data_home)
    states = {bundle.id: bundle.state for bundle in inventory(data_home, "asr").bundles}
    assert states == {
        "asr-1": "in_service", "asr-2": "previous", "asr-bad": "refused_by_gate", "asr-none": "refused_by_gate",
        "asr-let": "ready",
    }  # fmt: skip
    assert [bundle.id for bundle in inventory(data_home).bundles] == ["tiny-1"]


def test_a_list_shows_word_errors_and_broken_bundles_by_their_name(data_home: Home, folder: Path) -> None:
    (data_home.bundles / "asr-broken").mkdir()
    (data_home.bundles / "other-broken").mkdir()
    listed = {bundle.id: bundle for bundle in inventory(data_home, "asr").bundles}
    assert set(listed) == {"asr-1", "asr-broken"}
    assert (listed["asr-1"].recipe, listed["asr-1"].scores.wer, listed["asr-1"].scores.cer) == ("asr", 0.1, 0.04)
    assert listed["asr-1"].scores.macro_f1 is None
    assert {bundle.id for bundle in inventory(data_home).bundles} == {"other-broken"}


def test_one_file_carries_it_to_another_machine(data_home: Home, folder: Path, tmp_path: Path) -> None:
    export_bundle(folder, tmp_path / "asr.zip")
    there = Home(tmp_path / "there")
    assert import_bundle(tmp_path / "asr.zip", there) == "asr-1"
    assert publish(there, "asr-1")
    clip = hum(1.2)
    here, moved = (load_recogniser_bundle(home.bundles / "asr-1") for home in (data_home, there))
    np.testing.assert_allclose(moved.recogniser.emissions([clip])[0], here.recogniser.emissions([clip])[0], atol=1e-4)


def test_configs_and_lists_need_no_torch(folder: Path, data_home: Home) -> None:
    code = (
        "import sys; from pathlib import Path; from speech.home import home; "
        "from speech.serving.inventory import inventory; import speech.bundles.recogniser; "
        "print(inventory(home(), 'asr').bundles[0].id);"
        "sys.exit('torch' in sys.modules)"
    )
    environment = os.environ | {"VNYATNO_HOME": str(data_home.root)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "asr-1"), done.stderr
