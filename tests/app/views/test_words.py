"""Words: all of them, and those that are looked for."""

from __future__ import annotations

from pages import Open, errors, words


def test_words_are_listed_and_found(open_page: Open) -> None:
    app = open_page("words")
    assert errors(app) == []
    assert len(app.subheader) > 60
    app.text_input(key="word").input("LDS").run()
    assert [one.value for one in app.subheader] == ["LDS", "ceiling"]
    assert app.query_params["word"] == "LDS"
    assert "No word here" in words(open_page("words", word="zebra"))
