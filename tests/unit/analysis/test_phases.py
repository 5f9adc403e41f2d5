"""The phases of a behaviour on made-up curves of each kind."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.phases import (
    ASSOCIATION,
    CLUSTERING,
    FEWEST,
    PHASES,
    SATURATION,
    Curves,
    Phases,
    phases,
    unbroken,
)

CHANCE = {"same_action_of_all": 0.25, "similar_state_of_all": 0.1, "roughness": 0.9}
NOTHING = {"probability": 0.25, "magnitude": 1.0, "same_action": 0.25, "similar_state": 0.1, **CHANCE}
ASSOCIATED = {**NOTHING, "same_action": 0.9}
CLUSTERED = {**NOTHING, "probability": 0.6, "same_action": 0.9, "similar_state": 0.8}
SATURATED = {**NOTHING, "probability": 0.98, "magnitude": 0.1}


def curves(*parts: tuple[dict[str, float], int], rounds: list[int] | None = None, **changed: float) -> Curves:
    """Parts of so many rounds each, one after another."""
    columns = {
        name: np.concatenate([np.full(length, changed.get(name, part[name])) for part, length in parts])
        for name in NOTHING
    }
    n = sum(length for _, length in parts)
    return Curves(rounds=list(range(n)) if rounds is None else rounds, **columns)


def found(shape: Phases) -> list[tuple[str, int, int]]:
    return [(stretch.phase, stretch.first, stretch.last) for stretch in shape.stretches]


def test_all_three_in_the_papers_order() -> None:
    seen = phases(curves((ASSOCIATED, 20), (CLUSTERED, 20), (SATURATED, 20)))
    assert [phase for phase, _, _ in found(seen)] == list(PHASES)
    for (_, first, last), begin in zip(found(seen), (0, 20, 40), strict=True):
        assert abs(first - begin) <= 2, "smoothing moves a border by two rounds at most"
        assert abs(last - begin - 19) <= 2
    assert seen.findings[ASSOCIATION].startswith("rounds 0 to")
    assert seen.remarks == ()


def test_a_border_that_is_known_exactly() -> None:
    """Share .9 before round 10 and .25 after: the running mean over 5 falls below .5 when 3 of 5 are after, at round 10."""
    assert found(phases(curves((ASSOCIATED, 10), (NOTHING, 10)))) == [(ASSOCIATION, 0, 10)]


@pytest.mark.parametrize(
    ("parts", "missing", "why"),
    [
        (((CLUSTERED, 20), (SATURATED, 20)), ASSOCIATION, "already come from similar states"),
        (((ASSOCIATED, 20), (SATURATED, 20)), CLUSTERING, "never half of the top records come from similar states"),
        (((ASSOCIATED, 20), (CLUSTERED, 20)), SATURATION, "π(a | s) never stays at 0.9 or above"),
    ],
)
def test_a_phase_that_is_missing_is_not_clear(
    parts: tuple[tuple[dict[str, float], int], ...], missing: str, why: str
) -> None:
    seen = phases(curves(*parts))
    assert missing not in [phase for phase, _, _ in found(seen)]
    assert seen.findings[missing].startswith("not clear: ")
    assert why in seen.findings[missing]
    assert all(seen.findings[phase].startswith("rounds") for phase in PHASES if phase != missing)


def test_flat_curves_have_no_phase() -> None:
    seen = phases(curves((NOTHING, 40)))
    assert found(seen) == []
    assert all(finding.startswith("not clear: ") for finding in seen.findings.values())


@pytest.mark.parametrize("n", range(FEWEST))
def test_few_rounds_say_nothing(n: int) -> None:
    seen = phases(curves((SATURATED, n)))
    assert found(seen) == []
    assert seen.findings[SATURATION] == f"not clear: {n} round{'' if n == 1 else 's'} with records; the rule needs 5"


def test_never_learned() -> None:
    never = {**NOTHING, "probability": 1e-9, "magnitude": 3.0}
    seen = phases(curves((ASSOCIATED, 10), (never, 30)))
    assert [phase for phase, _, _ in found(seen)] == [ASSOCIATION]
    assert "never stays at 0.9" in seen.findings[SATURATION]


def test_learned_and_unlearned_again() -> None:
    seen = phases(curves((ASSOCIATED, 10), (CLUSTERED, 10), (SATURATED, 10), ({**NOTHING, "probability": 0.1}, 10)))
    assert [phase for phase, _, _ in found(seen)] == list(PHASES)
    [remark] = seen.remarks
    assert remark.startswith("Unlearned again")
    assert "from round 3" in remark


def test_another_order_than_the_papers_is_said() -> None:
    seen = phases(curves((CLUSTERED, 10), (ASSOCIATED, 10)))
    assert any("another order than in the paper" in remark for remark in seen.remarks)


def test_certain_from_the_beginning_but_influence_never_fades() -> None:
    seen = phases(curves((SATURATED, 20), magnitude=1.0))
    assert found(seen) == []
    assert "influence has not faded" in seen.findings[SATURATION]


def test_no_influence_at_all() -> None:
    """The policy is certain throughout: nothing pushes, there are no top records."""
    seen = phases(
        curves(({**SATURATED, "same_action": np.nan, "similar_state": np.nan, "roughness": np.nan}, 10), magnitude=0)
    )
    assert "no record of any round pushes this action" in seen.findings[ASSOCIATION]
    assert found(seen) == [(SATURATION, 0, 9)]


def test_similar_states_by_chance_are_no_clustering() -> None:
    """Half of all records are in that one state."""
    assert CLUSTERING not in [phase for phase, *_ in found(phases(curves((CLUSTERED, 20), similar_state_of_all=0.5)))]
    assert CLUSTERING not in [phase for phase, *_ in found(phases(curves((CLUSTERED, 20), roughness=1.0)))]


def test_continuous_actions_have_no_saturation() -> None:
    seen = phases(curves((ASSOCIATED, 20), probability=np.nan))
    assert found(seen) == [(ASSOCIATION, 0, 19)]
    assert "continuous" in seen.findings[SATURATION]


def test_one_odd_round_does_not_make_a_phase() -> None:
    assert found(phases(curves((NOTHING, 10), (CLUSTERED, 1), (NOTHING, 10)))) == []


def test_gaps_end_a_stretch() -> None:
    rounds = [*range(10), *range(40, 50)]
    assert found(phases(curves((ASSOCIATED, 20), rounds=rounds))) == [(ASSOCIATION, 0, 9), (ASSOCIATION, 40, 49)]
    every_fifth = list(range(0, 50, 5))
    assert found(phases(curves((ASSOCIATED, 10), rounds=every_fifth))) == [(ASSOCIATION, 0, 45)]
    assert unbroken([]) == [slice(0, 0)]
