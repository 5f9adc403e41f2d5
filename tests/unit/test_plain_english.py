"""Code, screens and docs are written in English that a native reader doesn't stumble over."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import engine

ROOT = Path(engine.__file__).parents[1]
BANNED = (
    *("dear", "dearer", "dearest", "besides", "what of it", "have of it", "has of it", "of whom", "nobody asked"),
    *("say it.", "found out", "says the rest", "say the rest", "says it all"),
)
"""Dialect, where a plain word says the same: slower; as well; its share; not asked for; computed."""
OLD_NAMES = (
    "Mover",
    "Shelf",
    "Growing",
    "Scene",
    "Ledger",
    "Meter",
    "OfRecords",
    "OfSequences",
    "_Place",
    "named_orders",
)
"""Names that didn't say what they stood for, and have better ones."""
GAP = r"[\s#]+"
DIALECT = re.compile("|".join(rf"\b{GAP.join(map(re.escape, words.split()))}(?!\w)" for words in BANNED), re.IGNORECASE)
"""The words also where a line ends between them."""
OBSCURE = re.compile(rf"\b(?:{'|'.join(OLD_NAMES)})\b")
SUFFIXES = (".py", ".pyi", ".md", ".html", ".toml")
READ = {"benchmarks": (".py",), "tests": (".py",)}
"""Which files are read, where not all texts are: results and fixtures are not written by hand."""
TEXTS = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted(
        path
        for place in ("engine", "app", "docs", "benchmarks", "tests")
        for path in (ROOT / place).rglob("*")
        if path.suffix in READ.get(place, SUFFIXES) and path != Path(__file__)
    ),
]


def found(pattern: re.Pattern[str], text: str) -> list[str]:
    """Where the pattern stands in a text: `line 7: nobody asked`."""
    return [
        f"line {text.count(chr(10), 0, hit.start()) + 1}: {' '.join(hit[0].split())}" for hit in pattern.finditer(text)
    ]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_dialect_and_no_obscure_names(path: Path) -> None:
    text = path.read_text()
    assert found(DIALECT, text) == [], "say it in plain words"
    assert path.suffix not in (".py", ".pyi") or found(OBSCURE, text) == [], "name it for what it is"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\n# Dearer than\n", ["line 2: Dearer"]),
        ('"""Empty where nobody\n    asked."""', ["line 1: nobody asked"]),
        ("# which nobody\n# asked for\n", ["line 1: nobody # asked"]),
        ('note("Say it.")', ["line 1: Say it."]),
        ("beside it, endearing words that say it all found nobody", []),
    ],
)
def test_dialect_is_found_in_comments_docstrings_and_texts(text: str, expected: list[str]) -> None:
    assert found(DIALECT, text) == expected


def test_every_text_is_read() -> None:
    """The words are looked for where people read: also on the pages' templates and in the docs."""
    assert {path.suffix for path in TEXTS} == set(SUFFIXES)
    assert len(TEXTS) > 500
