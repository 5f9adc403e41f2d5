"""The one door to the environment of a recorded round or run: nothing is played in any other."""

from __future__ import annotations

from engine.envs import Environment, recorded
from engine.errors import BadInputError
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run


def environment_of(source: ControlSnapshot | Run) -> Environment:
    """What a round or a run was played in.

    Raises:
        BadInputError: it is not here; says what to name.
    """
    said = source.manifest if isinstance(source, Run) else source
    found = recorded(source.config.env_id, said.environment)
    if not found:
        raise BadInputError(
            f"can't play this run's environment {source.config.env_id!r}: name the package that registers it with --import, or "
            "a factory with --make"
        )
    return found[0]
