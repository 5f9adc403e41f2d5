"""An experiment of one's own: what its author writes, and what the machine does with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pytest

from engine.errors import BadInputError, DamagedRunError
from engine.executors import INLINE
from engine.experiments.machine import ExperimentResults, Made, finished_tasks, run

SCHEMA = pa.schema(
    {"coin": pa.string(), "hand": pa.string(), "seed": pa.int32(), "round": pa.int32(), "heads": pa.int32()}
)
HandAndCoin = tuple[str, str]


@dataclass(frozen=True)
class Toss:
    coin: str
    hand: str
    seed: int
    cost: int = 2
    folder: str = "coins"

    def __str__(self) -> str:
        return f"{self.coin} in the {self.hand}, seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Coins(ExperimentResults[HandAndCoin]):
    """Every coin is tossed with either hand, three times."""

    coins: tuple[str, ...]
    sides: int = 2

    definition, schema, nullable, columns = "coins.json", SCHEMA, (), ("hand", "coin")
    name = "coins"
    rounds = range(3)

    @classmethod
    def from_json(cls, name: str, values: Mapping[str, Any], seeds: Mapping[str, list[int]], made: list[Made]) -> Self:
        table = SCHEMA.empty_table()
        return cls(coins=tuple(values["coins"]), sides=values["sides"], seeds=seeds, made=made, table=table)

    def compared(self) -> dict[str, Any]:
        return {"coins": list(self.coins), "sides": self.sides}

    @property
    def ways(self) -> Mapping[HandAndCoin, str]:
        return {(hand, coin): coin for coin in self.coins for hand in ("left", "right")}

    def task(self, way: HandAndCoin, seed: int) -> Toss:
        hand, coin = way
        return Toss(coin, hand, seed)

    def check(self, seed: int) -> None:
        if seed > 9:
            raise BadInputError("no coin lasts that long")

    def joined(self, asked: Self) -> Self:
        self.agree("sides", self.sides, asked.sides)
        return replace(self, coins=tuple(dict.fromkeys([*self.coins, *asked.coins])))


def toss(task: Toss) -> pa.Table:
    about = {"coin": task.coin, "hand": task.hand, "seed": task.seed}
    return pa.Table.from_pylist([{**about, "round": k, "heads": task.seed + k} for k in range(3)], SCHEMA)


def asked(*coins: str, sides: int = 2) -> Coins:
    return Coins(coins=coins, sides=sides, seeds={}, made=(), table=SCHEMA.empty_table())


def tossed(experiment: Coins, seeds: Sequence[int], out: Path) -> tuple[Coins, list[str]]:
    """What is there now, and what was said of it on the way."""
    said: list[str] = []
    options: dict[str, Any] = {"made_with": {"metal": "copper"}, "pool": INLINE, "command": "toss"}
    options["report"] = lambda doing, done, total: said.append(f"{doing} ({done} of {total})")
    (found,) = run([experiment], seeds, out, toss, **options)
    return found, said


def test_what_is_missing_is_done_in_every_way_and_kept(tmp_path: Path) -> None:
    tossed(asked("penny"), [0], tmp_path)
    assert finished_tasks([asked("penny", "cent")], [0, 1], tmp_path) == (2, 8)
    found, said = tossed(asked("penny", "cent"), [0, 1], tmp_path)
    assert said[0] == "2 of 8 tasks are finished (4 of 16)"
    assert said[-1] == "cent in the right, seed 1: task 8 of 8 (16 of 16)"
    assert not any("penny in the left, seed 0" in line for line in said), "it was finished before"
    assert found.complete
    assert found.finished == {way: [0, 1] for way in found.ways}
    assert found.column(("left", "cent"), "heads").tolist() == [[0, 1, 2], [1, 2, 3]]
    assert sorted(path.name for path in (tmp_path / "coins").iterdir()) == [
        "coins.json",
        "lock",
        "results.parquet",
        "tasks",
    ]
    about = json.loads((tmp_path / "coins" / "coins.json").read_text())
    assert (about["coins"], about["seeds"]) == (["penny", "cent"], {"penny": [0, 1], "cent": [0, 1]})
    assert [made["fingerprint"] for made in about["made"]] == [{"metal": "copper"}] * 2


def test_a_task_of_each_way_has_a_file_until_all_are_there(tmp_path: Path) -> None:
    experiment = asked("old penny", "cent")
    experiment.planned(experiment, [0]).write_definition(tmp_path / "coins")
    Coins.write_task(tmp_path / "coins", toss(Toss("old penny", "left", 0)))
    assert [path.name for path in (tmp_path / "coins" / "tasks").iterdir()] == ["left-old_penny-0.parquet"]
    found = Coins.read(tmp_path / "coins")
    assert found is not None
    assert not found.complete
    assert found.finished["left", "old penny"] == [0]
    assert found.finished["right", "cent"] == []


def test_what_does_not_belong_together_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    tossed(asked("penny"), [0], tmp_path)
    before = (tmp_path / "coins" / "coins.json").read_bytes()
    with pytest.raises(
        BadInputError, match="the campaign coins that is there has sides=2, not 3; use the same settings"
    ):
        tossed(asked("penny", sides=3), [1], tmp_path)
    with pytest.raises(BadInputError, match="no coin lasts that long"):
        tossed(asked("penny"), [0, 10], tmp_path)
    with pytest.raises(BadInputError, match="there are no seeds"):
        tossed(asked("penny"), [], tmp_path)
    assert (tmp_path / "coins" / "coins.json").read_bytes() == before
    (tmp_path / "coins" / "coins.json").write_text('{"coins": ["penny"]}')
    with pytest.raises(DamagedRunError, match=r"coins\.json is damaged: it does not define a campaign"):
        Coins.read(tmp_path / "coins")


def test_rows_of_a_coin_that_is_not_in_it_are_damage(tmp_path: Path) -> None:
    tossed(asked("penny"), [0], tmp_path)
    Coins.write_task(tmp_path / "coins", toss(Toss("cent", "left", 0)))
    with pytest.raises(DamagedRunError, match="its coin 'cent' is none of penny"):
        Coins.read(tmp_path / "coins")
