"""Influence of 2048 records: first_order against one forward pass and per-record gradients, the others against a replay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

import engine
from benchmarks.timing import Figure, alternate, milliseconds, ratio
from engine.core.estimators.registry import ESTIMATORS, first_order
from engine.core.gradients.inner_products import Backend, gradient
from engine.core.objective import Batch, first_epoch_advantages, objective
from engine.core.targets.functions import Target
from engine.core.targets.of_records import action_target, return_target
from engine.core.update import as_batch
from engine.kinds.control.learner import ControlLearner
from engine.kinds.control.networks import restore_policy
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.snapshot import Snapshot

FORWARD = "one forward pass, actor and critic"
WAYS: dict[str, Backend | None] = {"first_order": None, "first_order, jvp": "jvp", "first_order, ghost": "ghost"}
REPLAY = "one replay of the round"
ALONG_THE_UPDATE = {"tracin": "<= 20x", "tracin_adam": "<= 20x", "replay_gradient": "<= 3000 ms"}
NEW_TARGET = "engine.influence on a new action target"
UNCACHED = "first_order by torch"
EXPLICIT = "vmap(grad) per record, then a product"


def figures(quick: bool = False) -> Iterator[Figure]:
    """Everything from the snapshot in memory to the scores: restoring the policy, gradient of f, inner products."""
    learner = ControlLearner.begin(engine.preset("LunarLander-v3", "default"))
    learner.update(learner.collect())
    snapshot = learner.collect()
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    batch = as_batch(policy, snapshot.buffer)
    targets: dict[str, Target] = {"return": return_target(snapshot), "action": action_target(snapshot, record=17)}
    ways: dict[str, Callable[[], object]] = {FORWARD: partial(_forward, policy, batch)}
    for name, target in targets.items():
        for way, backend in WAYS.items():
            ways[f"{way}: {name}"] = partial(first_order, snapshot, target, backend)
        ways[f"{EXPLICIT}: {name}"] = partial(_explicit, snapshot, target)
    times = alternate(ways, repeats=15 if quick else 60, warm_up=3)
    yield milliseconds(FORWARD, times[FORWARD])
    for name in targets:
        for way in (*WAYS, EXPLICIT):
            label = f"{way}: {name}"
            aim = "<= 5x" if way in WAYS else ""
            against = ratio(times, label, FORWARD)
            yield milliseconds(label, times[label], ratio=against, against="one forward pass", target=aim)
        faster = ratio(times, f"{EXPLICIT}: {name}", f"first_order: {name}")
        label = f"first_order: {name}"
        yield milliseconds(label, times[label], ratio=faster, against="faster than vmap(grad)", target=">= 4x")
    yield from _from_kept_gradients(snapshot, quick)
    yield from _along_the_update(snapshot, targets, quick)


def _from_kept_gradients(snapshot: Snapshot, quick: bool) -> Iterator[Figure]:
    """What a click costs: `first_order` on an action that is asked about for the first time."""
    kept, records = replace(snapshot, hash="a committed round"), count()
    everyone = action_target(snapshot, record=snapshot.buffer.record)

    def click(ask: Callable[[Target], object]) -> object:
        return ask(action_target(snapshot, record=next(records) % len(snapshot.buffer)))

    whole = "all 2048 records as targets at once"
    ways: dict[str, Callable[[], object]] = {
        NEW_TARGET: lambda: click(lambda target: engine.influence(kept, target)),
        f"{NEW_TARGET}, nothing kept": lambda: click(lambda target: engine.influence(snapshot, target)),
        UNCACHED: lambda: click(lambda target: first_order(snapshot, target)),
        whole: lambda: engine.influence_on_each(kept, everyone),
    }
    times = alternate(ways, repeats=15 if quick else 60, warm_up=3)
    for name, seconds in times.items():
        against = ratio(times, name, UNCACHED) if name != UNCACHED else None
        aim = "<= 50 ms" if name == NEW_TARGET else ""
        yield milliseconds(name, seconds, ratio=against, against=UNCACHED if against else "", target=aim)


def _along_the_update(snapshot: Snapshot, targets: dict[str, Target], quick: bool) -> Iterator[Figure]:
    """The estimators that follow all 320 optimizer steps."""
    ways: dict[str, Callable[[], object]] = {REPLAY: partial(engine.replay, snapshot)}
    for target in targets.values():
        for name in ALONG_THE_UPDATE:
            ways[f"{name}: {target.name}"] = partial(ESTIMATORS[name], snapshot, target)
    times = alternate(ways, repeats=3 if quick else 10)
    for label, seconds in times.items():
        against = ratio(times, label, REPLAY) if label != REPLAY else None
        aim = ALONG_THE_UPDATE.get(label.split(":")[0], "")
        yield milliseconds(label, seconds, ratio=against, against="one replay" if against else "", target=aim)


def _forward(policy: torch.nn.Module, batch: Batch) -> None:
    with torch.no_grad():
        policy(batch.inputs, batch.action)


def _explicit(snapshot: ControlSnapshot, target: Target) -> Tensor:
    """What most libraries do: the matrix of all per-record gradients, times the target's gradient."""
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    batch = as_batch(policy, snapshot.buffer)
    normalized = first_epoch_advantages(batch.advantage, batch.kept, snapshot.minibatches, snapshot.config)
    batch = batch._replace(advantage=normalized)
    direction = gradient(target, policy)
    touched = {name: p.detach() for name, p in policy.named_parameters() if name in direction}

    def per_record(parameters: dict[str, Tensor], *record: Tensor) -> Tensor:
        one = Batch(*(column.unsqueeze(0) for column in record))
        evaluation = functional_call(policy, parameters, (one.inputs, one.action, False))
        return objective(evaluation, one, snapshot.config).total().squeeze(0)

    gradients = vmap(grad(per_record), in_dims=(None, *(0 for _ in batch)))(touched, *batch)
    matrix = torch.cat([gradients[name].flatten(1) for name in touched], dim=1)
    return matrix @ torch.cat([direction[name].flatten() for name in touched])
