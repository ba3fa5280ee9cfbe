"""A CTC recogniser: any model that Hugging Face's AutoModelForCTC knows, with its feature extractor and tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from speech.audio.decode import SAMPLE_RATE
from speech.ctc.architecture import RecogniserError
from speech.ctc.lexicon import Lexicon
from speech.ctc.tokens import Spelling
from speech.encoders.chunked_front_end import hear_in_pieces

MIN_INPUT_SECONDS = 0.5  # shorter clips are padded with silence, so that convolutions and time masks find frames enough
_MEASURED_SECONDS = (1.0, 9.0)  # 8 s between them are a whole number of frames of 10, 20, 40 and 80 ms
_TRIED_SECONDS = (0.6, 0.65, 1.0)
_SAME = 1e-3  # of a probability; the order in which sums are computed makes a hundredth of that
_LENGTHS = ("_get_feat_extract_output_lengths", "_get_subsampling_output_length")


@dataclass(frozen=True)
class Processor:
    """A model's feature extractor and tokenizer, as transformers have them."""

    feature_extractor: Any
    tokenizer: Any


class Recogniser:
    """A model of `AutoModelForCTC` and its processor.

    `language` is a code of `configs/languages`, empty where it is not known.
    """

    def __init__(self, model: Any, processor: Processor, language: str = "", words: Sequence[str] = ()) -> None:
        """`words` are all that may be said; empty where anything may.

        Raises `RecogniserError` where model and processor do not fit together, or a word cannot be written.
        """
        self.model = model
        self.processor = processor
        self.language = language
        config = self.model.config
        self.vocabulary_size = int(config.vocab_size)
        if not isinstance(config.pad_token_id, int) or not 0 <= config.pad_token_id < self.vocabulary_size:
            raise RecogniserError(f"config.json, pad_token_id: {config.pad_token_id!r} is not an output, CTC's blank")
        self.blank = int(config.pad_token_id)
        self._input: str = self.model.main_input_name
        if self._input not in ("input_values", "input_features"):
            raise RecogniserError(f"config.json: a {config.model_type} takes {self._input}, no sound or spectrogram")
        rate = processor.feature_extractor.sampling_rate
        if rate != SAMPLE_RATE:
            raise RecogniserError(f"preprocessor_config.json, sampling_rate: {rate}; only {SAMPLE_RATE} Hz can be used")
        names = processor.feature_extractor.model_input_names
        if self._input not in names:
            raise RecogniserError(
                f"preprocessor_config.json gives {', '.join(names)}, config.json's {config.model_type} takes "
                f"{self._input}"
            )
        self.spelling = Spelling(processor.tokenizer, self.blank, self.vocabulary_size)
        hear_in_pieces(self.base)
        self.words = tuple(words)
        for word in self.words:
            if len(word.split()) != 1 or self.text_of(self.ids_of(word)) != word:
                raise RecogniserError(f"the word {word!r} cannot be written with the tokenizer's tokens")

    @cached_property
    def lexicon(self) -> Lexicon | None:
        """What decodes into the words that may be said; None where anything may."""
        if not self.words:
            return None
        return Lexicon([self.ids_of(word) for word in self.words], self.blank, self.spelling.spaces)

    @property
    def base(self) -> Any:
        """The encoder within the model."""
        return getattr(self.model, self.model.base_model_prefix, getattr(self.model, "encoder", self.model))

    @cached_property
    def takes_mask(self) -> bool:
        """Whether the model is given an attention mask for padded clips.

        It is not where a norm runs over the whole clip, nor where the model does not tell how many frames it makes.
        """
        extractor = self.processor.feature_extractor
        masks = getattr(extractor, "return_attention_mask", None)
        masks = "attention_mask" in extractor.model_input_names if masks is None else masks
        group = getattr(self.model.config, "feat_extract_norm", "layer") == "group"
        return bool(masks) and not group and self._lengths is not None

    @cached_property
    def computes_together(self) -> bool:
        """Whether a clip's output is the same beside longer clips as alone; tried once.

        Some models take a mask and let padding through all the same, such as data2vec's positional convolutions and
        wav2vec2-bert's adapter.
        """
        if not self.takes_mask:
            return False
        generator, training = np.random.default_rng(0), self.model.training
        clips = [generator.normal(0, 0.1, int(s * SAMPLE_RATE)).astype(np.float32) for s in _TRIED_SECONDS]
        self.model.eval()
        try:
            pairs = zip([self._computed([clip])[0] for clip in clips], self._computed(clips), strict=True)
        finally:
            self.model.train(training)
        return all(
            alone.shape == beside.shape and bool(np.abs(np.exp(alone) - np.exp(beside)).max() < _SAME)
            for alone, beside in pairs
        )

    @cached_property
    def frame_samples(self) -> int:
        """Samples from one frame of the output to the next; measured where the configuration does not say."""
        ratio = getattr(self.model.config, "inputs_to_logits_ratio", None)
        if ratio is not None:
            return int(ratio * getattr(self.processor.feature_extractor, "hop_length", 1))
        short, long = (int(seconds * SAMPLE_RATE) for seconds in _MEASURED_SECONDS)
        few, many = (len(self.emissions([np.zeros(length, np.float32)])[0]) for length in (short, long))
        return round((long - short) / (many - few))

    @property
    def frame_seconds(self) -> float:
        """Seconds from one frame of the output to the next."""
        return self.frame_samples / SAMPLE_RATE

    def inputs(self, clips: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """The model's input for clips of mono float32 at 16 kHz, each (n,).

        It holds `input_values` (batch, samples) or `input_features` (batch, steps, bands), and `attention_mask` where
        the model takes one.
        """
        least = int(MIN_INPUT_SECONDS * SAMPLE_RATE)
        padded = [np.pad(clip, (0, max(0, least - len(clip)))).astype(np.float32, copy=False) for clip in clips]
        made = self.processor.feature_extractor(
            padded, sampling_rate=SAMPLE_RATE, padding=True, return_attention_mask=self.takes_mask, return_tensors="pt"
        )
        return {name: made[name] for name in (self._input, "attention_mask") if name in made}

    def frame_counts(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """How many frames of the output belong to each clip of `inputs` (batch,). Only where the model takes a mask."""
        assert self._lengths is not None
        return self._lengths(inputs["attention_mask"].sum(-1).long())

    @cached_property
    def _lengths(self) -> Any:
        return next((method for name in _LENGTHS if (method := getattr(self.model, name, None))), None)

    def emissions(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Log probabilities (frames, vocabulary) float32 of each clip of mono float32 at 16 kHz, in order.

        The model must be in evaluation mode. A clip's output does not depend on the others in its batch: where it
        would, clips are computed one by one. Raises FloatingPointError where values come out that are not finite.
        """
        if not clips:
            return []
        together = len(clips) > 1 and self.computes_together
        made = self._computed(clips) if together else [rows for clip in clips for rows in self._computed([clip])]
        if not all(np.isfinite(rows).all() for rows in made):
            raise FloatingPointError("the model gave values that are not finite")
        return made

    def _computed(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The emissions of clips as one batch, in whatever mode the model is; several only where it takes a mask."""
        inputs = self.inputs(clips)
        with torch.inference_mode():
            weight = next(self.model.parameters())
            given = {name: value.to(weight.device) for name, value in inputs.items()}
            given[self._input] = given[self._input].to(weight.dtype)
            made = self.model(**given).logits.float().log_softmax(-1).cpu().numpy()
        if not self.takes_mask:
            return [rows.copy() for rows in made]
        counts = self.frame_counts(inputs).tolist()
        return [rows[: max(1, count)].copy() for rows, count in zip(made, counts, strict=True)]

    def text_of(self, ids: Sequence[int]) -> str:
        """The text of token ids, one after the other: nothing is grouped; special tokens are left out."""
        return self.spelling.text_of(ids)

    def ids_of(self, text: str) -> list[int]:
        """The token ids of a text, without special tokens; unknown signs become the tokenizer's unknown token."""
        return self.spelling.ids_of(text)
