"""A commit: the JSON file that makes a round part of a run, chained by hash to the commit before it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from hashlib import sha256
from typing import Any, Self

import numpy as np

from engine.errors import BadInputError, DamagedRunError
from engine.known_kinds import is_round
from engine.store.strict_json import parse_json, parse_json_as
from engine.store.words import brief
from engine.typed import Count, typed

LAST_NUMBER = 999_999
"""Round numbers have six digits in file names."""

LARGEST_COMMIT = 16 * 2**20
"""Bytes of a commit, and of run.json, at most."""
NUMBERS = frozenset(
    (
        *(
            "records",
            "episodes",
            "steps",
            "dropped",
            "repaired",
            "mean_return",
            "std_return",
            "mean_length",
            "explained_variance",
        ),
        *("policy_gradient_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "grad_norm"),
        *("mean_kl", "kl_coef", "mean_penalized", "truncated", "validation_reward"),
        *("collect_seconds", "update_seconds"),
    )
)
"""Metrics that are numbers or null in every run, as are those whose names begin with `reward/`; others may be anything."""

_NUMBERS_OR_NULL = frozenset((float, int, type(None)))
_LEFT_OUT_WHERE_EMPTY = ("settings", "dropped")
"""So that the hashes of older commits are what they were."""
_COMMIT_NAME = re.compile(r"(\d{6})\.json", re.ASCII)
_DATA_NAME = re.compile(r"(\d{6})-([a-z_]+)-[0-9a-f]{32}\.parquet", re.ASCII)


@dataclass(frozen=True)
class DataFile:
    """One file in `data/`, as its commit describes it."""

    name: str
    kind: str
    bytes: Count
    sha256: str
    rows: Count


@dataclass(frozen=True)
class Commit:
    """What `commits/000012.json` says."""

    round: int
    final: bool
    """The checkpoint after the last update, rather than a round."""
    files: tuple[DataFile, ...]
    """Empty where a thinned copy keeps only the metrics."""
    metrics: Mapping[str, Any]
    previous: str
    """Hash of the commit before; of the first one, the sha256 of run.json."""
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    """Where the round was made on another machine than run.json says (a resumed run); otherwise empty."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings in force in the round, where they are not those of run.json, in plain values; from version 4 on."""
    dropped: tuple[Count, ...] = ()
    """Earlier rounds whose files are removed once this commit is durable, in order; from version 4 on. The checkpoint of one
    stays while the records of the round before it do."""

    @cached_property
    def hash(self) -> str:
        """sha256 of `said`, so that each bit of it is protected."""
        return sha256(self.said).hexdigest()

    @cached_property
    def said(self) -> bytes:
        """Everything that the commit says, in the one form that has this hash."""
        values = {name: getattr(self, name) for name in _names(Commit)}
        values["files"] = [vars(file) for file in self.files]
        return _canonical({name: value for name, value in values.items() if value or name not in _LEFT_OUT_WHERE_EMPTY})

    @property
    def name(self) -> str:
        """Its file, relative to the run."""
        return f"commits/{commit_name(self.round)}"

    def file(self, kind: str) -> DataFile | None:
        """The file of that kind, or None."""
        return next((file for file in self.files if file.kind == kind), None)

    def to_bytes(self) -> bytes:
        """The bytes of the file."""
        return self.said[:-1] + f',"sha256":"{self.hash}"}}\n'.encode()

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> Self:
        """Read what `to_bytes` gave.

        Args:
            data: the file's bytes.
            name: the file's name in `commits/`.

        Raises:
            DamagedRunError: not exactly what `to_bytes` gives for the round in `name`.
        """
        try:
            values = typed(dict[str, Any], parse_json(data, f"commits/{name}"), more=True)
            values.pop("sha256", None)
            commit = cls._from_values(values)
            written = commit.to_bytes()
        except ValueError as error:
            raise DamagedRunError(f"commits/{name} is damaged: it is not a commit ({error})") from error
        if written != data:
            raise DamagedRunError(f"commits/{name} is damaged: its sha256 is not that of its content")
        if commit_name(commit.round) != name:
            raise DamagedRunError(f"commits/{name} is damaged: it is the commit of round {commit.round}")
        commit._check_files()
        return commit

    @classmethod
    def from_said(cls, said: bytes) -> Self:
        """Read what `said` gives. Its hash is that of these bytes: what they are worth, another commit of the chain has to say.

        Names that no field of a commit has are passed over; a file with such a name is refused.

        Raises:
            DamagedRunError: it is not what a commit says.
        """
        try:
            commit = parse_json_as(cls, said, "an indexed commit")
            check_metrics(commit.metrics)
        except ValueError as error:
            raise DamagedRunError(f"an indexed commit is damaged: it is not a commit ({error})") from error
        commit._check_files()
        vars(commit)["said"] = said
        return commit

    @classmethod
    def _from_values(cls, values: dict[str, Any]) -> Self:
        commit = typed(cls, values, more=True)
        if values.keys() - _names(Commit) or any(each.keys() - _names(DataFile) for each in values["files"]):
            typed(cls, values)  # says which name is none of a commit; many times slower
        check_metrics(commit.metrics)
        return commit

    def _check_files(self) -> None:
        """Refuse files that are not those of a round of some kind, or have other names than a writer gives them."""
        tables = [file.kind for file in self.files]
        if tables != (["checkpoint"] if self.final else []) and not is_round(tables):
            raise DamagedRunError(f"{self.name} is damaged: it does not name the files of a round")
        for file in self.files:
            match = _DATA_NAME.fullmatch(file.name)
            if match is None or int(match[1]) != self.round or match[2] != file.kind:
                raise DamagedRunError(f"{self.name} is damaged: {brief(file.name)} is not a file of its data")


def check_metrics(metrics: Mapping[str, Any]) -> None:
    """Refuse a metric that pages and commands take for a number and that is none.

    Raises:
        BadInputError: names it.
    """
    if _NUMBERS_OR_NULL.issuperset(map(type, metrics.values())):  # as in most of thousands of commits
        return
    for name, value in metrics.items():
        number = value is None or (isinstance(value, int | float) and not isinstance(value, bool))
        if (name in NUMBERS or name.startswith("reward/")) and not number:
            raise BadInputError(f"the metric {name} is {str(value)[:40]!r}; it must be a number or null")


def commit_name(number: int) -> str:
    """12 -> '000012.json'."""
    return f"{number:06d}.json"


def commit_number(name: str) -> int | None:
    """'000012.json' -> 12; None for any other name."""
    match = _COMMIT_NAME.fullmatch(name)
    return None if match is None else int(match[1])


def is_data_file(name: str) -> bool:
    """Whether a name is one that a writer gives to a file in `data/`."""
    return _DATA_NAME.fullmatch(name) is not None


def plain(value: Any) -> Any:
    """Metrics as JSON has them: NumPy values become plain ones; NaN and the infinities become null.

    Raises:
        BadInputError: a value is not a number, a text, a truth value, None, or a list or dict of these.
    """
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple():
            return [plain(item) for item in value]
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case _:
            raise BadInputError(f"a metric is {value!r}; it must be a number, a text, or a list or dict of these")


@cache
def _names(kind: type[Any]) -> frozenset[str]:
    """Of its fields."""
    return frozenset(each.name for each in fields(kind))


def _canonical(values: Any) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
