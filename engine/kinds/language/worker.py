"""The process that carries out an intervention on a language model's run.

`python -m engine.kinds.language.worker FOLDER [--base PATH] [--download]`, as `engine.intervention.worker`, which knows
nothing of language models. The options are those of the person who started it, see `engine.allowed`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from engine.allowed import add_options, allow
from engine.errors import EngineError
from engine.intervention import worker
from engine.intervention.plan import Progress
from engine.kinds.language.retrain import retrain_language


def work(folder: Path, report: Progress | None = None) -> dict[str, Any]:
    """Carry out the intervention in `folder`; `intervention.worker.work` says the rest."""
    return worker.work(folder, report, carry_out=retrain_language)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m engine.kinds.language.worker")
    parser.add_argument("folder", type=Path)
    add_options(parser)
    asked = parser.parse_args()
    try:
        allow(asked.base, download=asked.download)
        work(asked.folder)
    except EngineError as problem:
        sys.exit(str(problem))
