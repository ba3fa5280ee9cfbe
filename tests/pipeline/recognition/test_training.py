"""Training of a recogniser on sounds that a small model can tell apart in seconds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.recognition import finetuning
from pipeline.recognition.finetuning import hash_of, start_recogniser, train_recogniser
from pipeline.recognition.settings import RecogniserSettings
from pipeline.settings import Precision
from pipeline.training.trainer import NothingToTrain
from speech.bundles.recogniser import load_recogniser_bundle
from speech.ctc.folder import RecogniserError, load_recogniser, save_recogniser
from speech.ctc.transcription import transcribe
from speech.home import Home
from tests.recognisers import tiny_lasr, tiny_recogniser, write_tiny_recogniser

TONES = {"а": 300.0, "о": 1100.0, "у": 2900.0}  # hertz: a language of three words
FEW: dict[str, Any] = {"accumulation": 1, "warmup_steps": 4, "precision": Precision.fp32, "patience": 100}


@dataclass
class Record:
    id: str
    split: str
    text: str
    seconds: float = 0.0


@dataclass
class Clips:
    """As much of a `ClipSet` as training asks for."""

    records: list[Record]
    sounds: dict[str, np.ndarray] = field(default_factory=dict)
    language: str = "ru"
    asked: set[str] = field(default_factory=set)

    def samples(self, record: Record) -> np.ndarray:
        self.asked.add(record.split)
        return self.sounds[record.id].copy()

    def of_split(self, split: str) -> list[Record]:
        return [record for record in self.records if record.split == split]


@pytest.fixture
def clips() -> Clips:
    rng = np.random.default_rng(5)
    made = Clips([])
    for number in range(36):
        words = [str(word) for word in rng.choice(list(TONES), 2)]
        parts = [np.zeros(1600)]
        for word in words:
            parts += [np.sin(2 * np.pi * TONES[word] * np.arange(4800) / 16_000), np.zeros(3200)]
        sound = (0.3 * np.concatenate(parts) + 0.01 * rng.standard_normal(sum(map(len, parts)))).astype(np.float32)
        split = "train" if number < 24 else "validation" if number < 30 else "test"
        made.records.append(Record(str(number), split, " ".join(words).capitalize() + "!", len(sound) / 16_000))
        made.sounds[str(number)] = sound
    return made


def settings(**changed: Any) -> RecogniserSettings:
    return RecogniserSettings(**(FEW | changed))


def trained(recogniser: Any, clips: Clips, folder: Path, said: list[str] | None = None, **changed: Any) -> Any:
    lines = said if said is not None else []
    values = settings(**changed)
    return train_recogniser(recogniser, clips, clips.records, values, folder, lines.append, lambda *_: None)  # type: ignore[arg-type]


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """A folder with a small encoder that is not trained."""
    recogniser = tiny_recogniser(tmp_path / "vocabulary")
    save_recogniser(recogniser, tmp_path / "encoder")
    recogniser.base.save_pretrained(tmp_path / "encoder")
    return tmp_path / "encoder"


def test_it_learns_to_write_what_it_hears(clips: Clips, tmp_path: Path) -> None:
    rates = {"learning_rate": 5e-4, "head_learning_rate": 3e-3}
    values = settings(start_from="encoders/small", closed_vocabulary=True, epochs=12, batch_size=4, **rates)
    recogniser = start_recogniser(values, clips)  # type: ignore[arg-type]
    assert recogniser.words == ("а", "о", "у")
    run = trained(recogniser, clips, tmp_path / "work", epochs=12, batch_size=4, **rates)
    assert run.best is not None
    assert run.best <= 0.3  # naming one word always: 0.6
    assert clips.asked == {"train", "validation"}  # nothing of the test split
    heard = transcribe(recogniser, [clips.samples(record) for record in clips.of_split("test")])
    said = [record.text[:-1].lower() for record in clips.of_split("test")]
    assert sum(one.text == other for one, other in zip(heard, said, strict=True)) >= 3
    save_recogniser(recogniser, tmp_path / "saved")
    again = load_recogniser(tmp_path / "saved")
    assert [one.text for one in transcribe(again, [clips.sounds["35"]])] == [heard[-1].text]
    home = Home(tmp_path / "home")
    write_tiny_recogniser(home, "asr-of-tones", recogniser)
    served = load_recogniser_bundle(home.bundles / "asr-of-tones").recogniser
    assert served.words == recogniser.words
    assert [one.text for one in transcribe(served, [clips.sounds["35"]])] == [heard[-1].text]


def test_a_model_of_spectrograms_learns_too(clips: Clips, tmp_path: Path) -> None:
    for record in clips.records:
        record.text = "в норме" if record.text[0] == "А" else "пациент"
    recogniser = tiny_lasr()
    before = {name: value.clone() for name, value in recogniser.model.state_dict().items()}
    run = trained(recogniser, clips, tmp_path, epochs=1, learning_rate=1e-3, head_learning_rate=1e-3)
    losses = [line["loss"] for line in run.history if "loss" in line]
    assert np.isfinite(losses).all()
    assert run.best >= 0
    after = recogniser.model.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before if "encoder.layers.0" in name)


def test_the_last_weights_are_of_all_but_the_test_clips(clips: Clips, tmp_path: Path) -> None:
    recogniser = tiny_recogniser(tmp_path / "vocabulary")
    run = trained(recogniser, clips, tmp_path / "work", epochs=1, checkpoint="last", batch_size=6)
    assert run.best is None
    assert run.steps == 5
    assert clips.asked == {"train", "validation"}


def test_a_synthesiser_speaks_beside_the_recordings(clips: Clips, tmp_path: Path) -> None:
    recogniser = tiny_recogniser(tmp_path / "vocabulary")
    lines: list[str] = []
    run = trained(recogniser, clips, tmp_path / "work", lines, epochs=1, checkpoint="last", batch_size=6, generated=0.5)
    assert lines[0] == "recogniser: beside 30 recordings a synthesiser says 15 clips"
    assert run.steps == 8
    assert clips.asked == {"train", "validation"}


def test_training_hides_as_many_frames_as_asked_and_use_none(clips: Clips) -> None:
    recogniser = start_recogniser(settings(start_from="encoders/small", masked=0.3), clips)  # type: ignore[arg-type]
    batch = recogniser.inputs([clips.sounds["0"], clips.sounds["1"]])
    hidden = []

    def look(_: Any, arguments: Any) -> None:
        frames = arguments[0]
        hidden.append((frames == recogniser.base.masked_spec_embed).all(-1).float().mean().item())

    recogniser.base.encoder.register_forward_pre_hook(look)
    for _ in range(20):
        recogniser.model.train()(**batch)
    assert 0.15 < np.mean(hidden) < 0.3  # stretches overlap
    recogniser.model.eval()(**batch)
    assert hidden[-1] == 0


def test_a_model_that_hides_no_frames_says_so(tmp_path: Path, clips: Clips) -> None:
    save_recogniser(tiny_lasr(), tmp_path)
    with pytest.raises(RecogniserError, match="masked: models of type lasr_encoder hide no frames"):
        start_recogniser(settings(name=str(tmp_path), masked=0.3), clips)  # type: ignore[arg-type]


def test_a_killed_training_goes_on(clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    counted = finetuning.word_error_rate
    validations: list[int] = []

    def judged(prediction: Any) -> dict[str, float]:
        validations.append(1)
        if len(validations) == 3:
            raise Killed
        return counted(prediction)

    monkeypatch.setattr(finetuning, "word_error_rate", judged)
    with pytest.raises(Killed):
        trained(tiny_recogniser(tmp_path / "vocabulary"), clips, tmp_path / "work", epochs=4)
    said: list[str] = []
    run = trained(tiny_recogniser(tmp_path / "vocabulary"), clips, tmp_path / "work", said, epochs=4)
    assert "recogniser: going on from checkpoint-6" in said
    assert run.steps == 12
    untouched = trained(tiny_recogniser(tmp_path / "vocabulary"), clips, tmp_path / "other", epochs=4)
    assert run.best == untouched.best


def test_without_clips_nothing_is_trained(clips: Clips, tmp_path: Path) -> None:
    clips.records = clips.of_split("train")
    with pytest.raises(NothingToTrain, match="no usable clip in the validation split"):
        trained(tiny_recogniser(tmp_path / "vocabulary"), clips, tmp_path / "work")


def test_words_that_the_tokenizer_cannot_write_are_named(clips: Clips, tmp_path: Path) -> None:
    save_recogniser(tiny_recogniser(tmp_path / "vocabulary"), tmp_path / "model")
    clips.records[0].text = "раз9"
    with pytest.raises(RecogniserError, match="the word 'раз9' cannot be written"):
        start_recogniser(settings(name=str(tmp_path / "model"), closed_vocabulary=True), clips)  # type: ignore[arg-type]


def test_other_local_weights_are_another_start(tmp_path: Path, encoder: Path) -> None:
    first = hash_of(settings(start_from=str(encoder)))
    save_recogniser(tiny_recogniser(tmp_path / "vocabulary", seed=1), encoder)
    assert first is not None
    assert first != hash_of(settings(start_from=str(encoder)))
    assert hash_of(settings()) is None  # the hub's


def test_warm_up_never_lasts_beyond_the_half() -> None:
    assert settings(warmup_steps=300).warmup(1000) == 300
    assert settings(warmup_steps=300).warmup(100) == 50
    assert settings(warmup_steps=None, warmup_share=0.1).warmup(100) == 10
    with pytest.raises(ValueError, match="give one of them"):
        settings(name="a/b", start_from="c")
