"""Which commits a reader sees beside a writer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.errors import DamagedRunError
from engine.store.files import Files
from engine.store.verified import commit_numbers


class Listed(Files):
    """Lists `commits/` as is said, one listing after the other."""

    def __init__(self, *listings: Sequence[str]) -> None:
        self.listings = [[*names] for names in listings]

    def names(self, path: Path) -> list[str]:
        return self.listings.pop(0)


@pytest.mark.parametrize(
    ("first", "second", "seen"),
    [
        (["000000.json", "000001.json"], ["000000.json", "000001.json"], [0, 1]),
        (["000000.json", "000002.json"], ["000000.json", "000001.json", "000002.json", "000003.json"], [0, 1, 2]),
        (["000000.json"], ["000000.json", "000001.json"], [0]),
        ([], ["000000.json"], []),
        (["000000.json", "000001.json.tmp", "1.json"], ["000000.json", "000001.json.tmp", "1.json"], [0]),
    ],
)
def test_the_second_listing_counts_up_to_the_last_commit_of_the_first(
    tmp_path: Path, first: list[str], second: list[str], seen: list[int]
) -> None:
    assert commit_numbers(tmp_path, Listed(first, second)) == seen


def test_a_run_without_its_commits_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(DamagedRunError, match="its folder commits is missing"):
        commit_numbers(tmp_path, Files())
