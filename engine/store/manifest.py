"""run.json: what a run is, written once before its first round."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, Self

import numpy as np
from msgspec import Meta

from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.environment_spec import EnvironmentSpec
from engine.errors import BadInputError, DamagedRunError
from engine.known_kinds import parts_of
from engine.spaces import LARGEST_SPACE, MOST_CHOICES, MOST_PARTS, Space
from engine.store.strict_json import parse_json
from engine.store.words import brief
from engine.typed import typed

SCHEMA_VERSION = 2
"""The version of the run format that this engine writes. Version 2 has the column `critic_kept` where a filter dropped
records from the actor's loss alone."""
LANGUAGE_VERSION = 3
"""The first version that a language model's run can have, whose records are sequences of tokens without their texts."""
KIND_VERSION = 4
"""The version that it writes for a language model's run, whose tokens have their texts, for one of any other kind, which
`run.json` names, for one in an environment outside the catalogue, and for one whose records may be repaired; the newest one
that it reads."""
SAID_OTHERWISE = ("control", "language")
"""The kinds of run that `run.json` has no word for: they are told apart by the settings of a language model."""
DEFAULTS = ("kind", "settings", "language", "model", "environment")
"""What not every `run.json` has: all others have been there since version 1."""

FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(?!\n)$", extra={"right": "the name of a file"})]
"""A name within a folder, and no way out of it."""


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
    repaired: tuple[int, ...] = ()
    """Records of that round whose TD errors the update took in the place of their advantages."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; what says nothing is left out."""
        values = asdict(self) | {"removed": [*self.removed], "repaired": [*self.repaired]}
        return values if self.repaired else {name: value for name, value in values.items() if name != "repaired"}


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
    schema_version: Annotated[int, Meta(ge=1, le=KIND_VERSION)] = SCHEMA_VERSION
    kind: str = "control"
    """Name of the kind of run, see `engine.known_kinds`; up to version 3 it is said by `language`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """A kind's own settings in plain values, from version 4 on; what they mean, the kind knows."""
    language: LanguageConfig | None = None
    """What a language model is trained on; None for every other run."""
    model: Mapping[FileName, str] = field(default_factory=dict)
    """The files of a language model's run in its folder `model`, each with its sha256."""
    environment: EnvironmentSpec | None = None
    """What Gymnasium calls the environment, from version 4 on; None: it is the entry `env_id` of this project's catalogue,
    or the run has none."""

    def __post_init__(self) -> None:
        if self.language is not None:
            object.__setattr__(self, "schema_version", max(self.schema_version, LANGUAGE_VERSION))
            object.__setattr__(self, "kind", "language")
        repairs = self.language is None and (self.config.repairs or bool(self.parent and self.parent.repaired))
        if self.environment is not None or self.kind not in SAID_OTHERWISE or repairs:
            object.__setattr__(self, "schema_version", max(self.schema_version, KIND_VERSION))

    def __repr__(self) -> str:
        return f"RunManifest({brief(self.env_id)}, of the kind {brief(self.kind)}, seed {self.config.seed})"

    @property
    def trainer(self) -> str:
        """Who trained it, where that was not this project; empty where it was, or where nobody says."""
        said = self.settings.get("trainer")
        name = said.get("name") if isinstance(said, Mapping) else None
        return name if isinstance(name, str) else ""

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
            "observation_space": self.observation_space.to_json(),
            "action_space": self.action_space.to_json(),
            "fingerprint": dict(self.fingerprint),
            "parent": None if self.parent is None else self.parent.to_json(),
            "created": self.created,
            **({} if self.kind in SAID_OTHERWISE else {"kind": self.kind, "settings": dict(self.settings)}),
            **({} if self.language is None else {"language": self.language.to_json(), "model": dict(self.model)}),
            **({} if self.environment is None else {"environment": self.environment.to_json()}),
        }

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Read what `to_json` wrote.

        Raises:
            BadInputError: a newer engine wrote it.
            DamagedRunError: a field is missing or can't be understood.
        """
        version = values.get("schema_version") if isinstance(values, dict) else None
        if type(version) is not int or version < 1:
            raise DamagedRunError("run.json has no schema version, so it is not a run's manifest")
        if version > KIND_VERSION:
            raise BadInputError(
                f"this run has schema version {version}; this engine reads up to {KIND_VERSION}: update snapshot-influence"
            )
        absent = next((each.name for each in fields(cls) if each.name not in {*values, *DEFAULTS}), None)
        if absent is not None:
            raise DamagedRunError(f"run.json has no field {absent!r}")
        try:
            found = typed(cls, values)
            _check(found)
        except BadInputError as error:
            raise DamagedRunError(f"run.json can't be understood: {error}") from error
        return found

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


def _check(manifest: RunManifest) -> None:
    """Refuse what does not fit together, though each value is of its type.

    Raises:
        BadInputError: says what.
    """
    if manifest.config.env_id != manifest.env_id:
        raise BadInputError(f"it names two environments, {manifest.env_id!r} and {manifest.config.env_id!r}")
    if manifest.environment is not None and manifest.environment.id != manifest.env_id:
        raise BadInputError(f"it names two environments, {manifest.env_id!r} and {manifest.environment.id!r}")
    for name in ("observation_space", "action_space"):
        space: Space = getattr(manifest, name)
        if space.n > MOST_CHOICES and manifest.language is None:  # a language model's vocabulary is larger
            raise BadInputError(f"{name} has {str(space.n)[:12]} values; it may have {MOST_CHOICES:,}")
        _check_space(space)
    space = manifest.action_space
    wanted = math.prod(space.shape)
    in_order = all(low <= high for low, high in zip(space.low, space.high, strict=False))  # NaN is in no order
    if space.kind == "box" and not (len(space.low) == len(space.high) == wanted and in_order):
        raise BadInputError(f"the action space needs {wanted} lower and as many upper bounds, none below its lower one")


def _check_space(space: Space) -> None:
    if space.kind == "dict":
        if not space.parts or len(space.parts) > MOST_PARTS:
            raise BadInputError(f"a space of parts has 1 to {MOST_PARTS} of them")
        for part in space.parts.values():
            if part.kind == "dict":
                raise BadInputError("a part of a space can't have parts")
            _check_space(part)
        return
    size = math.prod(space.shape) if space.kind == "box" else space.n
    if size > LARGEST_SPACE or len(space.names) > LARGEST_SPACE:
        raise BadInputError(f"a space has at most {LARGEST_SPACE} values or numbers")
    try:
        is_number = np.dtype(space.dtype).kind in "iufb"
    except (TypeError, ValueError, SyntaxError):
        is_number = False
    if not is_number or size < 1:
        raise BadInputError(f"a space can't have the dtype {brief(space.dtype)} or {size} values")
