"""The process that carries out an intervention on a language model's run: `python -m engine.rlhf.worker FOLDER`.

As `engine.intervention.worker`, which knows nothing of language models.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.intervention import worker
from engine.intervention.plan import Progress
from engine.rlhf.retrain import retrain_language


def work(folder: Path, report: Progress | None = None) -> dict[str, Any]:
    """Carry out the intervention in `folder`; `intervention.worker.work` says the rest."""
    return worker.work(folder, report, carry_out=retrain_language)


if __name__ == "__main__":
    try:
        work(Path(sys.argv[1]))
    except EngineError as problem:
        sys.exit(str(problem))
