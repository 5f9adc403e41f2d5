"""A page that breaks down in the browser is loaded anew.

Where Streamlit's part in the browser fails outside a single element, for instance while it takes away a page that is still being
drawn, all that it had drawn goes, and nobody would draw it again. What was on the screen is in the URL: loading brings it back.
"""

from __future__ import annotations

from app.shell import page_script

AT_MOST_EVERY_SECONDS = 30
"""A page that breaks down again so soon says so, and is not loaded again and again."""
_SCRIPT = """
const root = document.getElementById("root"), LAST = "when a blank page was loaded anew"
new MutationObserver(() => {
    if (root.childNodes.length) return
    if (Date.now() - Number(sessionStorage.getItem(LAST)) > 1000 * SECONDS) {
        sessionStorage.setItem(LAST, Date.now())
        location.reload()
    } else {
        root.textContent = "This page broke down in the browser, twice. Load it anew to go on: nothing is lost."
    }
}).observe(root, { childList: true })
"""


def load_anew() -> None:
    """Have the browser look after a page that goes blank."""
    page_script.run("blank_page", _SCRIPT.replace("SECONDS", str(AT_MOST_EVERY_SECONDS)))
