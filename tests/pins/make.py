"""Make the pins: `python -m tests.pins.make [NAME ...] [--force]`, from the project's root.

Without --force nothing that is there is touched: pins are there to stay. With it the named runs are recorded anew, and
their answers with them. `--answers` keeps the recorded runs and asks them again: that is for numbers that were *meant*
to change; say so in the commit.

The run `control-v1` can't be recorded anew: it was written by the last engine that wrote schema version 1, the one
before the commit "Guarded filter: drop from the actor's loss alone", with

    engine.TrainConfig(env_id="CartPole-v1", rounds=2, n_envs=2, n_steps=64, batch_size=40, n_epochs=2, hidden=(16, 16),
                       filter="iif", drop=0.5, seed=0)
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import engine
from engine.kinds.language.presets import LanguageSettings
from tests import languages
from tests.pins import questions
from tests.pins.pinned import DATA, OUTCOMES, save

IGNORED = shutil.ignore_patterns("*.lock", "derived")


def guarded(folder: Path) -> Path:
    """Discrete actions, two environments, all three terms; a filter leaves records to the critic alone (`critic_kept`)."""
    settings: dict[str, Any] = {"rounds": 2, "n_envs": 2, "n_steps": 64, "batch_size": 40, "n_epochs": 2}
    settings |= {"hidden": (16, 16), "learning_rate": 1e-3, "ent_coef": 0.01, "filter": "guarded", "seed": 5}
    run = engine.train(engine.preset("CartPole-v1", "default", **settings), folder / "run")
    buffer = run.snapshot(questions.ROUND).buffer
    assert (buffer.kept != buffer.critic_kept).any(), "the filter dropped nothing; choose another seed"
    return run.path


def continuous(folder: Path) -> Path:
    """Continuous actions on the path of torch, with normalised observations and rewards."""
    settings: dict[str, Any] = {"rounds": 2, "n_steps": 96, "batch_size": 48, "n_epochs": 2, "hidden": (16,)}
    settings |= {"normalize_observation": True, "normalize_reward": True, "learning_rate": 1e-3}
    return engine.train(engine.preset("Pendulum-v1", "default", path="torch", **settings), folder / "run").path


def language(algorithm: str, **settings: Any) -> Callable[[Path], Path]:
    """A language model of a thousand parameters."""

    def write(folder: Path) -> Path:
        _tiny_policy(folder)
        train, own = languages.settings(folder, algorithm=algorithm, **settings)
        # Names without the folder: run.json keeps them, and nothing is looked for there again.
        here, home = Path.cwd(), {"policy": "policy", "reward": "reward", "prompts": "prompts.txt"}
        os.chdir(folder)
        try:
            named = LanguageSettings(replace(own, **home), train)
            engine.train(named, folder / "run", reward_model=questions.GladWords())
        finally:
            os.chdir(here)
        return folder / "run"

    return write


def _tiny_policy(folder: Path) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    languages.write_models(folder)
    sizes: dict[str, Any] = {"vocab_size": len(languages.WORDS), "n_positions": languages.CONTEXT}
    config = GPT2Config(n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0, pad_token_id=1, **sizes)
    torch.manual_seed(3)
    policy = GPT2LMHeadModel(config)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    policy.save_pretrained(folder / "policy")


RUNS: dict[str, Callable[[Path], Path] | None] = {
    "control-v1": None,
    "control-v2-guarded": guarded,
    "control-v2-continuous": continuous,
    "language-v3-ppo": language("ppo", n_steps=12),
    "language-v3-grpo": language("grpo", n_steps=12, group_size=3),
}


def main() -> None:
    """Make the pins that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.pins.make", description="Make pinned runs and answers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RUNS)}; by default all")
    parser.add_argument("--answers", action="store_true", help="keep the runs, ask them again")
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(RUNS))
    if unknown:
        parser.error(f"there is no pin {unknown[0]!r}; there is {', '.join(RUNS)}")
    for name in arguments.names or RUNS:
        folder, make = DATA / name, RUNS[name]
        kept = (folder / "run").exists() and (arguments.answers or make is None)
        there = (folder / OUTCOMES).exists() or ((folder / "run").exists() and not kept)
        if there and not arguments.force:
            sys.exit(f"{folder} is there already; pins are there to stay. --force overwrites them")
        with TemporaryDirectory() as scratch:
            if not kept:
                if make is None:
                    sys.exit(f"{name} can't be recorded anew: see the top of {Path(__file__).name}")
                recorded = make(Path(scratch))
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(recorded, folder / "run", ignore=IGNORED)
            asked = Path(scratch) / "asked"
            shutil.copytree(folder / "run", asked)
            save(folder, questions.answers(name, asked, Path(scratch)), questions.machine(asked))
        print(f"{name}: {sum(path.stat().st_size for path in folder.rglob('*')) // 1024} kB")


if __name__ == "__main__":
    main()
