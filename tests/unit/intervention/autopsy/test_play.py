"""What is played, in which order, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import engine
from engine.core.kind import kind_of
from engine.errors import BadInputError, CancelledError
from engine.intervention.autopsy.arm import Arm, LeftOutError, replays
from engine.intervention.autopsy.kept_returns import AFTER, BEFORE, Returns
from engine.intervention.autopsy.play import CHANGES_NOTHING, missing, play, play_seconds
from engine.intervention.autopsy.played_arms import FIRST, MOST, policy_of
from engine.store.read import Run

EPISODES = 2


def never(which: int, check: Callable[[], None]) -> None:
    raise LeftOutError("there is nothing to play")


LEAD = Arm("lead", "order", never, lead=True)
WORST, RANDOM = Arm("worst", "records", never, lead=True, control="random"), Arm("random", "records", never)
OTHER = Arm("other", "step", never)
ARMS = [OTHER, LEAD, WORST, RANDOM]


@pytest.fixture
def fell(cartpole: Run) -> Returns:
    returns = Returns(cartpole, 1, EPISODES, cache=False)
    returns.keep(BEFORE, np.array([100.0, 102]))
    returns.keep(AFTER, np.array([60.0, 62]))
    return returns


def keep(returns: Returns, arm: Arm, *means: float) -> None:
    for which, mean in enumerate(means):
        returns.keep(policy_of(arm, which), np.full(returns.of_arms, mean))


def names(*arms: Arm, first: int = 0, last: int = FIRST) -> list[str]:
    return [policy_of(arm, which) for arm in arms for which in range(first, last)]


def test_arms_are_played_only_for_a_fall(cartpole: Run) -> None:
    returns = Returns(cartpole, 1, EPISODES, cache=False)
    assert missing(returns, ARMS) == [BEFORE, AFTER]
    returns.keep(BEFORE, np.array([100.0, 102]))
    returns.keep(AFTER, np.array([100.0, 104]))
    assert missing(returns, ARMS) == []


def test_first_those_that_decide_then_more_of_the_open_ones_then_the_others(fell: Returns) -> None:
    assert missing(fell, ARMS) == names(LEAD, WORST, RANDOM, OTHER)
    keep(fell, LEAD, 59, 60, 61, 60)
    keep(fell, WORST, 40, 160, 80, 60)
    keep(fell, RANDOM, 59, 60, 61, 60)
    assert missing(fell, ARMS) == names(WORST, RANDOM, first=FIRST, last=MOST) + names(OTHER)
    keep(fell, WORST, 80, 80, 80, 80, 81)
    assert missing(fell, ARMS)[0] == policy_of(WORST, FIRST + 1), "a second look is taken at all of them"
    keep(fell, WORST, *[60, 61] * (MOST // 2))
    assert missing(fell, ARMS) == names(RANDOM, first=FIRST, last=MOST) + names(OTHER), "in the same orders"
    keep(fell, RANDOM, *[60, 61] * (MOST // 2))
    assert missing(fell, ARMS) == names(OTHER)
    fell.leave_out("other", "there is nothing to play")
    assert missing(fell, ARMS) == []


def test_of_the_others_those_of_the_cause_are_first_and_those_with_rollouts_last(fell: Returns) -> None:
    slow, critic, data = (
        replace(OTHER, name=name, cause=cause, rollouts=int(name == "slow"))  # type: ignore[arg-type]
        for name, cause in (("slow", "order"), ("critic", "critic"), ("data", "order"))
    )
    keep(fell, LEAD, 99, 100, 101, 100)
    assert missing(fell, [slow, critic, LEAD, data]) == names(data, critic, slow)


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
