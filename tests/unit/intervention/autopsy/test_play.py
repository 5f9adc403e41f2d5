"""What is played, here and in other processes, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import engine
from engine.analysis.checks.round_checks import check_round
from engine.core.kind import kind_of
from engine.errors import BadInputError, CancelledError
from engine.intervention.autopsy.arm import Arm, LeftOutError, replays
from engine.intervention.autopsy.examine import arms_of
from engine.intervention.autopsy.kept_returns import AFTER, BEFORE, Returns
from engine.intervention.autopsy.order_of_play import missing
from engine.intervention.autopsy.play import play, play_seconds
from engine.intervention.autopsy.played_arms import FIRST, policy_of, replicates
from engine.intervention.autopsy.policies import CHANGES_NOTHING
from engine.store.read import Run

EPISODES = 2


def never(which: int, check: Callable[[], None]) -> None:
    raise LeftOutError("there is nothing to play")


LEAD = Arm("lead", "order", never, lead=True)
OTHER = Arm("other", "step", never)
ARMS = [OTHER, LEAD]


@pytest.fixture
def fell(cartpole: Run) -> Returns:
    returns = Returns(cartpole, 1, EPISODES, cache=False)
    returns.keep(BEFORE, np.array([100.0, 102]))
    returns.keep(AFTER, np.array([60.0, 62]))
    return returns


def test_an_arm_that_changes_nothing_is_not_played_and_another_is_what_its_replay_leads_to(
    cartpole: Run, fell: Returns
) -> None:
    snapshot = cartpole.snapshot(1)
    kind = kind_of(snapshot)
    slower = kind.with_settings(snapshot, {"learning_rate": snapshot.config.learning_rate / 4})
    same = Arm("same", "advantages", replays(snapshot, lambda check: snapshot), lead=True)
    quarter = Arm("quarter", "step", replays(snapshot, lambda check: slower))
    told: list[tuple[str, int, int]] = []
    play(cartpole, snapshot, [same, OTHER, quarter], fell, lambda *said: told.append(said))
    assert fell.left_out == {"same": CHANGES_NOTHING, "other": "there is nothing to play"}
    evaluation = kind.evaluation(snapshot, {})
    player = kind.player(snapshot, engine.replay(slower, order=2).agent)
    np.testing.assert_array_equal(fell[policy_of(quarter, 2)], evaluation.returns(player, 0, fell.of_arms))
    evaluation.close()
    assert told[0][1:] == (2, 2 + 3 * FIRST)
    assert told[-1][1:] == (2 + FIRST - 1, 2 + FIRST), "arms that are left out are not waited for"
    assert all(0 <= done < total for _, done, total in told)


def test_other_processes_play_the_same_bit_for_bit(lander: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arms that need the environments, and scores."""
    monkeypatch.setattr("engine.executors.pool.WORTH_A_POOL", 0.0)
    snapshot, checks = lander.snapshot(1), check_round(lander, 1)
    wanted = ("data collected anew", "worst records repaired")
    arms = [arm for arm in arms_of(snapshot, checks) if arm.name in wanted]
    found, told = [], []
    for pool in (engine.Pool("inline"), engine.Pool("processes", 2)):
        returns = Returns(lander, 1, EPISODES, cache=False)
        returns.keep(BEFORE, np.array([100.0, 102]))
        returns.keep(AFTER, np.array([60.0, 62]))
        play(lander, snapshot, arms, returns, lambda *said: told.append(said), pool, checks)
        assert missing(returns, arms) == []
        found.append(returns)
    here, elsewhere = found
    assert elsewhere.left_out == here.left_out
    policies = [policy_of(arm, which) for arm in arms for which in range(replicates(arm, here))]
    assert len({here[policy].tobytes() for policy in policies}) == len(policies)
    for policy in policies:
        np.testing.assert_array_equal(elsewhere[policy], here[policy])
    assert all(0 <= done < total for _, done, total in told)


def test_two_policies_are_all_until_a_fall_is_known(cartpole: Run) -> None:
    told: list[tuple[int, int]] = []
    returns = Returns(cartpole, 1, EPISODES, cache=False)
    play(cartpole, cartpole.snapshot(1), ARMS[:1], returns, lambda doing, done, total: told.append((done, total)))
    assert set(told[: told.index((1, 2))]) == {(0, 2)}
    assert AFTER in returns


def test_a_policy_of_the_record_that_can_not_be_made_is_an_error(
    cartpole: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, snapshot: object) -> None:
        raise BadInputError("it is somebody else's")

    returns = Returns(cartpole, 1, EPISODES, cache=False)
    monkeypatch.setattr(type(kind_of(cartpole.snapshot(1))), "agent", broken)
    with pytest.raises(BadInputError, match="somebody else's"):
        play(cartpole, cartpole.snapshot(1), ARMS, returns, lambda *said: None)


def test_it_is_cancelled_within_an_update(cartpole: Run, fell: Returns) -> None:
    snapshot = cartpole.snapshot(1)
    arm = Arm("orders", "order", replays(snapshot, lambda check: snapshot), lead=True)

    def cancel(doing: str, done: int, total: int) -> None:
        cancel.calls += 1  # type: ignore[attr-defined]
        if cancel.calls > 3:  # type: ignore[attr-defined]
            raise CancelledError

    cancel.calls = 0  # type: ignore[attr-defined]
    with pytest.raises(CancelledError):
        play(cartpole, snapshot, [arm], fell, cancel)
    assert len(fell) == 2


def test_how_long_it_takes(cartpole: Run) -> None:
    snapshot = cartpole.snapshot(1)
    first, more = play_seconds(snapshot, [LEAD]) or (0, 0)
    assert 0 < first < more
    assert play_seconds(snapshot, [LEAD, OTHER]) == (first, 2 * more)
    with_rollouts = play_seconds(snapshot, [replace(LEAD, rollouts=1000)]) or (0, 0)
    a_step = snapshot.metrics["collect_seconds"] / snapshot.metrics["records"]
    assert with_rollouts[1] == pytest.approx(more + 1000 * snapshot.metrics["mean_length"] / 2 * a_step)
    assert play_seconds(snapshot.changed(metrics={}), [LEAD]) is None
