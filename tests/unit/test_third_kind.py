"""A third kind of run gets everything from the core by one line in the registry: `toy_kind` is all that there is of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_kind
from commands import Command, refused
from deadlines import wait_until
from toy_kind import Casino, Softmax, ToyKind, ToySettings, policy_gradient
from worlds import same_tensors

import engine
from engine import known_kinds
from engine.config import TrainConfig
from engine.core.agent import PolicyAgent
from engine.core.checkpoint import restore_optimizer
from engine.core.estimators.along_the_update import back_propagate
from engine.core.estimators.registry import ESTIMATORS
from engine.core.faithfulness.kept_validations import read_validation
from engine.core.gradients.derivatives import TorchDerivatives
from engine.core.influence import read_influence
from engine.core.replays.update_trace import trace_update
from engine.core.update import as_batch
from engine.errors import BadInputError, DamagedRunError
from engine.executors import INLINE
from engine.intervention.across import series_of
from engine.intervention.plan import Intervention
from engine.jobs import calculations
from engine.jobs.calculations import Calculation
from engine.jobs.folder import read_status
from engine.jobs.interventions import create_job, read_job
from engine.jobs.questions import Influence, JobQuestion, Validate
from engine.jobs.series import create_series, read_series
from engine.jobs.work import work_in, work_series
from engine.store.read import Run
from engine.store.transfer.export import export_run

CONFIG = TrainConfig(
    env_id="bandit", rounds=4, n_steps=48, batch_size=16, n_epochs=2, learning_rate=0.05, path="torch", seed=3
)
SETTINGS = ToySettings(CONFIG, noise=0.2)
RETURN = {"target": "return", "about": None}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Four rounds of 48 plays; three minibatches an epoch."""
    return engine.train(SETTINGS, tmp_path_factory.mktemp("toy") / "run")


@pytest.fixture
def toy(recorded: Run, tmp_path: Path) -> Run:
    """A copy that a test may write to."""
    shutil.copytree(recorded.path, tmp_path / "toy", ignore=shutil.ignore_patterns("derived", "interventions"))
    return engine.open_run(tmp_path / "toy")


# Trained, recorded, read back.


def test_it_learns_and_comes_back_as_what_it_is(recorded: Run) -> None:
    returns = [info.metrics["mean_return"] for info in recorded.rounds]
    assert returns[-1] > returns[0] + 0.5
    told = json.loads((recorded.path / "run.json").read_text())
    assert (told["kind"], told["settings"], told["schema_version"]) == ("toy", {"noise": 0.2}, 4)
    snapshot = recorded.snapshot(2)
    assert (recorded.kind, snapshot.kind, snapshot.settings) == ("toy", "toy", {"noise": 0.2})
    assert repr(snapshot).startswith("ToySnapshot(")
    assert recorded.stored_rounds == [0, 1, 2, 3]


def test_an_interrupted_run_goes_on_bit_for_bit(recorded: Run, tmp_path: Path) -> None:
    for snapshot in engine.rounds(SETTINGS, tmp_path / "run"):
        if snapshot.round == 2:
            break
    run = engine.train(SETTINGS, tmp_path / "run", resume=True)
    same_tensors(run.checkpoint(4), recorded.checkpoint(4))
    same_tensors(vars(run.snapshot(3).buffer), vars(recorded.snapshot(3).buffer))


def test_it_is_resumed_with_its_own_settings_only(toy: Run) -> None:
    with pytest.raises(BadInputError, match=r"started with noise=0\.2, not 0\.3"):
        engine.train(ToySettings(CONFIG, noise=0.3), toy.path, resume=True)
    with pytest.raises(BadInputError, match="of the kind toy, and these are settings of the kind control"):
        engine.train(replace(CONFIG, env_id="CartPole-v1"), toy.path, resume=True)


def test_every_byte_is_verified_and_a_flipped_one_is_named(toy: Run) -> None:
    assert engine.verify_run(toy.path) == []
    files = sorted((toy.path / "data").iterdir())
    assert len(files) == 4 * 3 + 1
    for file in files[:4]:
        data = file.read_bytes()
        file.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
        assert [damage.file for damage in engine.verify_run(toy.path)] == [f"data/{file.name}"]
        file.write_bytes(data)
    files[1].unlink()
    with pytest.raises(DamagedRunError, match=files[1].name):
        toy.snapshot(0)


def test_a_thinned_copy_keeps_some_rounds_and_all_metrics(recorded: Run, tmp_path: Path) -> None:
    copy = export_run(recorded.path, tmp_path / "thin", [1])
    assert (copy.kind, copy.stored_rounds, len(copy.rounds)) == ("toy", [1], 4)
    same_tensors(vars(copy.snapshot(1).buffer), vars(recorded.snapshot(1).buffer))
    assert engine.verify_run(copy.path) == []


def test_a_filter_trains_on_a_part_of_each_round(tmp_path: Path) -> None:
    settings = ToySettings(replace(CONFIG, filter="iif", drop=0.5))
    run = engine.train(settings, tmp_path / "run")
    snapshot = run.snapshot(1)
    dropped = np.flatnonzero(~snapshot.buffer.kept)
    assert len(dropped) == snapshot.metrics["dropped"] > 0
    whole = snapshot.changed(buffer=replace(snapshot.buffer, kept=np.ones(48, bool)))
    scores = engine.influence(whole).influence
    assert scores[dropped].max() < 0
    assert len(dropped) == (scores < 0).sum() // 2
    with pytest.raises(BadInputError, match="filter is td_error; runs of this kind have none, iif, random, reestimate"):
        engine.train(ToySettings(replace(CONFIG, filter="td_error")), tmp_path / "other")
    with pytest.raises(BadInputError, match="nothing is known of how advantages of the kind toy follow"):
        engine.train(ToySettings(replace(CONFIG, filter="reestimate")), tmp_path / "repaired")


# Replayed and attributed.


def test_with_nothing_removed_a_replay_has_the_recorded_bits(recorded: Run) -> None:
    for k in recorded.stored_rounds:
        replayed, following = engine.replay(recorded.snapshot(k)).checkpoint, recorded.checkpoint(k + 1)
        same_tensors(replayed, {name: following[name] for name in replayed})


def test_a_removed_record_is_as_if_it_weighed_nothing(recorded: Run) -> None:
    snapshot, weights = recorded.snapshot(1), np.ones(48)
    without = engine.replay(snapshot, drop=[4, 17])
    assert without.metrics.steps == 6
    weights[[4, 17]] = 1e-7
    light = engine.replay(snapshot, weights=weights).checkpoint
    for name, tensor in without.checkpoint.items():
        np.testing.assert_allclose(light[name], tensor, rtol=2e-4, atol=1e-6)
    assert not np.array_equal(
        without.checkpoint["parameter/logits.weight"], recorded.checkpoint(2)["parameter/logits.weight"]
    )


def test_first_order_is_the_inner_product_of_gradients_written_down(recorded: Run) -> None:
    """The gradient of a linear softmax: grad log pi(a|s) = (e_a - pi(s)) x (s, 1)."""
    snapshot = recorded.snapshot(2)
    buffer, theta = snapshot.buffer, snapshot.parameters
    features = np.c_[buffer.observation, np.ones(48)].astype(np.float64)
    logits = features @ np.c_[theta["logits.weight"], theta["logits.bias"]].T
    pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    gradients = ((np.eye(3)[buffer.action] - pi)[:, :, None] * features[:, None]).reshape(48, -1)
    advantage = np.zeros(48)
    for part in snapshot.minibatches[0].reshape(3, 16):
        of_part = buffer.advantage[part].astype(np.float64)
        advantage[part] = (of_part - of_part.mean()) / (of_part.std(ddof=1) + 1e-8)
    of_return = (buffer.advantage[:, None] * gradients).mean(0)
    expected = advantage * (gradients @ of_return)
    scores = engine.influence(snapshot, "return", cache=False)
    np.testing.assert_allclose(scores.influence, expected, rtol=1e-4, atol=1e-6)
    of_action = engine.influence(snapshot, engine.action_target(snapshot, record=5), cache=False)
    np.testing.assert_allclose(of_action.influence, advantage * (gradients @ gradients[5]), rtol=1e-4, atol=1e-6)


def in_double(snapshot: Any) -> PolicyAgent:
    """The round's agent in float64."""
    policy = Softmax().load(snapshot.parameters).double()
    wide = {
        name: tensor if "/step/" in name else tensor.astype(np.float64)
        for name, tensor in snapshot.checkpoint.items()
        if tensor.dtype.kind == "f"
    }
    return PolicyAgent(snapshot.config, policy, restore_optimizer(policy, snapshot.config, wide), policy_gradient)


def test_replay_gradient_is_the_derivative_of_the_update_in_a_records_weight(recorded: Run) -> None:
    snapshot = recorded.snapshot(2).without([0, 1])
    target = engine.action_target(snapshot, record=5)
    policy = in_double(snapshot).policy
    derivatives = TorchDerivatives(policy, as_batch(policy, snapshot.buffer), ToyKind().objective(snapshot))
    exact = back_propagate(snapshot, trace_update(snapshot, in_double(snapshot)), target, derivatives).sum((0, 1))

    def after(i: int, weight: float) -> float:
        agent, weights = in_double(snapshot), np.ones(48)
        weights[i] = weight
        agent.update(snapshot.buffer, snapshot.minibatches, weights=weights)
        return float(target.value(agent.policy).detach())

    assert not exact[:2].any()
    for i in np.argsort(-np.abs(exact))[[0, 5, 20, 40]].tolist():
        assert (after(i, 1 + 1e-5) - after(i, 1 - 1e-5)) / 2e-5 == pytest.approx(exact[i], rel=1e-5)
    scores = engine.influence(snapshot, target, "replay_gradient").influence
    np.testing.assert_allclose(scores, exact, rtol=1e-3, atol=1e-6 * np.abs(exact).max())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_says_terms_layers_and_orders_and_is_kept(toy: Run, estimator: str) -> None:
    snapshot = toy.snapshot(1)
    assert read_influence(snapshot, "return", estimator, by_layer=True) is None
    scores = engine.influence(snapshot, "return", estimator, by_layer=True)
    assert np.isfinite(scores.influence).all()
    assert scores.influence.any()
    for parts in (scores.terms, scores.layers):
        np.testing.assert_allclose(sum(parts.values()), scores.influence, atol=1e-6)
    assert set(scores.layers) == {"logits"}
    assert not scores.terms["critic"].any(), "there is none"
    kept = read_influence(snapshot, "return", estimator, by_layer=True)
    assert kept is not None
    np.testing.assert_array_equal(kept.influence, scores.influence)
    assert not engine.influence(snapshot.without([7]), "return", estimator, cache=False).influence[7]


def test_influence_is_averaged_over_minibatch_orders(recorded: Run) -> None:
    snapshot = recorded.snapshot(1)
    first = engine.influence(snapshot, "return", "tracin", cache=False).influence
    both = engine.influence(snapshot, "return", "tracin", orders=2, cache=False)
    assert both.orders == 2
    assert 0 < np.abs(both.influence - first).max() < np.abs(first).max()


def test_the_return_of_another_round_and_typed_states_are_targets(recorded: Run) -> None:
    snapshot = recorded.snapshot(0)
    later = engine.return_target(snapshot, recorded.snapshot(3).buffer)
    assert engine.influence(snapshot, later, cache=False).influence.any()
    typed = engine.action_target(snapshot, observation=[0, 2], action=1)
    scores = engine.influence(snapshot, typed, cache=False).influence
    paid = (snapshot.buffer.action == 1) & (snapshot.buffer.observation[:, 1] > 1)
    assert paid.sum() > 1
    assert (scores[paid] > 0).all(), "plays of arm 1 that were paid well, in such contexts, made it likelier"
    matrix = engine.influence_on_each(snapshot, engine.action_target(snapshot, record=[3, 8]))
    one = engine.influence(snapshot, engine.action_target(snapshot, record=8), cache=False).influence
    np.testing.assert_allclose(matrix[1], one, rtol=1e-6)


# Checked and intervened in.


def test_validation_really_replays(toy: Run) -> None:
    snapshot = toy.snapshot(1)
    found = engine.validate(
        snapshot, estimators=["first_order", "tracin_adam"], subsets=12, orders=4, executor="inline"
    )
    assert (found.subsets, found.orders, found.null_exact) == (12, 4, True)
    assert set(found.estimators) == {"first_order", "tracin_adam"}
    assert found.estimators["tracin_adam"].lds > 0.3
    assert engine.validate(snapshot, executor="inline").subsets == ToyKind.effort.subsets


def test_retraining_compares_with_a_control_and_collects_anew(toy: Run, tmp_path: Path) -> None:
    snapshot = toy.snapshot(1)
    scores = engine.influence(snapshot, estimator="tracin_adam").influence
    drop = np.argsort(scores)[-16:]
    out = tmp_path / "without"
    outcome = engine.retrain(toy, 1, drop, out, orders=2, episodes=32, continue_rounds=2, seeds=2)
    assert (outcome.records, sorted(outcome.removed)) == (48, sorted(drop.tolist()))
    assert outcome.verdict in ("worse", "better", "within noise")
    returns = [
        Casino(0.2).returns(engine.replay(snapshot, drop, order=order).agent, order, 16).mean() for order in range(2)
    ]
    assert outcome.counterfactual.mean == pytest.approx(np.mean(returns))
    assert outcome.counterfactual.mean < outcome.original.mean, "the best plays went"
    again = outcome.recollected
    assert (again.seeds, again.rounds, set(vars(again.curves))) == (
        2,
        [2, 3],
        {"original", "counterfactual", "control"},
    )
    branch = engine.open_run(out)
    assert (branch.kind, branch.manifest.parent.run, len(branch.rounds)) == ("toy", "toy", 3)
    assert engine.verify_run(out) == []
    # The first seed of the counterfactual is the recorded branch, evaluated where it ended.
    last = branch.snapshot(3)
    ended = Softmax().load(replace(last, checkpoint=branch.checkpoint(4)).parameters)
    agent = PolicyAgent(last.config, ended, None)  # type: ignore[arg-type]
    assert again.seed_means.counterfactual[0] == pytest.approx(Casino(0.2).returns(agent, 0, 16).mean())
    for k in branch.stored_rounds[1:]:
        replayed = engine.replay(branch.snapshot(k)).checkpoint
        same_tensors(replayed, {name: branch.checkpoint(k + 1)[name] for name in replayed})


# In the background. A worker's own process would not know a kind that only these tests register.


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are this process."""
    monkeypatch.setattr(calculations, "launch", partial(work_in, pool=INLINE))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "question",
    [
        Influence(round=1, target=RETURN, estimator="tracin", orders=2),
        Validate(round=1, target=RETURN, estimators=("first_order",), subsets=4, orders=2),
    ],
    ids=lambda question: question.word,
)
def test_calculations_run_as_jobs(toy: Run, question: JobQuestion) -> None:
    job = Calculation(toy, question)
    job.start()
    assert read_status(job.folder).state == "done"
    assert (job.complaint, job.asked) == ("", question)
    snapshot = toy.snapshot(1)
    if isinstance(question, Influence):
        assert read_influence(snapshot, "return", "tracin", orders=2) is not None
    else:
        kept = read_validation(snapshot, "return")
        assert kept is not None
        assert (kept.subsets, kept.orders) == (4, 2)


@pytest.mark.long
def test_a_worker_that_does_not_know_the_kind_says_so(toy: Run) -> None:
    job = Calculation(toy, Influence(round=1, target=RETURN, estimator="tracin"))
    job.start()
    wait_until(lambda: not job.running)
    assert "of the kind 'toy', which is not known here" in job.complaint


def test_a_removal_runs_as_a_job(toy: Run) -> None:
    plan = Intervention(round=1, removed=(3, 5), orders=2, episodes=8)
    job, _ = create_job(toy, toy.snapshot(1), plan, {})
    work_in(job.folder)
    done = read_job(job.folder)
    assert done is not None
    assert done.state == "done"
    assert done.result is not None
    assert done.result["removed"] == [3, 5]


def test_a_removal_at_every_round_runs_as_a_job(toy: Run) -> None:
    job, _ = create_series(toy, series_of(toy, drop_bottom=0.5, orders=2, episodes=8))
    result = work_series(toy, job.folder, pool=INLINE)
    assert [found["round"] for found in result["rounds"]] == [0, 1, 2, 3]
    done = read_series(job.folder)
    assert done is not None
    assert done.state == "done"


# Commands.


def test_commands_take_it_as_any_other(toy: Run, command: Command) -> None:
    about = toy.path, "--round", "1"
    scores = command("influence", *about, "--estimator", "tracin_adam", "--by-layer", "--json").json
    assert len(scores["influence"]) == 48
    assert set(scores["layers"]) == {"logits"}
    listed = command("influence", *about, "--target", "action", "--obs", "0,2", "--action", "north")
    assert listed.code == 0
    assert "state 0, 2, action north" in listed.out
    checked = command("validate", *about, "--subsets", "6", "--orders", "2", "--executor", "inline", "--json").json
    assert (checked["subsets"], checked["orders"], list(checked["estimators"])) == (6, 2, ["first_order"])
    removed = command("retrain", *about, "--drop-bottom", "0.5", "--orders", "2", "--evaluate", "8", "--json").json
    assert removed["verdict"]
    shown = command("show", toy.path, "--json").json
    assert (shown["kind"], shown["settings"], len(shown["rounds"])) == ("toy", {"noise": 0.2}, 4)
    assert "noise=0.2" in command("show", toy.path).out
    assert command("verify", toy.path).code == 0
    assert [run["kind"] for run in command("runs", toy.path.parent, "--json").json if run["run"] == str(toy.path)] == [
        "toy"
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target", "action", "--record", "3", "--tokens", "0:1"), "tokens"),
        (("--by-episode",), "belong to nothing"),
        (("--target", "sequence"), "must be return or action"),
        (("--target", "action", "--obs", "1,2,3", "--action", "north"), "2 finite numbers"),
        (("--target", "action", "--record", "3", "--action", "up"), "east, north, south-west"),
    ],
)
def test_questions_that_make_no_sense_end_in_one_line(
    toy: Run, command: Command, options: tuple[str, ...], words: str
) -> None:
    refused(command("influence", toy.path, "--round", "1", *options), words)


def test_what_it_can_not_do_is_said_in_words(toy: Run, command: Command, tmp_path: Path) -> None:
    refused(command("validate", toy.path, "--round", "1", "--device", "cuda"), "CPU only")
    with pytest.raises(BadInputError, match="a run of the kind toy has no use for reward_model"):
        engine.train(SETTINGS, tmp_path / "run", reward_model=print)
    assert not (tmp_path / "run").exists()
    with pytest.raises(BadInputError, match="a run of the kind toy has no use for reward_model"):
        engine.retrain(toy, 1, [3], tmp_path / "without", reward_model=print)
    with pytest.raises(BadInputError, match="a record goes from the whole update in a run of the kind toy"):
        toy.snapshot(1).without([1], actor_only=True)
    with pytest.raises(BadInputError, match="this is a run of the kind toy, and the round one of the kind control"):
        _write_foreign_round(toy, tmp_path)


def _write_foreign_round(toy: Run, tmp_path: Path) -> None:
    control = next(engine.rounds(engine.preset("FrozenLake-v1", "v0.1", rounds=1, n_steps=64), tmp_path / "control"))
    with engine.store.commit.RunWriter.create(tmp_path / "mixed", toy.manifest) as writer:
        writer.commit_round(control, {})


# Where it is not known.


def test_a_kind_that_is_not_known_here_is_refused_in_one_line_and_its_bytes_are_still_verified(
    toy: Run, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(known_kinds._KINDS, "toy")
    run = engine.open_run(toy.path)
    assert (run.kind, len(run.rounds)) == ("toy", 4)
    with pytest.raises(
        BadInputError, match="this run is of the kind 'toy', which is not known here; there is control, "
    ):
        run.snapshot(1)
    refused(command("influence", toy.path, "--round", "1"), "'toy', which is not known here")
    refused(command("retrain", toy.path, "--round", "1", "--drop-bottom", "1"), "'toy', which is not known here")
    assert command("show", toy.path).code == 0
    assert command("runs", toy.path.parent).code == 0
    assert command("verify", toy.path).code == 0
    file = next((toy.path / "data").glob("000002-records-*"))
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    broken = command("verify", toy.path, "--json")
    assert (broken.code, [damage["file"] for damage in broken.json["damaged"]]) == (1, [f"data/{file.name}"])


def test_all_there_is_of_it_is_short() -> None:
    lines = Path(toy_kind.__file__).read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.lstrip().startswith(('"""', "from ", "import "))]
    assert len(code) < 130
