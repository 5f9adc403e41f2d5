"""The published schema of the run format: it is made of the code, fits what is recorded, and refuses what is damaged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Command
from jsonschema import Draft202012Validator

from engine.cli.schema import run_format
from engine.errors import BadInputError
from engine.intervention.across import Series

ROOT = Path(__file__).resolve().parents[3]
PUBLISHED = ROOT / "docs" / "run-format.schema.json"
SCHEMA = json.loads(PUBLISHED.read_text())
RUN = "sample_runs/FrozenLake-v1"
REMOVAL = f"{RUN}/interventions/8f920f3a0e6d"


def validator(file: str) -> Draft202012Validator:
    """Of the file that the schema has under that name."""
    return Draft202012Validator({**SCHEMA["files"][file], "$defs": SCHEMA["$defs"]})


VALIDATORS = {file: validator(file) for file in SCHEMA["files"]}


def recorded() -> Iterator[tuple[Path, str]]:
    """Every JSON file of the shipped and the pinned runs that the schema says something about."""
    patterns = {re.sub("<id>|000012", "[0-9a-f]+", file): file for file in SCHEMA["files"]}
    for path in sorted(path for folder in ("sample_runs", "tests") for path in (ROOT / folder).rglob("*.json")):
        for pattern, file in patterns.items():
            if re.search(f"(^|/){pattern}$", path.as_posix()):
                yield path, file


def test_the_published_schema_is_what_the_code_makes(command: Command, tmp_path: Path) -> None:
    made = json.loads(json.dumps(run_format()))
    assert made == SCHEMA, f"make it anew: python -m engine schema --out {PUBLISHED}"
    Draft202012Validator.check_schema(SCHEMA)
    code, out, _ = command("schema", "--out", tmp_path / "schema.json")
    assert (code, out) == (0, "")
    assert (tmp_path / "schema.json").read_bytes() == PUBLISHED.read_bytes()
    code, _, err = command("schema", "--out", tmp_path / "nowhere" / "schema.json")
    assert code == 2
    assert "can't be written" in err


def test_whatever_was_recorded_fits_the_schema() -> None:
    found = list(recorded())
    assert {"run.json", "commits/000012.json", "interventions/<id>/intervention.json"} <= {file for _, file in found}
    versions = {json.loads(path.read_text())["schema_version"] for path, file in found if file == "run.json"}
    assert {1, 2, 3} <= versions
    problems = {
        path: error.message
        for path, file in found
        for error in VALIDATORS[file].iter_errors(json.loads(path.read_text()))
    }
    assert problems == {}
    assert len(found) > 200


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("path", "file", "change"),
    [
        (f"{RUN}/run.json", "run.json", lambda values: values.pop("created")),
        (f"{RUN}/run.json", "run.json", lambda values: values.update(schema_version=5)),
        (f"{RUN}/run.json", "run.json", lambda values: values.update(colour="red")),
        (f"{RUN}/run.json", "run.json", lambda values: values["config"].update(gamma=1.5)),
        (f"{RUN}/run.json", "run.json", lambda values: values["config"].update(n_steps=True)),
        (f"{RUN}/run.json", "run.json", lambda values: values["config"].update(speed=1)),
        (f"{RUN}/run.json", "run.json", lambda values: values["action_space"].update(kind="circle")),
        (f"{RUN}/run.json", "run.json", lambda values: values.update(model={"../escape": "00"})),
        (f"{RUN}/commits/000003.json", "commits/000012.json", lambda values: values.pop("sha256")),
        (f"{RUN}/commits/000003.json", "commits/000012.json", lambda values: values["files"][0].update(rows=-1)),
        (
            f"{REMOVAL}/intervention.json",
            "interventions/<id>/intervention.json",
            lambda values: values["plan"].update(seeds=4000),
        ),
        (
            f"{REMOVAL}/intervention.json",
            "interventions/<id>/intervention.json",
            lambda values: values["plan"].update(orders=1),
        ),
        (
            f"{REMOVAL}/intervention.json",
            "interventions/<id>/intervention.json",
            lambda values: values["plan"].update(removed=[]),
        ),
        (
            f"{REMOVAL}/branch/result.json",
            "interventions/<id>/branch/result.json",
            lambda values: values["original"].update(mean="high"),
        ),
        (
            f"{REMOVAL}/status.json",
            "interventions/<id>/status.json",
            lambda values: values.update(state="dancing"),
        ),
    ],
)
def test_what_is_damaged_does_not_fit(path: str, file: str, change: Change) -> None:
    values = json.loads((ROOT / path).read_text())
    assert VALIDATORS[file].is_valid(values)
    change(values)
    assert not VALIDATORS[file].is_valid(values)


@pytest.mark.parametrize(
    "change", [{"rounds": []}, {"drop_bottom": 0}, {"drop_bottom": 1.5}, {"estimator": "best"}, {"orders": 1}]
)
def test_a_series_that_is_refused_does_not_fit(change: dict[str, Any]) -> None:
    fits = Draft202012Validator({**SCHEMA["$defs"]["Series"], "$defs": SCHEMA["$defs"]}).is_valid
    values = json.loads(json.dumps(Series(rounds=(1, 3)).to_json()))
    assert fits(values)
    assert not fits(values | change)
    with pytest.raises(BadInputError):
        Series.from_json(values | change)
