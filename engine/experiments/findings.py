"""What a campaign's numbers allow one to say, and what they don't, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isnan
from typing import Any, Literal

from engine.experiments.plans import RESEEDED, STANDARD
from engine.experiments.results import Results
from engine.experiments.summary import SYMMETRIC

Row = Mapping[str, Any]
"""A row of `summary.SCHEMA`."""
ArmVerdict = Literal["above", "below", "within noise", "one seed"]

VERDICTS: tuple[ArmVerdict, ...] = ("above", "below", "within noise", "one seed")
FAMILIES = {"iif": "IIF", "guarded": "Guarded IIF"}
"""Filters that are run at several strengths p -> what they are called."""


def verdict(row: Row, name: str) -> ArmVerdict:
    """Where an arm's interval against PPO lies; `name` is `se_sym`, `final` or `area`. One seed has no interval."""
    compared = name if name == SYMMETRIC else f"{name}_gain"
    if row[f"{compared}_low"] is None:
        return "one seed"
    if row[f"{compared}_low"] > 0:
        return "above"
    return "below" if row[f"{compared}_high"] < 0 else "within noise"


def low_to_high(row: Row, name: str) -> str:
    """`0.1 to 0.3`."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "one seed" if low is None else f"{low:.3g} to {high:.3g}"


def compared(rows: Sequence[Row]) -> list[Row]:
    """The arms that could be compared with PPO."""
    return [row for row in rows if row["arm"] != STANDARD and row[SYMMETRIC] is not None]


def family(rows: Sequence[Row], name: str) -> list[Row]:
    """The rows of one filter at several strengths; training that is reseeded is another training."""
    return [row for row in rows if row["arm"].split()[0] == name and not row["arm"].endswith(RESEEDED)]


def best(rows: Sequence[Row], name: str) -> Row | None:
    """The family's row with the highest SE_sym; its first one where there is none."""
    own = family(rows, name)
    return max(own, key=lambda row: -inf if row[SYMMETRIC] is None else row[SYMMETRIC]) if own else None


def evaluation(results: Results) -> str:
    """How policies are evaluated, with the standard error of one evaluation."""
    if results.experiment.exact:
        return "the expected return, computed from the environment's transitions without an error"
    said = f"{results.experiment.episodes} stochastic episodes"
    error = results.evaluation_error
    return said if isnan(error) else f"{said}, standard error of their mean {error:.2g}"


BUSIER = 1.5
"""Collecting and updating that takes so many times PPO's was done on a busier machine; a filter has no part in that time."""


def on_a_busier_machine(rows: Sequence[Row]) -> str:
    """A sentence about the arms whose times can't be compared with PPO's; empty where there are none."""
    standard = next((row["round_seconds"] for row in rows if row["arm"] == STANDARD), None)
    if not standard:
        return ""
    slower = {row["arm"]: row["round_seconds"] * (1 - row["filter_share"]) / standard for row in rows}
    said = [f"{arm} ({factor:.1f} times)" for arm, factor in slower.items() if factor > BUSIER]
    if not said:
        return ""
    return (
        f"RT_peak can't be compared for {', '.join(said)}: the time outside the filter is so many times PPO's that it must "
        "have been measured on a busier or slower machine."
    )


def fewer_rounds(rows: Sequence[Row]) -> str:
    """The headline: which arms need fewer rounds than PPO, and which more; empty where none could be compared."""
    return _against_ppo(compared(rows), SYMMETRIC, "Rounds needed (SE_sym)", above="fewer than", below="more than")


def findings(results: Results, rows: Sequence[Row]) -> list[str]:
    """Sentences about one experiment.

    Args:
        results: the experiment.
        rows: its rows of the summary.
    """
    arms = compared(rows)
    outcomes = (("final", "Final return"), ("area", "Area under the curve"))
    lines = [fewer_rounds(rows), *(_against_ppo(arms, name, title) for name, title in outcomes)] if arms else []
    lines += [
        f"PPO against another seed of PPO reads {row['se_ave']:.1%} in SE_ave: that is what no effect looks like there."
        for row in rows
        if row["arm"] == STANDARD and row["se_ave"] is not None
    ]
    lines += [line for name in FAMILIES if (line := _choice_of_p(rows, name))]
    lines += [
        f"{row['arm']}: {row['below']} of {row['seeds']} seeds end below PPO's worst seed."
        for row in arms
        if row["below"]
    ]
    lines += [
        f"The random filter is not clearly worse than PPO here (area: {verdict(row, 'area')})."
        for row in arms
        if row["arm"] == "random" and verdict(row, "area") != "below"
    ]
    if busier := on_a_busier_machine(rows):
        lines.append(busier)
    if not results.complete:
        planned, done = (sum(map(len, seeds.values())) for seeds in (results.seeds, results.finished))
        lines.append(f"{done} of {planned} tasks are finished.")
    if arms and min(row["seeds"] for row in rows) < 5:
        lines.append("Fewer than five seeds: the intervals say little.")
    return lines


def _against_ppo(rows: Sequence[Row], name: str, title: str, **called: str) -> str:
    said = []
    for word in VERDICTS:
        arms = [row["arm"] for row in rows if verdict(row, name) == word]
        if arms:
            words = f"{called.get(word, word)} PPO" if word in ("above", "below") else word
            said.append(f"{words}: {', '.join(arms)}")
    return f"{title}: {'; '.join(said)}." if said else ""


def _choice_of_p(rows: Sequence[Row], name: str) -> str:
    own = [row for row in family(rows, name) if row[SYMMETRIC] is not None]
    chosen = best(own, name)
    if len(own) < 2 or chosen is None:
        return ""
    grid = ", ".join(f"{_strength(row)}: {row[SYMMETRIC]:.1%}" for row in own)
    return (
        f"{FAMILIES[name]}, choice of p by SE_sym: {_strength(chosen)} ({grid}). It was chosen on the same seeds that it is "
        "reported on, which flatters it."
    )


def _strength(row: Row) -> str:
    return str(row["arm"].partition(" ")[2])
