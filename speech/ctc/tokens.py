"""From tokens to words, for tokenizers of characters with a delimiter and for those of parts of words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from speech.ctc.architecture import RecogniserError

_WORD_STARTS = ("▁", "Ġ")  # of SentencePiece and of byte-level BPE
_DELIMITERS = ("|", " ")  # tokens that are nothing but the space between words
_MOST_NAMELESS = (
    0.25  # of the outputs; heads are rounded up and keep places for marks, another tokenizer's fit far worse
)


class Spelling:
    """A tokenizer as CTC needs it: ids to words and back, without grouping and without special tokens."""

    def __init__(self, tokenizer: Any, blank: int, outputs: int) -> None:
        """`outputs`: of the model. Raises `RecogniserError`."""
        self._tokenizer = tokenizer
        names: dict[int, str] = {index: name for name, index in tokenizer.get_vocab().items()}
        delimiter = getattr(tokenizer, "word_delimiter_token", None)
        self._delimiters = {index for index, name in names.items() if name == delimiter or name in _DELIMITERS}
        special = (set(tokenizer.all_special_ids) | {blank}) - self._delimiters
        beyond = sorted(index for index in set(names) - special if index >= outputs)
        if beyond:
            raise RecogniserError(
                f"the tokenizer has {len(names)} tokens and the model {outputs} outputs: token {beyond[0]} "
                f"({names[beyond[0]]!r}) has none"
            )
        nameless = outputs - len({index for index in names if index < outputs} | {blank})
        if nameless > _MOST_NAMELESS * outputs:
            raise RecogniserError(
                f"the model has {outputs} outputs and the tokenizer {len(names)} tokens: {nameless} have none"
            )
        self._special = special | {index for index in range(outputs) if index not in names}
        self._starts = {index for index, name in names.items() if name.startswith(_WORD_STARTS)} - special

    @property
    def spaces(self) -> tuple[int, ...]:
        """Tokens that are nothing but the space between words."""
        return tuple(sorted(self._delimiters))

    def written(self, token: int) -> bool:
        """Whether a token is ever seen in the text: special ones and the space between words are not."""
        return token not in self._special and token not in self._delimiters

    def words(self, ids: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
        """Each word's text, and the places of its tokens in `ids`."""
        places: list[int] = []
        for place, token in enumerate(ids):
            if (token in self._delimiters or token in self._starts) and places:
                yield from self._word(ids, places)
                places = []
            if self.written(token):
                places.append(place)
        if places:
            yield from self._word(ids, places)

    def _word(self, ids: Sequence[int], places: list[int]) -> Iterator[tuple[str, list[int]]]:
        text = self._tokenizer.decode([ids[place] for place in places], group_tokens=False)
        text = "".join(text.split())
        if text:  # a lone word start is none
            yield text, places

    def text_of(self, ids: Sequence[int]) -> str:
        return " ".join(text for text, _ in self.words(ids))

    def ids_of(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(" ".join(text.split()), add_special_tokens=False)["input_ids"]
        return ids
