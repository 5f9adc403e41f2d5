"""Play the policies of an autopsy: those before and after the update, and where it was a fall, those of the arms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from engine.analysis.checks.checked import Check as RoundCheck
from engine.core.kind import kind_of
from engine.errors import BadInputError
from engine.executors import INLINE, Pool, Progress
from engine.intervention.autopsy.arm import Arm, Check
from engine.intervention.autopsy.kept_returns import EPISODES, Returns
from engine.intervention.autopsy.order_of_play import missing, stages
from engine.intervention.autopsy.played_arms import FIRST, policy_of
from engine.intervention.autopsy.policies import PlayedOnce, Policies, ToPlay, played_elsewhere
from engine.store.read import Run
from engine.store.snapshot import Snapshot


def why_unplayed(snapshot: Snapshot) -> str:
    """Why no policy of a round can be played here; empty where one can."""
    try:
        return kind_of(snapshot).unplayed(snapshot) or kind_of(snapshot).unjudged(snapshot)
    except BadInputError as error:
        return str(error)


def play(
    run: Run,
    snapshot: Snapshot,
    arms: Sequence[Arm],
    returns: Returns,
    say: Progress,
    pool: Pool = INLINE,
    checks: Sequence[RoundCheck] = (),
) -> None:
    """Play what is missing; what is finished is kept. Returns are the same whatever the pool.

    Args:
        run: the run.
        snapshot: its round.
        arms: those that can be had.
        returns: filled in.
        say: told what is played, and how many policies are done, of how many: two, until it is known whether there is a fall.
        pool: where; work that takes a few seconds is done here.
        checks: of the round, from which other processes make the same arms.

    Raises:
        BadInputError: policies of the round can't be evaluated.
    """
    asked = partial(ToPlay, run.path.resolve(), snapshot.round, tuple(checks))
    seconds = play_seconds(snapshot, arms, returns.episodes) or (0.0, math.inf)
    policies = Policies(run, snapshot, arms)
    try:
        for those, takes in zip(
            ((), arms), seconds, strict=True
        ):  # the arms only once it is known whether there is a fall
            where = pool.worth(takes)
            turns = _Turns(those, returns, asked, say)
            for one, found in turns.here(policies) if where is INLINE else turns.in_pool(where):
                if found.returns is None:
                    returns.leave_out(found.arm, found.why_not)
                else:
                    returns.keep(one.policy, found.returns)
    finally:
        policies.close()


class _Turns:
    """Whose turn it is, as far as is known when it is asked."""

    def __init__(
        self, arms: Sequence[Arm], returns: Returns, asked: Callable[[str, int, int], ToPlay], say: Progress
    ) -> None:
        self.arms, self.returns, self._asked, self._say = arms, returns, asked, say
        self._begun: set[str] = set()

    def here(self, policies: Policies) -> Iterator[tuple[ToPlay, PlayedOnce]]:
        """One after the other."""
        while (one := self.following()) is not None:
            check = self._check()
            check()
            yield one, policies.play(one, check)

    def in_pool(self, pool: Pool) -> Iterator[tuple[ToPlay, PlayedOnce]]:
        """Several at a time; a policy whose arm needs rollouts waits until these are played in the pool, too."""

        def following() -> ToPlay | None:
            one = self.following()
            if one is not None:
                self._prepare(one.policy, pool)
                self._check()()
            return one

        return pool.feed(played_elsewhere, following)

    def following(self) -> ToPlay | None:
        """One that is played whatever comes of those that are not finished; None where there is none."""
        group = next(iter(stages(self.returns, self.arms)), [])
        policy = next((name for name in group if name not in self._begun), None)
        if policy is None:
            return None
        self._begun.add(policy)
        return self._asked(policy, self.returns.block_of(policy), self.returns.episodes_of(policy))

    def _prepare(self, policy: str, pool: Pool) -> None:
        arm = next((arm for arm in self.arms if policy_of(arm, 0) == policy), None)
        if arm is not None and arm.prepare is not None:
            arm.prepare(pool, self._check())

    def _check(self) -> Check:
        """Says what is played and how far it all is."""
        left = missing(self.returns, self.arms)
        doing = f"playing the policy {left[0]}" if left else "playing"
        return partial(self._say, doing, len(self.returns), len(self.returns) + max(1, len(left)))


def play_seconds(snapshot: Snapshot, arms: Sequence[Arm], episodes: int = EPISODES) -> tuple[float, float] | None:
    """How long it takes to play the policies before and after the update, and all arms, from what the round took to make.

    None where the round does not say.
    """
    named_so = ("collect_seconds", "update_seconds", "records", "mean_length")
    collect, update, records, length = (snapshot.metrics.get(name) for name in named_so)
    if collect is None or update is None or not records or length is None:
        return None
    step = collect / records
    one = episodes * length * step
    more = FIRST * sum(one / 2 + update + (collect if arm.cause == "data" else 0) for arm in arms)
    more += sum(arm.rollouts for arm in arms) * length / 2 * step
    return 2 * one, more
