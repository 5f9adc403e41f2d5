"""Addresses of runs on an object store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from os import PathLike
from urllib.parse import parse_qsl

from engine.errors import BadInputError

_ADDRESS = re.compile(r"(s3|gs):/+([^?]*)(\?.*)?", re.DOTALL)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]*", re.ASCII | re.IGNORECASE)
_OPTIONS = {"s3": ("endpoint_override", "region", "scheme"), "gs": ("endpoint_override", "scheme")}


@dataclass(frozen=True)
class Address:
    """A folder in a bucket, or a file in it.

    >>> run = Address.of("s3://bucket/runs/mine?region=eu-central-1")
    >>> run.bucket, run.parts, str(run.below("run.json"))
    ('bucket', ('runs', 'mine'), 's3://bucket/runs/mine/run.json?region=eu-central-1')
    """

    scheme: str
    """`s3` or `gs`."""
    bucket: str
    key: str
    """Without a slash at either end; empty for the whole bucket."""
    options: str = ""
    """Where the store is, as Arrow's file systems take it: `?endpoint_override=localhost:9000&scheme=http`."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}{self.options}"

    @classmethod
    def of(cls, text: str | PathLike[str]) -> Address | None:
        """Read one, also where a `Path` was made of it, which has one slash; None for anything else.

        Raises:
            BadInputError: it names no bucket, or what can't be a run's folder.
        """
        match = _ADDRESS.fullmatch(str(text))
        if match is None:
            return None
        scheme, place, options = match[1], match[2].strip("/"), match[3] or ""
        bucket, _, key = place.partition("/")
        if not _BUCKET.fullmatch(bucket):  # it may hold keys, so it isn't repeated
            raise BadInputError(
                f"this {scheme} address names no bucket; it must look like {scheme}://BUCKET/RUN, without any keys"
            )
        if key and any(part == "" or part.startswith(".") or not part.isprintable() for part in key.split("/")):
            raise BadInputError(
                f"{scheme}://{bucket}/… is no address of a run: between slashes there must be a name that begins with no dot"
            )
        said = dict(parse_qsl(options[1:], keep_blank_values=True))
        if unknown := sorted(set(said) - set(_OPTIONS[scheme])):
            raise BadInputError(
                f"{scheme} addresses have no option {unknown[0]}; they have {', '.join(_OPTIONS[scheme])}"
            )
        return cls(scheme, bucket, key, options if said else "")

    @property
    def path(self) -> str:
        """`bucket/key`."""
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    @property
    def parts(self) -> tuple[str, ...]:
        """Of the key."""
        return tuple(self.key.split("/")) if self.key else ()

    @property
    def said(self) -> dict[str, str]:
        """The options by name."""
        return dict(parse_qsl(self.options.removeprefix("?")))

    @property
    def whole(self) -> Address:
        """The bucket that it lies in."""
        return Address(self.scheme, self.bucket, "", self.options)

    def below(self, *names: str) -> Address:
        """A folder or file in it."""
        return Address(self.scheme, self.bucket, "/".join([*self.parts, *names]), self.options)
