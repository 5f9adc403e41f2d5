"""Every command takes the address of a run where it takes its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command, refused
from object_store import At

SMALL = ("--rounds", "2", "--set", "n_steps=64", "--set", "batch_size=32", "--set", "n_epochs=2")


@pytest.mark.long
def test_a_run_in_a_store_goes_through_the_commands(
    bucket: At, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = bucket("all/mine")
    monkeypatch.chdir(tmp_path)
    assert command("train", "CartPole-v1", "--preset", "default", *SMALL, "--out", address).code == 0
    refused(
        command("train", "CartPole-v1", "--preset", "default", *SMALL, "--out", address), address, "holds a run already"
    )
    monkeypatch.setenv("SNAPSHOT_INFLUENCE_COPIES", str(tmp_path / "another machine"))
    assert [run["run"] for run in command("runs", bucket("all"), "--json").json] == [address]
    shown = command("show", address, "--json").json
    assert (shown["run"], shown["committed_rounds"], shown["finished"]) == (address, 2, True)
    assert command("show", str(Path(address)), "--json").json == shown, "a path has one slash where an address has two"
    assert f"{address}: every byte is as it was committed" in command("verify", address).out
    assert command("verify", address, "--new", "--json").json == {"ok": True, "damaged": [], "passed_over": 0}
    scores = command("influence", address, "--round", "1", "--target", "return", "--json").json
    removed = ("--round", "1", "--drop-bottom", "0.5", "--orders", "2", "--evaluate", "2", "--json")
    outcome = command("retrain", address, *removed, "--out", bucket("branch"))
    assert outcome.code == 0, outcome
    assert command("show", bucket("branch"), "--json").json["parent"]["run"] == "mine"
    assert command("export", address, "--out", bucket("thin"), "--rounds", "1").code == 0
    assert command("export", address, "--archive", "mine.tar").code == 0
    assert command("import", bucket("thin"), "--into", "here", "--name", "thin").code == 0
    kept = command("show", "here/thin", "--json").json
    assert [each["stored"] for each in kept["rounds"]] == [False, True]
    assert (
        command("influence", "here/thin", "--round", "1", "--target", "return", "--json").json["influence"]
        == (scores["influence"])
    )
    assert {path.name for path in tmp_path.iterdir()} == {"another machine", "copies", "here", "mine.tar"}


def test_what_is_no_run_s_is_refused_in_one_line(bucket: At, command: Command, tmp_path: Path) -> None:
    refused(command("show", bucket("nothing")), "s3://", "is not a run")
    refused(command("show", "s3://"), "names no bucket; it must look like s3://BUCKET/RUN")
    refused(command("import", bucket("nothing"), "--into", str(tmp_path)), "s3://", "is not a run")
    where = "an object store holds runs and nothing else here; name a folder"
    refused(command("import", "sample_runs/FrozenLake-v1", "--into", bucket("all")), where)
    refused(command("export", "sample_runs/FrozenLake-v1", "--archive", bucket("run.tar")), where)
    assert "no runs under s3://" in command("runs", bucket("nothing")).out
