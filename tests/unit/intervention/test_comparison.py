"""Intervals and verdicts from numbers made by hand."""

import numpy as np
import pytest

from engine.core.filtering import bottom_fraction
from engine.errors import BadInputError
from engine.intervention.comparison import VERDICT_WORDS, Estimate, compare, verdict
from engine.intervention.plan import Intervention


def arm(*order_means: float, episodes: int = 4) -> np.ndarray:
    """Returns of one arm whose episodes scatter by +-1 around each order's mean."""
    scatter = np.tile([1.0, -1.0], episodes // 2)
    return np.array(order_means)[:, None] + scatter


def test_interval_by_hand() -> None:
    """[1, 3]: mean 2, standard error 1, t(0.975, 1 degree of freedom) = 12.706."""
    estimate = Estimate.of([1.0, 3.0], 10)
    assert (estimate.mean, estimate.episodes) == (2, 10)
    assert estimate.low == pytest.approx(2 - 12.706, abs=1e-3)
    assert estimate.high == pytest.approx(2 + 12.706, abs=1e-3)


def test_interval_of_many_replicates() -> None:
    """[0, 2, 4, 6]: standard error sqrt(20/3)/2, t(0.975, 3) = 3.182."""
    estimate = Estimate.of([0.0, 2.0, 4.0, 6.0], 1)
    assert estimate.high - estimate.mean == pytest.approx(3.18245 * (20 / 3) ** 0.5 / 2, rel=1e-5)


def test_a_single_replicate_says_nothing() -> None:
    estimate = Estimate.of([5.0], 3)
    assert (estimate.mean, estimate.low, estimate.high) == (5, -np.inf, np.inf)
    assert estimate.to_json() == {"mean": 5, "low": None, "high": None, "episodes": 3}


def test_equal_replicates_have_no_width() -> None:
    assert Estimate.of([2.0, 2.0, 2.0], 1).to_json() == {"mean": 2, "low": 2, "high": 2, "episodes": 1}


def between(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, 1)


@pytest.mark.parametrize(
    ("difference", "from_control", "expected"),
    [
        (between(1, 2), between(0.1, 5), "helps"),
        (between(-2, -1), between(-5, -0.1), "hurts"),
        (between(1, 2), between(-0.1, 5), "within noise"),
        (between(-0.1, 2), between(1, 5), "within noise"),
        (between(1, 2), between(-5, -1), "within noise"),
        (between(-2, -1), between(1, 2), "within noise"),
        (between(0, 2), between(1, 2), "within noise"),
        (between(-2, 0), between(-2, -1), "within noise"),
        (between(-np.inf, np.inf), between(1, 2), "within noise"),
    ],
)
def test_verdict_needs_both_differences(difference: Estimate, from_control: Estimate, expected: str) -> None:
    assert verdict(difference, from_control) == expected
    assert expected in VERDICT_WORDS


def test_comparison_by_hand() -> None:
    found = compare(arm(10, 11, 12), arm(20, 21, 22), arm(11, 11, 11))
    assert found["original"]["mean"] == 11
    assert found["counterfactual"]["mean"] == 21
    assert found["control"]["mean"] == 11
    assert all(found[name]["episodes"] == 12 for name in ("original", "counterfactual", "control"))
    assert (found["difference"]["mean"], found["difference"]["low"], found["difference"]["high"]) == (10, 10, 10)
    assert found["difference_from_control"]["mean"] == 10
    assert found["verdict"] == "helps"
    assert compare(arm(20, 21, 22), arm(10, 11, 12), arm(20, 20, 20))["verdict"] == "hurts"


def test_orders_are_paired() -> None:
    """Orders differ by far more than the removal does; pairing them still shows it."""
    found = compare(arm(0, 100, 200), arm(2, 102, 202.1), arm(0, 100, 200))
    assert found["original"]["low"] < found["counterfactual"]["mean"] < found["original"]["high"]
    assert found["verdict"] == "helps"


def test_as_good_as_a_random_removal_is_noise() -> None:
    assert compare(arm(0, 1, 2), arm(5, 6, 7), arm(5, 6, 7.5))["verdict"] == "within noise"


def test_episodes_do_not_pretend_to_be_replicates() -> None:
    """A thousand episodes in two orders that disagree are two replicates, not a thousand."""
    found = compare(arm(0, 0, episodes=500), arm(1, 9, episodes=500), arm(0, 0, episodes=500))
    assert found["difference"]["low"] < 0
    assert found["verdict"] == "within noise"


@pytest.mark.parametrize(
    ("influence", "fraction", "expected"),
    [
        ([-3, -1, 2, -2], 0.5, [0]),
        ([-3, -1, 2, -2], 1.0, [0, 1, 3]),
        ([-3, -1, 2, -2], 0.67, [0, 3]),
        ([0, 0, -1, 5], 1.0, [2]),
        ([-1, -1, -1, -1], 0.5, [0, 1]),
        ([4, -8, -2, -4, -6, 3, -1, -3, -5, -7], 0.125, [1]),
    ],
)
def test_bottom_fraction_by_hand(influence: list[float], fraction: float, expected: list[int]) -> None:
    assert bottom_fraction(np.array(influence, np.float32), fraction).tolist() == expected


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.01, float("nan")])
def test_a_fraction_that_is_none(fraction: float) -> None:
    with pytest.raises(BadInputError, match="above 0 and at most 1"):
        bottom_fraction(np.array([-1, 1], np.float32), fraction)


def test_no_negative_record_is_said_so() -> None:
    with pytest.raises(BadInputError, match="no record is in the bottom"):
        bottom_fraction(np.array([1, 2], np.float32), 1.0)
    with pytest.raises(BadInputError, match="choose a larger fraction"):
        bottom_fraction(np.array([-1, -2], np.float32), 0.1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"removed": ()}, r"removed is \(\); it must be a list of at least 1"),
        ({"orders": 1}, "orders is 1; it must be from 2 to 4,096"),
        ({"episodes": 7}, r"episodes is 7; at least one per order \(8\)"),
        ({"continue_rounds": -1}, "continue_rounds is -1; it must be from 0 to 100,000"),
    ],
)
def test_interventions_that_can_not_be_judged(changed: dict[str, int], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        Intervention(**{"round": 0, "removed": (1,), **changed})  # type: ignore[arg-type]
