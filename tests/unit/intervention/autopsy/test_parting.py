"""The round at which two runs parted is looked for by halves."""

from __future__ import annotations

import pytest

from engine.intervention.autopsy.parting import first_apart, most_looks


@pytest.mark.parametrize("near", [0, 3, 40, 99])
@pytest.mark.parametrize("begins", [0, 1, 33, 40, 41, 99])
def test_the_first_round_is_found_with_few_looks(near: int, begins: int) -> None:
    looks: list[int] = []

    def apart(k: int) -> bool:
        looks.append(k)
        return k >= begins

    assert first_apart(range(100), near, apart) == begins
    assert len(looks) == len(set(looks)) <= most_looks(100)
    assert first_apart(range(100), near, lambda k: False) is None
