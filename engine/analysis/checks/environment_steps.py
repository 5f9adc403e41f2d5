"""Does the recorded environment lead to the recorded observations and rewards when it is given the recorded actions again?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.checks.checked import Check, Read
from engine.analysis.restoring import CannotRestoreError, points
from engine.core.kind import recorded_here
from engine.errors import BadInputError
from engine.kinds.control.recorded_environment import environment_of
from engine.store.read import Run
from engine.store.snapshot import Snapshot

NAME = "environment"


def environment_steps(run: Run, snapshot: Snapshot, read: Read) -> Check:
    """Whether the environment, stepped through the round's actions from where it stood, does what was recorded.

    Where it does something else in the round before as well, or the round was recorded on another machine, nothing is wrong with
    the round alone, and it can't be told. `read` reads a round.
    """
    k = snapshot.round
    try:
        if run.manifest.environment is not None:  # which one it is, its first rounds tell, not one that may be spoiled
            environment_of(run)
        astray = _astray(snapshot)
    except (BadInputError, CannotRestoreError) as error:
        return Check(NAME, None, str(error))
    if not len(astray):
        return Check(
            NAME, True, "stepped through the recorded actions, it leads to the recorded observations and rewards"
        )
    said = f"stepped through the recorded actions, it leads to other observations or rewards from record {astray[0]} on"
    if not recorded_here(snapshot):
        return Check(NAME, None, f"{said}; but the round was recorded on another machine")
    if not run.has_records(k - 1):
        return Check(NAME, None, f"{said}; the round before is not stored to compare with")
    if len(_astray(read(k - 1))):
        return Check(NAME, None, f"{said}, and so it does in the round before")
    return Check(NAME, False, f"{said}, and in the round before it does not", "environment")


def _astray(snapshot: Any) -> NDArray[np.int64]:
    """Records whose state is not reached, as what came before them was recorded otherwise; in order."""
    return np.flatnonzero([point is None for point in points(snapshot)])
