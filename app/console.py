"""`snapshot-influence`: the commands of `python -m engine`, and `dashboard`."""

from __future__ import annotations

from app.__main__ import dashboard
from engine.__main__ import commands, run
from engine.cli.options import with_allowing


def main() -> None:
    """The console script."""
    app = commands()
    app.command()(with_allowing(dashboard))
    run(app, "snapshot-influence")
