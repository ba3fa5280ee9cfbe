"""The faster-whisper back end."""

from __future__ import annotations

import os
from pathlib import Path
from string import digits

import faster_whisper
import huggingface_hub.errors
import numpy as np
from faster_whisper.transcribe import Segment as WhisperSegment

from speech.transcribe import Segment, TranscriberError, Transcript, WhisperOptions, collect, not_found


class CTranslateWhisper:
    """Whisper through CTranslate2."""

    def __init__(self, model: str, options: WhisperOptions, device: str, compute_type: str) -> None:
        """`model`: a folder or a name. Raises `TranscriberError`."""
        if Path(model).is_file():
            raise TranscriberError(
                f"model {model} is a file; faster-whisper needs a folder in CTranslate2's form, "
                "or set the back end to openai-whisper"
            )
        threads = options.threads or os.cpu_count() or 1
        try:
            self._model = faster_whisper.WhisperModel(
                model, device=device, compute_type=compute_type, cpu_threads=threads
            )
        except (
            huggingface_hub.errors.HfHubHTTPError,
            huggingface_hub.errors.LocalEntryNotFoundError,
            OSError,
        ) as error:
            raise not_found(model, error) from error
        except (ValueError, RuntimeError) as error:  # CTranslate2's: compute type, damaged or missing files
            raise TranscriberError(f"model {model} does not load: {error}") from error
        self._options = options
        self._suppressed = [-1, *self._digits()] if options.spell_numbers else [-1]  # -1: Whisper's own list

    def _digits(self) -> list[int]:
        tokenizer = self._model.hf_tokenizer
        # Tokens from the end of text on are Whisper's own, <|0.00|> among them: the time marks must stay.
        end_of_text = tokenizer.token_to_id("<|endoftext|>")
        # Not str.isdigit: in the byte-level alphabet "²" stands for a byte that Cyrillic letters hold.
        vocabulary = tokenizer.get_vocab().items()
        return sorted(number for token, number in vocabulary if number < end_of_text and set(token) & set(digits))

    def transcribe(self, samples: np.ndarray) -> Transcript:
        """As `speech.transcribe.Transcriber`."""
        segments, info = self._model.transcribe(
            samples,
            language=self._options.language,
            beam_size=self._options.beam_size,
            temperature=0.0,
            no_speech_threshold=None,  # a silent clip is `speech.markers`' business, which sees the measure
            condition_on_previous_text=False,
            initial_prompt=self._options.initial_prompt,
            suppress_tokens=self._suppressed,
            word_timestamps=True,
        )
        return collect(map(_segment, segments), info.language, samples)


def _segment(segment: WhisperSegment) -> Segment:
    return Segment(
        text=segment.text,
        words=tuple(
            (word.word, float(word.start), float(word.end), float(word.probability)) for word in segment.words or ()
        ),
        no_speech_probability=segment.no_speech_prob,
        compression_ratio=segment.compression_ratio,
        average_logprob=segment.avg_logprob,
    )
