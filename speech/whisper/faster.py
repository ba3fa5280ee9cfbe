"""The faster-whisper back end, with a window that is only as long as a short clip needs.

Whisper was trained on windows of 30 s, and its encoder takes most of the time whatever the clip's length. A clip of a
few seconds is therefore given a window of its own length and 5 s more. On 30 Russian sentences of 2 to 3 s joined
from recorded speech (base, int8, greedy) every letter count was that of the whole window, word edges moved by 7 ms,
and a clip took 0.40 s of processor time instead of 2.03 s; in noise at 10 dB two clips of 30 differed, without a loss
in accuracy. With a margin of 3 s instead, one clip in quiet differed. Packing clips into one whole window saves no
more, and makes a clip's transcript depend on its neighbours. What fails in a short window is the end of the text: the
model repeats itself. Such a clip is done again in the whole window.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from string import digits

import ctranslate2
import faster_whisper
import huggingface_hub.errors
import numpy as np
from faster_whisper.transcribe import Segment as WhisperSegment

from speech.audio.decode import SAMPLE_RATE
from speech.hardware.card_faults import CardFault, explained, of_card
from speech.hardware.cuda_libraries import load_libraries
from speech.hardware.devices import Device
from speech.whisper.backend import TranscriberError, WhisperOptions, card_explained, not_found, unknown_language
from speech.whisper.transcript import Segment, WhisperTranscript, collect

WHOLE_WINDOW = 3000  # frames of 10 ms
FRAMES_A_SECOND = 100
MARGIN_SECONDS = 5.0  # of window after the clip
_STEP = 50  # windows are rounded up to half a second
_TOKENS_A_SECOND = 12  # fast Russian speech is written with about 8
_SPARE_TOKENS = 16  # time marks and the end
_LOOP_COMPRESSION = 2.4  # Whisper's own mark of a text that repeats itself


class WindowedWhisper(faster_whisper.WhisperModel):
    """faster-whisper whose encoder sees the first `window` frames of each window, and no padding behind."""

    window = WHOLE_WINDOW

    def encode(self, features: np.ndarray) -> ctranslate2.StorageView:
        """As in the library, of the frames that `window` leaves."""
        return super().encode(np.ascontiguousarray(features[..., : self.window]))


class CTranslateWhisper:
    """Whisper through CTranslate2. Not thread-safe: the window is the model's state."""

    def __init__(self, model: str, options: WhisperOptions, device: Device, compute_type: str) -> None:
        """`model`: a folder or a name. Raises `TranscriberError`, or `CardFault` where the card does not compute."""
        if Path(model).is_file():
            raise TranscriberError(
                f"model {model} is a file; faster-whisper needs a folder in CTranslate2's form, "
                "or set the back end to openai-whisper"
            )
        threads = options.threads or os.cpu_count() or 1
        if device == "cuda":
            load_libraries()
        try:
            self._model = WindowedWhisper(model, device=device, compute_type=compute_type, cpu_threads=threads)
        except (huggingface_hub.errors.HfHubHTTPError, OSError) as error:
            raise not_found(model, error) from error
        except (ValueError, RuntimeError) as error:  # CTranslate2's: compute type, damaged or missing files, the card
            if device == "cuda" and of_card(error):
                raise CardFault(explained(error)) from error
            raise TranscriberError(f"model {model} does not load: {error}") from error
        if options.language not in (None, *self._model.supported_languages):
            raise unknown_language(options.language, self._model.supported_languages)
        self.device: Device = device
        self._options = options
        if device == "cuda":
            self.try_out()
        self._suppressed = [-1, *self._digits()] if options.spell_numbers else [-1]  # -1: Whisper's own list

    def try_out(self) -> None:
        """Encode a second of sound: libraries and memory are opened and taken only then. Raises `CardFault`."""
        self._model.window = FRAMES_A_SECOND
        try:
            encoded = self._model.encode(self._model.feature_extractor(np.zeros(SAMPLE_RATE, np.float32)))
            values = encoded.to_device(ctranslate2.Device.cpu).to(ctranslate2.DataType.float32)
        except (RuntimeError, ValueError) as error:
            raise CardFault(explained(error)) from error
        if not np.isfinite(np.asarray(values)).all():
            raise CardFault("Whisper's encoder gives values that are not finite; take another compute_type")

    def _digits(self) -> list[int]:
        tokenizer = self._model.hf_tokenizer
        # Tokens from the end of text on are Whisper's own, <|0.00|> among them: the time marks must stay.
        end_of_text = tokenizer.token_to_id("<|endoftext|>")
        # Not str.isdigit: in the byte-level alphabet "²" stands for a byte that Cyrillic letters hold.
        vocabulary = tokenizer.get_vocab().items()
        return sorted(number for token, number in vocabulary if number < end_of_text and set(token) & set(digits))

    def transcribe(self, samples: np.ndarray) -> WhisperTranscript:
        """As `speech.whisper.backend.Transcriber`. Raises `TranscriberError` where the card fails meanwhile."""
        with card_explained(self.device):
            return self._transcript(samples)

    def _transcript(self, samples: np.ndarray) -> WhisperTranscript:
        seconds = len(samples) / SAMPLE_RATE
        window = math.ceil((seconds + MARGIN_SECONDS) * FRAMES_A_SECOND / _STEP) * _STEP
        if not self._options.whole_window and window < WHOLE_WINDOW:
            most = int(seconds * _TOKENS_A_SECOND) + _SPARE_TOKENS
            segments, language = self._decode(samples, window, most)
            if not _repeats(segments, most):
                return collect(map(_segment, segments), language, samples)
        segments, language = self._decode(samples, WHOLE_WINDOW, None)
        return collect(map(_segment, segments), language, samples)

    def _decode(self, samples: np.ndarray, window: int, most_tokens: int | None) -> tuple[list[WhisperSegment], str]:
        self._model.window = window
        segments, info = self._model.transcribe(
            samples,
            language=self._options.language,
            beam_size=self._options.beam_size,
            temperature=0.0,
            no_speech_threshold=None,  # a silent clip is `speech.whisper.markers`' business, which sees the measure
            condition_on_previous_text=False,
            initial_prompt=self._options.initial_prompt,
            suppress_tokens=self._suppressed,
            word_timestamps=True,
            max_new_tokens=most_tokens,
        )
        return list(segments), info.language


def _repeats(segments: list[WhisperSegment], most_tokens: int) -> bool:
    """Whether the text does not end, or there is none; both are done again in the whole window."""
    tokens = sum(len(segment.tokens) for segment in segments)
    looped = any(segment.compression_ratio > _LOOP_COMPRESSION for segment in segments)
    return looped or not segments or tokens >= most_tokens - 1


def _segment(segment: WhisperSegment) -> Segment:
    return Segment(
        text=segment.text,
        words=tuple((word.word, float(word.start), float(word.end), word.probability) for word in segment.words or ()),
        no_speech_probability=segment.no_speech_prob,
        compression_ratio=segment.compression_ratio,
        average_logprob=segment.avg_logprob,
    )
