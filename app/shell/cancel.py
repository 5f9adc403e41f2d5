"""The button that ends work in the background; once it was pressed it says so until the work has ended."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.shell import page


def draw(
    key: str, stop: Callable[[], None], is_stopping: bool, label: str = "Cancel", place: DeltaGenerator | None = None
) -> None:
    """The button.

    Args:
        key: of the button.
        stop: asks the work to end (in a callback).
        is_stopping: whether it was asked already.
        label: what the button says before.
        place: where it is drawn; None: here.
    """
    (place or st).button(
        "Cancelling …" if is_stopping else label,
        key=key,
        icon=":material/hourglass_top:" if is_stopping else ":material/cancel:",
        disabled=is_stopping,
        on_click=page.careful(stop),
    )
