"""Whatever a run, another trainer's file or an address says is text on every page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from google.protobuf.message import Message
from hostile_runs import HOST, STOPPED, write_hostile_runs
from pages import Open
from streamlit.testing.v1 import AppTest

from engine.store.read import Run

SHOWN_AS_THEY_ARE = {
    "options", "formatted_options", "default", "set_value", "raw_value", "raw_values", "value", "alt", "spec", "config", "id",
    "url", "query_string", "form_id", "element_id", "key", "data", "data_id", "accept_new_options", "placeholder", "json",
    "columns",
}  # fmt: skip
"""Fields of elements that Streamlit does not read as Markdown. Whatever is not here must be escaped."""
NO_MARKDOWN = {"Code", "Json", "PlotlyChart", "Html"}
"""Elements without any."""
LIVE = re.compile(
    rf"://{re.escape(HOST)}|www\.{re.escape(HOST)}|@{re.escape(HOST)}|\*\*bold|!\[|:red\[c|`c`|\$\\href|# head"
)
"""What would be a link, a picture or a format."""
REFUSED = re.compile(r"damaged|can't be (shown|read|understood)")
"""What a page says in the place of what it was to show."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, cartpole: Run) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def addresses(runs: Path, cartpole: Run) -> list[str]:
    return write_hostile_runs(runs, cartpole)


def messages(app: AppTest) -> Iterator[Message]:
    """What is sent to the browser for every element and block of the page."""
    nodes = [app._tree]
    while nodes:
        node: Any = nodes.pop()
        nodes += getattr(node, "children", {}).values()
        if isinstance(getattr(node, "proto", None), Message):
            yield node.proto


def texts(message: Message, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a message that may be Markdown, with the field that it is in."""
    if type(message).__name__ in NO_MARKDOWN:
        return
    for field, value in message.ListFields():
        if field.name in SHOWN_AS_THEY_ARE:
            continue
        for one in [value] if isinstance(value, str | Message) else value if field.is_repeated else []:
            if isinstance(one, Message):
                yield from texts(one, f"{name}{type(message).__name__}.")
            elif isinstance(one, str):
                yield f"{name}{type(message).__name__}.{field.name}", one


def test_every_page_escapes_what_it_is_told(open_page: Open, addresses: list[str]) -> None:
    seen = set()
    for address in addresses:
        parts = urlsplit(address)
        app = open_page(parts.path.strip("/") or "runs", **dict(parse_qsl(parts.query)))
        assert not app.exception, f"{address}: {app.exception[0].value}"
        for message in messages(app):
            for field, text in texts(message):
                assert not REFUSED.search(text), f"{address} shows less than there is: {text!r}"
                assert not LIVE.search(text), f"{address}: {field} is {text!r}"
                seen.add(field)
        for table in app.table:  # unlike st.dataframe, it reads Markdown
            for text in (*table.value.index, *table.value.columns, *table.value.to_numpy().ravel()):
                assert not LIVE.search(str(text)), f"{address}: a cell is {text!r}"
    assert len(seen) > 20, "labels, helps, captions, alerts and more were looked at"


def test_what_a_received_calculation_says_is_shown(open_page: Open, addresses: list[str]) -> None:
    (address,) = [address for address in addresses if address.endswith(STOPPED)]
    app = open_page("diagnose", **dict(parse_qsl(urlsplit(address).query)))
    app.session_state["trust_panel"] = True
    app.run()
    assert not [text for message in messages(app) for _, text in texts(message) if LIVE.search(text)]
    said = [caption.value for caption in app.caption if HOST.split(".")[0] in caption.value]
    assert [text.partition(":")[0] for text in said] == ["The last check stopped", "The last time it stopped"]
