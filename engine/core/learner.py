"""A training in memory, between two rounds: what collects the next one, and updates on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Generic, TypeVar

import numpy as np

from engine.config import TrainConfig
from engine.core.agent import Agent
from engine.errors import BadNumberError
from engine.store.manifest import Parent, RunManifest
from engine.store.snapshot import Snapshot

S = TypeVar("S", bound=Snapshot)


class Learner(Generic[S]):
    """What a kind of run gives to be trained: the first four methods; the others change where they are not right as here."""

    config: TrainConfig
    agent: Agent
    """At theta(k)."""
    round: int
    """k, the next round to collect."""

    def collect(self) -> S:
        """B(k) by the present policy, minibatches drawn for the update, and then `state()` as the checkpoint.

        So generators stand in the checkpoint where the next round begins to draw.

        The snapshot's metrics have at least `records` (how many), `episodes` and `mean_return` (None where no episode ended).

        Raises:
            BadNumberError: something is NaN or infinite.
        """
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """The checkpoint at this point: the agent's tensors, `rng/...` of every generator, and what else collecting needs."""
        raise NotImplementedError

    def reseed(self, rng: np.random.Generator) -> None:
        """From here on collect with luck drawn from `rng`."""
        raise NotImplementedError

    def manifest(self, parent: Parent | None = None) -> RunManifest:
        """What `run.json` says of this run."""
        raise NotImplementedError

    def update(self, snapshot: S, on_step: Callable[[], None] | None = None) -> dict[str, Any]:
        """Update on the collected round; returns the update's metrics.

        Raises:
            BadNumberError: a parameter is no longer finite.
        """
        start = time.perf_counter()
        with np.errstate(over="ignore", invalid="ignore"):  # the error below says it once, for all lines
            metrics = self.agent.update(snapshot.buffer, snapshot.minibatches, on_step=on_step)
        if not all(np.isfinite(tensor).all() for tensor in self.agent.tensors().values()):
            raise BadNumberError(
                f"the update of round {snapshot.round} made parameters NaN or infinite; earlier rounds are intact. "
                f"Train with a smaller learning_rate than {self.config.learning_rate:g}"
            )
        self.round += 1
        return {**asdict(metrics), "update_seconds": time.perf_counter() - start}

    def player(self) -> Any:
        """The present policy as `PolicyEvaluation.returns` takes it."""
        return self.agent

    @property
    def model(self) -> Mapping[str, bytes]:
        """The content of the files beside the rounds that the manifest names; most kinds have none."""
        return {}

    def close(self) -> None:
        """Release what collecting needs."""
