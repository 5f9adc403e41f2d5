"""A recorded round collected again: its policy plays its environment from theta(k), with other luck than it had."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.core.objective import draw_minibatches
from engine.errors import BadInputError
from engine.kinds.control.normalization import CLIP, EPSILON, normalizer_at
from engine.kinds.control.recorded_environment import environment_of
from engine.kinds.control.rollout import collect
from engine.kinds.control.stepper import VectorEnvironment
from engine.kinds.recorded.snapshot import RecordedBuffer, RecordedSnapshot

NORMALIZING = {"clip_obs": CLIP, "clip_reward": CLIP, "epsilon": EPSILON, "training": True}
"""What a VecNormalize does that does what is done here, as a round says it. Of rewards alone the check of advantages tells."""


def why_not_collected(snapshot: RecordedSnapshot) -> str:
    """Why a round can't be collected again here; empty where it can, as far as can be told before.

    Args:
        snapshot: of any trainer; whether its policy and its environment can be played, `Kind.unplayed` says.
    """
    if snapshot.observation_space.kind == "dict":
        return "records with a memory, action masks or observations of several parts are not collected again"
    if snapshot.buffer.valid is not None:
        return "records of environments with steps in which no action is sent are not collected again"
    said = snapshot.in_force.get("normalizing")
    if snapshot.config.normalize_observation and said is None:
        return "it is not recorded how observations were clipped, so that they are not collected again"
    if said is not None and said != NORMALIZING:
        return "records of a VecNormalize that clips elsewhere or no longer learns are not collected again"
    return ""


def collected_anew(snapshot: RecordedSnapshot, agent: Any, rng: np.random.Generator) -> RecordedSnapshot:
    """The round collected again from theta(k) as Stable-Baselines3 does it: GAE, an episode that is cut off goes on in its value.

    New episodes begin. The statistics of a VecNormalize go on from where they stood, with the gamma of the advantages.

    Args:
        snapshot: the round.
        agent: at theta(k).
        rng: of starts, actions and minibatches.

    Returns:
        The round with other records and minibatches, whose checkpoint is the same.

    Raises:
        BadInputError: it can't be collected here.
        BadNumberError: the environment shows NaN or infinity.
    """
    if why := why_not_collected(snapshot):
        raise BadInputError(why)
    config, normalizer = snapshot.config, normalizer_at(snapshot.config, snapshot.checkpoint)
    environments = VectorEnvironment(environment_of(snapshot), config.n_envs, normalizer)
    try:
        environments.seed(int(rng.integers(2**63)))
        action_rng, minibatch_rng = rng.spawn(2)
        buffer, _ = collect(agent, environments, config, action_rng)
    finally:
        environments.close()
    minibatches: NDArray[np.int32] = draw_minibatches(minibatch_rng, len(buffer), config.n_epochs)
    return snapshot.changed(buffer=RecordedBuffer(**vars(buffer)), minibatches=minibatches)
