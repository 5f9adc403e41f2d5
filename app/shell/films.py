"""Films that pages show: an episode as it was recorded, and one that a policy plays again."""

from __future__ import annotations

from collections.abc import Sequence

from app.shell.cached import cached
from engine.analysis.films import Film
from engine.analysis.films import film as played
from engine.analysis.rendering import picture_seconds, render_records, to_png
from engine.analysis.video import encode
from engine.errors import EngineError
from engine.kinds.control.recorded_environment import environment_of
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run

WIDEST = 320
"""Pixels of a kept frame; larger pictures are scaled down."""
STEP_SECONDS = 0.4
"""How long the film of a recorded episode shows a step."""
PLAYED_SECONDS, PLAYED_STEP_SECONDS = 12.0, 0.1
"""How long a film of a played episode lasts at most, and how long it shows a step at most."""


@cached(max_entries=64, by=lambda snapshot: (str(snapshot.path), snapshot.config.env_id))
def _picture_seconds(snapshot: ControlSnapshot) -> tuple[float, float]:
    try:
        return picture_seconds(environment_of(snapshot))
    except EngineError:  # drawing says why
        return 0.0, 0.0


def frames_seconds(snapshot: ControlSnapshot, count: int) -> float:
    """About how long it takes to draw so many frames of a round's episode."""
    first, more = _picture_seconds(snapshot)
    return first + count * more


@cached(max_entries=24, show_spinner="drawing the episode …")
def frames(snapshot: ControlSnapshot, records: tuple[int, ...]) -> tuple[list[bytes], str]:
    """PNG pictures of these records' states, and why the others are missing, if some are."""
    drawn: list[bytes] = []
    try:
        for picture in render_records(snapshot, records):
            drawn.append(to_png(picture, WIDEST))
    except EngineError as error:
        return drawn, str(error)
    return drawn, ""


@cached(max_entries=24, show_spinner="making the film …")
def film(snapshot: ControlSnapshot, records: tuple[int, ...]) -> tuple[bytes, str]:
    """The pictures of `frames` as a film, and why there is none, if there is none."""
    pictures, trouble = frames(snapshot, records)
    if trouble and len(pictures) < 2:
        return b"", trouble
    try:
        return encode(pictures, STEP_SECONDS), ""
    except EngineError as error:
        return b"", str(error)


@cached(max_entries=16, show_spinner="playing the episode …")
def load_film(run: Run, k: int, seed: int, sees: int | None = None) -> Film:
    """An evaluation episode of a checkpoint's policy in pictures; arguments as `engine.analysis.films.film`."""
    return played(run, k, seed, sees=sees)


@cached(max_entries=16, show_spinner="playing the two episodes …")
def films_of(run: Run, rounds: tuple[int, ...], seed: int) -> tuple[list[bytes], str]:
    """Films of the policies of some rounds in the same evaluation episode, and why there are none, if there are none.

    All are as fast as the longest one can be, and see what the first of them sees.
    """
    try:
        found = [load_film(run, k, seed, rounds[0]) for k in rounds]
        complaint = next((one.complaint for one in found if one.complaint), "")
        return ([], complaint) if complaint else (_encoded(found), "")
    except EngineError as error:
        return [], str(error)


def _encoded(found: Sequence[Film]) -> list[bytes]:
    a_step = min(PLAYED_STEP_SECONDS, PLAYED_SECONDS / max(one.steps for one in found))
    return [encode(one.pictures, a_step * float(one.step[1] - one.step[0])) for one in found]
