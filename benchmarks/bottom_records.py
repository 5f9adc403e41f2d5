"""Fig. 3 of the paper on a recorded run: `python -m benchmarks.bottom_records RUN --out FILE.json`.

For every recorded round and some estimators: the rank correlation of influence on the return with A-bar x A-hat, and how often
A-hat has the wrong sign among the bottom records and among the rest.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import engine
from engine.analysis.diagnosis import FRACTION, Diagnosis
from engine.analysis.features import MISMATCH, PRODUCT
from engine.analysis.rollout_advantages import ROLLOUTS
from engine.core.checkpoint import fingerprint
from engine.store.documents import write_json
from engine.terminal import print_table, progress

REACHED = 0.6
"""The rank correlation that the paper's figure shows."""


def main() -> None:
    """Diagnose every round and write what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bottom_records", description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--estimators", nargs="+", default=["first_order", "tracin"], metavar="NAME")
    arguments = parser.parse_args()
    run = engine.open_run(arguments.run)
    rounds = []
    with progress() as report:
        for done, number in enumerate(run.stored_rounds):
            report(f"round {number}", done, len(run.stored_rounds))
            snapshot = run.snapshot(number)
            found = {name: engine.diagnose(snapshot, estimator=name) for name in arguments.estimators}
            estimated = next(iter(found.values())).estimated
            rounds.append(
                {
                    "round": number,
                    "mean_return": snapshot.metrics["mean_return"],
                    "reliability": None if estimated is None else rounded(estimated.reliability),
                    "estimators": {name: numbers(each) for name, each in found.items()},
                }
            )
    command = f"python -m benchmarks.bottom_records {arguments.run} --out {arguments.out}"
    if arguments.estimators != parser.get_default("estimators"):
        command += " --estimators " + " ".join(arguments.estimators)
    reached = {
        name: [each["round"] for each in rounds if (each["estimators"][name]["correlation"]["value"] or 0) >= REACHED]
        for name in arguments.estimators
    }
    result = {
        "command": command,
        "env_id": run.manifest.env_id,
        "target": "return",
        "correlation": "Spearman's, of influence with A-bar x A-hat, over the round's records; 95 % bootstrap over episodes",
        "sign": "positive: a record whose A-hat has the wrong sign (A-bar x A-hat < 0) lowers the return target",
        "rollouts": ROLLOUTS,
        "bottom_fraction": FRACTION,
        "software": fingerprint(),
        "reached": {"at_least": REACHED, "rounds": reached},
        "rounds": rounds,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(arguments.out, result)
    print_table(
        ("round", "mean return", *arguments.estimators),
        [
            (each["round"], each["mean_return"], *(e["correlation"]["value"] for e in each["estimators"].values()))
            for each in rounds
        ],
    )


def numbers(found: Diagnosis) -> dict[str, Any]:
    """What is kept of a round's diagnosis."""
    correlation = found.correlations.get(PRODUCT)
    mismatch = next((trait for trait in found.traits if trait.name == MISMATCH), None)
    values = (math.nan,) * 3 if correlation is None else correlation
    return {
        "correlation": {key: rounded(value) for key, value in zip(("value", "low", "high"), values, strict=True)},
        "wrong_sign": None
        if mismatch is None
        else {"bottom": rounded(mismatch.bottom), "rest": rounded(mismatch.rest), "certain": mismatch.certain},
    }


def rounded(value: float) -> float | None:
    """Three digits; None for NaN."""
    return None if math.isnan(value) else round(value, 3)


if __name__ == "__main__":
    main()
