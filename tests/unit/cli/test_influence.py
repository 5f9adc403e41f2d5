"""`python -m engine influence`: what it prints, its JSON contract, bad input."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import Command, Listing, refused

import engine
from engine.store.commit import RunWriter
from engine.store.read import Run


@pytest.mark.parametrize(
    "target",
    [
        ("--target", "return"),
        ("--target", "action", "--record", 5),
        ("--target", "action", "--record", 5, "--action", 1),
        ("--target", "action", "--record", 5, "--record", 70),
        ("--target", "action", "--obs", "0.1,0,-0.1,0", "--action", 0),
    ],
)
def test_influence(command: Command, run: Path, target: tuple[object, ...], tmp_path: Path) -> None:
    outcome = command("influence", run, "--round", 1, *target, "--json", "--out", tmp_path / "scores.parquet")
    found = outcome.json
    assert {"run", "round", "target", "estimator", "orders", "record", "influence"} <= set(found)
    assert (found["run"], found["round"], found["target"]) == (str(run), 1, target[1])
    assert (found["estimator"], found["orders"]) == ("first_order", 1)
    assert found["record"] == list(range(140))
    snapshot = engine.open_run(run).snapshot(1)
    if target == ("--target", "return"):
        expected = engine.influence(snapshot, "return", cache=False).influence
        np.testing.assert_array_equal(np.float32(found["influence"]), expected)
    table = pq.read_table(tmp_path / "scores.parquet")
    assert table.column_names == ["record", "influence", "actor", "critic", "entropy"]
    about = json.loads(table.schema.metadata[b"influence"])
    assert about == {name: found[name] for name in about}
    assert about["commit"] == snapshot.hash
    np.testing.assert_array_equal(table["influence"].to_numpy(), np.float32(found["influence"]))


def test_influence_on_another_rounds_return(command: Command, run: Path) -> None:
    found = command("influence", run, "--round", 1, "--of-round", 2, "--json").json
    opened = engine.open_run(run)
    snapshot = opened.snapshot(1)
    expected = engine.influence(snapshot, engine.return_target(snapshot, opened.snapshot(2).buffer), cache=False)
    np.testing.assert_array_equal(np.float32(found["influence"]), expected.influence)
    own = command("influence", run, "--round", 1, "--of-round", 1, "--json").json
    assert own["buffer"] != found["buffer"]
    assert (found["of_round"], own["influence"]) == (
        2,
        command("influence", run, "--round", 1, "--json").json["influence"],
    )
    people = command("influence", run, "--round", 1, "--of-round", 2).out
    assert people.startswith("first_order influence on the return target over round 2's buffer, round 1 of")


@pytest.mark.parametrize("estimator", ["tracin", "tracin_adam", "replay_gradient"])
def test_influence_along_the_update(command: Command, run: Path, estimator: str) -> None:
    outcome = command("influence", run, "--round", 1, "--estimator", estimator, "--orders", 2, "--json")
    assert (outcome.json["estimator"], outcome.json["orders"]) == (estimator, 2)
    expected = engine.influence(engine.open_run(run).snapshot(1), "return", estimator, orders=2, cache=False)
    np.testing.assert_allclose(outcome.json["influence"], expected.influence, rtol=1e-5, atol=1e-9)
    assert f"{estimator} (0%" in outcome.err
    people = command("influence", run, "--round", 1, "--estimator", estimator, "--orders", 2).out
    assert people.startswith(
        f"{estimator} influence on the return target, round 1 of {run}, mean of 2 minibatch orders"
    )


def test_influence_for_people(command: Command, run: Path) -> None:
    outcome = command("influence", run, "--round", 1)
    assert outcome.code == 0
    helped, hurt = outcome.out.split("hurt most")
    scores = engine.influence(engine.open_run(run).snapshot(1), "return", cache=False).influence
    assert str(int(scores.argmax())) in helped
    assert str(int(scores.argmin())) in hurt


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--target", "value"), ("unknown target 'value'", "return")),
        (("--target", "action"), ("either a record, or an observation",)),
        (("--target", "action", "--record", 140), ("record 140 is out of range", "0 to 139")),
        (("--target", "action", "--record", -1), ("record -1 is out of range",)),
        (("--target", "action", "--record", "first"), ("--record", "integer", "--help")),
        (("--target", "action", "--record", 0, "--action", 2), ("one integer from 0 to 1",)),
        (("--target", "action", "--record", 0, "--action", "nan"), ("one integer from 0 to 1",)),
        (("--target", "action", "--obs", "1,2,3", "--action", 0), ("4 finite numbers", "pole angle")),
        (("--target", "action", "--obs", "1,2,3,inf", "--action", 0), ("4 finite numbers",)),
        (("--target", "action", "--obs", "a,b,c,d", "--action", 0), ("--obs", "numbers separated by commas")),
        (("--target", "action", "--obs", "0,0,0,0"), ("needs an action",)),
        (("--record", 3), ("belong to the action target", "--target action")),
        (("--of-round", 7), ("round 7 is not in this run", "0 to 2")),
        (("--of-round", "later"), ("--of-round", "integer", "--help")),
        (("--target", "action", "--record", 3, "--of-round", 2), ("belongs to the return target",)),
        (("--estimator", "magic"), ("unknown estimator 'magic'", "first_order")),
        (("--orders", 0), ("orders is 0", "at least 1")),
    ],
)
def test_bad_targets(
    command: Command, run: Path, arguments: tuple[object, ...], words: tuple[str, ...], listing: Listing
) -> None:
    before = listing(run)
    refused(command("influence", run, "--round", 1, *arguments), *words)
    assert listing(run) == before


def test_influence_that_can_not_be_written(command: Command, run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "nowhere" / "s.parquet", tmp_path / "file" / "s.parquet", tmp_path):
        refused(command("influence", run, "--round", 1, "--out", out), str(out), "can't be written")
    assert (tmp_path / "file").read_text() == "x"
    assert not (tmp_path / "nowhere").exists()


def test_zero_gradient_is_refused_in_words(command: Command, cartpole: Run, tmp_path: Path) -> None:
    """A round in which every advantage is 0 has nothing to attribute the return to."""
    snapshot = cartpole.snapshot(1)
    flat = replace(snapshot.buffer, advantage=np.zeros_like(snapshot.buffer.advantage))
    with RunWriter.create(tmp_path / "flat", cartpole.manifest) as writer:
        writer.commit_round(replace(snapshot, round=0, buffer=flat), {})
    for arguments in (
        ("influence", tmp_path / "flat", "--round", 0),
        ("retrain", tmp_path / "flat", "--round", 0, "--drop-bottom", 0.5, "--out", tmp_path / "w"),
        ("retrain", tmp_path / "flat", "--round", 0, "--drop-bottom", 0.5),
    ):
        refused(command(*arguments), "return target is zero", "choose another")
    assert not (tmp_path / "w").exists()
    assert not (tmp_path / "flat" / "derived").exists()
    assert command("influence", tmp_path / "flat", "--round", 0, "--target", "action", "--record", 1).code == 0


def test_a_place_that_is_no_file_is_left_as_it_is(command: Command, run: Path, tmp_path: Path) -> None:
    """A pipe or a device would be replaced by the table."""
    os.mkfifo(tmp_path / "pipe")
    refused(command("influence", run, "--round", 1, "--out", tmp_path / "pipe"), "can't be written", "no file")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("estimator", ["first_order", "tracin_adam"])
def test_influence_by_term_layer_and_episode(command: Command, run: Path, tmp_path: Path, estimator: str) -> None:
    arguments = ("influence", run, "--round", 1, "--estimator", estimator, "--by-layer", "--by-episode")
    found = command(*arguments, "--json", "--out", tmp_path / "scores.parquet").json
    whole = np.array(found["influence"])
    tolerance = 1e-5 * np.abs(whole).max()
    for parts in (found["terms"], found["layers"]):
        np.testing.assert_allclose(np.sum([*parts.values()], axis=0), whole, atol=tolerance)
    assert list(found["terms"]) == ["actor", "critic", "entropy"]
    assert list(found["layers"]) == ["actor.0", "actor.2", "actor.4", "critic.0", "critic.2", "critic.4"]
    episode = engine.open_run(run).snapshot(1).buffer.episode
    assert [row["episode"] for row in found["episodes"]] == sorted(set(episode.tolist()))
    for row in found["episodes"]:
        own = episode == row["episode"]
        assert row["records"] == own.sum()
        assert row["influence"] == pytest.approx(whole[own].sum(), abs=tolerance * 10)
        assert row["actor"] == pytest.approx(np.array(found["terms"]["actor"])[own].sum(), abs=tolerance * 10)
    columns = pq.read_table(tmp_path / "scores.parquet").column_names
    assert columns[-6:] == [f"layer {name}" for name in found["layers"]]
    people = command(*arguments).out
    assert "by layer" in people
    assert "by episode" in people
    plain = command("influence", run, "--round", 1, "--estimator", estimator, "--json").json
    assert not {"layers", "episodes"} & set(plain)


def test_what_it_says_before_it_begins(command: Command, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How long it takes, where that is long, and that replays are not exact; nothing of it where the cache answers."""
    arguments = ("influence", run, "--round", 1, "--estimator", "tracin")
    monkeypatch.setattr("engine.core.estimators.averaged_over_orders.influence_seconds", lambda *_: 95.0)
    monkeypatch.setattr("engine.core.kind.fingerprint", dict)
    said = command(*arguments).err
    assert "note: tracin takes about 95 s" in said
    assert "note: round 1 was recorded with other software or on another machine" in said
    assert "note:" not in command(*arguments).err
    assert "note:" not in command("influence", run, "--round", 1).err, "first_order replays nothing"
