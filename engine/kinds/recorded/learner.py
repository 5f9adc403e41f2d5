"""Another trainer's run after a round's update: what a branch records of it. Nothing is collected here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine.config import TrainConfig
from engine.core.learner import Learner
from engine.kinds.recorded.agent import RecordedAgent
from engine.kinds.recorded.snapshot import RecordedSnapshot
from engine.store.manifest import Parent, RunManifest


@dataclass
class RecordedLearner(Learner[RecordedSnapshot]):
    """At theta(k+1)."""

    config: TrainConfig
    agent: RecordedAgent
    snapshot: RecordedSnapshot
    round: int

    def state(self) -> dict[str, Any]:
        """The checkpoint after the update."""
        return self.agent.tensors()

    def manifest(self, parent: Parent | None = None) -> RunManifest:
        """What `run.json` says of the branch."""
        snapshot = self.snapshot
        return RunManifest(
            env_id=snapshot.config.env_id,
            config=self.config,
            encoder=snapshot.observation_space.encoder,
            observation_space=snapshot.observation_space,
            action_space=snapshot.action_space,
            kind=snapshot.kind,
            settings=snapshot.settings,
            environment=snapshot.environment,
            fingerprint=snapshot.fingerprint,
            parent=parent,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
