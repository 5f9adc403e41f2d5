"""What the paper reports of its experiments (arXiv 2505.19281), and beside which of ours that may stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf

from engine.config import TrainConfig
from engine.envs import with_settings


@dataclass(frozen=True)
class Paper:
    """Per cent fewer rounds (or less time) than its standard training: mean over 5 seeds, at the best p of its grid."""

    se_ave: float
    se_ave_error: float
    """The +- beside SE_ave."""
    se_peak: float
    rt_peak: float | None
    """None: it does not say."""
    p: float
    """The best of 1, 0.5, 0.25, 0.125 and 0.0625, chosen on the seeds that it is reported on."""
    source: str = "Fig. 6"


PAPER: Mapping[tuple[str, str], Paper] = {
    ("FrozenLake-v1", "paper"): Paper(34.0, 2.0, 19.2, 29.5, 0.5),
    ("Acrobot-v1", "paper"): Paper(36.7, 6.5, 48.5, 55.2, 0.5),
    ("MiniGrid-Empty-8x8-v0", "paper"): Paper(65.8, 3.3, 61.7, 69.1, 0.125),
    ("highway-v0", "paper"): Paper(37.7, 6.1, 55.1, 59.9, 0.5),
    ("LunarLander-v3", "paper"): Paper(26.0, 1.8, 39.7, 44.9, 0.125),
    ("LunarLander-v3", "paper-adam"): Paper(46.7, 4.5, 62.2, None, 0.125, "Table 3"),
    ("BipedalWalker-v3", "paper"): Paper(31.0, 8.7, 26.2, 29.2, 0.0625),
}
"""Environment and preset -> what the paper reports of that training."""
CLIPPED = 0.5
"""Global gradient norm that the paper's text names; its code does not clip, and the presets follow the code."""


def quoted(config: TrainConfig) -> Paper | None:
    """The paper's figures for an experiment whose arms share these settings; None where the paper does not train like this.

    The number of rounds does not count, nor does a gradient clip at the norm that the paper's text names.

    >>> quoted(with_settings("LunarLander-v3", "paper-adam", {})).se_ave
    46.7
    >>> quoted(with_settings("Acrobot-v1", "v0.1", {})) is None
    True
    """
    for (env_id, preset), paper in PAPER.items():
        if env_id == config.env_id and _trained_like(config, with_settings(env_id, preset, {})):
            return paper
    return None


def comparable(config: TrainConfig) -> str:
    """Whether the paper's figures stand beside an experiment, and in what the two still differ, in a sentence.

    >>> comparable(with_settings("Acrobot-v1", "v0.1", {}))
    'The paper does not train like this (adam 0.0003), so that none of its figures stands here.'
    """
    paper = quoted(config)
    if paper is None:
        optimizer = f"{config.optimizer} {config.learning_rate:g}"
        return f"The paper does not train like this ({optimizer}), so that none of its figures stands here."
    said = _differences(config)
    return f"The paper's figures ({paper.source}) are of the same training{', but for: ' if said else ''}{'; '.join(said)}."


def _differences(config: TrainConfig) -> list[str]:
    said = []
    if config.max_grad_norm != inf:
        said.append(f"gradients clipped at {config.max_grad_norm:g}, as the paper's text says and its code does not")
    rounds = with_settings(config.env_id, "paper", {}).rounds
    if config.rounds != rounds:
        said.append(f"{config.rounds} rounds, where the paper has {rounds}")
    if config.env_id == "LunarLander-v3":
        said.append("LunarLander-v3, where the paper has v2")
    return said


def _trained_like(config: TrainConfig, paper: TrainConfig) -> bool:
    clip = CLIPPED if config.max_grad_norm == CLIPPED else paper.max_grad_norm
    return config == replace(paper, rounds=config.rounds, seed=config.seed, max_grad_norm=clip)
