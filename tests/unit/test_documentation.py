"""The pages of docs/ and the README: every link leads somewhere, and every page can be found."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INDEX = ROOT / "docs" / "README.md"
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


def headings(page: Path) -> set[str]:
    """The anchors that a reader on GitHub has: in lower case, blanks as dashes, other signs left out."""
    found = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in found}


def broken(page: Path) -> list[str]:
    """Links of a page to files or headings that are not there, or that lead out of the project."""
    wrong = []
    for link in LINK.findall(page.read_text()):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.is_relative_to(ROOT) or not path.exists() or (anchor and anchor not in headings(path)):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_every_page_is_in_the_index_and_the_readme() -> None:
    for start in (INDEX, ROOT / "README.md"):
        linked = {(start.parent / link.partition("#")[0]).resolve() for link in LINK.findall(start.read_text())}
        pages = {page for page in (ROOT / "docs").glob("*.md") if page != INDEX}
        assert pages - linked == set(), start
    assert ROOT / "docs" / "README.md" in {
        (ROOT / link).resolve() for link in LINK.findall((ROOT / "README.md").read_text())
    }


def test_a_broken_link_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading, and more\n[a](page.md#a-heading-and-more) [b](#no) [c](gone.md) [d](../x) [e](https://x.y)"
    )
    assert broken(page) == ["#no", "gone.md", "../x"]
