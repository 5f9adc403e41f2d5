"""What tokens say, by the tokenizers that models have: joined it is what the tokenizer itself makes of the sequence."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, pairwise

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from engine.kinds.language.token_texts import readable, token_texts

TEXTS = ("the cat was naïve 猫 here\n and there's a fool . don't", "👍🏽 the", "the", "")


def byte_level() -> Tokenizer:
    """As GPT-2, Llama 3 and Qwen have it."""
    made, letters = Tokenizer(models.BPE()), pre_tokenizers.ByteLevel.alphabet()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<eos>", "<0x41>"]
    made.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(vocab_size=264, initial_alphabet=letters, special_tokens=special, show_progress=False),
    )
    return made


def byte_fallback() -> Tokenizer:
    """As Llama 2, Mistral and Gemma have it: a token of its own for each byte of letters that have none."""
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<eos>", *(f"<0x{byte:02X}>" for byte in range(256))]
    made.train_from_iterator(
        ["the cat was here"], trainers.BpeTrainer(vocab_size=290, special_tokens=special, show_progress=False)
    )
    return made


def word_piece() -> Tokenizer:
    """As BERT has it."""
    made = Tokenizer(models.WordPiece(unk_token="<unk>"))
    made.pre_tokenizer, made.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    made.train_from_iterator(
        TEXTS, trainers.WordPieceTrainer(vocab_size=60, special_tokens=["<unk>", "<eos>"], show_progress=False)
    )
    return made


def words() -> Tokenizer:
    """One token a word."""
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["<unk>", "<eos>", "the", "cat"])}, "<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


@pytest.mark.parametrize("make", [byte_level, byte_fallback, word_piece, words])
def test_joined_they_are_the_text(make: Callable[[], Tokenizer]) -> None:
    made = make()
    ids = [[*made.encode(text).ids, made.token_to_id("<eos>")] for text in TEXTS] + [[]]
    start = np.cumsum([0, *map(len, ids)])
    found = token_texts(made, np.array([*chain(*ids)], np.int32), start).to_pylist()
    assert len(found) == start[-1]
    for row, (first, end) in zip(ids, pairwise(start), strict=True):
        assert b"".join(found[first:end]) == made.decode(row, skip_special_tokens=False).encode()


@pytest.mark.parametrize("make", [byte_level, byte_fallback])
def test_a_part_of_a_character_keeps_its_bytes(make: Callable[[], Tokenizer]) -> None:
    made = make()
    ids = np.array(made.encode("the ø").ids[:-1], np.int32)  # the letter's second byte is yet to come
    found = token_texts(made, ids, np.array([0, len(ids)])).to_pylist()
    assert b"".join(found) == "the ø".encode()[:-1]
    assert "".join(readable(found)) == "the "
    assert readable([b"na", b"\xc3", b"\xafve", b"\xff!"]) == ["na", "", "ïve", "\ufffd!"]


def test_a_token_that_only_looks_like_a_byte_is_its_own_text() -> None:
    made = byte_level()
    ids = np.array([made.token_to_id("<0x41>"), len(made.get_vocab()) + 5], np.int32)
    assert token_texts(made, ids, np.array([0, 2])).to_pylist() == [b"<0x41>", b""]
