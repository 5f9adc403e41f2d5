"""Influence of sequences: by token against explicit gradients of each sequence, and its share of a round of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from benchmarks.timing import Figure, alternate, milliseconds, ratio
from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.core.estimators.registry import ESTIMATORS
from engine.core.gradients.inner_products import Backend, Direction, gradient, inner_products
from engine.core.influence import influence
from engine.core.objective import Batch, objective
from engine.core.replays.replay import replay
from engine.demos.courtesy.settings import LANGUAGE, TRAINING
from engine.kinds.language.filtering import make_filter
from engine.kinds.language.learner import LanguageLearner
from engine.kinds.language.models import restore_policy
from engine.kinds.language.policy import LanguagePolicy
from engine.kinds.language.sequences import LanguageSnapshot
from engine.kinds.language.targets import sequence_target
from engine.kinds.language.update import batch_of
from engine.store.commit import RunWriter

LOOP, VMAP = "one backward pass a sequence", "vmap(grad), then a product"
WAYS: dict[str, Backend] = {"JVP, by token": "jvp", "hooks, by sequence": "ghost", LOOP: "loop"}
COLLECT, UPDATE, FILTER = "collect (generate, score, evaluate)", "update", "iif (influence, and what to drop)"
ROUND = "collect and update"


def figures(quick: bool = False) -> Iterator[Figure]:
    """On the demonstration courtesy: GPT-2 with 2 layers of 64, a round of its own settings."""
    config, language = TrainConfig(**TRAINING), LanguageConfig(**LANGUAGE)
    with TemporaryDirectory() as folder:
        learner = LanguageLearner.begin(config, language, Path(folder))
        RunWriter.create(Path(folder), learner.manifest(), model=learner.model).close()
        snapshot = learner.collect()
        yield from _inner_products(snapshot, quick)
        yield from _share_of_a_round(learner, snapshot, quick)
        yield from _estimators(snapshot, quick)


def _inner_products(snapshot: LanguageSnapshot, quick: bool) -> Iterator[Figure]:
    """<grad f, grad J_i> of all sequences of a round, the policy and grad f being there."""
    policy = restore_policy(snapshot)
    policy.model.config.pad_token_id = None  # type: ignore[union-attr]  # vmap can't follow the search for it
    batch = batch_of(policy, snapshot.buffer)
    target: Any = sequence_target(snapshot)
    direction = gradient(target, policy)
    ways: dict[str, Callable[[], object]] = {
        name: partial(inner_products, policy, batch, snapshot.config, direction, backend)
        for name, backend in WAYS.items()
    }
    ways[VMAP] = partial(_explicit, policy, batch, snapshot.config, direction)
    times = alternate(ways, repeats=5 if quick else 20, warm_up=2)
    for name, seconds in times.items():
        what = f"inner products of {len(snapshot.buffer)} sequences: {name}"
        if name == LOOP:
            yield milliseconds(what, seconds)
        else:
            aim = ">= 2x" if WAYS.get(name) == "jvp" else ""
            yield milliseconds(what, seconds, ratio=ratio(times, LOOP, name), against=f"faster than {LOOP}", target=aim)


def _explicit(policy: LanguagePolicy, batch: Batch, config: TrainConfig, direction: Direction) -> Tensor:
    """The matrix of all sequences' gradients, which needs n times the memory of the model, times grad f."""
    touched = {name: p.detach() for name, p in policy.named_parameters() if name in direction}

    def of_one(parameters: dict[str, Tensor], *record: Tensor) -> Tensor:
        one = Batch(*(column.unsqueeze(0) for column in record))
        return objective(functional_call(policy, parameters, (one.inputs, one.action)), one, config).total().sum()

    gradients = vmap(grad(of_one), in_dims=(None, *(0 for _ in batch)))(touched, *batch)
    return sum((gradients[name].flatten(1) @ v.flatten() for name, v in direction.items()), torch.zeros(()))


def _share_of_a_round(learner: LanguageLearner, snapshot: LanguageSnapshot, quick: bool) -> Iterator[Figure]:
    """What the filter adds to a round, everything from the checkpoint on."""
    choose = make_filter(replace(snapshot.config, filter="iif"))
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
    once = "one replay of the round"
    ways: dict[str, Callable[[], object]] = {once: partial(replay, snapshot)}
    ways |= {
        name: partial(influence, snapshot, "sequence", name, cache=False)
        for name, estimator in ESTIMATORS.items()
        if estimator.compute is not None
    }
    times = alternate(ways, repeats=3 if quick else 10)
    for name, seconds in times.items():
        against = None if name == once else ratio(times, name, once)
        yield milliseconds(name, seconds, ratio=against, against="" if name == once else once)
