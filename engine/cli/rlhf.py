"""`python -m engine rlhf`: train a language model and record every round."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from engine import arguments
from engine.allowed import allowed
from engine.cli.options import folder
from engine.config import LANGUAGE_FILTERS
from engine.errors import BadInputError, CancelledError
from engine.terminal import progress


def rlhf(
    what: Annotated[
        str, typer.Argument(metavar="[courtesy|language]", help="The demonstration, or models that you name.")
    ] = "language",
    policy: Annotated[
        str | None, typer.Option(help="Causal language model: a folder, or a name of what was downloaded before.")
    ] = None,
    reward: Annotated[str | None, typer.Option(help="Sequence classifier: the same.")] = None,
    reward_label: Annotated[str | None, typer.Option(help="The label whose logit is the reward.")] = None,
    prompts: Annotated[Path | None, typer.Option(help="Text file with a prompt on each line.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run folder to make, or its address; by default under runs/, named after the model and filter.",
            parser=folder,
        ),
    ] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds to train; by default 20.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seeds everything; by default 0.")] = None,
    algorithm: Annotated[str | None, typer.Option(help="ppo or grpo; by default ppo.")] = None,
    record_filter: Annotated[
        str | None,
        typer.Option(
            "--filter", help=f"Train on a part of each round, or repair it: {', '.join(LANGUAGE_FILTERS[1:])}."
        ),
    ] = None,
    drop: Annotated[
        float | None, typer.Option(help="How much of what hurts the filter drops, above 0 and at most 1.")
    ] = None,
    flip: Annotated[
        float | None, typer.Option(help="courtesy: share of the training rewards whose sign is turned.")
    ] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Tokens of a response at most.")] = None,
    validation_prompts: Annotated[int | None, typer.Option(help="Prompts that are held out.")] = None,
    lora_rank: Annotated[
        int | None, typer.Option(help="Train adapters of this rank in the place of all weights.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change one setting; repeat for more.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
) -> None:
    """Train a language model by PPO or GRPO: `rlhf courtesy`, or `rlhf --policy PATH --reward PATH --prompts FILE`."""
    from engine.core.training import rounds as train
    from engine.kinds.language.dependencies import transformers
    from engine.kinds.language.models import best_precision
    from engine.kinds.language.presets import language_settings
    from engine.store.buckets.mirror import called

    if allowed().base is not None:
        raise BadInputError("--base is for runs that are recorded already; here --policy names what is trained")
    transformers()
    given: dict[str, Any] = {
        "policy": policy,
        "reward": reward,
        "reward_label": reward_label,
        "prompts": None if prompts is None else str(prompts),
        "rounds": rounds,
        "seed": seed,
        "algorithm": algorithm,
        "filter": record_filter,
        "drop": drop,
        "flip": flip,
        "max_new_tokens": max_new_tokens,
        "validation_prompts": validation_prompts,
        "lora_rank": lora_rank,
    }
    if what == "language":
        missing = [f"--{name}" for name in ("policy", "reward", "prompts") if given[name] is None]
        if missing:
            raise BadInputError(
                f"{', '.join(missing)} missing; name a policy, a reward model and a file of prompts, or train the "
                "demonstration: python -m engine rlhf courtesy"
            )
    changes = {"precision": best_precision()} if what == "language" else {}
    changes |= dict(arguments.setting(text) for text in settings or [])
    changes |= {name: value for name, value in given.items() if value is not None}
    chosen = language_settings(what, changes)
    config = chosen.config
    if drop is not None and config.filter == "none":
        raise BadInputError("--drop says how much a filter drops; name one with --filter, such as --filter iif")
    place = out or Path("runs") / "-".join([what, *([config.filter] if config.filter != "none" else [])])
    try:
        with progress() as report:
            for snapshot in train(chosen, place, resume=resume):
                report(_line(snapshot.metrics, snapshot.round), snapshot.round + 1, config.rounds)
            report("finished", config.rounds, config.rounds)
    except KeyboardInterrupt:
        raise CancelledError(
            f"stopped; the committed rounds are in {called(place)}. Continue with the same command and --resume"
        ) from None
    print(f"recorded in {called(place)}")


def _line(metrics: Any, number: int) -> str:
    """How a round went."""
    words = [f"round {number}: mean reward {metrics['mean_return']:.2f}", f"KL {metrics['mean_kl']:.2f}"]
    if "reward/judge" in metrics:
        words.append(f"rude {metrics['reward/judge']:.0%}")
    words += [f"{metrics[what]} {what}" for what in ("dropped", "repaired") if metrics.get(what)]
    return ", ".join(words)
