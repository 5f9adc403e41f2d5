"""`python -m engine reproduce courtesy`: the demonstration of language models over several seeds, and its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli.campaigns import trained
from engine.terminal import print_json, print_table

if TYPE_CHECKING:
    from engine.demos.courtesy.experiment.results import CourtesyResults
    from engine.executors import Progress


def reproduce_courtesy(
    out: Path,
    seeds: int,
    *,
    executor: str,
    workers: int | None,
    arms: Sequence[str] | None,
    rounds: int | None,
    responses: int | None,
    settings: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Train PPO and its filters with clean and with flipped rewards, and report how soon they are courteous."""
    from engine.demos.courtesy.experiment.campaign import finished_tasks, run_courtesy
    from engine.demos.courtesy.experiment.findings import sentences
    from engine.demos.courtesy.experiment.plan import Plan
    from engine.demos.courtesy.experiment.report import CAVEATS, write_courtesy_report
    from engine.demos.courtesy.experiment.results import read_results

    plan = Plan().changed(arms, rounds, responses, settings)

    def train(command: str, report: Progress) -> tuple[CourtesyResults, Path]:
        results = run_courtesy(
            plan, range(seeds), out, executor=executor, workers=workers, command=command, report=report
        )
        return results, write_courtesy_report(out, results)

    def report_what_is_there() -> None:
        found = read_results(out)
        if found is not None and len(found.table):
            write_courtesy_report(out, found)

    results, page = trained(train, report_what_is_there, lambda: finished_tasks(plan, range(seeds), out), out)
    if as_json:
        print_json({"folder": str(out), "report": str(page), "rows": results.table.to_pylist()})
        return
    print_table(("what came out",), [(line,) for line in sentences(results)])
    print()
    for caveat in CAVEATS[:2]:
        print(caveat)
    print(f"report: {page}")
