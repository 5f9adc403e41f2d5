"""A round of another trainer's run with other settings in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine.errors import BadInputError
from engine.kinds.recorded.snapshot import RecordedSnapshot


def setting_of(snapshot: RecordedSnapshot, name: str) -> Any:
    """`core.kind.Kind.setting`: of a schedule, what it was in the round.

    Raises:
        BadInputError: it is the clip of a loss that has none that is known here.
    """
    if name == "clip_range":
        return _clipped(snapshot)["clip"]
    own = getattr(snapshot.config, name)
    return snapshot.in_force.get(name, own) if name == "learning_rate" else own


def with_settings(snapshot: RecordedSnapshot, settings: Mapping[str, Any]) -> RecordedSnapshot:
    """`core.kind.Kind.with_settings`: the rate of a schedule, the clip of a declared loss, minibatches of one size.

    Raises:
        BadInputError: a setting is out of its range; or it is of a loss that the trainer's own code computes.
    """
    in_force, of_config = dict(snapshot.in_force), dict(settings)
    if "learning_rate" in settings:  # the optimizer is at the round's rate, which a schedule can lead to 0
        in_force["learning_rate"] = of_config.pop("learning_rate")
    if "clip_range" in settings:
        in_force["loss"] = {**_clipped(snapshot), "clip": settings["clip_range"]}
    if "batch_size" in settings:
        of_config["minibatch_sizes"] = ()
    config = replace(snapshot.config, **of_config)
    return snapshot.changed(config=config, in_force=in_force, minibatches=snapshot.minibatches[: config.n_epochs])


def _clipped(snapshot: RecordedSnapshot) -> Mapping[str, Any]:
    """The declared loss, which has a clip."""
    loss = snapshot.in_force.get("loss")
    if not isinstance(loss, Mapping) or loss.get("clip") is None:
        raise BadInputError("the loss of this run has no clip that is known here")
    return loss
