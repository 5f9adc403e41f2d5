"""run.json: what a run is, written once before its first round."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.errors import BadInputError, DamagedRunError
from engine.known_kinds import parts_of
from engine.spaces import Space
from engine.store.strict_json import parse_json
from engine.store.words import brief
from engine.typed import typed

SCHEMA_VERSION = 2
"""The version of the run format that this engine writes. Version 2 has the column `critic_kept` where a filter dropped
records from the actor's loss alone."""
LANGUAGE_VERSION = 3
"""The version that it writes for a language model's run, whose records are sequences."""
KIND_VERSION = 4
"""The version that it writes for a run of any other kind, which `run.json` names; the newest one that it reads."""
SAID_OTHERWISE = ("control", "language")
"""The kinds of run that `run.json` has no word for: they are told apart by the settings of a language model."""
LARGEST_SPACE = 2**24
"""Values of a discrete space, or numbers in a box, at most."""
MOST_CHOICES = 2**16
"""Values of a discrete space of an environment at most."""


@dataclass(frozen=True)
class Parent:
    """Where a branch left its parent."""

    run: str
    """Name of the parent run's folder."""
    round: int
    """The round whose update was replayed; the branch's first round."""
    removed: tuple[int, ...]
    """Records of that round that the update went without."""
    mode: str
    """How they were removed: `mask` or `rebatch`."""
    commit: str
    """Hash of the parent's commit of that round."""


@dataclass(frozen=True)
class RunManifest:
    """What `run.json` says."""

    env_id: str
    config: TrainConfig
    encoder: str
    """Name of what turns an observation into the network's input."""
    observation_space: Space
    action_space: Space
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    """Software and hardware of the machine that started the run."""
    parent: Parent | None = None
    """None unless the run is a branch."""
    created: str = ""
    """When, in ISO 8601."""
    schema_version: int = SCHEMA_VERSION
    kind: str = "control"
    """Name of the kind of run, see `engine.known_kinds`; up to version 3 it is said by `language`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """A kind's own settings in plain values, from version 4 on; what they mean, the kind knows."""
    language: LanguageConfig | None = None
    """What a language model is trained on; None for every other run."""
    model: Mapping[str, str] = field(default_factory=dict)
    """The files of a language model's run in its folder `model`, each with its sha256."""

    def __post_init__(self) -> None:
        if self.language is not None:
            object.__setattr__(self, "schema_version", max(self.schema_version, LANGUAGE_VERSION))
            object.__setattr__(self, "kind", "language")
        elif self.kind not in SAID_OTHERWISE:
            object.__setattr__(self, "schema_version", max(self.schema_version, KIND_VERSION))

    def __repr__(self) -> str:
        return f"RunManifest({brief(self.env_id)}, of the kind {brief(self.kind)}, seed {self.config.seed})"

    def most_rows(self, kind: str) -> int | None:
        """Rows that a round's file of that kind can have, as the settings say; None where they say nothing."""
        records = self.config.records_per_round
        parts = parts_of(self.kind)
        match kind:
            case _ if parts and kind == parts[0][0]:
                return records
            case "minibatches":
                return records * self.config.n_epochs
            case "validation" if self.language is not None:
                return self.language.validation_prompts * self.language.group_size
            case _:
                return None

    def to_json(self) -> dict[str, Any]:
        """Plain values for `run.json`; `from_json` is the inverse."""
        return {
            "schema_version": self.schema_version,
            "env_id": self.env_id,
            "config": self.config.to_json(),
            "encoder": self.encoder,
            "observation_space": _space_json(self.observation_space),
            "action_space": _space_json(self.action_space),
            "fingerprint": dict(self.fingerprint),
            "parent": None if self.parent is None else {**asdict(self.parent), "removed": [*self.parent.removed]},
            "created": self.created,
            **({} if self.kind in SAID_OTHERWISE else {"kind": self.kind, "settings": dict(self.settings)}),
            **({} if self.language is None else {"language": self.language.to_json(), "model": dict(self.model)}),
        }

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Read what `to_json` wrote.

        Raises:
            BadInputError: a newer engine wrote it.
            DamagedRunError: a field is missing or can't be understood.
        """
        if (
            not isinstance(values, dict)
            or type(values.get("schema_version")) is not int
            or values["schema_version"] < 1
        ):
            raise DamagedRunError("run.json has no schema version, so it is not a run's manifest")
        if values["schema_version"] > KIND_VERSION:
            raise BadInputError(
                f"this run has schema version {values['schema_version']}; this engine reads up to "
                f"{KIND_VERSION}: update snapshot-influence"
            )
        try:
            parent, language = values["parent"], values.get("language")
            config = TrainConfig.from_json(values["config"])
            if language is None:
                _check_choices(values)
            if config.env_id != values["env_id"]:
                raise ValueError(f"it names two environments, {values['env_id']!r} and {config.env_id!r}")
            return cls(
                env_id=config.env_id,
                config=config,
                encoder=_text(values["encoder"]),
                observation_space=_space(values["observation_space"]),
                action_space=_bounded(_space(values["action_space"])),
                fingerprint={_text(key): _text(text) for key, text in values["fingerprint"].items()},
                parent=None if parent is None else typed(Parent, parent),
                created=_text(values["created"]),
                schema_version=values["schema_version"],
                kind=_text(values.get("kind", "control")),
                settings={_text(name): value for name, value in values.get("settings", {}).items()},
                language=None if language is None else LanguageConfig.from_json(language),
                model={_file_name(name): _text(digest) for name, digest in values.get("model", {}).items()},
            )
        except KeyError as error:
            raise DamagedRunError(f"run.json has no field {error}") from error
        except (BadInputError, TypeError, ValueError, AttributeError) as error:
            raise DamagedRunError(f"run.json can't be understood: {error}") from error

    def to_bytes(self) -> bytes:
        """The bytes of `run.json`."""
        return (json.dumps(self.to_json(), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` gave.

        Raises:
            BadInputError: a newer engine wrote it.
            DamagedRunError: it is not JSON, or not a run's manifest.
        """
        return cls.from_json(parse_json(data, "run.json"))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} must be a text")
    return value


def _file_name(value: Any) -> str:
    """A name within a folder, and no way out of it."""
    if not isinstance(value, str) or not re.fullmatch(r"\w[\w.-]*", value, re.ASCII):
        raise TypeError(f"{value!r} must be the name of a file")
    return value


def _space_json(space: Space) -> dict[str, Any]:
    """JSON has no infinity, which an action's bound may be: it is written as a text."""
    bounds = {"low": space.low, "high": space.high}
    return space.to_json() | {
        name: [bound if math.isfinite(bound) else str(bound) for bound in values] for name, values in bounds.items()
    }


def _check_choices(values: Mapping[str, Any]) -> None:
    """Refuse a discrete space that no network here could tell apart; a language model's vocabulary is larger."""
    for name in ("observation_space", "action_space"):
        n = values[name]["n"]
        if type(n) is not int or n > MOST_CHOICES:
            raise ValueError(f"{name} has {str(n)[:12]} values; it may have {MOST_CHOICES:,}")


def _space(values: Any) -> Space:
    bounds = {name: [float(bound) for bound in values[name]] for name in ("low", "high")}
    space = Space.from_json({**values, **bounds})
    sizes = space.shape if space.kind == "box" else (space.n,)
    if space.kind not in ("discrete", "box") or not all(type(size) is int and size > 0 for size in sizes):
        raise TypeError("a space must be discrete or a box with a shape")
    if math.prod(sizes) > LARGEST_SPACE:
        raise ValueError(f"a space has at most {LARGEST_SPACE} values or numbers")
    if (
        len(space.names) > LARGEST_SPACE
        or np.dtype(space.dtype).kind not in "iufb"
        or not all(isinstance(name, str) for name in space.names)
    ):
        raise TypeError(f"a space can't have the dtype {space.dtype!r} or these names")
    return space


def _bounded(space: Space) -> Space:
    """An action space; a box needs a lower and an upper bound of each of its numbers."""
    if space.kind == "box":
        wanted = math.prod(space.shape)
        in_order = all(low <= high for low, high in zip(space.low, space.high, strict=False))  # NaN is in no order
        if not (len(space.low) == len(space.high) == wanted and in_order):
            raise ValueError(
                f"the action space needs {wanted} lower and as many upper bounds, none below its lower one"
            )
    return space
