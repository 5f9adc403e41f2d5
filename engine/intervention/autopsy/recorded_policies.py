"""The recorded policies of runs on common seeds; what was played is kept."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.core.evaluation import PolicyEvaluation
from engine.core.kind import kind_of
from engine.executors import Progress
from engine.intervention.autopsy.common_returns import CommonReturns
from engine.store.read import Run


class RecordedPolicies:
    """Plays policies of one or several runs of one environment; a context, within which environments are kept open.

    Args:
        returns: where returns are kept.
        say: told what is played; raise from it to cancel.
        most: how many policies will be played at most.
    """

    def __init__(self, returns: CommonReturns, say: Progress, most: int) -> None:
        self.returns, self._say, self._most = returns, say, most
        self._played = 0
        self._evaluation: PolicyEvaluation | None = None
        self._snapshots: dict[Path, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._evaluation is not None:
            self._evaluation.close()

    def play(self, run: Run, k: int, name: str) -> NDArray[np.float64]:
        """(episodes,) returns of theta(k), kept under the name.

        Raises:
            BadInputError: the policy can't be played.
        """
        if name not in self.returns:
            if run.path not in self._snapshots:
                self._snapshots[run.path] = run.snapshot(run.stored_rounds[0])
            snapshot = self._snapshots[run.path]
            kind, at = kind_of(snapshot), snapshot.changed(checkpoint=run.checkpoint(k))
            self._evaluation = self._evaluation or kind.evaluation(snapshot, {})
            check = partial(self._say, f"playing the policy {name}", self._played, self._most)
            check()
            player = kind.player(at, kind.agent(at))
            self.returns.keep(name, self._evaluation.returns(player, 0, self.returns.episodes, check))
        self._played += 1
        return self.returns[name]
