"""HTML pages of reports that need nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jinja2

_SOFTWARE = ("python", "numpy", "torch", "gymnasium", "transformers")


HOME = "engine.experiments"
"""The package whose templates every page can extend."""


def page(template: str, home: str = HOME, **values: Any) -> str:
    """A page from a template in the package `home`."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package, ".") for package in (home, HOME)]),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(**values)


def seeds_in_words(finished: Mapping[Any, Sequence[int]]) -> str:
    """`3 seeds`, or `2 to 3 seeds` where some ways of training have more than others."""
    counts = sorted({len(seeds) for seeds in finished.values() if seeds}) or [0]
    count = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{count} seed{'' if count == '1' else 's'}"


def commands(made: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The commands that made a campaign, each once, in the order of time: `command`, and when and with which software."""
    found: dict[str, dict[str, str]] = {}
    for one in made:
        versions = [f"{name} {one['fingerprint'][name]}" for name in _SOFTWARE if name in one["fingerprint"]]
        circumstances = f"{one['when']}: {', '.join(versions)}"
        found[f"{one['when']} {one['command']}"] = {"command": one["command"], "about": circumstances}
    return [found[key] for key in sorted(found)]
