"""What differs between two runs in the same rounds."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import record

from engine.analysis.paired_rounds import compared, differences, rounds_before
from engine.store.read import Run


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """CartPole with another seed than that of the fixture `cartpole`."""
    settings = {"rounds": 3, "n_envs": 2, "n_steps": 70, "batch_size": 32, "n_epochs": 3, "seed": 5}
    return record(tmp_path_factory.mktemp("runs") / "other", "CartPole-v1", **settings)


def test_by_hand() -> None:
    """Differences 1, 2, 3: mean 2, standard error 1 / sqrt 3, t of 2 degrees of freedom at 97.5 % (two comparisons) 6.205."""
    one = [{"a": value, "same": 1.0} for value in (2.0, 3.0, 4.0)]
    other = [{"a": 1.0, "same": 1.0, "elsewhere": 0.0} for _ in range(3)]
    (found,) = compared(one, other)
    assert (found.name, found.means, found.difference.value) == ("a", (3.0, 1.0), 2.0)
    assert found.difference.high - 2 == pytest.approx(6.2053 / np.sqrt(3), rel=1e-4)
    assert found.standardised == pytest.approx(2 / np.sqrt(0.5))
    assert found.jump.value == 1.5
    assert not found.beyond_noise


def test_a_jump_in_the_last_round() -> None:
    """What is alike in seven rounds and differs in the eighth is no difference of all rounds, and a jump in the last."""
    one, other = ([{"kl": 0.01 + 0.001 * ((k + side) % 2)} for k in range(8)] for side in (0, 1))
    assert not compared(one, other)[0].beyond_noise
    one[-1]["kl"] = 0.5
    (found,) = compared(one, other)
    assert found.difference.low < 0 < found.difference.high
    assert found.jump.low > 0.4
    assert found.beyond_noise


def test_the_more_numbers_are_looked_at_the_more_it_takes() -> None:
    """A difference that is beyond noise alone is not among forty numbers of pure noise."""
    rng = np.random.default_rng(3)
    noise = [{f"noise {j}": value for j, value in enumerate(rng.normal(size=40))} for _ in range(10)]
    one, other = ([{**noise[side + k], "a": a + k % 2} for k in range(5)] for side, a in ((0, 3.0), (5, 0.0)))
    one[0]["a"] = 1.0
    alone = compared([{"a": each["a"]} for each in one], [{"a": each["a"]} for each in other])
    assert alone[0].beyond_noise
    assert not any(each.beyond_noise for each in compared(one, other))


def test_of_two_runs(cartpole: Run, other: Run) -> None:
    assert differences(cartpole, cartpole, [0, 1, 2]) == [], "nothing differs"
    found = {each.name: each for each in differences(cartpole, other, [0, 1, 2])}
    assert {"entropy", "approx_kl", "mean_length", "explained_variance"} <= set(found)
    assert not set(found) & {"collect_seconds", "records", "reward"}
    shares = [np.mean([(run.snapshot(k).buffer.action == 1).mean() for k in range(3)]) for run in (cartpole, other)]
    right = next(each for name, each in found.items() if name.startswith("share of action") and "right" in name)
    assert right.means == pytest.approx(tuple(shares))


def test_which_rounds(cartpole: Run, other: Run) -> None:
    assert rounds_before(cartpole, other, 2) == [0, 1]
    assert differences(cartpole, other, rounds_before(cartpole, other, 0)) == [], "nothing comes before the first"
