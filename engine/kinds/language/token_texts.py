"""What each token of a sequence says: its own bytes, which joined are the sequence's text in UTF-8."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

UNKNOWN = "\ufffd"
"""What a tokenizer writes in the place of a part of a character."""
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def token_texts(tokenizer: Any, token: NDArray[np.int32], start: NDArray[np.int64]) -> pa.BinaryArray:
    """The bytes that each token adds to those before it in its sequence.

    A token that is a part of a character has just its own bytes, so they need not be UTF-8 by themselves. Special tokens are
    written out. A space between two words belongs to the later one.

    Args:
        tokenizer: of `tokenizers`, or one of `transformers`.
        token: (N,) numbers of the vocabulary.
        start: (n + 1,) sequence i has the tokens start[i] to start[i + 1] - 1.

    Returns:
        (N,) texts.
    """
    before = np.concatenate([[-1], token[:-1]]).astype(np.int64)[: len(token)]
    before[start[:-1][np.diff(start) > 0]] = -1
    pairs, each = np.unique(np.stack([before, token.astype(np.int64)]), axis=1, return_inverse=True)
    adds = _adding(getattr(tokenizer, "backend_tokenizer", tokenizer))
    texts = [adds(previous, own) for previous, own in pairs.T.tolist()]
    return pa.array(texts, pa.binary()).take(pa.array(each.ravel()))


def readable(texts: Iterable[bytes]) -> list[str]:
    r"""Texts of tokens for people: the last token of a character's bytes has it whole, those before have nothing of it.

    >>> readable([b"na", b"\xc3", b"\xafve"])
    ['na', '', 'ïve']
    """
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    return [decode(text) for text in texts]


def _adding(tokenizer: Any) -> Callable[[int, int], bytes]:
    """What a token adds after another one, or at the beginning, which is after -1."""
    piece = getattr(tokenizer, "id_to_token", None) or tokenizer.convert_ids_to_tokens

    @cache
    def decoded(*tokens: int) -> str:
        return str(tokenizer.decode(list(tokens), skip_special_tokens=False))

    def adds(previous: int, own: int) -> bytes:
        alone, called = decoded(own), piece(own) or ""
        raw = None if alone == called else _bytes_of(called, UNKNOWN in alone)
        if raw is not None:
            return raw
        if previous >= 0:
            first, both = decoded(previous), decoded(previous, own)
            alone = both.removeprefix(first) if both.startswith(first) else alone
        return alone.encode()

    return adds


def _bytes_of(called: str, incomplete: bool) -> bytes | None:
    """The bytes that a token's name says, such as `<0xC3>`, or the letters of one that is not made of whole characters."""
    if found := _BYTE.fullmatch(called):
        return bytes([int(found[1], 16)])
    letters = _letters()
    return bytes(map(letters.__getitem__, called)) if incomplete and letters.keys() >= set(called) else None


@cache
def _letters() -> dict[str, int]:
    """The letter that byte-level tokenizers, GPT-2's and those after it, write for each byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
