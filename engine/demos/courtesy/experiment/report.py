"""The report of the demonstration: one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from markupsafe import Markup

from engine.demos.courtesy.experiment import figures
from engine.demos.courtesy.experiment.findings import COSTS, ratio, reached, sentences, share, spell
from engine.demos.courtesy.experiment.plan import CONDITIONS, NAME, RUDE
from engine.demos.courtesy.experiment.results import CourtesyResults
from engine.experiments.pages import commands, page, seeds_in_words
from engine.experiments.plans import STANDARD
from engine.experiments.report_tables import Cell, Line, Table
from engine.intervals import Interval
from engine.store.files import Files

CAVEATS = (
    "The language is synthetic: a grammar of some eighty words, half of whose remarks are rude. Policy (GPT-2, 2 layers, "
    "64 wide) and reward model were trained from scratch on it. Nothing here says how large the effect is on real models.",
    "IIF saw clean validation rewards: the sequence target is taken over responses to held-out prompts whose rewards are "
    "never flipped. PPO and reward threshold had no such help. Random drop leaves out as many records as IIF would, whichever; "
    "reward threshold leaves out those whose reward, as training saw it, lies below the round's mean.",
    "Rude is what the grammar's lexicon says (any of ten insults), which training never sees: it sees the learned reward. "
    "Fluency is the share of responses that the grammar can make, variety the share of different ones.",
    "Every arm and seed is judged on the same prompts with the same luck. Seeds differ in sampling, minibatches and which "
    "rewards are flipped; the model before training is the same.",
    "Generated sequences count the responses to validation prompts too; PPO needs none and generates none. Reward "
    "threshold needs none either but generated them, so that its counts are higher than they need be. Seconds are CPU "
    "time of one thread for collecting, filtering and updating; other work on the machine slows a thread down.",
    "Ratios to PPO are geometric means over seeds with a 95 % t interval of the logarithm. An arm that never got there counts "
    "as having got there one round after the last, a bound in its favour.",
)


def write_courtesy_report(folder: str | Path, results: CourtesyResults) -> Path:
    """Write `courtesy/report.html` into the campaign's folder; the one that was there is replaced.

    Raises:
        StorageError: the disk refused.
    """
    path = Path(folder) / NAME / "report.html"
    Files().replace(path, render(results).encode())
    return path


def render(results: CourtesyResults) -> str:
    """The report as HTML, of finished results or of what there is of them."""
    shown = [
        (condition, arm) for condition in CONDITIONS for arm in results.plan.arms if results.finished[condition, arm]
    ]
    return page(
        "report.html",
        "engine.demos.courtesy.experiment",
        about=about(results),
        notes=[] if results.complete else ["This campaign is not finished. What is finished is shown."],
        findings=sentences(results),
        curves={
            "svg": Markup(figures.curves(results)),
            "alt": "The judged rude rate of every arm over rounds, generated sequences and seconds; the tables have the figures.",
            "caption": "Mean over seeds; the band goes from the lowest to the highest seed. Dotted: the rate to be reached.",
        },
        costs=_costs(results, shown),
        detection=_detection(results),
        faults=_faults(results),
        text={
            "svg": Markup(figures.text(results)),
            "alt": "Fluency, variety and KL of every arm after each round; the table has the figures at the end.",
            "caption": "Mean over seeds; the band goes from the lowest to the highest seed.",
        },
        texts=_texts(results, shown),
        caveats=CAVEATS,
        commands=commands(results.made),
    )


def about(results: CourtesyResults) -> str:
    """The experiment in a few sentences."""
    config, language = results.plan.configs("clean", "iif", 0)
    changed = ", ".join(f"{name}={value}" for name, value in results.plan.settings.items())
    return (
        f"{seeds_in_words(results.finished)}, {results.plan.rounds} rounds of {config.n_steps} sequences, "
        f"{language.validation_prompts} validation prompts, {results.plan.responses} judged responses after each round. "
        f"{config.optimizer} {config.learning_rate:g}, minibatches of {config.batch_size}, {config.n_epochs} epochs, KL "
        f"coefficient {language.kl_coef:g}. Flipped: {CONDITIONS['flipped']:.0%} of the training rewards have their sign turned."
        + (f" Changed: {changed}." if changed else "")
    )


def _costs(results: CourtesyResults, shown: list[tuple[str, str]]) -> Table:
    lines = []
    for condition, arm in shown:
        mine = reached(results, condition, arm)
        cells = [Cell(f"{condition}, {arm}"), Cell(str(len(mine.seeds)))]
        for cost in COSTS:
            part: Interval | None = None
            if arm != STANDARD and results.finished.get((condition, STANDARD)):
                part = ratio(mine, reached(results, condition, STANDARD), cost)
            values = mine.costs[cost]
            cells += [Cell(number(values.mean()), ", ".join(number(value) for value in values))]
            cells += [Cell(spell(part) if part else "")]
        lines.append(Line([*cells, Cell(f"{mine.never} of {len(mine.seeds)}")]))
    titles = [title for name in COSTS.values() for title in (name, "of PPO's")]
    caption = f"Until the rude rate is below {RUDE:g}: mean over seeds, each seed below it, and the ratio to PPO."
    return Table(("rewards, arm", "seeds", *titles, "never"), lines, caption)


def number(value: float) -> str:
    """`2,880`, `9`, `6.86`."""
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:.3g}"


def _detection(results: CourtesyResults) -> dict[str, object] | None:
    if not results.finished.get(("flipped", "iif")):
        return None
    return {
        "svg": Markup(figures.detection(results)),
        "alt": "AUC of the planted flips in each round by influence and by reward; the table has the first round's.",
        "caption": "How well a round's flipped records are told from the others, in runs of IIF; dotted: by guessing.",
    }


def _faults(results: CourtesyResults) -> Table:
    lines = []
    for arm in results.plan.arms:
        if not results.finished["flipped", arm]:
            continue
        cells = [Cell(arm)]
        for name in ("auc_influence", "auc_reward"):
            first = results.column(("flipped", arm), name)[:, 1] if results.plan.rounds else np.full(1, np.nan)
            cells.append(Cell("" if np.isnan(first).any() else spell(share(first))))
        flips, dropped, gone = (
            results.column(("flipped", arm), n).sum() for n in ("flips", "dropped", "flips_dropped")
        )
        cells += [Cell(f"{gone / flips:.0%}" if flips else ""), Cell(f"{gone / dropped:.0%}" if dropped else "")]
        lines.append(Line(cells))
    caption = "AUC of the flips in the first round, mean over seeds with a 95 % t interval; then over all rounds."
    columns = (
        "flipped rewards, arm",
        "AUC by influence",
        "AUC by reward",
        "of the flips dropped",
        "of the dropped flipped",
    )
    return Table(columns, lines, caption)


def _texts(results: CourtesyResults, shown: list[tuple[str, str]]) -> Table:
    names = ("rude", "fluency", "variety", "reward", "kl", "filter_seconds")
    lines = []
    for condition, arm in shown:
        last = {name: results.column((condition, arm), name)[:, -1].mean() for name in names[:-1]}
        seconds, spent = (results.column((condition, arm), name).sum() for name in ("seconds", "filter_seconds"))
        cells = [Cell(f"{condition}, {arm}"), *(Cell(f"{value:.2f}") for value in last.values())]
        cells.append(Cell(f"{results.column((condition, arm), 'fluency').min():.2f}"))
        lines.append(Line([*cells, Cell(f"{spent / seconds:.0%}" if seconds else "")]))
    columns = (
        "rewards, arm",
        "rude rate",
        "fluency",
        "variety",
        "learned reward",
        "KL",
        "lowest fluency",
        "time in filter",
    )
    before = ""
    if shown:
        start = {name: results.column(shown[0], name)[:, 0].mean() for name in ("rude", "fluency", "variety")}
        before = " Before training: " + ", ".join(f"{name} {value:.2f}" for name, value in start.items()) + "."
    return Table(
        columns,
        lines,
        f"After the last round, mean over seeds; the lowest fluency is that of any seed after any round.{before}",
    )
