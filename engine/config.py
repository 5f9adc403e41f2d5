"""Every setting and its default, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from msgspec import Meta

from engine.errors import BadInputError
from engine.named_worlds import is_world
from engine.typed import AtLeastOne, Finite, Positive, Share, settle, typed

LANGUAGE = "language"
"""What `env_id` says of a run of language models by name or path; of one in a named world it is the world's name."""
MOST_LAYERS, MOST_WIDTH = 32, 2**14
"""Of each network of a control task."""
MOST_EPOCHS = 10_000
REPAIRING_FILTERS = ("reestimate", "reestimate_guarded", "reestimate_random")
"""Those that repair the records which they choose; the others drop them."""
FILTERS = ("none", "iif", "guarded", "random", "advantage", "td_error", *REPAIRING_FILTERS)
LANGUAGE_FILTERS = ("none", "iif", "random", "reward_threshold", "reestimate", "reestimate_random")

Fraction = Annotated[float, Meta(ge=0, lt=1)]
Widths = Annotated[
    tuple[Annotated[int, Meta(ge=1, le=MOST_WIDTH)], ...],
    Meta(max_length=MOST_LAYERS, extra={"right": f"a list of at most {MOST_LAYERS} widths from 1 to {MOST_WIDTH}"}),
]
if TYPE_CHECKING:
    Norm = float
else:
    Norm = Annotated[float, Meta(gt=0)] | None
    """JSON has no infinity: null stands for it."""


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
    rounds: AtLeastOne = 20
    """Rounds to train: each collects a rollout buffer, then updates on it."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1, extra={"right": "a whole number from 0 to 2^63 - 1"})] = 0
    """Seeds the networks, the environments, the sampled actions and the minibatch permutations."""
    n_envs: Annotated[int, Meta(ge=1, le=2**15 - 1)] = 1
    """Environments stepped in parallel."""
    n_steps: AtLeastOne = 2048
    """Steps per environment and round; a round has n_steps * n_envs records. For language models: sequences per round."""
    batch_size: AtLeastOne = 64
    """Records per minibatch; the last one of an epoch may be smaller."""
    n_epochs: Annotated[int, Meta(ge=1, le=MOST_EPOCHS)] = 10
    """Passes over the buffer in one update."""
    learning_rate: Positive = 3e-4
    """Step size of the optimizer, constant."""
    optimizer: Literal["adam", "sgd", "other"] = "adam"
    """`adam` (eps 1e-5, as Stable-Baselines3's PPO) or `sgd`. Recorded runs have them with settings of their trainer's own, which
    its recipe says, or `other`."""
    momentum: Fraction = 0.0
    """Momentum of `sgd`; `adam` ignores it, and recorded runs say it in the recipe."""
    gamma: Share = 0.99
    """Discount per step."""
    gae_lambda: Share = 0.95
    """Lambda of generalised advantage estimation."""
    clip_range: Positive = 0.2
    """The ratio pi/pi_old is clipped to [1 - clip_range, 1 + clip_range]."""
    normalize_advantage: bool = True
    """Normalise the advantages within each minibatch (unbiased standard deviation + 1e-8); for language models once, over
    all response tokens of the round."""
    normalize_observation: bool = False
    """Centre and scale what the network sees by running statistics (Stable-Baselines3's `VecNormalize`, clipped at 10)."""
    normalize_reward: bool = False
    """Divide rewards by the running standard deviation of the discounted return (`VecNormalize`, clipped at 10);
    recorded rewards and reported returns stay raw."""
    ent_coef: Finite = 0.0
    """Weight of the entropy in the objective."""
    vf_coef: Finite = 0.5
    """Weight of the value loss (mean squared error, without a half) in the objective."""
    max_grad_norm: Norm = 0.5
    """Global norm at which the gradient is clipped; infinity switches the clipping off."""
    target_kl: Positive | None = None
    """Stop the update before the first step whose approximate KL exceeds 1.5 * target_kl; None: never."""
    path: Literal["closed_form", "torch"] = "closed_form"
    """How networks and update are computed: `closed_form` (NumPy, fast) or `torch`. They agree to rounding; a run is
    replayed on the path it was trained on. Images need `torch`."""
    filter: Literal[
        "none",
        "iif",
        "guarded",
        "random",
        "advantage",
        "td_error",
        "reward_threshold",
        "reestimate",
        "reestimate_guarded",
        "reestimate_random",
    ] = "none"
    """Which records each round's update goes without, or repairs; see `engine.kinds.control.filtering`, and
    `engine.kinds.language.filtering` for sequences."""
    drop: Annotated[float, Meta(gt=0, le=1)] = 0.5
    """How much a filter drops or repairs: IIF the worst `drop` of the records with negative influence, the others as many."""
    filter_mode: Literal["mask", "rebatch"] = "rebatch"
    """How a filter's records go: `rebatch` fills the minibatches up again, so that the update takes fewer steps, as the
    paper's filtering does; `mask` leaves the records out of their minibatches: as many steps, on smaller ones. Repaired
    records stay where they are."""
    filter_estimator: Literal["first_order", "tracin", "tracin_adam"] = "first_order"
    """The influence by which `iif` and `guarded` choose, and by which all filters count (`engine.core.estimators.registry`):
    `first_order` as the paper does; the others replay the round's update first, which takes several times as long."""
    repair: Literal["td_error", "monte_carlo", "half_weight"] = "td_error"
    """What a filter that repairs puts in the place of an advantage, see `engine.core.repairs`."""
    hidden: Widths = (64, 64)
    """Widths of the tanh layers of the actor, and likewise of the critic."""

    def __post_init__(self) -> None:
        filters = LANGUAGE_FILTERS if self.env_id == LANGUAGE or is_world(self.env_id) else FILTERS
        require(self.filter in filters, "filter", self.filter, "one of " + ", ".join(filters))
        settle(self)
        if self.max_grad_norm is None:
            object.__setattr__(self, "max_grad_norm", float("inf"))
        unused = self.filter == "none" and self.filter_estimator != "first_order"
        right = "first_order without a filter; choose a filter, such as iif"
        require(not unused, "filter_estimator", self.filter_estimator, right)
        right = f"td_error without a filter that repairs; choose one of {', '.join(REPAIRING_FILTERS)}"
        require(self.repairs or self.repair == "td_error", "repair", self.repair, right)
        records, two = self.records_per_round, 2 * self.batch_size
        for ok, right in (
            (records >= 2, "at least 2 (one record has no advantage statistics)"),
            (self.filter == "none" or records >= two, f"at least two minibatches ({two}) where records are filtered"),
            (records <= 10**8, "at most 100 million"),
        ):
            require(ok, "n_steps * n_envs", records, right)

    @property
    def kind(self) -> str:
        """The kind of run that these settings alone can train, see `engine.kinds`."""
        return "control"

    @property
    def records_per_round(self) -> int:
        """Records in one rollout buffer."""
        return self.n_steps * self.n_envs

    def cuts(self, n: int) -> list[tuple[int, int]]:
        """Where an epoch's permutation of n records is cut into minibatches: (start, stop) of each.

        >>> TrainConfig(env_id="CartPole-v1", batch_size=64).cuts(150)
        [(0, 64), (64, 128), (128, 150)]
        """
        return [(start, min(start + self.batch_size, n)) for start in range(0, n, self.batch_size)]

    def stops_before_step(self, approx_kl: Any) -> bool:
        """Whether no step is taken any more, from a minibatch's approximate KL before its step."""
        return self.target_kl is not None and bool(approx_kl > 1.5 * self.target_kl)

    def stops_after_epoch(self, approx_kl: Any) -> bool:
        """Whether no epoch is begun any more, from the approximate KL of the last minibatch before its step; never here."""
        return False

    @property
    def repairs(self) -> bool:
        """Whether the filter repairs the records that it chooses, in the place of dropping them."""
        return self.filter in REPAIRING_FILTERS

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
        repair = () if self.repair == "td_error" else (self.repair,)
        return " ".join((self.filter, f"{self.drop:g}", *mode, *estimator, *repair))

    def to_json(self) -> dict[str, Any]:
        """Plain values for `run.json`; `from_json` is the inverse."""
        norm = None if self.max_grad_norm == float("inf") else self.max_grad_norm
        return asdict(self) | {"hidden": list(self.hidden), "max_grad_norm": norm}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            BadInputError: a field is unknown, missing, of the wrong type or out of its range.
        """
        return typed(cls, values, "setting")


def require(ok: bool, name: str, value: object, right: str) -> None:
    """Refuse a setting's value.

    Raises:
        BadInputError: not `ok`; says what the setting is and what would be right.
    """
    if not ok:
        raise BadInputError(f"{name} is {value}; it must be {right}")
