"""Columns and rows of sequences: what is asked of them, and in which order they come."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
from language_runs import sequences

from app.shell.sequence_columns import BASKET, RowQuery, rows, sequences_table, with_influence


def test_rows_without_a_signal_come_last_and_can_be_listed() -> None:
    made = sequences(6)
    influence = np.array([0.5, -1, 0, 2, -3, 0], np.float32)
    silent = np.array([False, False, True, False, False, True])
    table = with_influence(sequences_table(made), influence, silent)
    assert rows(table, RowQuery(sort="influence")).tolist() == [4, 1, 0, 3, 2, 5]
    assert rows(table, RowQuery(sort="influence", descending=True)).tolist() == [3, 0, 1, 4, 2, 5]
    assert rows(table, RowQuery(only="no signal")).tolist() == [2, 5]
    assert rows(table, RowQuery(only=BASKET, descending=True), basket=[1, 4]).tolist() == [4, 1]
    assert rows(table, RowQuery(only="dropped by the filter")).tolist() == [4]
    assert isinstance(table.column("influence"), pa.ChunkedArray)


def test_every_blank_of_unicode_is_one_and_nothing_else_is_a_pattern() -> None:
    blanks = [one for one in map(chr, range(sys.maxunicode + 1)) if one.isspace()]
    odd = ["a.*", "(b", "c\\d", "[x]", "a|b", "$^", "\0", "é"]
    texts = [f"one{blank}TWO" for blank in blanks] + [f"{first} {second}" for first in odd for second in odd]
    column = pa.array(texts, pa.large_string())
    table = pa.table(
        {"record": np.arange(len(texts)), "prompt": pa.array([""] * len(texts), pa.large_string()), "response": column}
    )
    assert rows(table, RowQuery("One two")).tolist() == list(range(len(blanks)))
    for i, text in enumerate(texts[len(blanks) :], len(blanks)):
        assert rows(table, RowQuery(text)).tolist() == [i]
        assert i in rows(table, RowQuery(text.split()[0]))
