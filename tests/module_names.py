"""Which modules share a name, and what they have in common."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

ONE_THING = {
    "across": "engine.intervention app.charts",
    "autopsy": "engine.cli engine.intervention app app.views app.charts",
    "behaviour": "engine.analysis engine.cli app app.views app.charts",
    "compared_runs": "engine.analysis app.charts",
    "comparison": "engine.intervention app.charts",
    "diagnose": "engine.cli app.views",
    "diagnosis": "engine.analysis app app.charts",
    "estimators": "engine.core app.charts",
    "experiments": "engine engine.cli app app.views app.charts",
    "faithfulness": "engine.core engine.experiments",
    "faultlab": "engine.cli engine.experiments",
    "films": "engine.analysis app.shell app.runs app.charts",
    "formation_map": "app.behaviour app.charts",
    "formation": "engine.analysis app.behaviour app.charts",
    "incidents": "engine.analysis engine.cli app.runs app.charts",
    "influence": "engine.core engine.cli",
    "interventions": "engine.jobs engine.cli app.views",
    "kinds": "engine app.shell",
    "loaders": "app.shell app.autopsy app.diagnosis app.experiments app.runs app.sequences",
    "notes": "engine.intervention app.removal",
    "on_records": "engine.intervention.autopsy app.removal app.charts",
    "play": "engine.intervention.autopsy app.autopsy",
    "places": "engine.analysis app.charts",
    "policy_difference": "engine.analysis app.runs app.charts",
    "read_sequences": "engine.intervention.autopsy app.autopsy",
    "records": "app app.charts",
    "retrain": "engine.intervention engine.cli",
    "rollouts": "engine.analysis app.diagnosis",
    "runs": "engine.cli app app.views",
    "scores": "engine.core app",
    "selection": "app.shell app.charts",
    "sequences": "engine.kinds.language app app.views",
    "target_controls": "app.scores app.sequences",
    "timeline": "app.views app.charts",
    "training": "engine.core engine.cli",
    "trust": "app.scores app.charts",
    "words": "engine.store app.views",
    "watched_episodes": "engine.intervention.autopsy app.autopsy",
}
"""Name -> where it stands for the same: what the engine finds, its command, its page, the parts of that page, its chart.
A page's `loaders` are its cached reads; `words` are what things are called."""
OF_EACH_KIND = {
    *("agent", "evaluation", "features", "filtering", "kind", "learner", "objective", "policy", "snapshot", "tables"),
    *("targets", "update"),
}
"""What the core or the store has for every kind of run, and a kind in its own way: `core.policy`, `kinds.language.policy`."""
ABOVE_KINDS = ("engine.core", "engine.store", "engine.analysis")


def names(root: Path) -> dict[str, set[str]]:
    """Base name -> the packages that have a module or a folder of that name; the demonstration mirrors what it uses."""
    found = defaultdict(set)
    for path in (*root.joinpath("engine").rglob("*"), *root.joinpath("app").rglob("*")):
        is_module = path.suffix == ".py" and not path.stem.startswith("__")
        if (is_module or (path.is_dir() and path.joinpath("__init__.py").exists())) and not {"courtesy", "demos"} & {
            part.removesuffix(".py") for part in path.relative_to(root).parts
        }:
            found[path.stem].add(".".join(path.relative_to(root).parent.parts))
    return found


def is_same(name: str, package: str) -> bool:
    """Whether the name stands in that package for what it stands for elsewhere, too."""
    of_a_kind = package in ABOVE_KINDS or package.startswith("engine.kinds.")
    return package in ONE_THING.get(name, "").split() or (name in OF_EACH_KIND and of_a_kind)


def two_things(root: Path) -> dict[str, set[str]]:
    """Names in several packages that nobody has said to be one thing."""
    shared = {name: where for name, where in names(root).items() if len(where) > 1}
    return {name: where for name, where in shared.items() if not all(is_same(name, package) for package in where)}
