"""The rules on a run that goes on, round by round; on a whole run they are the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from engine.analysis.incidents.causes import EXPLAIN, History
from engine.analysis.incidents.drops import SHARP, Drops
from engine.analysis.incidents.falls import Chain
from engine.analysis.incidents.incident import DROP, NOT_FINITE, STUCK, Incident, Incidents, in_order
from engine.analysis.incidents.not_finite import OF_UPDATE, NotFinite, Stopped, number
from engine.analysis.incidents.returns import Round
from engine.analysis.incidents.stuck import Stretch, Stuck
from engine.errors import BadInputError
from engine.store.words import counted

LARGEST = 1e60
"""Above it a return can't be squared and summed any more."""
MOST_EPISODES = 2**32
"""Of a round: sums over a million such rounds are exact."""
MOSTLY_EMPTY = 0.5
"""Share of rounds in which no episode ended, from which on the returns are those of short episodes."""
UPDATES_BEFORE = 3
"""In how many updates one looks for what came before a number that is none any more."""
_WORDS = {name: words for name, (words, _) in EXPLAIN.items()}


class Watch:
    """Sees the metrics of one round after another, and says at once what is worth a look.

    What it has found at any time is what the rules find in the whole of these rounds. A round costs some fifty microseconds.

    >>> watch = Watch()
    >>> for k in range(40):
    ...     mean = 200.0 if k < 30 else 60.0
    ...     for incident in watch.see(k, {"episodes": 8, "mean_return": mean, "std_return": 40.0, "approx_kl": 0.01}):
    ...         print(k, incident)
    30 Incident(drop at round 30: the return fell from 200 to 60 at round 30: 16 episodes before, 8 from it on, z 7.6)
    31 Incident(drop at round 30: the return fell from 200 to 60 at round 30: 40 episodes before, 16 from it on, z 11.5)
    33 Incident(drop at round 30: the return fell from 200 to 60 at round 30: 80 episodes before, 32 from it on, z 16.5)
    37 Incident(drop at round 30: the return fell from 200 to 60 at round 30: 160 episodes before, 64 from it on, z 23.5)
    """

    def __init__(self, discrete: bool = True) -> None:
        """Begin before the first round.

        Args:
            discrete: whether actions are chosen among finitely many; only then can entropy say that a policy is stuck.
        """
        self.discrete = discrete
        self.history = History()
        self.drops, self.stuck, self.not_finite = Drops(), Stuck(), NotFinite()
        self._estimated = 0
        self._settled: list[Incident] = []
        """Those of chains of falls that no later round can change."""
        self._told: list[Incident] = []

    def see(self, round: int, metrics: Mapping[str, Any]) -> list[Incident]:
        """See the next round.

        Args:
            round: its number, above that of the one before.
            metrics: as its commit has them: `episodes`, `mean_return`, `std_return` (with the divisor n), `entropy`,
                `approx_kl` and what else there is. What is missing, null or no number is not counted as 0.

        Returns:
            The incidents that are new with this round, or that it changed: most of them go on for some rounds.

        Raises:
            BadInputError: the round does not come after the one before.
        """
        if not self.see_all([(round, metrics)]):
            return []
        known = len(self._settled)
        now = [
            *self._open()[known:],
            *map(self._of_stuck, self.stuck.stretches[-1:]),
            *map(self._of_not_finite, self.not_finite.stretches[-1:]),
        ]
        told, self._told = self._told, now
        return [incident for incident in now if incident not in told]

    def see_all(self, rounds: Iterable[tuple[int, Mapping[str, Any]]]) -> bool:
        """See many rounds, each with its number; says whether anything was found. Errors as `see`."""
        ended, changed = [], False
        for k, metrics in rounds:
            if self.history.rounds and k <= self.history.rounds[-1]:
                raise BadInputError(f"round {k} comes after round {self.history.rounds[-1]}; give rounds in order")
            for name, values in self.history.values.items():
                values.append(number(metrics.get(name)))
            self.history.rounds.append(k)
            returns = self._returns(k, metrics)
            if returns is not None:
                ended.append(returns)
            entropy, kl = self.history.values["entropy"][-1], self.history.values["approx_kl"][-1]
            changed |= self.discrete and self.stuck.see(k, returns, entropy, kl)
            changed |= self.not_finite.see(k, metrics)
        return self.drops.extend(ended) | changed

    @property
    def incidents(self) -> Incidents:
        """All that was found so far."""
        found = [
            *self._open(),
            *map(self._of_stuck, self.stuck.stretches),
            *map(self._of_not_finite, self.not_finite.stretches),
        ]
        falls = [(each.first, each.last) for each in found if each.kind == DROP]
        return Incidents(
            found=tuple(sorted(found, key=in_order)),
            rounds=len(self.history.rounds),
            largest=self.drops.largest(falls),
            too_few=self._too_few(),
            missing=tuple(self._missing()),
        )

    def _returns(self, k: int, metrics: Mapping[str, Any]) -> Round | None:
        """What is known of the episodes of a round; None where none ended."""
        mean, std, episodes = (number(metrics.get(name)) for name in ("mean_return", "std_return", "episodes"))
        if not abs(mean) < LARGEST or episodes <= 0:
            return None
        if not (abs(std) < LARGEST and 1 <= episodes < MOST_EPISODES):
            self._estimated += 1
            return Round(k, 1.0, mean, 0.0)
        return Round(k, float(math.floor(episodes)), mean, std)

    def _open(self) -> list[Incident]:
        """The falls, those that are settled first."""
        chains = self.drops.chains()
        found = self._settled + [self._of_drop(chain) for chain in chains[len(self._settled) :]]
        self._settled = found[: self.drops.settled]
        return found

    def _of_drop(self, chain: Chain) -> Incident:
        worst = max(chain, key=lambda fall: fall.drop.before - fall.drop.after)
        drop, onset = worst.drop, worst.drop.round
        first, last = min(fall.first for fall in chain), max(fall.last for fall in chain)
        fell = f"from {drop.before:.4g} to {drop.after:.4g}"
        by = f"{counted(drop.episodes_before, 'episode')} before, {drop.episodes_after:,} from it on"
        by += ", which hardly differ among themselves" if drop.z is None else f", z {drop.z:.1f}"
        if len(chain) > 1:
            listed = ", ".join(str(fall.drop.round) for fall in chain)
            times = f"it fell {len(chain)} times (at rounds {listed})"
            reason = f"the return is unstable from round {first} to {last}: {times}, most {fell} at round {onset}: {by}"
        elif last > first:
            reason = f"the return fell {fell} in rounds {first} to {last}, most at round {onset}: {by}"
        else:
            reason = f"the return fell {fell} at round {onset}: {by}"
        causes = self.history.causes(chain[0].peak, last - 1)
        return Incident(
            kind=DROP,
            onset=onset,
            first=first,
            last=last,
            reason=reason,
            update=onset - 1,
            seen=chain[0].seen,
            causes=tuple(cause.words for cause in causes),
            cause_updates=tuple(cause.update for cause in causes),
            drop=drop,
            onsets=tuple(fall.drop.round for fall in chain),
        )

    def _of_stuck(self, stretch: Stretch) -> Incident:
        best = stretch.best
        reason = (
            f"the policy is stuck from round {stretch.first} to {stretch.last}: its entropy is {stretch.entropy:.2%} of the "
            f"first round's, its updates change nothing, and the return is {stretch.mean:.4g} "
            f"({counted(stretch.episodes, 'episode')}) where it was {best.mean:.4g} in round {best.number}"
        )
        causes = self.history.causes(best.number, stretch.first - 1)
        return Incident(
            kind=STUCK,
            onset=stretch.first,
            first=stretch.first,
            last=stretch.last,
            reason=reason,
            update=stretch.first - 1,
            seen=stretch.seen,
            causes=tuple(cause.words for cause in causes),
            cause_updates=tuple(cause.update for cause in causes),
        )

    def _of_not_finite(self, stretch: Stopped) -> Incident:
        names = [_WORDS.get(name, name.replace("_", " ")) for name in stretch.metrics]
        when, value = stretch.before
        where = f"in round {stretch.first}"
        if stretch.last > stretch.first:
            where = f"from round {stretch.first} to {stretch.last}"
        verb = "is no number" if len(names) == 1 else "are no numbers"
        reason = f"{', '.join(names)} {verb} {where}; {names[0]} was {value:.4g} in round {when}"
        of_update = stretch.metrics[0] in OF_UPDATE
        causes = self.history.causes(stretch.first - UPDATES_BEFORE, stretch.first - 1)
        return Incident(
            kind=NOT_FINITE,
            onset=stretch.first,
            first=stretch.first,
            last=stretch.last,
            reason=reason,
            update=stretch.first if of_update else stretch.first - 1,
            seen=stretch.first,
            causes=tuple(cause.words for cause in causes),
            cause_updates=tuple(cause.update for cause in causes),
            metrics=stretch.metrics,
        )

    def _too_few(self) -> str:
        rounds, ended = len(self.history.rounds), len(self.drops.returns)
        episodes = round(self.drops.returns.episodes(0, ended))
        have = f"{counted(episodes, 'episode')} ended in {counted(rounds, 'round')}"
        if not self.drops.decided:
            need = f"{SHARP.episodes_before} in {SHARP.rounds_before} rounds before it and {SHARP.episodes_after} after"
            return f"too few episodes to tell: {have}; a fall needs {need}"
        if ended < (1 - MOSTLY_EMPTY) * rounds:
            return (
                f"too few episodes to tell: {have}, none in {1 - ended / rounds:.0%} of them, so that the returns are those of "
                "short episodes, and falls may be missed"
            )
        return ""

    def _missing(self) -> list[str]:
        said = []
        absent = [name for name, values in self.history.values.items() if all(map(math.isnan, values))]
        if not len(self.drops.returns):
            said.append("nothing is said of the return: no round has mean_return")
        if self._estimated:
            said.append(
                f"{counted(self._estimated, 'round')} without episodes or std_return: each counts as one episode, so that only "
                "falls over many rounds are found"
            )
        if not self.discrete:
            said.append(
                "nothing is said of a policy that is stuck: only of a Discrete action space is it known how low entropy can get"
            )
        elif stuck := [name for name in ("entropy", "approx_kl") if name in absent]:
            said.append(f"nothing is said of a policy that is stuck: no round has {' or '.join(stuck)}")
        if absent:
            said.append(
                f"causes are not looked for in {', '.join(_WORDS[name] for name in absent)}, which no round has"
            )
        return said
