"""The detector of incidents: what it takes, its false alarms on noise, and what it finds in runs whose truth is known.

`python -m benchmarks.incidents OUT` trains runs, evaluates every policy on common seeds, and prints real falls against those that
are found (half an hour on one core; finished runs are kept in OUT).
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import engine
from benchmarks.timing import Figure, alternate, milliseconds
from engine.analysis.incidents.drops import Drops
from engine.analysis.incidents.returns import Round
from engine.core.kind import kind_of

ROUNDS = 10_000
EPISODES = 24
"""Of every evaluation; all policies of a run meet the same luck."""
EVERY = {"LunarLander-v3": 2}
"""Rounds between evaluations, where these take long."""
RUNS = [
    (env_id, rounds, rate, 512 if env_id == "CartPole-v1" and seed == 102 else 2048, seed)
    for seed in (101, 102)
    for env_id, rounds, rates in (
        ("CartPole-v1", 100, (3e-4, 3e-3, 1e-2, 3e-2)),
        ("Acrobot-v1", 60, (1e-3, 1e-2, 3e-2)),
        ("FrozenLake-v1", 80, (1e-3, 1e-2, 5e-2)),
        ("LunarLander-v3", 80, (1e-3, 1e-2)),
    )
    for rate in rates
]
"""Environment, rounds, learning rate, steps of a round, seed."""

Metrics = list[tuple[int, dict[str, Any]]]


def figures(quick: bool = False) -> Iterator[Figure]:
    """10,000 rounds of noise, at once and round by round."""
    rounds = _noise(0, ROUNDS)
    returns = [Round(k, m["episodes"], m["mean_return"], m["std_return"]) for k, m in rounds]

    def whole() -> engine.Watch:
        watch = engine.Watch()
        watch.see_all(rounds)
        return watch

    def live() -> None:
        watch = engine.Watch()
        for k, metrics in rounds:
            watch.see(k, metrics)

    ways = {"rule A": lambda: Drops().extend(returns), "whole": lambda: whole().incidents, "live": live}
    times = alternate(ways, 3 if quick else 10)
    yield milliseconds(f"rule A on {ROUNDS:,} rounds", times["rule A"], target="<= 20 ms")
    yield milliseconds("all rules, from metrics to sentences", times["whole"], target="<= 100 ms")
    yield milliseconds("the same round by round", times["live"], target="<= 1000 ms")
    seeds = 50 if quick else 500
    found = 0
    for seed in range(seeds):
        watch = engine.Watch()
        watch.see_all(_noise(seed, 100))
        found += len(watch.incidents)
    yield Figure("false alarms in 100 rounds of noise", found / seeds, found / seeds, "", target="<= 0.4")


def _noise(seed: int, rounds: int) -> Metrics:
    """Returns of which one in five is bad, 1 to 19 episodes a round; nothing changes."""
    rng = np.random.default_rng(seed)
    quiet = {"entropy": 0.5, "approx_kl": 0.01, "clip_fraction": 0.1, "grad_norm": 1.0, "explained_variance": 0.5}
    found: Metrics = []
    for k in range(rounds):
        n = int(rng.integers(1, 20))
        returns = np.where(rng.random(n) < 0.8, 250.0, -100.0) + rng.normal(0, 20, n)
        spread = {"mean_return": float(returns.mean()), "std_return": float(returns.std())}
        found.append((k, {"episodes": n, **spread, **quiet}))
    return found


def train(folder: Path, env_id: str, rounds: int, rate: float, n_steps: int, seed: int) -> Mapping[str, Any]:
    """Metrics of a run, and the returns of its policies on common seeds: `metrics`, `truth` as (round, returns)."""
    kept = folder / f"{env_id}-{rate:g}-{n_steps}-{seed}.json"
    if not kept.exists():
        run, truth = folder / "run", []
        shutil.rmtree(run, ignore_errors=True)
        settings = engine.preset(env_id, "v0.1", rounds=rounds, seed=seed, learning_rate=rate, n_steps=n_steps)
        evaluation = None
        for snapshot in engine.rounds(settings, run):
            kind = kind_of(snapshot)
            evaluation = evaluation or kind.evaluation(snapshot, {})
            if snapshot.round % EVERY.get(env_id, 1) == 0:
                player = kind.player(snapshot, kind.agent(snapshot))
                truth.append((snapshot.round, evaluation.returns(player, 0, EPISODES).tolist()))
        metrics = [(info.round, dict(info.metrics)) for info in engine.open_run(run).rounds]
        kept.write_text(json.dumps({"metrics": metrics, "truth": truth}))
        shutil.rmtree(run)
    found: Mapping[str, Any] = json.loads(kept.read_text())
    return found


def real_falls(truth: list[tuple[int, list[float]]]) -> list[tuple[int, int]]:
    """First and last rounds in which the policy is worse than the best one before.

    In three evaluations in a row at least, by paired t > 4 and a quarter of the range so far.
    """
    returns, means = np.array([each for _, each in truth]), [float(np.mean(each)) for _, each in truth]
    best, flags = 0, []
    for i, mean in enumerate(means):
        apart = returns[best] - returns[i]
        error = apart.std(ddof=1) / np.sqrt(len(apart))
        span = max(means[: i + 1]) - min(means[: i + 1])
        flags.append(bool(apart.mean() > 4 * error and apart.mean() >= 0.25 * span))
        best = i if mean >= means[best] else best
    edges = np.flatnonzero(np.diff([0, *flags, 0]))
    stretches = edges.reshape(-1, 2)
    return [(truth[a][0], truth[b - 1][0]) for a, b in stretches.tolist() if b - a >= 3]


def main() -> None:
    """Real falls of every run against those that are found; a fall counts within four rounds of the other."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rounds = real = missed = false = 0
    for run in RUNS:
        recorded = train(folder, *run)
        watch = engine.Watch()
        watch.see_all((k, metrics) for k, metrics in recorded["metrics"])
        falls = real_falls(recorded["truth"])
        onsets = [onset for each in watch.incidents for onset in each.onsets or (each.onset,)]
        hits = {onset: [fall for fall in falls if fall[0] - 4 <= onset <= fall[1] + 4] for onset in onsets}
        print(*run, "| real", falls, "| found", onsets, flush=True)
        rounds, real = rounds + len(recorded["metrics"]), real + len(falls)
        missed += len(set(falls) - {fall for each in hits.values() for fall in each})
        false += sum(not each for each in hits.values())
    print(f"{rounds} rounds, {real} real falls, {missed} of them not marked, {false} marked that are none")


if __name__ == "__main__":
    main()
