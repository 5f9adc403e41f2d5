"""HTML pages of reports that need nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def commands(made: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The commands that made a campaign, each once, in the order of time: `command`, and when and with which software."""
    found: dict[str, dict[str, str]] = {}
    for one in made:
        versions = [f"{name} {one['fingerprint'][name]}" for name in _SOFTWARE if name in one["fingerprint"]]
        circumstances = f"{one['when']}: {', '.join(versions)}"
        found[f"{one['when']} {one['command']}"] = {"command": one["command"], "about": circumstances}
    return [found[key] for key in sorted(found)]
