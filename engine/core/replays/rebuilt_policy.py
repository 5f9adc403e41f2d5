"""Does the policy that a round's files make say of the round's records what was recorded?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from engine.core.checkpoint import one_thread
from engine.core.kind import kind_of
from engine.errors import BadInputError
from engine.store.snapshot import Snapshot


@dataclass(frozen=True)
class RebuiltPolicy:
    """What came of the comparison."""

    largest: float | None
    """Largest difference of a log-probability; None where the policy could not be made."""
    near: bool
    """Whether no difference is more than rounding makes on another machine."""
    why: str = ""
    """Why the policy could not be made."""

    @property
    def sentence(self) -> str:
        """In words.

        >>> RebuiltPolicy(0.4, False).sentence
        'the policy that the files make is not the one that was recorded: a log-probability differs by 0.4'
        """
        if self.largest is None:
            return f"the policy was not made again: {self.why}"
        if self.near:
            return f"the policy's log-probabilities are the recorded ones within {self.largest:.2g}"
        return (
            "the policy that the files make is not the one that was recorded: a log-probability differs by "
            f"{self.largest:.2g}"
        )


@torch.no_grad()
def rebuilt_policy(snapshot: Snapshot) -> RebuiltPolicy:
    """Make the policy of a round from its files, and compare its log-probabilities of the round's records, one forward pass.

    >>> import engine
    >>> rebuilt_policy(engine.open_run("sample_runs/FrozenLake-v1").snapshot(3)).near
    True

    Raises:
        DamagedRunError: the checkpoint does not fit the policy that the run describes.
    """
    one_thread()
    kind = kind_of(snapshot)
    try:
        kind.check_loadable(snapshot)
        found, recorded = (np.asarray(column, np.float64) for column in kind.log_probs(snapshot))
    except BadInputError as error:
        return RebuiltPolicy(None, False, str(error))
    same = (found == recorded) | (np.isnan(found) & np.isnan(recorded))
    with np.errstate(invalid="ignore"):
        apart = np.nan_to_num(np.where(same, 0.0, np.abs(found - recorded)), nan=np.inf)
    allowed = kind.near_log_prob(snapshot) * np.fmax(np.nan_to_num(np.abs(recorded)), 1)
    return RebuiltPolicy(float(apart.max(initial=0)), bool((apart <= allowed).all()))
