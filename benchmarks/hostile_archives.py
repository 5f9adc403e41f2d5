"""Hostile archives: what somebody could put into a tar in the place of a run."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

MARK = "PLANTED"
"""In all that must never arrive."""
PICKLE = f"cbuiltins\nprint\n(V{MARK}\ntR.".encode()
"""Prints when it is unpickled."""
Maker = Callable[[Path], None]
"""Writes the archive."""
Members = list[tuple[tarfile.TarInfo, bytes]]


def archives(whole: bytes) -> Iterator[tuple[str, Maker]]:
    """Names, and what makes each archive.

    Args:
        whole: an archive of a sound run.
    """
    for name, data in _raw(whole):
        yield f"archive, {name}", partial(_write, data)
    for name, members in _changed(whole):
        yield f"archive, {name}", partial(_tar, members)


def _write(data: bytes, path: Path) -> None:
    path.write_bytes(data)


def _tar(members: Members, path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        for member, data in members:
            tar.addfile(member, io.BytesIO(data))


def _raw(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """Bytes that are no archive, or one that was cut off or changed."""
    yield "empty", b""
    yield "a pickle", PICKLE
    yield "zeros", bytes(2**20)
    yield "noise", random.Random(0).randbytes(2**16)
    yield "a text", b"not a run\n" * 1000
    packers: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    for name, pack in packers.items():
        yield f"packed by {name}", pack(whole)
        yield f"a bomb of {name}", pack(bytes(2**28))
    for eighth in range(1, 8):
        yield f"cut off after {eighth} eighths", whole[: len(whole) * eighth // 8]
    dice = random.Random(1)
    for i in range(40):
        changed = bytearray(whole)
        for _ in range(1 + i % 4):
            changed[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        yield f"flipped bits {i}", bytes(changed)
    for name, field in {
        "a size of 8 GiB": b"77777777777\0",
        "a size that is negative": b"\xff" * 12,
        "a size that is no number": b"ABCDEFGHIJK\0",
        "a size beyond 64 bits": b"\x80" + b"\xff" * 11,
    }.items():
        yield name, _with_first_size(whole, field)


def _with_first_size(whole: bytes, field: bytes) -> bytes:
    """The archive with another size in its first header, whose checksum is right."""
    header = bytearray(whole[: tarfile.BLOCKSIZE])
    header[124:136] = field
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + whole[tarfile.BLOCKSIZE :]


def _changed(whole: bytes) -> Iterator[tuple[str, Members]]:
    """The run's archive with members that were added, left out or changed."""
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        sound = [(member, _content(tar, member)) for member in tar]
    top = sound[0][0].name.partition("/")[0]

    for name in (
        *("../up", "../../../../tmp/up", "/tmp/up", f"{top}/../../up", f"{top}/data/../../../up", "..", ".", "", "/"),
        *(
            f"{top}/model/evil.py",
            f"{top}/engine/__init__.py",
            f"{top}/sitecustomize.py",
            f"{top}/x.pth",
            f"{top}/x.so",
        ),
        *(
            f"{top}/derived/x.parquet",
            f"{top}/interventions/0123456789ab/result.json",
            f"{top}/weights.pt",
            "a/b/run.json",
        ),
        *(
            f"{top}/commits/999999.json.py",
            f"{top}/data/000000-records-x.parquet",
            "x" * 5000,
            "\n",
            "a\rb",
            "\u202eexe",
        ),
    ):
        yield f"also {name[:30]!r}", [*sound, _file(name, MARK.encode() * 9)]
        yield f"before all {name[:30]!r}", [_file(name, MARK.encode() * 9), *sound]
    for kind, called in {
        tarfile.SYMTYPE: "a link",
        tarfile.LNKTYPE: "a hard link",
        tarfile.FIFOTYPE: "a pipe",
        tarfile.CHRTYPE: "a device",
        tarfile.DIRTYPE: "a folder",
        tarfile.GNUTYPE_SPARSE: "sparse",
        b"Z": "of no known type",
    }.items():
        for which in ("run.json", "commits", "data", "basket"):
            yield f"{which} is {called}", [_as(kind, member, data, which) for member, data in sound]
    for which in ("run.json", "commits", "data"):
        yield f"{which} twice", [*sound, next(each for each in sound if which in each[0].name)]
        yield f"without {which}", [each for each in sound if which not in each[0].name]
    yield "backwards", sound[::-1]
    yield "a hundred thousand empty files", [*sound, *((_file(f"{i}", b"")) for i in range(100_000))]
    for header in ({"size": "-1"}, {"size": "x"}, {"path": "../../up"}, {"path": "x" * 10**6}, {"linkpath": "/etc"}):
        member = tarfile.TarInfo(f"{top}/run.json")
        member.pax_headers = {key: str(value) for key, value in header.items()}
        yield f"a header with {next(iter(header))} {str(next(iter(header.values())))[:9]}", [(member, b""), *sound]


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = tar.extractfile(member)
    return b"" if content is None else content.read()


def _file(name: str, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    return member, data


def _as(kind: bytes, member: tarfile.TarInfo, data: bytes, which: str) -> tuple[tarfile.TarInfo, bytes]:
    """A member of another type, if it is one of those."""
    if which not in member.name:
        return member, data
    other = tarfile.TarInfo(member.name)
    other.type, other.linkname = kind, "/etc/passwd"
    other.size = len(data) if kind == b"Z" else 0
    return other, data if kind == b"Z" else b""
