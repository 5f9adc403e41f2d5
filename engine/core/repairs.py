"""What stands in the place of a repaired record's advantage.

An advantage adds up the TD errors of all later steps, so that the luck of each is in it (Schulman et al. 2016, eq. 16).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from engine.config import TrainConfig
from engine.core.advantage_steps import Trajectories
from engine.store.snapshot import Float32s

Repair = Callable[[Trajectories, TrainConfig], Float32s]
"""Gives each of the N steps of a round another advantage, not normalised."""


def td_error(trajectories: Trajectories, config: TrainConfig) -> Float32s:
    """(N,) r + gamma V(s') - V(s): the step's own luck alone, and all of the critic's error."""
    return trajectories.td_errors(config.gamma * config.gae_lambda)


def monte_carlo(trajectories: Trajectories, config: TrainConfig) -> Float32s:
    """(N,) the discounted return minus V(s): none of the critic's error but its own step's, and the luck of the whole episode."""
    return trajectories.advantages(td_error(trajectories, config), config.gamma)


def half_weight(trajectories: Trajectories, _config: TrainConfig) -> Float32s:
    """(N,) half of the advantage: the record counts half as much."""
    return trajectories.advantage * np.float32(0.5)


REPAIRS: Mapping[str, Repair] = {"td_error": td_error, "monte_carlo": monte_carlo, "half_weight": half_weight}
