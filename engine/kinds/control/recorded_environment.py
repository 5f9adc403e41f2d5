"""The one door to the environment of a recorded round or run: nothing is played in any other.

An entry of the catalogue is what its name says. Of every other environment the run says only how Gymnasium calls it, and what
is called so here may be something else: an episode of the run is stepped again first, and compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np

from engine.allowed import allowed
from engine.environment_spec import ELSEWHERE
from engine.envs import Environment, recorded
from engine.errors import BadInputError, EngineError, UnfitSpaceError
from engine.kinds.control.normalization import begin_normalizer
from engine.kinds.control.snapshot import ControlSnapshot
from engine.kinds.control.stepper import VectorEnvironment
from engine.spaces import Space
from engine.store.read import Run, open_run

STEPS = 2000
"""Recorded steps that are compared, at most."""
EPISODES = 2
"""Ends of episodes after which no more are compared: what is kept over a reset shows in the second."""
LOOKED_AT = 8
"""Rounds in which states are looked for, from the first to the last."""
STATELESS = "it was recorded without the states of its environments, by which to see whether it is the same"
NO_ROUND = "no round of the run is here, by which to see whether it is the same"
OTHERWISE = "name a factory with --make"
NOT_PLAYED = (
    "what it shows or takes is not of a Box or Discrete space, and such environments are recorded but not played"
)

Found: TypeAlias = "Environment | str"
"""What a run is played in, or why it can't be played."""
_FOUND: dict[Any, Found] = {}
"""By run, and by what was allowed then."""


def environment_of(source: ControlSnapshot | Run) -> Environment:
    """What a round or a run was played in; what is said of a run is kept for the process.

    Raises:
        BadInputError: it is not here, or what is here does something else than was recorded; says what to name.
    """
    spec = source.manifest.environment if isinstance(source, Run) else source.environment
    if spec is None:
        return recorded(source.config.env_id, None)[0]
    key = (*_identity(source), spec.id in gym.registry, allowed())
    if key not in _FOUND:
        _FOUND[key] = ELSEWHERE if spec.repeats == "never" else _look(source, recorded(spec.id, spec))
    found = _FOUND[key]
    if isinstance(found, str):
        raise BadInputError(f"can't play this run's environment {spec.id!r}: {found}")
    return found


def _identity(source: ControlSnapshot | Run) -> tuple[Any, ...]:
    """What tells a run from others; a round that is in none, by what was done in it."""
    file = None if source.path is None else source.path.resolve() / "run.json"
    if isinstance(source, Run) or (file is not None and file.is_file()):
        assert file is not None
        return file, file.stat().st_mtime_ns
    digest = sha256(source.buffer.action.tobytes() + source.buffer.reward.tobytes())
    for name in sorted(source.checkpoint):
        if name.startswith("environment/"):
            digest.update(np.ascontiguousarray(source.checkpoint[name]).tobytes())
    return (digest.digest(),)


def _look(source: ControlSnapshot | Run, candidates: Sequence[Environment]) -> Found:
    if not candidates:
        return f"it is not registered here; name the package that does so with --import, or {OTHERWISE}"
    known = _round_with_states(source)
    if known is None:
        return NO_ROUND if isinstance(source, Run) and not source.stored_rounds else STATELESS
    problems = []
    for candidate in candidates:
        problem = _difference(candidate, known)
        if problem is None:
            return candidate
        problems.append(problem)
    return problems[-1]


def _round_with_states(source: ControlSnapshot | Run) -> ControlSnapshot | None:
    """The round itself, or another one of its run: what is found is kept for the run.

    Another trainer's recorder knows nothing of the episode that ran when it began, so not of the rounds before its end.
    """
    if isinstance(source, ControlSnapshot):
        if with_states(source):
            return source
        if source.path is None or not source.hash:
            return None
        source = open_run(source.path)
    stored = source.stored_rounds
    looked_at = np.unique(np.linspace(0, len(stored) - 1, LOOKED_AT).astype(int)) if stored else np.zeros(0, int)
    rounds = (source.snapshot(stored[i]) for i in looked_at.tolist())
    return next((each for each in rounds if with_states(each)), None)


def with_states(snapshot: ControlSnapshot) -> list[int]:
    """The environments of a round whose states can be reached again."""
    return [i for i in range(snapshot.config.n_envs) if f"environment/{i}/rng" in snapshot.checkpoint]


def _difference(environment: Environment, snapshot: ControlSnapshot) -> str | None:
    """What an environment does otherwise than was recorded, and what to name; None where it repeats an episode."""
    config = snapshot.config
    comparable = config.n_envs == 1 or not config.normalize_observation
    one = None
    try:
        one = VectorEnvironment(environment, 1, begin_normalizer(config) if config.n_envs == 1 else None)
        wanted = (snapshot.from_environment[0], snapshot.action_space)
        for space, recorded in zip((one.observation_space, one.action_space), wanted, strict=True):
            if comparable and _look_of(space) != _look_of(recorded):
                return f"what is called so here has other observations or actions; {OTHERWISE}"
        same = _same_episode(one, snapshot, comparable)
    except UnfitSpaceError:
        return NOT_PLAYED
    except EngineError as error:
        return f"{error}; {OTHERWISE}"
    except Exception as error:  # noqa: BLE001  whatever somebody's environment does when it is played wrongly
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return f"what is called so here fails ({said}); {OTHERWISE}"
    finally:
        if one is not None:
            one.close()
    if same:
        return None
    return f"an episode went otherwise than was recorded: it is another one, or {ELSEWHERE}; {OTHERWISE}"


def _look_of(space: Space) -> tuple[Any, ...]:
    return space.kind, space.n, space.shape, space.dtype


def _same_episode(one: VectorEnvironment, snapshot: ControlSnapshot, comparable: bool) -> bool:
    """Step the environment whose running episode is the youngest through its records, and compare."""
    buffer, n_envs, (_, shown) = snapshot.buffer, snapshot.config.n_envs, snapshot.from_environment
    ages = {i: len(snapshot.checkpoint[f"environment/{i}/actions"]) for i in with_states(snapshot)}
    which = min(ages, key=lambda i: (ages[i], i))
    one.restore(snapshot.checkpoint, only=[which])
    ends = 0
    for row in range(which, len(buffer), n_envs)[:STEPS]:
        if comparable and not np.array_equal(one.observation[0], shown[row]):
            return False
        if ends == EPISODES:
            break
        step = one.step(buffer.action[row : row + 1])
        happened = (step.reward[0], step.terminated[0], step.truncated[0])
        if happened != (buffer.reward[row], buffer.terminated[row], buffer.truncated[row]):
            return False
        ends += bool(step.terminated[0] or step.truncated[0])
    return True
