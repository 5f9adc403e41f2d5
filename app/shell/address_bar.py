"""The browser's history: one entry for each view."""

from __future__ import annotations

from app.shell import page_script

_SCRIPT = """
const push = history.pushState.bind(history), replace = history.replaceState.bind(history)
let bare = false
for (const input of ["pointerdown", "keydown"]) addEventListener(input, () => { bare = false }, true)
history.pushState = (data, title, url) => {
    const there = new URL(url, location)
    const says_more = bare && there.pathname === location.pathname
    bare = !there.search
    return (says_more ? replace : push)(data, title, url)
}
"""


def one_entry_a_view() -> None:
    """Let the Back button pass over addresses at which nobody was.

    A link of the navigation leads to the page's bare address, and the page then says what it shows: without this, both would
    be in the history, and Back would lead to the bare one, and from there to the page's defaults.
    """
    page_script.run("address_bar", _SCRIPT)
