"""Every setting and its default, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any, Literal, Self

from engine.errors import BadInputError
from engine.named_worlds import is_world

LANGUAGE = "language"
"""What `env_id` says of a run of language models by name or path; of one in a named world it is the world's name."""
MOST_LAYERS, MOST_WIDTH = 32, 2**14
"""Of each network of a control task."""
MOST_EPOCHS = 10_000
FILTERS = ("none", "iif", "guarded", "random", "advantage", "td_error")
LANGUAGE_FILTERS = ("none", "iif", "random", "reward_threshold")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One PPO run. Field names and defaults are Stable-Baselines3's, where it has the field.

    >>> TrainConfig(env_id="CartPole-v1", rounds=3, seed=0).records_per_round
    2048

    Raises:
        BadInputError: a value is out of its range; the message names the field and the range.
    """

    env_id: str
    """Name in the catalogue (`engine.envs`), `LANGUAGE` or a named world; `config_language` has what only those runs need."""
    rounds: int = 20
    """Rounds to train: each collects a rollout buffer, then updates on it."""
    seed: int = 0
    """Seeds the networks, the environments, the sampled actions and the minibatch permutations."""
    n_envs: int = 1
    """Environments stepped in parallel."""
    n_steps: int = 2048
    """Steps per environment and round; a round has n_steps * n_envs records. For language models: sequences per round."""
    batch_size: int = 64
    """Records per minibatch; the last one of an epoch may be smaller."""
    n_epochs: int = 10
    """Passes over the buffer in one update."""
    learning_rate: float = 3e-4
    """Step size of the optimizer, constant."""
    optimizer: Literal["adam", "sgd"] = "adam"
    """`adam` (eps 1e-5, as Stable-Baselines3's PPO) or `sgd`."""
    momentum: float = 0.0
    """Momentum of `sgd`; `adam` ignores it."""
    gamma: float = 0.99
    """Discount per step."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantage estimation."""
    clip_range: float = 0.2
    """The ratio pi/pi_old is clipped to [1 - clip_range, 1 + clip_range]."""
    normalize_advantage: bool = True
    """Normalise the advantages within each minibatch (unbiased standard deviation + 1e-8); for language models once, over
    all response tokens of the round."""
    normalize_observation: bool = False
    """Centre and scale what the network sees by running statistics (Stable-Baselines3's `VecNormalize`, clipped at 10)."""
    normalize_reward: bool = False
    """Divide rewards by the running standard deviation of the discounted return (`VecNormalize`, clipped at 10);
    recorded rewards and reported returns stay raw."""
    ent_coef: float = 0.0
    """Weight of the entropy in the objective."""
    vf_coef: float = 0.5
    """Weight of the value loss (mean squared error, without a half) in the objective."""
    max_grad_norm: float = 0.5
    """Global norm at which the gradient is clipped; infinity switches the clipping off."""
    target_kl: float | None = None
    """Stop the update before the first step whose approximate KL exceeds 1.5 * target_kl; None: never."""
    path: Literal["closed_form", "torch"] = "closed_form"
    """How networks and update are computed: `closed_form` (NumPy, fast) or `torch`. They agree to rounding; a run is
    replayed on the path it was trained on. Images need `torch`."""
    filter: Literal["none", "iif", "guarded", "random", "advantage", "td_error", "reward_threshold"] = "none"
    """Which records each round's update goes without; see `engine.kinds.control.filtering`, and `engine.kinds.language.filtering`
    for sequences."""
    drop: float = 0.5
    """How much a filter drops: IIF the worst `drop` of the records with negative influence, the others as many."""
    filter_mode: Literal["mask", "rebatch"] = "rebatch"
    """How a filter's records go: `rebatch` fills the minibatches up again, so that the update takes fewer steps, as the
    paper's filtering does; `mask` leaves the records out of their minibatches: as many steps, on smaller ones."""
    filter_estimator: Literal["first_order", "tracin", "tracin_adam"] = "first_order"
    """The influence by which `iif` and `guarded` choose, and by which all filters count (`engine.core.estimators.registry`):
    `first_order` as the paper does; the others replay the round's update first, which takes several times as long."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the tanh layers of the actor, and likewise of the critic."""

    def __post_init__(self) -> None:
        for name in ("rounds", "n_envs", "n_steps", "batch_size", "n_epochs"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(0 <= self.seed < 2**63, "seed", self.seed, "from 0 to 2^63 - 1")
        require(self.n_envs <= 2**15 - 1, "n_envs", self.n_envs, "at most 32767")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.optimizer in ("adam", "sgd"), "optimizer", self.optimizer, "adam or sgd")
        require(self.path in ("closed_form", "torch"), "path", self.path, "closed_form or torch")
        filters = LANGUAGE_FILTERS if self.env_id == LANGUAGE or is_world(self.env_id) else FILTERS
        require(self.filter in filters, "filter", self.filter, "one of " + ", ".join(filters))
        require(self.filter_mode in ("mask", "rebatch"), "filter_mode", self.filter_mode, "mask or rebatch")
        estimators = ("first_order", "tracin", "tracin_adam")
        given = self.filter_estimator
        require(given in estimators, "filter_estimator", given, "one of " + ", ".join(estimators))
        unused = self.filter == "none" and given != "first_order"
        require(not unused, "filter_estimator", given, "first_order without a filter; choose a filter, such as iif")
        require(0 < self.drop <= 1, "drop", self.drop, "above 0 and at most 1")
        require(0 <= self.momentum < 1, "momentum", self.momentum, "in [0, 1)")
        for name in ("gamma", "gae_lambda"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "in [0, 1]")
        require(self.clip_range > 0, "clip_range", self.clip_range, "above 0")
        require(self.max_grad_norm > 0, "max_grad_norm", self.max_grad_norm, "above 0")
        require(self.target_kl is None or self.target_kl > 0, "target_kl", self.target_kl, "above 0")
        require(self.n_epochs <= MOST_EPOCHS, "n_epochs", self.n_epochs, f"at most {MOST_EPOCHS}")
        narrow = len(self.hidden) <= MOST_LAYERS and all(1 <= width <= MOST_WIDTH for width in self.hidden)
        shown = self.hidden if len(self.hidden) <= MOST_LAYERS else f"{len(self.hidden)} layers"
        require(narrow, "hidden", shown, f"at most {MOST_LAYERS} widths from 1 to {MOST_WIDTH}")
        require(
            self.records_per_round >= 2,
            "n_steps * n_envs",
            self.records_per_round,
            "at least 2 (one record has no advantage statistics)",
        )
        if self.filter != "none":
            require(
                self.records_per_round >= 2 * self.batch_size,
                "n_steps * n_envs",
                self.records_per_round,
                f"at least two minibatches ({2 * self.batch_size}) where records are filtered",
            )
        require(self.records_per_round <= 10**8, "n_steps * n_envs", self.records_per_round, "at most 100 million")

    @property
    def kind(self) -> str:
        """The kind of run that these settings alone can train, see `engine.kinds`."""
        return "control"

    @property
    def records_per_round(self) -> int:
        """Records in one rollout buffer."""
        return self.n_steps * self.n_envs

    @property
    def filter_name(self) -> str:
        """The filter with what sets it apart, as campaigns call it: `iif 0.5`, `guarded 0.5 tracin_adam`, or empty.

        >>> TrainConfig(env_id="CartPole-v1", filter="iif", drop=0.25, filter_mode="mask").filter_name
        'iif 0.25 mask'
        """
        if self.filter == "none":
            return ""
        mode = ("mask",) if self.filter_mode == "mask" else ()
        estimator = () if self.filter_estimator == "first_order" else (self.filter_estimator,)
        return " ".join((self.filter, f"{self.drop:g}", *mode, *estimator))

    def to_json(self) -> dict[str, Any]:
        """Plain values for `run.json`; `from_json` is the inverse."""
        values = asdict(self)
        values["hidden"] = list(self.hidden)
        values["max_grad_norm"] = None if self.max_grad_norm == float("inf") else self.max_grad_norm
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            BadInputError: a field is unknown, missing or of the wrong type.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise BadInputError(f"unknown setting {unknown[0]!r}; the settings are {', '.join(sorted(known))}")
        if "env_id" not in values:
            raise BadInputError("the settings name no env_id")
        arguments = {name: _typed(name, value) for name, value in values.items()}
        return cls(**arguments)


def _typed(name: str, value: Any) -> Any:
    """A setting's value as its field wants it, from what JSON can say (max_grad_norm: null means infinity)."""
    match name:
        case "env_id" | "optimizer" | "path" | "filter" | "filter_mode" | "filter_estimator":
            require(isinstance(value, str), name, repr(value), "a text")
        case "normalize_advantage" | "normalize_observation" | "normalize_reward":
            require(isinstance(value, bool), name, repr(value), "true or false")
        case "hidden":
            whole = isinstance(value, list | tuple) and all(type(width) is int for width in value)
            require(whole, name, repr(value), "a list of whole numbers, such as [64, 64]")
            return tuple(value)
        case "max_grad_norm" if value is None:
            return float("inf")
        case "target_kl" if value is None:
            return None
        case "rounds" | "seed" | "n_envs" | "n_steps" | "batch_size" | "n_epochs":
            require(type(value) is int, name, repr(value), "a whole number")
        case _:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            require(number and (isfinite(value) or name == "max_grad_norm"), name, repr(value), "a finite number")
            return float(value)
    return value


def require(ok: bool, name: str, value: object, right: str) -> None:
    """Refuse a setting's value.

    Raises:
        BadInputError: not `ok`; says what the setting is and what would be right.
    """
    if not ok:
        raise BadInputError(f"{name} is {value}; it must be {right}")
