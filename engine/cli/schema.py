"""`python -m engine schema`: the run format as a JSON schema, made of the types that the files are read as."""

from __future__ import annotations

import ast
import json
import re
import sys
from inspect import cleandoc, getsource
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from engine.errors import BadInputError
from engine.typed import LARGEST

SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def schema(
    out: Annotated[Path | None, typer.Option(help="File to write it into; by default it is printed.")] = None,
) -> None:
    """Print the JSON schema of a run's files, as docs/run-format.schema.json has it."""
    text = json.dumps(run_format(), indent=1, ensure_ascii=False) + "\n"
    if out is None:
        print(text, end="")
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInputError(
            f"{out} can't be written ({error.strerror}); name a file in a folder that is there"
        ) from None


def run_format() -> dict[str, Any]:
    """The schema. Its `files` says which of its `$defs` each file is; what `validate --json` prints is a `WrittenValidation`.

    >>> run_format()["files"]["commits/000012.json"]
    {'$ref': '#/$defs/Commit'}
    """
    from engine.config import TrainConfig
    from engine.config_language import LanguageConfig
    from engine.core.faithfulness.result import WrittenValidation
    from engine.core.targets.question import PlainTarget
    from engine.intervention.across import Series
    from engine.intervention.notes import Note
    from engine.intervention.outcome import Result, RoundOutcome, SkippedRound, UnplayedResult
    from engine.intervention.plan import WrittenPlan
    from engine.intervention.record_sets import WrittenSets
    from engine.jobs.folder import Status
    from engine.jobs.interventions import WrittenIntervention
    from engine.jobs.questions import Autopsy, Diagnose, Influence, Replay, Validate, WrittenQuestion
    from engine.jobs.series import WrittenSeries
    from engine.spaces import Space
    from engine.store.chain import Commit
    from engine.store.manifest import DEFAULTS, RunManifest
    from engine.store.run_notes import RunNotes

    each = {
        "run.json": (RunManifest,),
        "commits/000012.json": (Commit,),
        "basket/000012.json": (WrittenSets,),
        "notes/about.json": (RunNotes,),
        "interventions/<id>/intervention.json": (WrittenIntervention,),
        "interventions/<id>/status.json": (Status,),
        "interventions/<id>/note.json": (Note,),
        "interventions/<id>/branch/result.json": (Result, UnplayedResult),
        "interventions/across/<id>/series.json": (WrittenSeries,),
        "interventions/across/<id>/rounds/000012.json": (RoundOutcome, SkippedRound),
        "derived/jobs/<id>/job.json": (WrittenQuestion,),
    }
    within = (WrittenValidation, PlainTarget, WrittenPlan, Influence, Validate, Diagnose, Replay, Autopsy)
    types = [*(kind for kinds in each.values() for kind in kinds), *within]
    refs, defs = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    ref = dict(zip(types, refs, strict=True))
    results = {Result, UnplayedResult, RoundOutcome, SkippedRound}
    open_ended = {WrittenValidation, WrittenIntervention, WrittenSets, Status, Note, RunNotes} | results
    strict = _named_within([ref[kind] for kind in types if kind not in open_ended], defs)
    said = _descriptions({kind.__module__ for kind in (*types, TrainConfig, LanguageConfig, Space, Series)})
    for name, found in defs.items():
        found["description"] = cleandoc(found.get("description", "")).partition("\n\n")[0].replace("\n", " ")
        found.pop("title")
        if name in strict:
            found["additionalProperties"] = False
        for field, value in found["properties"].items():
            value.update({"description": said[name, field]} if (name, field) in said else {})
    manifest = defs["RunManifest"]
    manifest["required"] = [field for field in manifest["properties"] if field not in DEFAULTS]
    for kinds in each.values():
        for sealed in (defs[kind.__name__] for kind in kinds if kind is not RunManifest):
            sealed["properties"] = {**sealed["properties"], "sha256": SHA256}
    defs["Commit"]["required"].append("sha256")
    defs["WrittenQuestion"]["properties"]["question"] = {
        "anyOf": [ref[kind] for kind in (Influence, Validate, Diagnose, Replay, Autopsy)]
    }
    files = {
        file: ref[kinds[0]] if len(kinds) == 1 else {"anyOf": [ref[k] for k in kinds]} for file, kinds in each.items()
    }
    found = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The files of a run",
        "description": "docs/run-format.md says what they are for. Rules between fields, and hashes, are not in here.",
        "files": files,
        "$defs": defs,
    }
    return _finite(
        json.loads(re.sub(r'Arms_list_([^"]+)', lambda match: f"ArmsOf{_last(match[1])}", json.dumps(found)))
    )


def _last(name: str) -> str:
    """`engine.intervention.outcome.Point__` -> `Points`; numbers that may be null are `Bounds`, others `Numbers`."""
    return (
        "Bounds" if "Optional" in name else "Numbers" if "float" in name else f"{name.rpartition('.')[2].strip('_')}s"
    )


def _finite(value: Any) -> Any:
    """Without the bounds that only keep infinity out, which JSON has no word for."""
    if isinstance(value, dict):
        bounds = ("minimum", "maximum")
        return {name: _finite(one) for name, one in value.items() if name not in bounds or abs(one) != LARGEST}
    return [_finite(one) for one in value] if isinstance(value, list) else value


def _named_within(refs: Any, defs: dict[str, Any]) -> set[str]:
    """The names of all that these lead to."""
    found: set[str] = set()
    waiting = [refs]
    while waiting:
        names = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(waiting.pop()))) - found
        found |= names
        waiting += [defs[name] for name in names]
    return found


def _descriptions(modules: set[str]) -> dict[tuple[str, str], str]:
    """What the text below each field of each type says, by the type's name and the field's."""
    sources = [getsource(sys.modules[module]) for module in sorted(modules)]
    classes = [node for source in sources for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    own = {(node.name, field): text for node in classes for field, text in _texts(node)}
    inherited = {
        (node.name, field): text
        for node in classes
        for base in node.bases
        for (name, field), text in own.items()
        if isinstance(base, ast.Name) and base.id == name
    }
    return inherited | own


def _texts(node: ast.ClassDef) -> list[tuple[str, str]]:
    """The fields of a class that have a text below them."""
    return [
        (field.target.id, " ".join(str(text.value.value).split()))
        for field, text in zip(node.body, node.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    ]
