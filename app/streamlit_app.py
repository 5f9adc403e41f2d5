"""The navigation and the shared header. Start it with `streamlit run app`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # `streamlit run app` puts only app/ there
    sys.path.insert(0, str(ROOT))

import streamlit as st  # noqa: E402

from app.sequences.loaders import dump_paths  # noqa: E402
from app.shell import address_bar, ahead, contrast, first_view, state  # noqa: E402
from app.shell.loaders import allow_what_is_said  # noqa: E402
from app.shell.navigation import navigation  # noqa: E402
from app.shell.page import header, one_line_errors  # noqa: E402
from app.shell.text import keep_blanks  # noqa: E402

st.set_page_config(page_title="Snapshot Influence", page_icon=str(ROOT / "app" / "icon.svg"), layout="wide")
keep_blanks()
contrast.strengthen()
first_view.make_room()
address_bar.one_entry_a_view()
page = navigation()
with state.run_of(page.url_path), one_line_errors():
    allow_what_is_said()
    if page.url_path not in ("", "experiments", "compare_runs", "words"):  # the others are about one run
        header(
            with_round=page.url_path in ("timeline", "diagnose", "autopsy", "sequences"),
            dumps=dump_paths() if page.url_path == "sequences" else None,
        )
    page.run()
ahead.import_pages()  # once what is asked for is on the screen
