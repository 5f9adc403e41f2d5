"""The chosen sequence: its prompt, its response as a strip of tokens, and its numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import streamlit as st
from numpy.typing import NDArray

from app.charts import token_strip as charts
from app.sequences import loaders, members, target_controls
from app.sequences.listing import Listed, neighbour
from app.shell import downloads, picks, presses, state
from app.shell.chart import draw_chart
from app.shell.glossary import meaning
from app.shell.text import escape
from engine.core.targets.question import TargetName
from engine.errors import EngineError
from engine.kinds.language.sequences import LanguageSnapshot, SequenceBuffer
from engine.store.read import Run
from engine.store.snapshot import Float32s

PART_TOKENS = 400
"""Tokens of a response that are drawn at a time."""
LONG = 600
"""Characters of a text from which on it scrolls."""
LINES = 8
"""Lines from which on it does."""
NUMBERS = ("reward", "advantage", "KL", "length")


def draw(
    listed: Listed,
    rows: NDArray[np.int64],
    record: int,
    run: Run | None = None,
    snapshot: LanguageSnapshot | None = None,
    token_influence: Float32s | None = None,
    asked: TargetName | None = None,
) -> None:
    """The section.

    Args:
        listed: the sequences.
        rows: positions of those in the list, in order.
        record: the chosen one.
        run: where it is recorded; None: another trainer's files, which have no tokens.
        snapshot: its round.
        token_influence: (N,) influence of every token of the round.
        asked: the target.
    """
    row = {name: column[0].as_py() for name, column in zip(*_row(listed.table, record), strict=True)}
    with st.container(key="sequence", border=True, gap="small"):
        _head(listed, rows, record, row)
        _text("Prompt", row["prompt"])
        if run is None or snapshot is None:
            _text("Response", row["response"])
        else:
            _strip(run, snapshot, record, token_influence, asked)
            with st.expander("The response as text"):
                st.markdown(escape(row["response"]) or "*empty*")
    if "group" in listed.table.column_names:
        members.draw(listed, record)


def _row(table: pa.Table, record: int) -> tuple[list[str], list[pa.ChunkedArray]]:
    one = table.slice(record, 1)
    return one.column_names, one.columns


def _head(listed: Listed, rows: NDArray[np.int64], record: int, row: dict[str, Any]) -> None:
    """Which one, and what is known of it as a whole."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input("Record", 0, listed.table.num_rows - 1, step=1, key="record", width=150)
        _steps(rows)
        st.markdown(_numbers(row))
    _influence(listed.table, record, row)
    with st.container(horizontal=True):
        if row.get("truncated"):
            st.badge("truncated", icon=":material/content_cut:", color="gray", help=meaning("truncated"))
        if row.get("kept") is False:
            st.badge("dropped by the filter", icon=":material/filter_alt:", color="gray")
        if row.get("repaired"):
            st.badge("repaired", icon=":material/healing:", color="gray", help=meaning("repair"))
        if record in listed.basket:
            st.badge("in the basket", icon=":material/shopping_cart:", color="violet")


def _steps(rows: NDArray[np.int64]) -> None:
    """Buttons for the neighbours in the list."""
    steps = {"listed_before": -1, "listed_after": 1}

    def step() -> None:
        for key in presses.new(steps):
            state.put({"record": neighbour(rows, int(state.get("record")), steps[key])})

    if len(rows):
        presses.button(
            "listed_before", help="The one above in the list", icon="arrow_upward", shortcut="K", on_press=step
        )
        presses.button(
            "listed_after", help="The one below in the list", icon="arrow_downward", shortcut="J", on_press=step
        )


def _numbers(row: dict[str, Any]) -> str:
    """What is known of it, in a line."""
    names = [*NUMBERS, *(name for name in row if name.startswith("reward/"))]
    known = [(name, row[name]) for name in names if row.get(name) is not None and not np.isnan(row[name])]
    return " · ".join(f"{escape(name)} **{value:.4g}**" for name, value in known)


def _influence(table: pa.Table, record: int, row: dict[str, Any]) -> None:
    if "influence" not in row:
        return
    influence = row["influence"]
    if influence is None:
        st.markdown(
            "Influence: **no signal**. The responses to this prompt were rewarded alike, so none of them is better than another."
        )
        return
    values = table.column("influence").to_numpy()
    rank, known = 1 + int((values > influence).sum()), int(np.isfinite(values).sum())
    word = "▲ raised the target" if influence > 0 else "▼ lowered the target" if influence < 0 else "did nothing"
    st.markdown(f"Influence **{influence:+.4g}**, {word}; rank {rank:,} of {known:,}")


def _text(what: str, text: str) -> None:
    """A text under its name; a long one scrolls."""
    scrolls = len(text) > LONG or text.count("\n") > LINES
    with st.container(height=220 if scrolls else "content", border=False, gap=None):
        st.caption(what)
        st.markdown(escape(text) or "*empty*")


def _strip(
    run: Run, snapshot: LanguageSnapshot, record: int, token_influence: Float32s | None, asked: TargetName | None
) -> None:
    """The response's tokens, coloured; those that are picked can become the target."""
    buffer = snapshot.buffer
    every = token_numbers(buffer, token_influence)
    places = np.array(target_controls.response_places(snapshot, record), np.int64)
    if not len(places):
        st.info("This response has no token.", icon=":material/info:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        options = [name for name in charts.COLOURINGS if name in every]
        state.choose("colour", options, options[0], scope=options[0])
        by = str(st.segmented_control("Response, coloured by", options, key="colour", required=True))
        first = _part(len(places))
        _ask(record)
    here = buffer.start[record] + places
    try:
        every_piece = loaders.load_pieces(run, buffer, record)
        pieces = [every_piece[place] for place in places]
    except EngineError as error:
        line = str(error)
        st.info(f"Tokens are shown as numbers: {escape(line)}", icon=":material/info:")
        pieces = [str(token) for token in buffer.token[here]]
    part = slice(first, first + PART_TOKENS)
    limit = charts.token_limit(every[by][buffer.mask])
    numbers = {name: values[here][part] for name, values in every.items()}
    marked = None
    if asked is not None and asked.about == (record,):
        begin, end = asked.tokens or (int(places[0]), int(places[-1]))
        marked = begin, end
    draw_chart(
        charts.token_strip(pieces[part], places[part].tolist(), numbers, by, limit, state.is_dark(), marked),
        key="token_strip",
        on_select="rerun",
        selection_mode="points",
        config=downloads.chart(f"{run.name}-round-{snapshot.round}-record-{record}-{by}"),
        alt=alt(pieces[part], numbers[by], by),
    )


def _ask(record: int) -> None:
    """A button that makes the picked tokens the target."""
    picked = picks.records("token_strip")
    span = f"tokens {min(picked)} to {max(picked)}" if len(picked) > 1 else f"token {picked[0]}" if picked else ""
    st.button(
        f"Why did it say this? Ask about {span}" if picked else "Why did it say this?",
        key="ask_about_tokens",
        type="tertiary",
        icon=":material/help:",
        disabled=not picked,
        help="Which sequences made these tokens likelier? They become the target."
        if picked
        else "Click a token below; Shift and a click on another one takes all between them.",
        on_click=target_controls.ask_about,
        args=(record, min(picked, default=0), max(picked, default=0)),
    )


def token_numbers(buffer: SequenceBuffer, token_influence: Float32s | None) -> dict[str, NDArray[Any]]:
    """Name -> (N,) what is known of every token, in the order in which it is read."""
    influence = {} if token_influence is None else {"influence": token_influence}
    critic = {"value": buffer.value, "return": buffer.returns} if buffer.value.any() or buffer.returns.any() else {}
    return {
        **influence,
        "advantage": buffer.advantage,
        "KL": buffer.kl,
        "entropy": buffer.entropy,
        "log π": buffer.log_prob,
        "log π reference": buffer.reference_log_prob,
        "reward": buffer.token_reward,
        **critic,
        "id": buffer.token,
    }


def alt(pieces: list[str], values: NDArray[Any], by: str) -> str:
    """The strip in words: how many tokens, and which of them stand out."""
    high, low = int(np.argmax(values)), int(np.argmin(values))
    most, least = (pieces[place].strip()[: charts.LONGEST] for place in (high, low))
    ends = f"highest {values[high]:+.3g} at {most!r}, lowest {values[low]:+.3g} at {least!r}"
    return f"The {len(pieces)} tokens of the response, coloured by {by}: {ends}"


def _part(n: int) -> int:
    """The first token of the part that is drawn."""
    firsts = list(range(0, n, PART_TOKENS))
    if len(firsts) == 1:
        return 0
    state.choose("tokens_from", firsts, 0)
    return int(
        st.selectbox(
            "Tokens",
            firsts,
            key="tokens_from",
            width=170,
            format_func=lambda first: f"{first} to {min(first + PART_TOKENS, n) - 1}",
        )
        or 0
    )
