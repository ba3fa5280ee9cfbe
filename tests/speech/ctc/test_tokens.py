"""Tokenizers of other families: parts of words in bytes, and words' starts marked by the vocabulary alone."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from speech.ctc.architecture import RecogniserError
from speech.ctc.tokens import Spelling

TEXT = "пациент ещё в норме"


def bytes_tokenizer() -> PreTrainedTokenizerFast:
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = decoders.ByteLevel()
    special = ["<pad>", "<unk>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        [TEXT] * 5, trainers.BpeTrainer(vocab_size=270, special_tokens=special, initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", eos_token="</s>")


def test_letters_of_several_bytes_are_whole() -> None:
    tokenizer = bytes_tokenizer()
    spelling = Spelling(tokenizer, 0, len(tokenizer))
    ids = spelling.ids_of(TEXT)
    assert len(ids) > len(TEXT.split())  # some words are in parts
    assert spelling.text_of([*ids, tokenizer.eos_token_id, 0]) == TEXT
    assert [word for word, _ in spelling.words(ids)] == TEXT.split()


def test_a_tokenizer_of_more_tokens_than_outputs_is_refused() -> None:
    tokenizer = bytes_tokenizer()
    with pytest.raises(RecogniserError, match=f"{len(tokenizer)} tokens and the model 100 outputs"):
        Spelling(tokenizer, 0, 100)
    with pytest.raises(RecogniserError, match="have none"):
        Spelling(tokenizer, 0, 2 * len(tokenizer))
    Spelling(tokenizer, 0, len(tokenizer) + 8)  # rounded up
