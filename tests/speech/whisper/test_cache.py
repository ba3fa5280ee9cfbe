"""The cache of transcripts: what is made once, what is made again, and what a kill leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import ctranslate2
import numpy as np
import pytest

from speech.hardware.devices import Device
from speech.whisper.backend import Transcriber, WhisperOptions
from speech.whisper.cache import cache_folder, transcribe_clips
from speech.whisper.loading import settled
from speech.whisper.transcript import WhisperTranscript, Word

OPTIONS = WhisperOptions(model="tiny", device="cpu")
CLIPS = ("aa01", "aa02", "bb03")


class Listener:
    """A transcriber that writes down the loudness of what it hears; `breaks_at` raises at that call."""

    device: Device = "cpu"

    def __init__(self, breaks_at: int | None = None) -> None:
        self.calls = 0
        self.loads = 0
        self._breaks_at = breaks_at

    def load(self, options: WhisperOptions) -> Transcriber:
        self.loads += 1
        return self

    def transcribe(self, samples: np.ndarray) -> WhisperTranscript:
        self.calls += 1
        if self.calls == self._breaks_at:
            raise KeyboardInterrupt
        heard = f"{samples[0]:.0f}"
        return WhisperTranscript(heard, (Word(heard, 0.0, 0.5, 0.9),), "ru", 0.1, 1.0, -0.2)


def loader(value: int) -> Callable[[], np.ndarray]:
    return lambda: np.full(8, value, dtype=np.float32)


def clips() -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    return ((name, loader(number)) for number, name in enumerate(CLIPS, start=1))


def never() -> np.ndarray:
    raise AssertionError("a cached clip was decoded")


def entries(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*/*.json"))


def test_each_clip_is_transcribed_once(tmp_path: Path) -> None:
    listener = Listener()
    first = transcribe_clips(clips(), OPTIONS, tmp_path, load=listener.load)
    assert {name: transcript.text for name, transcript in first.items()} == {"aa01": "1", "aa02": "2", "bb03": "3"}
    again = transcribe_clips([(name, never) for name in CLIPS], OPTIONS, tmp_path, load=listener.load)
    assert again == first
    assert (listener.loads, listener.calls) == (1, 3)


def test_the_order_is_the_one_asked_for(tmp_path: Path) -> None:
    transcribe_clips(list(clips())[1:], OPTIONS, tmp_path, load=Listener().load)
    assert list(transcribe_clips(clips(), OPTIONS, tmp_path, load=Listener().load)) == list(CLIPS)


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        transcribe_clips(clips(), OPTIONS, tmp_path, load=Listener(breaks_at=3).load)
    assert entries(cache_folder(OPTIONS, tmp_path)) == ["aa01", "aa02"]
    listener = Listener()
    assert len(transcribe_clips(clips(), OPTIONS, tmp_path, load=listener.load)) == 3
    assert listener.calls == 1


@pytest.mark.parametrize(
    "damaged",
    [
        '{"clip": "aa02", "transc',
        "",
        "[]",
        '{"clip": "aa02", "transcript": {"text": "2"}}',
        '{"clip": "aa02", "transcript": {"text": "2", "words": [{"text": "2"}], "language": "ru", '
        '"no_speech_probability": null, "compression_ratio": null, "average_logprob": null}}',
    ],
)
def test_a_damaged_entry_is_made_again(tmp_path: Path, damaged: str, caplog: pytest.LogCaptureFixture) -> None:
    whole = transcribe_clips(clips(), OPTIONS, tmp_path, load=Listener().load)
    entry = cache_folder(OPTIONS, tmp_path) / "aa" / "aa02.json"
    entry.write_text(damaged, encoding="utf-8")
    listener = Listener()
    assert transcribe_clips(clips(), OPTIONS, tmp_path, load=listener.load) == whole
    assert listener.calls == 1
    assert str(entry) in caplog.text
    assert json.loads(entry.read_text(encoding="utf-8"))["transcript"]["text"] == "2"


def test_another_clips_entry_is_not_taken(tmp_path: Path) -> None:
    transcribe_clips(clips(), OPTIONS, tmp_path, load=Listener().load)
    folder = cache_folder(OPTIONS, tmp_path) / "aa"
    (folder / "aa01.json").write_bytes((folder / "aa02.json").read_bytes())
    found = transcribe_clips(clips(), OPTIONS, tmp_path, load=Listener().load)
    assert found["aa01"].text == "1"


@pytest.mark.parametrize(
    "other",
    [
        WhisperOptions(model="small", device="cpu"),
        WhisperOptions(model="tiny", device="cpu", beam_size=5),
        WhisperOptions(model="tiny", device="cpu", language=None),
        WhisperOptions(model="tiny", device="cpu", compute_type="float32"),
        WhisperOptions(model="tiny", device="cpu", spell_numbers=False),
        WhisperOptions(model="tiny", device="cpu", initial_prompt="Рыба."),
        WhisperOptions(model="tiny", device="cpu", backend="openai-whisper"),
    ],
)
def test_other_options_have_another_cache(tmp_path: Path, other: WhisperOptions) -> None:
    assert cache_folder(other, tmp_path) != cache_folder(OPTIONS, tmp_path)


def test_threads_do_not_change_what_is_heard(tmp_path: Path) -> None:
    more = WhisperOptions(model="tiny", device="cpu", threads=3)
    assert cache_folder(more, tmp_path) == cache_folder(OPTIONS, tmp_path)


def test_other_weights_under_one_path_have_another_cache(tmp_path: Path) -> None:
    model = tmp_path / "own.pt"
    options = WhisperOptions(backend="openai-whisper", model=str(model), device="cpu")
    model.write_bytes(b"one")
    before = cache_folder(options, tmp_path)
    model.write_bytes(b"two")
    assert cache_folder(options, tmp_path) != before


def test_the_folder_says_what_made_it(tmp_path: Path) -> None:
    transcribe_clips(clips(), OPTIONS, tmp_path, load=Listener().load)
    about = json.loads((cache_folder(OPTIONS, tmp_path) / "about.json").read_text(encoding="utf-8"))
    assert (about["model"], about["backend"], about["compute_type"]) == ("tiny", "faster-whisper", "int8")


def test_progress_counts_what_is_cached_and_ends_with_nothing_left(tmp_path: Path) -> None:
    told: list[tuple[int, int, float]] = []
    transcribe_clips(list(clips())[:1], OPTIONS, tmp_path, load=Listener().load)
    transcribe_clips(clips(), OPTIONS, tmp_path, lambda *state: told.append(state), Listener().load)
    assert [state[:2] for state in told] == [(2, 3), (3, 3)]
    assert told[0][2] > 0
    assert told[-1][2] == 0
    told.clear()
    transcribe_clips(clips(), OPTIONS, tmp_path, lambda *state: told.append(state), Listener().load)
    assert told == [(3, 3, 0.0)]


def test_a_clip_is_named_by_a_hash_alone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no content hash"):
        transcribe_clips([("../escape", loader(1))], OPTIONS, tmp_path, load=Listener().load)


def test_what_the_processor_gave_for_a_card_is_kept_as_the_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 1)
    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda device: {"float16", "float32"})
    options = replace(OPTIONS, device="auto")
    assert settled(options)["compute_type"] == "float16"
    listener = Listener()  # as after a card that failed: it computes on the processor
    first = transcribe_clips(clips(), options, tmp_path, load=listener.load)
    assert listener.loads == 1
    assert entries(cache_folder(OPTIONS, tmp_path)) == list(CLIPS)
    assert entries(cache_folder(options, tmp_path)) == []
    again = transcribe_clips([(name, never) for name in CLIPS], options, tmp_path, load=listener.load)
    assert again == first
