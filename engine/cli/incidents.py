"""`python -m engine incidents`: the rounds that are worth a look, with the reason."""

from __future__ import annotations

from engine.cli.options import Json, RunFolder
from engine.terminal import print_json, print_table


def incidents(run: RunFolder, as_json: Json = False) -> None:
    """List the rounds that are worth a look: falls of the return, policies that are stuck, numbers that are none any more."""
    from engine.analysis.incidents.detect import incidents as detect

    found = detect(run)
    if as_json:
        print_json({"run": str(run), **found.to_json()})
        return
    print(found.sentence)
    if len(found):
        print_table(
            ("round", "kind", "why", "update", "what stood out before it"),
            [(each.onset, each.kind, each.reason, each.update, "; ".join(each.causes) or None) for each in found],
        )
        print("update: whose doing it is; the return of round k is played by what update k - 1 made")
    for note in filter(None, (found.too_few if len(found) else "", *found.missing)):
        print(f"note: {note}")
