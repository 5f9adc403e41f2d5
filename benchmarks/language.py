"""Influence of sequences: by token against explicit gradients of each sequence, and its share of a round of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.timing import Figure, alternate, milliseconds, ratio
from engine.attribution.backends import Backend, inner_products
from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.rlhf.courtesy.settings import LANGUAGE, TRAINING
from engine.rlhf.filtering import make_filter
from engine.rlhf.influence import LANGUAGE_ESTIMATORS, sequence_influence
from engine.rlhf.learner import LanguageLearner
from engine.rlhf.models import restore_policy
from engine.rlhf.replay import replay_language
from engine.rlhf.targets import sequence_target
from engine.rlhf.update import batch_of
from engine.store.sequences import LanguageSnapshot

LOOP = "one backward pass a sequence"
WAYS: dict[str, Backend] = {"JVP, by token": "jvp", "hooks, by sequence": "ghost", LOOP: "loop"}
COLLECT, UPDATE, FILTER = "collect (generate, score, evaluate)", "update", "iif (influence, and what to drop)"
ROUND = "collect and update"


def figures(quick: bool = False) -> Iterator[Figure]:
    """On the demonstration courtesy: GPT-2 with 2 layers of 64, a round of its own settings."""
    config, language = TrainConfig(**TRAINING), LanguageConfig(**LANGUAGE)
    with TemporaryDirectory() as folder:
        learner = LanguageLearner.begin(config, language, Path(folder))
        (Path(folder) / "model").mkdir()
        for name, data in learner.model.items():
            (Path(folder) / "model" / name).write_bytes(data)
        snapshot = learner.collect()
        yield from _inner_products(snapshot, quick)
        yield from _share_of_a_round(learner, snapshot, quick)
        yield from _estimators(snapshot, quick)


def _inner_products(snapshot: LanguageSnapshot, quick: bool) -> Iterator[Figure]:
    """<grad f, grad J_i> of all sequences of a round, the policy and grad f being there."""
    policy = restore_policy(snapshot)
    batch = batch_of(policy, snapshot.buffer)
    direction = sequence_target(snapshot).gradient(policy)
    ways: dict[str, Callable[[], object]] = {
        name: partial(inner_products, policy, batch, snapshot.config, direction, backend)
        for name, backend in WAYS.items()
    }
    times = alternate(ways, repeats=5 if quick else 20, warm_up=2)
    for name, seconds in times.items():
        what = f"inner products of {len(snapshot.buffer)} sequences: {name}"
        if name == LOOP:
            yield milliseconds(what, seconds)
        else:
            aim = ">= 2x" if WAYS[name] == "jvp" else ""
            yield milliseconds(what, seconds, ratio=ratio(times, LOOP, name), against=f"faster than {LOOP}", target=aim)


def _share_of_a_round(learner: LanguageLearner, snapshot: LanguageSnapshot, quick: bool) -> Iterator[Figure]:
    """What the filter adds to a round, everything from the checkpoint on."""
    choose = make_filter(replace(snapshot.config, filter="iif"), snapshot.language)
    assert choose is not None
    filtered = replace(snapshot, config=replace(snapshot.config, filter="iif"))
    ways: dict[str, Callable[[], object]] = {
        COLLECT: learner.collect,
        UPDATE: partial(learner.update, snapshot),
        FILTER: partial(choose, filtered),
    }
    times = alternate(ways, repeats=5 if quick else 20, warm_up=1)
    times[ROUND] = np.add(times[COLLECT], times[UPDATE]).tolist()
    for name in (COLLECT, UPDATE, ROUND):
        yield milliseconds(name, times[name])
    share = ratio(times, FILTER, ROUND)
    yield milliseconds(FILTER, times[FILTER], ratio=share, against=ROUND, target="<= 0.6x")


def _estimators(snapshot: LanguageSnapshot, quick: bool) -> Iterator[Figure]:
    replay = "one replay of the round"
    ways: dict[str, Callable[[], object]] = {replay: partial(replay_language, snapshot)}
    ways |= {name: partial(sequence_influence, snapshot, "sequence", name, cache=False) for name in LANGUAGE_ESTIMATORS}
    times = alternate(ways, repeats=3 if quick else 10)
    for name, seconds in times.items():
        against = None if name == replay else ratio(times, name, replay)
        yield milliseconds(name, seconds, ratio=against, against="" if name == replay else replay)
