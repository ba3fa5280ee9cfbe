"""Recognisers of both kinds: the same in any batch, as they were after saving, refused where they do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioForCTC,
    HubertConfig,
    HubertForCTC,
    ParakeetCTCConfig,
    ParakeetFeatureExtractor,
    ParakeetForCTC,
    SeamlessM4TFeatureExtractor,
    SEWConfig,
    SEWForCTC,
    Wav2Vec2BertConfig,
    Wav2Vec2BertForCTC,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WavLMForCTC,
)  # fmt: skip

from speech.ctc.folder import Processor, Recogniser, RecogniserError, load_recogniser, new_recogniser, save_recogniser
from speech.text.language import load_language
from tests.bundles import ENCODER
from tests.recognisers import ALPHABET, character_tokenizer, tiny_lasr, tiny_recogniser
from tests.recordings import hum

GROUP = {"feat_extract_norm": "group", "do_stable_layer_norm": False}
SOUND = {key: value for key, value in ENCODER.items() if key != "model_type"} | {"vocab_size": 35, "pad_token_id": 0}
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
SPECTROGRAM = SMALL | {"vocab_size": 35, "pad_token_id": 0}
KINDS = {
    "wav2vec2": lambda folder: tiny_recogniser(folder),
    "group norm": lambda folder: tiny_recogniser(folder, **GROUP),
    "lasr": lambda folder: tiny_lasr(),
}


@pytest.fixture(params=KINDS)
def recogniser(request: pytest.FixtureRequest, tmp_path: Path) -> Recogniser:
    return KINDS[request.param](tmp_path)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_recogniser(tiny_recogniser(tmp_path / "vocabulary"), tmp_path / "model")
    return tmp_path / "model"


def test_a_clip_s_output_does_not_depend_on_its_batch(recogniser: Recogniser) -> None:
    clips = [hum(1.3, 1), hum(0.3, 2), hum(2.7, 3)]
    together = recogniser.emissions(clips)
    for clip, rows in zip(clips, together, strict=True):
        alone = recogniser.emissions([clip])[0]
        assert alone.shape == rows.shape
        np.testing.assert_allclose(np.exp(rows), np.exp(alone), atol=1e-4)


def test_emissions_are_log_probabilities_of_the_model_s_frames(recogniser: Recogniser) -> None:
    for seconds in (2.0, 4.0):
        rows = recogniser.emissions([hum(seconds)])[0]
        assert rows.dtype == np.float32
        assert rows.shape[1] == recogniser.vocabulary_size
        np.testing.assert_allclose(np.exp(rows).sum(1), 1.0, atol=1e-4)
        assert abs(len(rows) * recogniser.frame_seconds - seconds) < 0.15
    assert recogniser.emissions([]) == []


def test_clips_are_computed_together_where_padding_is_masked(tmp_path: Path) -> None:
    for recogniser, together in (
        (tiny_recogniser(tmp_path, **GROUP), False),
        (tiny_recogniser(tmp_path), True),
        (tiny_lasr(), True),
    ):
        assert recogniser.computes_together is recogniser.takes_mask is together
        recogniser.model.train()
        assert recogniser.computes_together is together
        assert recogniser.model.training


def without_norm(values: dict) -> dict:
    return {name: value for name, value in values.items() if name != "feat_extract_norm"}


KINDS_KNOWN = {
    "hubert": lambda: HubertForCTC(HubertConfig(**SOUND)),
    "wavlm": lambda: WavLMForCTC(WavLMConfig(**SOUND)),
    "data2vec": lambda: Data2VecAudioForCTC(
        Data2VecAudioConfig(**{name: value for name, value in SOUND.items() if name != "feat_extract_norm"})
    ),
    "sew": lambda: SEWForCTC(SEWConfig(**SOUND | {"feat_extract_norm": "group", "squeeze_factor": 1})),
    "wav2vec2-bert": lambda: Wav2Vec2BertForCTC(Wav2Vec2BertConfig(**SPECTROGRAM)),
    "wav2vec2-bert with an adapter": lambda: Wav2Vec2BertForCTC(
        Wav2Vec2BertConfig(**SPECTROGRAM, add_adapter=True, output_hidden_size=32)
    ),
    "parakeet": lambda: ParakeetForCTC(
        ParakeetCTCConfig(vocab_size=35, pad_token_id=0, encoder_config=SMALL | {"subsampling_conv_channels": 16})
    ),
}


@pytest.mark.parametrize("kind", KINDS_KNOWN)
def test_other_kinds_of_models(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    extractor = {
        "wav2vec2-bert": SeamlessM4TFeatureExtractor,
        "wav2vec2-bert with an adapter": SeamlessM4TFeatureExtractor,
        "parakeet": ParakeetFeatureExtractor,
    }.get(kind, lambda: Wav2Vec2FeatureExtractor(return_attention_mask=True))()
    processor = Processor(extractor, character_tokenizer(tmp_path / "vocabulary"))
    recogniser = Recogniser(KINDS_KNOWN[kind]().eval(), processor, "ru")
    clips = [hum(1.3, 1), hum(0.3, 2), hum(8.0, 4)]
    together = recogniser.emissions(clips)
    for clip, rows in zip(clips, together, strict=True):
        np.testing.assert_allclose(np.exp(rows), np.exp(recogniser.emissions([clip])[0]), atol=1e-4)
    assert len(together[2]) * recogniser.frame_samples == pytest.approx(8 * 16_000, rel=0.02)
    assert recogniser.computes_together is (kind not in ("data2vec", "sew", "wav2vec2-bert with an adapter"))
    save_recogniser(recogniser, tmp_path / "saved")
    np.testing.assert_allclose(load_recogniser(tmp_path / "saved").emissions(clips)[0], together[0], atol=1e-4)


def test_values_that_are_not_finite_are_no_answer(recogniser: Recogniser) -> None:
    with torch.no_grad():
        next(reversed(list(recogniser.model.parameters()))).fill_(float("nan"))
    with pytest.raises(FloatingPointError):
        recogniser.emissions([hum(1.0)])


def test_what_was_saved_says_the_same(recogniser: Recogniser, tmp_path: Path) -> None:
    save_recogniser(recogniser, tmp_path / "saved")
    loaded = load_recogniser(tmp_path / "saved")
    assert loaded.language == "ru"
    assert (loaded.blank, loaded.vocabulary_size) == (recogniser.blank, recogniser.vocabulary_size)
    assert loaded.ids_of("пациент в норме") == recogniser.ids_of("пациент в норме")
    clip = hum(1.3)
    np.testing.assert_allclose(loaded.emissions([clip])[0], recogniser.emissions([clip])[0], atol=1e-4)
    assert not loaded.model.training
    assert {path.suffix for path in (tmp_path / "saved").iterdir()} <= {".json", ".safetensors"}


def test_texts_come_back_as_they_were_written_letters_doubled_too(recogniser: Recogniser) -> None:
    ids = recogniser.ids_of("  пациент в  норме ")
    assert recogniser.text_of(ids) == "пациент в норме"
    assert recogniser.text_of([*ids, recogniser.blank, recogniser.blank]) == "пациент в норме"


def test_doubled_letters_stay_doubled(tmp_path: Path) -> None:
    recogniser = tiny_recogniser(tmp_path)
    assert recogniser.text_of(recogniser.ids_of("ванна ссора")) == "ванна ссора"
    assert recogniser.text_of(recogniser.ids_of("dанна")) == "анна"  # an unknown sign is no text


def test_the_end_of_a_text_is_no_text() -> None:
    recogniser = tiny_lasr()
    end = recogniser.processor.tokenizer.eos_token_id
    assert recogniser.processor.tokenizer.decode([end], group_tokens=False) == "</s>"
    assert recogniser.text_of([*recogniser.ids_of("пациент"), end]) == "пациент"


def test_a_new_recogniser_starts_from_the_encoder_that_ships(tmp_path: Path) -> None:
    alphabet = load_language("ru").alphabet
    made = new_recogniser("encoders/small", alphabet, "ru", seed=4)
    assert (made.blank, made.vocabulary_size, made.language) == (0, 3 + len(alphabet), "ru")
    assert made.ids_of("а я") == [3, 1, 2 + len(alphabet)]
    weights = load_file("encoders/small/model.safetensors")
    name = "encoder.layers.0.attention.k_proj.weight"
    assert torch.equal(made.model.state_dict()[f"wav2vec2.{name}"], weights[name])
    again, other = (new_recogniser("encoders/small", alphabet, "ru", seed=seed).model.lm_head.weight for seed in (4, 5))
    assert torch.equal(again, made.model.lm_head.weight)
    assert not torch.equal(other, made.model.lm_head.weight)
    save_recogniser(made, tmp_path / "saved")
    clip = hum(1.0)
    loaded = load_recogniser(tmp_path / "saved")
    np.testing.assert_allclose(loaded.emissions([clip])[0], made.emissions([clip])[0], atol=1e-4)


def test_an_alphabet_is_of_letters() -> None:
    for alphabet in ("аба", "а|", ["аб", "в"], "а б"):
        with pytest.raises(RecogniserError, match="alphabet"):
            new_recogniser("encoders/small", alphabet, "ru", seed=0)


def drop(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def change(**values: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    return edit


def weights(edit: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        state = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
        edit(state)
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    return rewrite


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def another_alphabet(folder: Path) -> None:
    character_tokenizer(folder, [*ALPHABET, *"abcdefgh"]).save_pretrained(folder)


def few_letters(folder: Path) -> None:
    character_tokenizer(folder, ALPHABET[:9]).save_pretrained(folder)


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (drop("vocab.json"), "tokenizer.json or vocab.json is missing"),
        (drop("preprocessor_config.json"), "preprocessor_config.json"),
        (drop("config.json"), "config.json cannot be read"),
        (drop("model.safetensors"), "model.safetensors is missing$"),
        (pickled, "pytorch_model.bin is a pickle"),
        (change(model_type="bert"), "config.json, model_type: 'bert'"),
        (change(pad_token_id=None), "config.json, pad_token_id"),
        (change(hidden_size="wide"), "config.json does not describe"),
        (change(vocab_size=60), "model.safetensors"),
        (another_alphabet, "the tokenizer has 43 tokens and the model 35 outputs"),
        (few_letters, "23 have none"),
        (weights(lambda state: state["lm_head.weight"].fill_(float("inf"))), "model.safetensors: lm_head.weight holds"),
        (weights(lambda state: state.pop("lm_head.weight")), "model.safetensors lacks lm_head.weight"),
        (lambda folder: (folder / "vocab.json").write_text("{"), "vocab.json\\) cannot be read"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no weights"), "model.safetensors cannot be read"),
    ],
)  # fmt: skip
def test_a_broken_folder_is_refused_by_name(saved: Path, break_it: Callable[[Path], None], said: str) -> None:
    break_it(saved)
    with pytest.raises(RecogniserError, match=said) as refused:
        load_recogniser(saved)
    assert str(refused.value).startswith(str(saved))


def test_code_that_a_folder_names_is_not_run(saved: Path) -> None:
    (saved / "custom.py").write_text("raise SystemExit('run')")
    change(auto_map={"AutoConfig": "custom.Config", "AutoModelForCTC": "custom.Model"})(saved)
    file = saved / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"auto_map": {"AutoTokenizer": ["custom.T", None]}}))
    assert load_recogniser(saved).text_of([3]) == "а"


def test_a_missing_folder_is_not_looked_for_on_the_hub(tmp_path: Path) -> None:
    for name in (tmp_path / "none", str(tmp_path / "none"), "./none"):
        with pytest.raises(RecogniserError, match="there is no folder"):
            load_recogniser(name)
