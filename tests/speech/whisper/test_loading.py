"""Speech to text: what is made of Whisper's answer, what cannot be loaded, and both back ends on real speech."""

from __future__ import annotations

import json
import pickle
import socket
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import whisper

from speech.audio.decode import decode
from speech.home import weights_folder
from speech.text.language import load_language
from speech.whisper.backend import TranscriberError, WhisperOptions
from speech.whisper.faster import WHOLE_WINDOW, CTranslateWhisper
from speech.whisper.loading import load_transcriber
from speech.whisper.markers import ConfidenceLimits, count_markers
from speech.whisper.transcript import Segment, WhisperTranscript, Word, clean_word, collect
from speech.whisper.weights import OFFLINE_CHECKPOINT, OFFLINE_FOLDER

SOUNDS = Path(__file__).parents[1] / "sounds"


def samples(name: str) -> np.ndarray:
    return decode(SOUNDS / name).samples


@pytest.mark.parametrize(
    ("written", "clean"),
    [
        (" Привет,", "Привет"),
        ("«лес».", "лес"),
        (" -то", "то"),
        (" что-то?", "что-то"),
        (" ёж!..", "ёж"),
        (" 22%", "22"),
    ],
)
def test_words_lose_what_surrounds_them(written: str, clean: str) -> None:
    assert clean_word(written, 0.1, 0.4, 0.9, seconds=1.0) == Word(clean, 0.1, 0.4, 0.9)


@pytest.mark.parametrize("written", [" ", "...", " —", "!?"])
def test_punctuation_alone_is_no_word(written: str) -> None:
    assert clean_word(written, 0.1, 0.4, 0.9, seconds=1.0) is None


def test_word_times_stay_inside_the_clip_and_in_order() -> None:
    assert clean_word("лес", -0.1, 1.7, 0.9, seconds=1.5) == Word("лес", 0.0, 1.5, 0.9)
    assert clean_word("лес", 1.0, 0.9, 0.9, seconds=1.5) == Word("лес", 1.0, 1.0, 0.9)


def test_a_transcript_has_the_worst_of_its_segments_and_goes_through_json() -> None:
    word = (" лес.", np.float64(0.2), np.float64(0.6), np.float64(0.75))
    segments = [Segment(" Густой лес.", (word,), 0.1, 1.2, -0.4), Segment(" Да.", (), 0.3, 0.8, -0.9)]
    transcript = collect(segments, "ru", np.zeros(16_000, np.float32))
    assert transcript == WhisperTranscript("Густой лес. Да.", (Word("лес", 0.2, 0.6, 0.75),), "ru", 0.3, 1.2, -0.9)
    assert WhisperTranscript.from_dict(json.loads(json.dumps(transcript.as_dict()))) == transcript


def test_no_segment_means_no_measure() -> None:
    transcript = collect([], "ru", np.zeros(16_000, np.float32))
    assert transcript == WhisperTranscript("", (), "ru", None, None, None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"backend": "vosk"}, "backend 'vosk' is unknown; take one of faster-whisper, openai-whisper"),
        ({"device": "tpu"}, "device 'tpu' is unknown"),
        ({"model": ""}, "model is empty"),
        ({"beam_size": 0}, "beam_size is 0"),
        ({"threads": -1}, "threads is -1"),
    ],
)
def test_options_that_make_no_sense(given: dict[str, object], message: str) -> None:
    with pytest.raises(TranscriberError, match=message):
        WhisperOptions(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["faster-whisper", "openai-whisper"])
@pytest.mark.parametrize("model", ["/nowhere/model", "./model.pt"])
def test_a_path_to_nothing(backend: str, model: str) -> None:
    with pytest.raises(TranscriberError, match="there is no such file or folder"):
        load_transcriber(WhisperOptions(backend=backend, model=model, device="cpu"))


def test_each_back_end_refuses_the_others_weights(tmp_path: Path) -> None:
    checkpoint = tmp_path / "model.pt"
    checkpoint.write_bytes(b"")
    with pytest.raises(TranscriberError, match="needs a folder in CTranslate2's form"):
        load_transcriber(WhisperOptions(model=str(checkpoint), device="cpu"))
    with pytest.raises(TranscriberError, match="needs a checkpoint file"):
        load_transcriber(WhisperOptions(backend="openai-whisper", model=str(tmp_path), device="cpu"))


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(TranscriberError, match="does not load"):
        load_transcriber(WhisperOptions(model=str(tmp_path), device="cpu"))


def test_half_precision_is_for_cuda() -> None:
    options = WhisperOptions(backend="openai-whisper", compute_type="float16", device="cpu")
    with pytest.raises(TranscriberError, match="compute_type 'float16' is not for openai-whisper on cpu"):
        load_transcriber(options)


@pytest.fixture
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hubs at a port where nothing listens, and no weights or caches on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("VNYATNO_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setitem(whisper._MODELS, "base", f"{address}/{'0' * 64}/base.pt")


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize("backend", ["faster-whisper", "openai-whisper"])
def test_without_a_hub_the_message_says_what_to_do(backend: str) -> None:
    with pytest.raises(TranscriberError, match=r"'base' is not on this machine .* `make setup`.* a path to a model"):
        load_transcriber(WhisperOptions(backend=backend, device="cpu"))


@pytest.mark.parametrize("backend", ["faster-whisper", "openai-whisper"])
def test_an_unknown_name_is_refused(backend: str) -> None:
    with pytest.raises(TranscriberError, match="enormous"):
        load_transcriber(WhisperOptions(backend=backend, model="enormous", device="cpu"))


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.sign,)  # type: ignore[return-value]


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    sign, model = tmp_path / "executed", tmp_path / "model.pt"
    model.write_bytes(pickle.dumps({"dims": Payload(sign)}, protocol=2))
    pickle.loads(model.read_bytes())
    assert sign.exists()  # the payload works where pickles are trusted
    sign.unlink()
    with pytest.raises(TranscriberError, match="does not load as an openai-whisper checkpoint"):
        load_transcriber(WhisperOptions(backend="openai-whisper", model=str(model), device="cpu"))
    assert not sign.exists()


@pytest.fixture(scope="module")
def faster() -> CTranslateWhisper:
    require(OFFLINE_FOLDER)
    loaded = load_transcriber(WhisperOptions(device="cpu", threads=2))
    assert isinstance(loaded, CTranslateWhisper)
    return loaded


def require(name: str) -> None:
    assert (weights_folder() / name).exists(), f"{weights_folder() / name} is missing; run `make setup`"


def counts(transcript: WhisperTranscript, seconds: float) -> dict[str, int] | None:
    return count_markers(transcript, seconds, load_language("ru"), ConfidenceLimits(min_word_probability=0.3)).counts


@pytest.mark.parametrize(
    ("name", "words", "letters"),
    [
        ("forest.ogg", {"дорога", "через", "густой", "лес"}, {"р": 2, "г": 2}),
        ("city.ogg", {"моя", "подруга", "в", "другом", "городе"}, {"р": 3, "г": 3}),
    ],
)
def test_faster_whisper_understands(
    faster: CTranslateWhisper, name: str, words: set[str], letters: dict[str, int]
) -> None:
    sound = samples(name)
    transcript = faster.transcribe(sound)
    assert words <= {word.text.lower() for word in transcript.words}
    assert counts(transcript, len(sound) / 16_000) == letters
    edges = [edge for word in transcript.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert edges[-1] > 1.5
    assert faster.transcribe(sound) == transcript


def test_openai_whisper_understands_the_same(faster: CTranslateWhisper) -> None:
    require(OFFLINE_CHECKPOINT)
    sound = samples("city.ogg")
    other = load_transcriber(WhisperOptions(backend="openai-whisper", device="cpu")).transcribe(sound)
    transcript = faster.transcribe(sound)
    assert [word.text.lower() for word in other.words] == [word.text.lower() for word in transcript.words]
    apart = [abs(one.start - two.start) for one, two in zip(other.words, transcript.words, strict=True)]
    assert max(apart) < 0.2
    assert other.no_speech_probability == pytest.approx(transcript.no_speech_probability, abs=0.1)


def test_a_short_window_hears_what_the_whole_one_hears(
    faster: CTranslateWhisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = samples("city.ogg")
    short = faster.transcribe(sound)
    assert faster._model.window < WHOLE_WINDOW / 3
    monkeypatch.setattr("speech.whisper.faster._repeats", lambda *_: True)
    whole = faster.transcribe(sound)
    assert faster._model.window == WHOLE_WINDOW
    assert [word.text for word in whole.words] == [word.text for word in short.words]
    assert [word.start for word in whole.words] == pytest.approx([word.start for word in short.words], abs=0.1)


def test_numbers_are_spelled(faster: CTranslateWhisper) -> None:
    number = faster._model.hf_tokenizer.token_to_id("3")
    cyrillic = faster._model.hf_tokenizer.encode(" три рубля", add_special_tokens=False).ids
    assert number in faster._suppressed
    assert not set(cyrillic) & set(faster._suppressed)


def test_a_language_whisper_does_not_know() -> None:
    require(OFFLINE_FOLDER)
    with pytest.raises(TranscriberError, match=r"language 'tlh' is not one this model knows: .*ru"):
        load_transcriber(WhisperOptions(language="tlh", device="cpu"))
