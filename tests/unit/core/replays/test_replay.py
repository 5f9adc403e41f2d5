"""Replay with records removed, re-weighted or reshuffled: what changes and what must not."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from worlds import entry, moved_snapshot, same_tensors

import engine
from engine.core.kind import kind_of
from engine.core.objective import draw_minibatches, first_epoch_advantages, normalize, objective
from engine.core.replays.replay import intervene
from engine.core.update import as_batch, update
from engine.envs import find
from engine.errors import BadInputError
from engine.kinds.control.networks import restore_policy
from engine.store.read import Run
from engine.store.snapshot import Snapshot


@pytest.fixture(scope="module")
def snapshot(lander: Run) -> Snapshot:
    return lander.snapshot(1)


def theta(snapshot: Snapshot, *args: Any, **settings: Any) -> dict[str, np.ndarray]:
    return engine.replay(snapshot, *args, **settings).checkpoint


def differ(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return any(not np.array_equal(one[name], other[name]) for name in one)


def altered(snapshot: Snapshot, records: list[int]) -> Snapshot:
    """The same snapshot with nonsense in every column of some records."""
    buffer = snapshot.buffer
    columns = {}
    for name in ("advantage", "returns", "log_prob", "observation"):
        column = getattr(buffer, name).copy()
        column[records] = column[records] * -3 + 7
        columns[name] = column
    action = buffer.action.copy()
    action[records] = (action[records] + 1) % snapshot.action_space.n
    return replace(snapshot, buffer=replace(buffer, action=action, **columns))


DROP = [0, 3, 17, 100, 101, 255]


@pytest.mark.parametrize("mode", ["mask", "rebatch"])
@pytest.mark.parametrize("order", [0, 2])
def test_a_dropped_record_has_no_effect_whatever(snapshot: Snapshot, mode: str, order: int) -> None:
    without = theta(snapshot, DROP, mode=mode, order=order)
    same_tensors(theta(altered(snapshot, DROP), DROP, mode=mode, order=order), without)
    assert differ(theta(altered(snapshot, [1, *DROP]), DROP, mode=mode, order=order), without)
    assert differ(theta(snapshot, mode=mode, order=order), without)


def test_modes_and_orders_are_different_replays(snapshot: Snapshot) -> None:
    replays = [theta(snapshot, DROP, mode=mode, order=order) for mode in ("mask", "rebatch") for order in (0, 1, 2)]
    for i, one in enumerate(replays):
        for other in replays[:i]:
            assert differ(one, other)


@pytest.mark.parametrize("mode", ["mask", "rebatch"])
@pytest.mark.parametrize("order", [0, 1])
def test_the_same_replay_twice(snapshot: Snapshot, mode: str, order: int) -> None:
    same_tensors(theta(snapshot, DROP, mode=mode, order=order), theta(snapshot, DROP, mode=mode, order=order))


def test_nothing_removed_is_the_original_in_either_mode(lander: Run, snapshot: Snapshot) -> None:
    after = {k: v for k, v in lander.checkpoint(2).items() if k.startswith(("parameter/", "optimizer/"))}
    nothing: tuple[Any, ...] = (None, [], np.zeros(0, np.int64))
    for drop in nothing:
        for mode in ("mask", "rebatch"):
            same_tensors(theta(snapshot, drop, mode=mode), after)


def test_duplicates_and_order_of_the_list_do_not_matter(snapshot: Snapshot) -> None:
    same_tensors(theta(snapshot, [5, 9, 9, 2]), theta(snapshot, np.array([2, 5, 9])))


def test_replaying_leaves_the_snapshot_alone(snapshot: Snapshot) -> None:
    before = {name: tensor.copy() for name, tensor in snapshot.checkpoint.items()}
    theta(snapshot, DROP, mode="rebatch")
    same_tensors(dict(snapshot.checkpoint), before)
    assert snapshot.buffer.kept.all()


def test_mask_keeps_the_minibatches_and_rebatch_refills_them(snapshot: Snapshot) -> None:
    """How many records each optimizer step sees; the paper's way is full minibatches of those that are left."""
    size, n = snapshot.config.batch_size, len(snapshot.buffer)
    drop = np.arange(0, n, 2)

    def used(mode: Any) -> list[list[int]]:
        changed = intervene(snapshot, drop, mode=mode)
        kept = changed.buffer.kept
        epoch = changed.minibatches[0]
        parts = [epoch[start : start + size] for start in range(0, len(epoch), size)]
        return [part[kept[part]].tolist() for part in parts if kept[part].any()]

    original = [snapshot.minibatches[0][start : start + size] for start in range(0, n, size)]
    assert used("mask") == [[i for i in part.tolist() if i % 2] for part in original]
    rebatched = used("rebatch")
    assert [len(part) for part in rebatched] == [size] * (n // 2 // size)
    assert sorted(chain.from_iterable(rebatched)) == list(range(1, n, 2))
    steps = {mode: engine.replay(snapshot, drop, mode=mode).metrics.steps for mode in ("mask", "rebatch")}
    assert steps == {"mask": 40, "rebatch": 20}


def test_other_orders_are_permutations_of_all_records(snapshot: Snapshot) -> None:
    for order in (1, 2):
        changed = intervene(snapshot, (), order=order).minibatches
        assert changed.shape == snapshot.minibatches.shape
        assert (np.sort(changed, axis=1) == np.arange(len(snapshot.buffer))).all()
        assert not np.array_equal(changed, snapshot.minibatches)
        assert not np.array_equal(changed[0], changed[1])


def test_bad_requests_are_refused_in_words(snapshot: Snapshot) -> None:
    n = len(snapshot.buffer)
    for drop, message in (
        ([n], f"record {n} is out of range; this round has records 0 to {n - 1}"),
        ([-1], "record -1 is out of range"),
        ([0.5], "must be integers"),
        (np.ones(n, bool), "must be integers"),
        (range(n), f"all {n} records would be removed"),
    ):
        with pytest.raises(BadInputError, match=message):
            engine.replay(snapshot, drop)  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="must be mask or rebatch"):
        engine.replay(snapshot, DROP, mode="shuffle")  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="order is -1"):
        engine.replay(snapshot, order=-1)


def test_removing_all_that_is_left_is_refused(snapshot: Snapshot) -> None:
    half = snapshot.without(np.arange(128))
    assert engine.replay(half, [200]).metrics.steps > 0
    with pytest.raises(BadInputError, match="would be removed"):
        engine.replay(half, range(128, 256))


def test_a_minibatch_of_which_nothing_is_left_takes_no_step(snapshot: Snapshot) -> None:
    size = snapshot.config.batch_size
    everything_of_one = snapshot.minibatches[0][:size]
    full = engine.replay(snapshot).metrics.steps
    assert engine.replay(snapshot, everything_of_one).metrics.steps == full - 1


def test_one_record_left_is_enough(snapshot: Snapshot) -> None:
    replayed = engine.replay(snapshot, range(1, len(snapshot.buffer)))
    assert replayed.metrics.steps == snapshot.config.n_epochs
    assert all(np.isfinite(tensor).all() for tensor in replayed.checkpoint.values())


def test_weights_of_one_change_nothing(snapshot: Snapshot) -> None:
    same_tensors(theta(snapshot, weights=np.ones(len(snapshot.buffer))), theta(snapshot))
    same_tensors(theta(snapshot, DROP, weights=np.ones(len(snapshot.buffer))), theta(snapshot, DROP))


def test_weights_follow_their_records(snapshot: Snapshot) -> None:
    n = len(snapshot.buffer)
    weights = np.ones(n)
    weights[DROP] = 0
    changed = theta(snapshot, weights=weights)
    assert differ(changed, theta(snapshot))
    reordered = np.ones(n)
    reordered[[1, 4, 18, 102, 103, 254]] = 0
    assert differ(changed, theta(snapshot, weights=reordered))


@pytest.mark.parametrize("removed", ["weight 0", "dropped"])
def test_one_sgd_step_by_hand(removed: str) -> None:
    """theta + lr * the mean of grad J_i over the records that are left."""
    base = moved_snapshot(find("CartPole-v1"), n_steps=40)
    config = replace(
        base.config,
        optimizer="sgd",
        learning_rate=0.1,
        n_epochs=1,
        batch_size=40,
        normalize_advantage=False,
        max_grad_norm=float("inf"),
    )
    theta_k = {k: v for k, v in base.checkpoint.items() if k.startswith("parameter/")}
    snapshot = replace(base, config=config, checkpoint=theta_k, minibatches=base.minibatches[:1])
    out = [2, 30]
    weights = np.ones(40)
    weights[out] = 0

    policy = restore_policy(config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    batch = as_batch(policy, snapshot.buffer)
    terms = objective(policy(batch.inputs, batch.action), batch, config).total()
    rest = [i for i in range(40) if i not in out]
    gradients = torch.autograd.grad(terms[rest].mean(), list(policy.parameters()))
    expected = [(p + 0.1 * g).detach().numpy() for p, g in zip(policy.parameters(), gradients, strict=True)]

    replayed = engine.replay(snapshot, weights=weights) if removed == "weight 0" else engine.replay(snapshot, out)
    for found, by_hand in zip(replayed.policy.parameters(), expected, strict=True):
        np.testing.assert_allclose(found.detach().numpy(), by_hand, rtol=0, atol=2e-7)


@pytest.mark.parametrize("path", ["closed_form", "torch"])
def test_weight_2_is_a_second_copy(path: str) -> None:
    """Of the means and of the normalisation; in one minibatch, so that a copy can be put beside its original."""
    settings = {"n_steps": 40, "batch_size": 80, "n_epochs": 3, "ent_coef": 0.02, "path": path}
    snapshot = moved_snapshot(find("CartPole-v1"), rounds=2, **settings).without(range(4), actor_only=True)
    copied = [2, 30]
    buffer, weights = snapshot.buffer, np.ones(40)
    weights[copied] = 2
    rows = np.concatenate([np.arange(40), copied])
    columns = {name: column[rows] for name, column in vars(buffer).items() if isinstance(column, np.ndarray)}
    longer = np.concatenate([snapshot.minibatches, np.tile([40, 41], (3, 1))], axis=1).astype(np.int32)
    twice = snapshot.changed(buffer=replace(buffer, **columns), minibatches=longer)
    found, expected = theta(snapshot, weights=weights), theta(twice)
    for name, tensor in expected.items():
        np.testing.assert_allclose(found[name], tensor, rtol=0, atol=2e-6, err_msg=name)
    assert differ(found, theta(snapshot))


@pytest.mark.parametrize("settings", [{}, {"batch_size": 2}, {"target_kl": 3e-3}, {"path": "torch"}])
@pytest.mark.parametrize("mode", ["mask", "rebatch"])
def test_weight_0_is_a_removal(settings: dict[str, Any], mode: str) -> None:
    """Also where target_kl stops, and where a minibatch loses all of its records; in the closed form bit for bit."""
    settings = {"n_steps": 80, "batch_size": 24, "learning_rate": 5e-3, **settings}
    snapshot = moved_snapshot(find("CartPole-v1"), rounds=2, **settings)
    drop = np.arange(0, 80, 2)
    weights = np.ones(80)
    weights[drop] = 0
    found, expected = theta(snapshot, weights=weights, mode=mode), theta(snapshot, drop, mode=mode)
    if "path" not in settings:
        same_tensors(found, expected)
    for name, tensor in expected.items():
        np.testing.assert_allclose(found[name], tensor, rtol=0, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("path", ["closed_form", "torch"])
def test_a_weight_near_0_is_nearly_a_removal(path: str) -> None:
    """Of one SGD step: without a jump between them, also of the divergence that target_kl looks at."""
    settings = {"optimizer": "sgd", "n_steps": 24, "batch_size": 24, "n_epochs": 2, "target_kl": 1e-3, "path": path}
    snapshot = moved_snapshot(find("CartPole-v1"), rounds=2, learning_rate=0.3, **settings)
    drop = np.arange(0, 24, 3)
    weights = np.ones(24)
    weights[drop] = 1e-5
    near, gone, whole = theta(snapshot, weights=weights), theta(snapshot, drop), theta(snapshot)
    names = [name for name in whole if name.startswith("parameter/")]

    def distance(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
        return float(np.sqrt(sum(((one[name] - other[name]) ** 2).sum() for name in names)))

    assert distance(near, gone) < 1e-3 * distance(gone, whole)


@pytest.mark.parametrize("weights", [[1.0], -np.ones(256), np.full(256, np.nan)])
def test_bad_weights(snapshot: Snapshot, weights: Any) -> None:
    with pytest.raises(BadInputError, match="weights must be 256 finite numbers of at least 0, one a record"):
        engine.replay(snapshot, weights=weights)


def test_equal_advantages_move_with_no_weight() -> None:
    """The root of their variance has no slope at 0; nothing may become NaN of it."""
    weights = torch.ones(3, requires_grad=True)
    normalize(torch.full((3,), 5.0), weights).sum().backward()
    assert weights.grad is not None
    assert weights.grad.tolist() == [0, 0, 0]


def test_cancelling_between_minibatches(snapshot: Snapshot) -> None:
    steps = []

    def stop() -> None:
        steps.append(1)
        if len(steps) == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.replay(snapshot, on_step=stop)
    assert len(steps) == 7


def test_continuous_actions_replay_too() -> None:
    snapshot = moved_snapshot(entry("Pendulum-v1"), n_steps=64, n_epochs=2)
    same_tensors(theta(snapshot), theta(snapshot))
    assert differ(theta(snapshot), theta(snapshot, [3]))
    assert np.any(theta(snapshot)["parameter/log_std.weight"] != snapshot.parameters["log_std.weight"])


def test_minibatches_are_permutations() -> None:
    drawn = draw_minibatches(np.random.default_rng(0), 50, 4)
    assert drawn.shape == (4, 50)
    assert (np.sort(drawn, axis=1) == np.arange(50)).all()
    assert len({tuple(row) for row in drawn.tolist()}) == 4


def test_normalising_by_hand() -> None:
    """[1, 3]: mean 2, unbiased standard deviation sqrt 2."""
    torch.testing.assert_close(normalize(torch.tensor([1.0, 3.0])), torch.tensor([-1.0, 1.0]) / 2**0.5)
    assert normalize(torch.tensor([5.0])).tolist() == [5.0]
    assert normalize(torch.tensor([5.0, 5.0])).tolist() == [0.0, 0.0]


def of_first_epoch(snapshot: Snapshot, advantage: torch.Tensor) -> torch.Tensor:
    kept = torch.as_tensor(snapshot.buffer.kept)
    return first_epoch_advantages(advantage, kept, snapshot.minibatches, snapshot.config)


def test_influence_normalises_as_the_first_epoch_did(snapshot: Snapshot) -> None:
    advantage = torch.as_tensor(snapshot.buffer.advantage)
    found = of_first_epoch(snapshot, advantage)
    size = snapshot.config.batch_size
    for start in range(0, len(advantage), size):
        part = snapshot.minibatches[0][start : start + size]
        mean, std = advantage[part].mean(), advantage[part].std()
        torch.testing.assert_close(found[part], (advantage[part] - mean) / (std + 1e-8))


def test_influence_normalises_over_the_records_that_are_left(snapshot: Snapshot) -> None:
    """Within a minibatch the removed ones do not count; a minibatch of which nothing is left does no harm."""
    size = snapshot.config.batch_size
    gone = np.concatenate([snapshot.minibatches[0][:size], snapshot.minibatches[0][size : size + 9]])
    advantage = torch.as_tensor(snapshot.buffer.advantage)
    found = of_first_epoch(snapshot.without(gone), advantage)
    left = snapshot.minibatches[0][size + 9 : 2 * size]
    torch.testing.assert_close(found[left], normalize(advantage[left]))
    whole = snapshot.minibatches[0][2 * size : 3 * size]
    torch.testing.assert_close(found[whole], normalize(advantage[whole]))
    assert torch.isfinite(found).all()


def test_objective_by_hand() -> None:
    """Ratio 1.5 beyond the clip range 0.2, A = +-1: min(1.5, 1.2) and min(-1.5, -1.2); (V - R)^2 = 4, H as it is."""
    from engine.config import TrainConfig
    from engine.core.objective import Batch
    from engine.core.policy import Evaluation

    config = TrainConfig(env_id="x", clip_range=0.2, vf_coef=0.5, ent_coef=0.1)
    old = torch.zeros(2)
    evaluation = Evaluation(torch.full((2,), 1.5).log(), torch.tensor([0.3, 0.6]), torch.tensor([1.0, 5.0]))
    advantage, returns, kept = torch.tensor([1.0, -1.0]), torch.tensor([3.0, 3.0]), torch.tensor([True, True])
    batch = Batch(torch.zeros(2, 1), torch.zeros(2), old, advantage, returns, kept)
    terms = objective(evaluation, batch, config)
    torch.testing.assert_close(terms.actor, torch.tensor([1.2, -1.5]))
    torch.testing.assert_close(terms.critic, torch.tensor([-2.0, -2.0]))
    torch.testing.assert_close(terms.entropy, torch.tensor([0.03, 0.06]))
    for_the_critic = objective(evaluation, batch._replace(kept=torch.tensor([True, False])), config)
    torch.testing.assert_close(for_the_critic.total(), torch.tensor([1.2 - 2.0 + 0.03, -2.0]))
    torch.testing.assert_close(terms.total(), torch.tensor([-0.77, -3.44]))


@pytest.mark.parametrize(("factor", "first_step"), [(1.001, True), (0.999, False)])
def test_target_kl_stops_beyond_one_and_a_half_times(snapshot: Snapshot, factor: float, first_step: bool) -> None:
    """A buffer whose log-probabilities are all 1 too low has approximate KL e - 1 - 1 before the first step."""
    buffer = replace(snapshot.buffer, log_prob=snapshot.buffer.log_prob - 1)
    target_kl = factor * (np.e - 2) / 1.5
    stale = replace(snapshot, buffer=buffer, config=replace(snapshot.config, target_kl=target_kl))
    replayed = engine.replay(stale)
    assert (replayed.metrics.steps > 0) == first_step
    moved = any(
        not np.array_equal(replayed.checkpoint[f"parameter/{name}"], tensor)
        for name, tensor in snapshot.parameters.items()
    )
    assert moved == first_step


def test_update_calls_back_before_every_step(snapshot: Snapshot) -> None:
    calls = []
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    batch = as_batch(policy, snapshot.buffer)
    optimizer = torch.optim.SGD(policy.parameters(), lr=1e-3)
    metrics = update(policy, optimizer, batch, snapshot.minibatches, snapshot.config, on_step=lambda: calls.append(1))
    assert metrics.steps == len(calls) == 10 * 4


def test_repaired_records_train_with_their_td_errors(snapshot: Snapshot) -> None:
    """By hand: delta_t = r_t + gamma V(s_{t+1}) - V(s_t), of two steps of which one ends its episode."""
    buffer, gamma = snapshot.buffer, snapshot.config.gamma
    last = int(np.flatnonzero(buffer.terminated)[0])
    advantage = buffer.advantage.copy()
    advantage[last] = buffer.reward[last] - buffer.value[last]
    advantage[last - 1] = buffer.reward[last - 1] + gamma * buffer.value[last] - buffer.value[last - 1]
    repaired = engine.replay(snapshot, repair=[last - 1, last])
    np.testing.assert_allclose(repaired.snapshot.buffer.advantage, advantage, atol=1e-4)
    np.testing.assert_array_equal(repaired.snapshot.buffer.returns, buffer.returns)
    by_hand = replace(snapshot, buffer=repaired.snapshot.buffer)
    same_tensors(engine.replay(by_hand).checkpoint, repaired.checkpoint)
    assert differ(theta(snapshot), repaired.checkpoint)
    same_tensors(theta(snapshot, repair=[]), theta(snapshot))


def test_all_records_repaired_are_a_round_with_lambda_0(snapshot: Snapshot) -> None:
    everyone = engine.replay(snapshot, repair=snapshot.buffer.record).snapshot.buffer.advantage
    decay = snapshot.config.gamma * snapshot.config.gae_lambda
    np.testing.assert_array_equal(everyone, kind_of(snapshot).trajectories(snapshot).td_errors(decay))


def test_records_to_repair_must_be_there(snapshot: Snapshot) -> None:
    with pytest.raises(BadInputError, match="record 999 is out of range"):
        engine.replay(snapshot, repair=[999])
