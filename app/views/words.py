"""Words: every term of these pages in a sentence."""

from __future__ import annotations

import streamlit as st

from app.shell import glossary, state
from app.shell.text import escape

_STYLE = """<style>
.st-key-words h2 {font-size: 1.4rem; padding: 1.2rem 0 0.2rem}
.st-key-words h3 {font-size: 1rem; padding: 0.5rem 0 0.3rem}
</style>"""


def words() -> None:
    """The search, and what it finds under its headings; each word has an address of its own."""
    st.html(_STYLE)
    state.choose_text("word", "")
    text = st.text_input("Search", key="word", placeholder="a word, or a part of what it means", width=340)
    found = glossary.found(text or "")
    if not found:
        st.info(f"No word here, and no sentence, has **{escape(text)}** in it.", icon=":material/info:")
    with st.container(key="words", gap="xsmall"):
        for heading, part in found.items():
            st.header(heading, anchor=False)
            for word, sentence in part.items():
                st.subheader(escape(word), anchor=glossary.anchor(word))
                st.markdown(escape(sentence))


words()
