"""What becomes of a round had one thing been otherwise: the part of a kind's contract that removals and repairs rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.core.advantage_steps import Steps, Trajectories
from engine.core.draws import one_of_many, random_removals
from engine.core.repairs import Repair, td_error
from engine.errors import BadInputError
from engine.store.snapshot import Float32s


class Counterfactuals:
    """Rounds without some records, with other advantages or with other settings; see `core.kind.Kind`."""

    name: ClassVar[str]
    no_training: ClassVar[str] = ""
    """Why a run can't be gone on with here, with data collected anew; empty where it can."""

    # Without some records.

    def removed(self, snapshot: Any, drop: Any, *, actor_only: bool = False) -> Any:
        """The round as if these records had not been there.

        Raises:
            BadInputError: a record is out of range, or what is left is nothing to learn from.
        """
        return snapshot.without(drop, actor_only=actor_only)

    def random_removals(self, snapshot: Any, fraction: float, m: int, seed: int) -> NDArray[np.bool_]:
        """(m, n) random subsets of the records that the round's update used, True where a record is to be removed.

        Raises:
            BadInputError: the fraction is not between 0 and 1, or there are not so many subsets.
        """
        return random_removals(snapshot, fraction, m, seed)

    def control(self, snapshot: Any, removed: Any, order: int = 0) -> NDArray[np.int64]:
        """As many random records of the update as `removed` takes from it, the draw of that minibatch order."""
        return one_of_many(snapshot, removed, order)

    # With other advantages.

    def trajectories(self, snapshot: Any) -> Trajectories:
        """The round's steps with their advantages, as they follow from rewards and values.

        Where a kind has them, its buffer has a column `repaired`, (n,) True where a record was repaired: here such records have
        the advantages that they had before.

        Raises:
            BadInputError: the advantages of this kind follow from something else.
        """
        raise BadInputError(
            f"nothing is known of how advantages of the kind {self.name} follow from rewards and values"
        )

    def advantage_steps(self, snapshot: Any) -> Steps:
        """The steps whose advantages follow from the round's rewards and values alone. Errors as `trajectories`."""
        return self.trajectories(snapshot).steps

    def with_advantages(self, snapshot: Any, advantage: Float32s, **columns: NDArray[Any]) -> Any:
        """The round with other advantages.

        Args:
            snapshot: the round.
            advantage: (N,) of every step of `trajectories`, not normalised.
            columns: what else is another one: (N,) `value`, or `returns`, which the critic is drawn to; (n,) `repaired`.
        """
        return snapshot.changed(buffer=replace(snapshot.buffer, advantage=advantage, **columns))

    def repaired(self, snapshot: Any, records: NDArray[np.int64], repair: Repair = td_error) -> Any:
        """The round with other advantages of some records; what the critic is drawn to stays.

        Args:
            snapshot: the round.
            records: numbers; those that were repaired before are repaired as these are.
            repair: gives the advantages.

        Raises:
            BadInputError: as `trajectories`.
        """
        steps, config = self.trajectories(snapshot), snapshot.config
        before: NDArray[np.bool_] = snapshot.buffer.repaired
        repaired = before.copy()
        repaired[records] = True
        if np.array_equal(repaired, before):
            return snapshot
        advantage = np.where(repaired[steps.record], repair(steps, config), steps.advantage)
        return self.with_advantages(snapshot, advantage, repaired=repaired)

    # With other settings.

    def setting(self, snapshot: Any, name: str) -> Any:
        """A setting of `with_settings` as it was in force in the round's update.

        Raises:
            BadInputError: it is not known here.
        """
        return getattr(snapshot.config, name)

    def with_settings(self, snapshot: Any, settings: Mapping[str, Any]) -> Any:
        """The round with other settings of its update: `learning_rate`, `clip_range`, `n_epochs`, `batch_size`, `target_kl`.

        Fewer epochs are the first ones of those that were recorded.

        Raises:
            BadInputError: a setting is out of its range, or not known here.
        """
        config = replace(snapshot.config, **settings)
        return snapshot.changed(config=config, minibatches=snapshot.minibatches[: config.n_epochs])

    # With other data.

    def why_not_collected(self, snapshot: Any) -> str:
        """Why a round's records can't be collected again from theta(k); empty where they can, as far as can be told before."""
        return self.no_training
