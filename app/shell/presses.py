"""Buttons of which every press counts, however fast one follows another.

Two presses of one of Streamlit's own buttons that reach the server before it begins the next run are one to it, and one press
that a timer's run comes between is two. Here the browser says all presses, each with its time, and the server takes those that
it has not taken yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import streamlit as st

from app.shell import state

_TAKEN = "when it was pressed last, of what was taken of the button "
# disabled until the browser counts presses: what nobody would hear must not look as if it could be pressed
_HTML = '<button type="button" disabled><span aria-hidden="true" translate="no"></span><kbd aria-hidden="true"></kbd></button>'
_CSS = """
button {
    display: flex; align-items: center; justify-content: center; gap: .25rem;
    min-height: 2.5rem; padding: .25rem .75rem; cursor: pointer;
    border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius);
    background: var(--st-background-color); color: var(--st-text-color); font: inherit;
}
button:is(:disabled, [aria-disabled=true]) {opacity: .4; cursor: default}
button:not(:disabled, [aria-disabled=true]):is(:hover, :active) {
    border-color: var(--st-primary-color); color: var(--st-primary-color);
}
button:focus-visible {outline: 2px solid var(--st-primary-color); outline-offset: 2px}
span {font: 1.25rem/1 "Material Symbols Rounded"}
kbd {font: inherit; font-size: .875rem; opacity: .6}
kbd:empty {display: none}
"""
_JS = """
const KEPT = 100  // presses that the server may be behind
const TYPING = "input:not([type=range]), textarea, select, [contenteditable=true]"
const buttons = new WeakMap()

export default function ({ data, parentElement, setStateValue }) {
    const before = buttons.get(parentElement)  // it is called anew when the data change
    before?.listening.abort()
    const here = { listening: new AbortController(), presses: before?.presses ?? [] }
    buttons.set(parentElement, here)
    const press = () => {
        const last = here.presses.at(-1) ?? 0
        here.presses = [...here.presses, Math.max(performance.now(), last + 1)].slice(-KEPT)
        setStateValue("presses", here.presses)
    }
    const [letter, shift] = data.shortcut.split("+").reverse()
    const isShortcut = event => String.fromCharCode(event.keyCode) === letter  // of a Cyrillic keyboard, too
        && event.shiftKey === (shift === "Shift") && !event.repeat && !(event.ctrlKey || event.altKey || event.metaKey)
        && !event.composedPath()[0].closest?.(TYPING)
    const button = parentElement.querySelector("button")
    button.ariaLabel = data.help
    button.title = `${data.help} (${data.shortcut})`
    button.setAttribute("aria-keyshortcuts", data.shortcut)
    button.querySelector("span").textContent = data.icon
    button.querySelector("kbd").textContent = data.is_slim ? "" : data.shortcut
    button.disabled = false
    button.ariaDisabled = data.is_idle
    button.addEventListener("click", press, here.listening)
    document.addEventListener("keydown", event => {
        if (isShortcut(event)) {
            event.preventDefault()
            press()
        }
    }, here.listening)
    return () => here.listening.abort()
}
"""
_button = st.components.v2.component("presses", html=_HTML, css=_CSS, js=_JS)


def button(
    key: str,
    *,
    help: str,
    icon: str,
    shortcut: str,
    on_press: Callable[[], None],
    is_slim: bool = False,
    is_idle: bool = False,
) -> None:
    """Draw one.

    Args:
        key: of the widget.
        help: what it does; its name, too.
        icon: name of a Material symbol.
        shortcut: the letter, or `Shift+` and a letter, that presses it unless somebody is typing.
        on_press: called before the page is drawn if it was pressed; `new` says how often.
        is_slim: whether it does without its letter.
        is_idle: whether there is nothing to do by what is drawn. It looks so; its presses count all the same, since there
            may be something by the time that they are heard.
    """
    said = {"help": help, "icon": icon, "shortcut": shortcut, "is_slim": is_slim, "is_idle": is_idle}
    _button(key=key, data=said, default={"presses": []}, width="content", on_presses_change=on_press)
    _take(key)  # what a browser says to a server that was started anew happened before


def new(keys: Iterable[str]) -> list[str]:
    """Which of these buttons were pressed, press by press, since this was asked last (in a callback).

    Returns:
        Their keys in the order in which they were pressed.
    """
    pressed = sorted((time, key) for key in keys for time in _times(key) if time > state.get(_TAKEN + key, 0.0))
    for key in keys:
        _take(key)
    return [key for _, key in pressed]


def _times(key: str) -> list[float]:
    """When the button was pressed, in milliseconds on the browser's clock."""
    said = state.get(key)
    return list(said["presses"]) if said else []


def _take(key: str) -> None:
    state.put({_TAKEN + key: max(_times(key), default=0.0)})
