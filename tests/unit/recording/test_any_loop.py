"""Loops that draw, stop and lose in ways of their own: each replayed as the loop itself trains, with and without records."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import engine
from engine.core.gradients.inner_products import inner_products
from engine.core.kind import kind_of
from engine.core.optimizer_settings import AdamSettings
from engine.core.replays.replay import intervene
from engine.core.replays.replayed_run import replay_run
from engine.core.replays.update_trace import trace_update
from engine.errors import BadInputError, DamagedRunError
from engine.recording import Loss, Recorder
from engine.store.read import Run

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "docs" / "examples"))
import loop_of_stacks as pictures
import loop_with_own_terms as own
import ppo_single_file as loop

from benchmarks.faults.made_up_rounds import stacks

N, ENVS, EPOCHS, CLIP, VF_COEF, ENT_COEF = 22, 2, 3, 0.2, 0.25, 0.01
DROPPED = [1, 4, 9]


@pytest.fixture(scope="module", autouse=True)
def allowed() -> Iterator[None]:
    before = engine.allow(packages=("ppo_single_file", "loop_with_own_terms", "loop_of_stacks"))
    yield
    engine.allow(**vars(before))


def collected(agent: nn.Module, seed: int, observation: Tensor | None = None) -> dict[str, Tensor]:
    """A round as an agent would have collected it."""
    generator = torch.Generator().manual_seed(seed)
    observation = torch.randn(N, 4, generator=generator) if observation is None else observation
    action = torch.randint(2, (N,), generator=generator)
    with torch.no_grad():
        _, log_prob, _, value = agent.act(observation, action)
    advantage = torch.randn(N, generator=generator)
    columns = {"observation": observation, "action": action, "log_prob": log_prob, "value": value}
    return columns | {"advantage": advantage, "returns": value + advantage}


def minibatches(cuts: Sequence[int], seed: int) -> list[list[Tensor]]:
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(N)[: sum(cuts)] for _ in range(EPOCHS)]
    return [list(torch.as_tensor(order).split(list(cuts))) for order in orders]


def minibatch_loss(agent: nn.Module, part: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The loss of a minibatch in a loop of one file, and its approximate KL."""
    _, log_prob, entropy, value = agent.act(part["observation"], part["action"])
    ratio = (log_prob - part["log_prob"]).exp()
    gain = (part["advantage"] - part["advantage"].mean()) / (part["advantage"].std() + 1e-8)
    policy_loss = torch.max(-gain * ratio, -gain * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
    loss = policy_loss - ENT_COEF * entropy.mean() + VF_COEF * ((value - part["returns"]) ** 2).mean()
    with torch.no_grad():
        return loss, ((ratio - 1) - (log_prob - part["log_prob"])).mean()


def update(
    agent: nn.Module,
    optimizer: torch.optim.Optimizer,
    columns: dict[str, Tensor],
    epochs: Sequence[Sequence[Tensor]],
    recorder: Recorder | None = None,
    without: Sequence[int] = (),
    loss_of: Any = minibatch_loss,
    target_kl: float = float("inf"),
    kl_stop: str = "epoch",
) -> int:
    """Train; the number of steps."""
    steps = 0
    for epoch in epochs:
        for drawn in epoch:
            rows = drawn[~torch.isin(drawn, torch.tensor(without, dtype=torch.int64))]
            if recorder is not None:
                recorder.minibatch(rows)
            loss, approx_kl = loss_of(agent, {name: column[rows] for name, column in columns.items()})
            if kl_stop == "minibatch" and approx_kl > 1.5 * target_kl:
                return steps
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()
            steps += 1
        if kl_stop == "epoch" and approx_kl > target_kl:
            break
    return steps


def begun() -> tuple[Any, torch.optim.Optimizer]:
    torch.manual_seed(3)
    agent = loop.Agent()
    return agent, torch.optim.AdamW(agent.parameters(), lr=3e-3)


def recorded(path: Path, cuts: Sequence[int], rounds: int = 2, **given: Any) -> Run:
    agent, optimizer = begun()
    declared = {"loss": Loss(vf_coef=VF_COEF, ent_coef=ENT_COEF), "rebuild": loop.make_agent, "self_test": False}
    loss_of = own.minibatch_loss if "terms" in given else minibatch_loss
    with Recorder(path, agent, optimizer, evaluate=loop.evaluate, **declared | given) as recorder:
        for k in range(rounds):
            columns = collected(agent, k) | ({"penalty": torch.rand(N)} if "terms" in given else {})
            recorder.round(**columns, reward=np.ones(N), starts=np.zeros(N), n_envs=ENVS)
            stops = {name: given[name] for name in ("target_kl", "kl_stop") if name in given}
            update(agent, optimizer, columns, minibatches(cuts, k), recorder, loss_of=loss_of, **stops)
    return engine.open_run(path)


def farthest(one: Any, other: Any) -> float:
    return max(float((tensor - other[name]).abs().max()) for name, tensor in one.items())


# Stacks of images.


def test_stacks_with_channels_last_are_kept_by_frame_and_replayed_bit_for_bit(tmp_path: Path) -> None:
    torch.manual_seed(3)
    agent = pictures.Agent()
    optimizer = torch.optim.Adam(agent.parameters(), lr=3e-3)
    declared = {"loss": Loss(vf_coef=VF_COEF, ent_coef=ENT_COEF), "rebuild": pictures.make_agent, "self_test": False}
    seen = []
    with Recorder(tmp_path / "run", agent, optimizer, evaluate=loop.evaluate, **declared) as recorder:
        for k in range(3):
            observation = torch.as_tensor(stacks(N // ENVS, ENVS, np.random.default_rng(k)))
            columns = collected(agent, k, observation)
            seen.append(observation.numpy())
            recorder.round(**columns, reward=np.ones(N), starts=np.zeros(N), n_envs=ENVS)
            update(agent, optimizer, columns, minibatches((8, 14), k), recorder)
    run = engine.open_run(tmp_path / "run")
    found = list(replay_run(run))
    assert [(each.round, each.equal) for each in found] == [(0, True), (1, True), (2, True)]
    for k, observation in enumerate(seen):
        assert run.snapshot(k).buffer.observation.tobytes() == observation.tobytes()
    for file in (run.path / "data").glob("*-records-*"):
        assert file.stat().st_size < 0.6 * seen[0].nbytes, "each frame of the noise once"


# Optimizers.


def test_an_optimizer_is_made_again_with_its_own_settings_or_refused_in_one_line(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", (8, 14), rounds=1)
    snapshot, said = run.snapshot(0), run.manifest.settings["optimizer"]
    settings = kind_of(snapshot).agent(snapshot).optimizer_settings
    assert settings == AdamSettings(learning_rate=3e-3, eps=1e-8, weight_decay=0.01, decoupled=True)
    assert run.config.optimizer == "adam"
    for wrong in ({"eps": -1.0}, {"never": 1}, {"betas": "one"}):
        forged = {**snapshot.settings, "optimizer": {**said, "arguments": {**said["arguments"], **wrong}}}
        with pytest.raises(BadInputError, match="the optimizer can't be made again") as caught:
            engine.replay(snapshot.changed(settings=forged))
        assert len(str(caught.value).splitlines()) == 1


# The recorder tests itself.


class Remembering(loop.Agent):
    """An agent that keeps what it said last, with its graph, as skrl's models do."""

    def act(self, *given: Any) -> Any:
        self.said = super().act(*given)
        return self.said


@pytest.mark.parametrize("given", [{}, {"rebuild": None}], ids=["rebuilt", "copied"])
def test_an_agent_that_keeps_its_graph_is_tested(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "Agent", Remembering)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        run = recorded(tmp_path / "run", (8, 14), rounds=1, self_test=True, **given)
    assert run.rounds[0].metrics["self_test"] == "equal bit for bit"


def test_an_agent_that_has_no_copy_is_not_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        loop.Agent, "__deepcopy__", lambda *_: (_ for _ in ()).throw(TypeError("a lock")), raising=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        run = recorded(tmp_path / "run", (8, 14), rounds=1, self_test=True, rebuild=None)
    assert run.rounds[0].metrics["self_test"] == "not made: the agent can't be copied (a lock)"


def test_what_rebuild_draws_is_not_missing_in_the_training(tmp_path: Path) -> None:
    ends = [recorded(tmp_path / str(tested), (8, 14), self_test=tested).checkpoint(2) for tested in (False, True)]
    assert all(tensor.tobytes() == ends[1][name].tobytes() for name, tensor in ends[0].items())


# Minibatches of any sizes.


@pytest.mark.parametrize("cuts", [(8, 8), (8, 14), (5, 9, 6)], ids=["drop last", "merge last", "unequal"])
def test_minibatches_of_any_sizes_are_replayed_bit_for_bit_and_without_records(
    cuts: tuple[int, ...], tmp_path: Path
) -> None:
    run = recorded(tmp_path / "run", cuts)
    assert [each.sentence for each in replay_run(run) if not each.equal] == []
    snapshot = run.snapshot(0)
    assert snapshot.config.minibatch_sizes == cuts
    agent, optimizer = begun()
    columns, epochs = collected(agent, 0), minibatches(cuts, 0)
    update(agent, optimizer, columns, epochs, without=DROPPED)
    found = engine.replay(snapshot, DROPPED).policy.state_dict()
    assert farthest(found, agent.state_dict()) <= 1e-6 < farthest(found, engine.replay(snapshot).policy.state_dict())

    steps = trace_update(snapshot).steps
    assert [step.records.tolist() for step in steps] == [rows.tolist() for epoch in epochs for rows in epoch]
    drawn = trace_update(intervene(snapshot, (), order=2)).steps
    assert [len(step.records) for step in drawn] == [*cuts] * EPOCHS
    again = trace_update(intervene(snapshot, DROPPED, mode="rebatch")).steps
    assert sum(len(step.records) for step in again[: len(cuts)]) == min(sum(cuts), N - len(DROPPED))


def test_a_record_that_no_minibatch_took_has_no_influence_along_the_update(tmp_path: Path) -> None:
    snapshot = recorded(tmp_path / "run", (8, 8), rounds=1).snapshot(0)
    never = np.setdiff1d(np.arange(N), snapshot.minibatches[:, :16])
    assert len(never)
    for estimator in ("tracin", "tracin_adam", "replay_gradient"):
        scores = engine.influence(snapshot, "return", estimator, cache=False).influence
        assert not scores[never].any()
        assert np.delete(scores, never).all()
    left = engine.influence(snapshot, "return", orders=3, cache=False).influence
    assert np.isfinite(left).all()
    assert left.all()


def test_removal_of_rounds_with_dropped_records_can_be_validated(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", (8, 8), rounds=1)
    few = engine.Measurement(subsets=6, orders=2)
    found = engine.validate(run, "return", ["tracin_adam"], round=0, how=few, pool=engine.Pool("inline"))
    assert np.isfinite(found.estimators["tracin_adam"].lds)


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ([8, 0], "minibatch_sizes[1] is 0"),
        ([8, 15], "the sum of minibatch_sizes is 23; it must be at most the 22 records of the round"),
        ("many", "minibatch_sizes is 'many'"),
    ],
)
def test_sizes_that_can_not_be_are_refused_in_one_line(said: Any, says: str, tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", (8, 8), rounds=1)
    commit = run._commits[0]
    config = {**commit.settings["config"], "minibatch_sizes": said}
    run._commits[0] = replace(commit, settings={**commit.settings, "config": config})
    with pytest.raises(DamagedRunError) as caught:
        run.snapshot(0)
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


# An update that stops early.


@pytest.mark.parametrize(("kl_stop", "taken"), [("epoch", [6, 9, 3]), ("minibatch", [3, 5, 3])])
def test_an_update_stops_where_the_loop_stopped_and_decides_anew_without_records(
    kl_stop: str, taken: list[int], tmp_path: Path
) -> None:
    stops: dict[str, Any] = {"target_kl": 0.015, "kl_stop": kl_stop}
    run = recorded(tmp_path / "run", (8, 8, 6), n_epochs=EPOCHS, **stops)
    assert [each.sentence for each in replay_run(run) if not each.equal] == []
    snapshot = run.snapshot(0)
    epochs = [[torch.as_tensor(order[a:b]) for a, b in snapshot.config.cuts(N)] for order in snapshot.minibatches]
    assert len(epochs) == EPOCHS
    for drop, steps in zip(([], DROPPED, [0, 2, 3, 5, 6, 7, 8]), taken, strict=True):
        agent, optimizer = begun()
        assert update(agent, optimizer, collected(agent, 0), epochs, without=drop, **stops) == steps
        replayed = engine.replay(snapshot, drop)
        assert replayed.metrics.steps == steps
        assert farthest(replayed.policy.state_dict(), agent.state_dict()) <= 1e-6
    assert np.isfinite(engine.influence(snapshot, "return", "replay_gradient", cache=False).influence).all()


def test_a_loop_that_stops_must_say_how_long_it_would_go_on(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="say n_epochs= beside target_kl="):
        recorded(tmp_path / "run", (8, 8, 6), target_kl=0.015)
    assert not (tmp_path / "run").exists()


def test_a_round_of_more_epochs_than_the_run_says_is_not_replayed(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", (8, 8, 6), n_epochs=EPOCHS - 1)
    assert "took 3 epochs, and run.json says 2; say n_epochs=" in run.rounds[0].metrics["not_replayable"]
    assert np.isfinite(engine.influence(run.snapshot(0), "return", cache=False).influence).all()


# A loss of one's own.

OWN: dict[str, Any] = {"loss": None, "terms": own.terms, "rebuild": own.make_agent}


@pytest.fixture(scope="module")
def with_terms(tmp_path_factory: pytest.TempPathFactory) -> Run:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the self-test has nothing to say
        return recorded(tmp_path_factory.mktemp("own") / "run", (8, 8), **OWN | {"self_test": True})


def test_a_loss_of_ones_own_is_replayed_bit_for_bit_and_without_records(with_terms: Run) -> None:
    assert with_terms.rounds[0].metrics["self_test"] == "equal bit for bit"
    assert [each.sentence for each in replay_run(with_terms) if not each.equal] == []
    snapshot = with_terms.snapshot(0)
    agent, optimizer = begun()
    columns = collected(agent, 0) | {"penalty": torch.as_tensor(snapshot.buffer.extra["penalty"]).float()}
    update(agent, optimizer, columns, minibatches((8, 8), 0), without=DROPPED, loss_of=own.minibatch_loss)
    assert farthest(engine.replay(snapshot, DROPPED).policy.state_dict(), agent.state_dict()) <= 1e-6


def test_scores_of_a_loss_of_ones_own_are_those_of_a_gradient_a_record(with_terms: Run) -> None:
    snapshot = with_terms.snapshot(0)
    agent, _ = begun()
    columns = collected(agent, 0) | {"penalty": torch.as_tensor(snapshot.buffer.extra["penalty"]).float()}
    parameters = list(agent.parameters())
    _, log_prob, _, _ = agent.act(columns["observation"], columns["action"])
    direction = torch.autograd.grad((columns["advantage"] * log_prob).mean(), parameters, materialize_grads=True)
    raw, order = columns.pop("advantage"), snapshot.minibatches[0]
    used = (raw - raw.mean()) / (raw.std() + 1e-8)  # what no minibatch of the first epoch took stays so
    for rows in (order[:8], order[8:16]):
        used[rows] = (raw[rows] - raw[rows].mean()) / (raw[rows].std() + 1e-8)
    losses = sum(own.terms(agent, advantage=used, **columns))
    expected = [
        -float(sum((g * d).sum() for g, d in zip(grads, direction, strict=True)))
        for grads in (torch.autograd.grad(loss, parameters, retain_graph=True) for loss in losses)
    ]
    found = engine.influence(snapshot, "return", "first_order", cache=False).influence
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()

    kind = kind_of(snapshot)
    policy, objective = kind.policy(snapshot), kind.objective(snapshot)
    batch = objective.at_start(kind.batch(snapshot, policy), snapshot.minibatches)
    toward = dict(zip(dict(agent.named_parameters()), direction, strict=True))
    for backend in ("jvp", "ghost", "loop"):
        products = inner_products(policy, batch, objective.of_record, toward, backend).detach().numpy()
        assert np.abs(products - expected).max() <= 1e-6 * np.abs(expected).max()


def test_influence_along_a_loss_of_ones_own_is_the_derivative_of_its_replays(with_terms: Run) -> None:
    snapshot = with_terms.snapshot(0)
    target = engine.return_target(snapshot)
    scores = engine.influence(snapshot, target, "replay_gradient", cache=False).influence
    record = int(np.abs(scores).argmax())
    ends = []
    for weight in (0.9, 1.1):
        weights = np.where(np.arange(N) == record, weight, 1)
        ends.append(float(target.value(engine.replay(snapshot, weights=weights).policy).detach()))
    assert (ends[1] - ends[0]) / 0.2 == pytest.approx(scores[record], rel=0.02)
    few = engine.Measurement(subsets=6, orders=2)
    found = engine.validate(snapshot, "return", ["tracin"], how=few, pool=engine.Pool("inline"))
    assert np.isfinite(found.estimators["tracin"].lds)


@pytest.mark.parametrize(
    ("rebuild", "says"),
    [
        (own.make_agent_alone, "must return agent, evaluate and terms"),
        (own.make_agent_with_wrong_terms, "terms must return three tensors"),
    ],
)
def test_terms_that_the_reader_does_not_get_are_asked_for_in_one_line(rebuild: Any, says: str, tmp_path: Path) -> None:
    snapshot = recorded(tmp_path / "run", (8, 8), rounds=1, **OWN | {"rebuild": rebuild}).snapshot(0)
    for asked in (engine.replay, lambda each: engine.influence(each, "return", cache=False)):
        with pytest.raises(BadInputError, match=says) as caught:
            asked(snapshot)
        assert len(str(caught.value).splitlines()) == 1


def test_a_loop_has_a_loss_or_terms(tmp_path: Path) -> None:
    for given in ({"terms": own.terms}, {"loss": None}):
        with pytest.raises(BadInputError, match="loss= or terms=, one of them"):
            recorded(tmp_path / "run", (8, 8), **given)
    agent, optimizer = begun()
    with Recorder(tmp_path / "run", agent, optimizer, evaluate=loop.evaluate, terms=own.terms) as recorder:
        columns = collected(agent, 0) | {"reward": np.ones(N), "starts": np.zeros(N), "n_envs": ENVS, "loss": Loss()}
        with pytest.raises(BadInputError, match="give what changes as a further column"):
            recorder.round(**columns)
