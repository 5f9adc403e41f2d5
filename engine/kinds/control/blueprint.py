"""What the policies of a run are built from, whatever the round, by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.kinds.control.snapshot import ControlSnapshot
from engine.known_kinds import kind_named
from engine.spaces import Space
from engine.store.read import Run

Checkpoint = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Blueprint:
    """Plain values, which a worker can be sent."""

    kind: str
    config: TrainConfig
    observation_space: Space
    action_space: Space
    settings: Mapping[str, Any]
    """The kind's own, as `run.json` has them."""

    @classmethod
    def of(cls, source: ControlSnapshot | Run) -> Self:
        """Of a run, or of one of its rounds."""
        said = source.manifest if isinstance(source, Run) else source
        return cls(source.kind, source.config, said.observation_space, said.action_space, said.settings)

    def policy(self, checkpoint: Checkpoint) -> Any:
        """The policy of a checkpoint.

        Raises:
            BadInputError: it can't be made here.
            DamagedRunError: the checkpoint has other parameters than the settings describe.
        """
        return kind_named(self.kind).policy_of(self, checkpoint)

    def agent(self, checkpoint: Checkpoint) -> Any:
        """What acts by that policy (`agents.Actor`) and knows values and log-probabilities. Errors as `policy`."""
        return kind_named(self.kind).agent_of(self, checkpoint)


def policy_of(snapshot: ControlSnapshot) -> Any:
    """Pi_theta(k) of a round."""
    return Blueprint.of(snapshot).policy(snapshot.checkpoint)
