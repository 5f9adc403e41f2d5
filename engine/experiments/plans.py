"""The experiments of the paper as this project runs them: environments, arms, rounds, evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from engine.config import TrainConfig
from engine.envs import with_settings
from engine.errors import BadInputError
from engine.named_worlds import names as worlds
from engine.typed import typed

STANDARD = "ppo"
"""The arm that the others are compared with."""
RESEEDED = "reseeded"
"""Behind an arm's name: see `Arm.reseeded`."""
PAPER_PRESET = "paper"
"""The paper's own training."""
CAMPAIGN_EVALUATION_SEED = 10**6
"""Seed of the first evaluation episode, or of the prompts; the same after every round, for every arm and training seed."""


@dataclass(frozen=True)
class Arm:
    """One way of training."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `TrainConfig` in which it differs from plain PPO."""
    reseeded: bool = False
    """Whether every round has the luck of the first, as in the paper's code for IIF, whose every round is a new process with the
    same seed: the same starts, the same noise, and the running episode is cut off."""


@dataclass(frozen=True)
class Experiment:
    """One environment, trained with several arms over several seeds."""

    name: str
    env_id: str
    rounds: int
    episodes: int
    """Stochastic evaluation episodes after a round; none is played where `exact`."""
    arms: tuple[Arm, ...]
    preset: str = PAPER_PRESET
    evaluate_every: int = 1
    """Rounds from one evaluation to the next; the last round is evaluated in any case."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `TrainConfig` in which every arm differs from the preset."""
    exact: bool = False
    """Whether the expected return is computed from the environment's table of transitions instead."""
    note: str = ""
    """In what it differs from the paper's experiment."""
    round_seconds: float = 1.0
    """Roughly how long a round takes; only weighs the experiments in the estimate of the time left."""

    @property
    def evaluation_seeds(self) -> range:
        """One an episode."""
        return range(CAMPAIGN_EVALUATION_SEED, CAMPAIGN_EVALUATION_SEED + self.episodes)

    def evaluated(self, round: int) -> bool:
        """Whether there is an evaluation after `round` rounds of training."""
        return round % self.evaluate_every == 0 or round == self.rounds

    def arm(self, name: str) -> Arm:
        """The arm called `name`; case and further blanks don't matter. With `reseeded` behind it any arm is `Arm.reseeded`.

        Raises:
            BadInputError: there is none.
        """
        wanted = " ".join(name.lower().split())
        plain = wanted.removesuffix(f" {RESEEDED}")
        for arm in self.arms:
            if arm.name == plain:
                return arm if plain == wanted else replace(arm, name=wanted, reseeded=True)
        raise BadInputError(f"{self.name} has no arm {name!r}; it has {', '.join(arm.name for arm in self.arms)}")

    def config(self, arm: Arm, seed: int) -> TrainConfig:
        """Settings of one training run.

        Raises:
            BadInputError: a setting does not exist or is out of range.
        """
        own = {"rounds": self.rounds, "seed": seed, **self.settings, **arm.settings}
        return with_settings(self.env_id, self.preset, own)

    def changed(
        self,
        arms: Sequence[str] | None = None,
        rounds: int | None = None,
        episodes: int | None = None,
        settings: Mapping[str, Any] | None = None,
        preset: str | None = None,
        evaluate_every: int | None = None,
    ) -> Experiment:
        """The same experiment with other arms, rounds, evaluation episodes, settings, preset or evaluations; None leaves them.

        A preset brings its own number of rounds. Where episodes are named they are played, also where `exact`.

        Raises:
            BadInputError: an unknown arm or preset, or a number below 1.
        """
        taken = {"seed": "--seeds", "rounds": "--rounds"}
        taken |= dict.fromkeys(("filter", "drop", "filter_mode", "filter_estimator", "repair"), "--arms")
        for name in settings or {}:
            if name in taken:
                raise BadInputError(f"{name} is not a setting of all arms; choose it with {taken[name]}")
        for name, number in (("rounds", rounds), ("episodes", episodes), ("evaluate_every", evaluate_every)):
            if number is not None and number < 1:
                raise BadInputError(f"{name} is {number}; it must be at least 1")
        chosen = {arm.name: arm for arm in (self.arm(name) for name in arms)} if arms else {}
        usual = self.rounds if preset is None else with_settings(self.env_id, preset, {}).rounds
        return replace(
            self,
            arms=tuple(chosen.values()) or self.arms,
            rounds=rounds or usual,
            episodes=episodes or self.episodes,
            exact=self.exact and episodes is None,
            settings={**self.settings, **(settings or {})},
            preset=preset or self.preset,
            evaluate_every=evaluate_every or self.evaluate_every,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is not such an object.
        """
        # Version 0.1 kept the figures that it showed beside an experiment; `paper.quoted` has those that belong there.
        return typed(cls, {k: v for k, v in typed(dict[str, Any], values).items() if k != "paper"})


GRID = (0.0625, 0.125, 0.25, 0.5, 1.0)
"""The paper's choices of p."""


def _filter(name: str, drop: float) -> Mapping[str, Any]:
    return {"filter": name, "drop": drop}


ALL_ARMS = (
    Arm(STANDARD),
    *(Arm(f"iif {p:g}", _filter("iif", p)) for p in GRID),
    *(Arm(f"iif {p:g} mask", {**_filter("iif", p), "filter_mode": "mask"}) for p in (0.5, 1.0)),
    Arm("iif 0.5 tracin_adam", {**_filter("iif", 0.5), "filter_estimator": "tracin_adam"}),
    *(Arm(f"guarded {p:g}", _filter("guarded", p)) for p in (0.5, 1.0)),
    Arm("guarded 0.5 tracin_adam", {**_filter("guarded", 0.5), "filter_estimator": "tracin_adam"}),
    *(Arm(name, _filter(name, 0.5)) for name in ("random", "advantage", "td_error")),
    *(Arm(f"{name} {p:g}", _filter(name, p)) for p in (0.125, 0.5) for name in ("reestimate", "reestimate_random")),
    Arm("reestimate 0.5 tracin_adam", {**_filter("reestimate", 0.5), "filter_estimator": "tracin_adam"}),
    *(
        Arm(f"reestimate 0.5 {how}", {**_filter("reestimate", 0.5), "repair": how})
        for how in ("monte_carlo", "half_weight")
    ),
    Arm("reestimate_guarded 0.5", _filter("reestimate_guarded", 0.5)),
)
_COARSE = (
    STANDARD,
    "iif 0.0625",
    "iif 0.125",
    "iif 0.5",
    "guarded 0.5",
    "guarded 1",
    "guarded 0.5 tracin_adam",
    "random",
)
COARSE_ARMS = tuple(arm for arm in ALL_ARMS if arm.name in _COARSE)
"""For environments that take long."""


def in_order(names: Iterable[str]) -> list[str]:
    """Names of arms in the order of `ALL_ARMS`; others follow as they come."""
    usual = [arm.name for arm in ALL_ARMS]
    return sorted(dict.fromkeys(names), key=lambda name: usual.index(name) if name in usual else len(usual))


EXPERIMENTS: Mapping[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            name="frozenlake",
            env_id="FrozenLake-v1",
            rounds=30,
            episodes=100,
            exact=True,
            arms=ALL_ARMS,
            round_seconds=0.15,
        ),
        Experiment(
            name="acrobot",
            env_id="Acrobot-v1",
            rounds=20,
            episodes=100,
            arms=ALL_ARMS,
            round_seconds=1.5,
        ),
        Experiment(
            name="minigrid",
            env_id="MiniGrid-Empty-8x8-v0",
            rounds=40,
            episodes=100,
            arms=ALL_ARMS,
            round_seconds=3.0,
        ),
        Experiment(
            name="highway",
            env_id="highway-v0",
            rounds=25,
            episodes=20,
            arms=COARSE_ARMS,
            note="Fewer arms and evaluation episodes, because the simulation is slow.",
            round_seconds=60.0,
        ),
        Experiment(
            name="lunarlander",
            env_id="LunarLander-v3",
            rounds=100,
            episodes=100,
            arms=ALL_ARMS,
            round_seconds=1.5,
        ),
        Experiment(
            name="bipedalwalker",
            env_id="BipedalWalker-v3",
            rounds=150,
            episodes=20,
            evaluate_every=10,
            arms=COARSE_ARMS,
            note="Fewer arms, and twenty evaluation episodes every tenth round, because the simulation is slow.",
            round_seconds=0.7,
        ),
        Experiment(
            name="highway-fast",
            env_id="highway-fast-v0",
            rounds=20,
            episodes=10,
            arms=COARSE_ARMS,
            preset="v0.1",
            note="The paper has highway-v0 with 10 vehicles; this is highway-fast-v0, with fewer rounds, arms and evaluation "
            "episodes, because the simulation is slow.",
            round_seconds=18.0,
        ),
    )
}

STUDIED = ("frozenlake", "acrobot", "lunarlander", "bipedalwalker", "minigrid")
"""Experiments of the study of faithfulness; highway's rounds take too long to train."""


def find_experiments(names: Sequence[str]) -> list[Experiment]:
    """Experiments by name or `env_id`, whatever the case; `all` is every one that the paper has.

    Raises:
        BadInputError: there is no such experiment; the message lists them.
    """
    by_name = {**EXPERIMENTS, **{e.env_id.lower(): e for e in EXPERIMENTS.values()}}
    found: dict[str, Experiment] = {}
    for name in names:
        if name.lower() == "all":
            found |= {e.name: e for e in EXPERIMENTS.values() if e.preset == PAPER_PRESET}
        elif name.lower() in by_name:
            experiment = by_name[name.lower()]
            found[experiment.name] = experiment
        else:
            raise BadInputError(
                f"unknown experiment {name!r}; there are {', '.join(EXPERIMENTS)}, and all; {' or '.join(worlds())} is called by "
                "itself"
            )
    return list(found.values())
