"""The contract of a kind of run: everything that the core does not know of its records.

A kind is one object. It says what its policy, its update and its targets are, what is left of a round without some records,
how a policy is evaluated and how its rounds become tables. Estimators, replays, validation, retraining, filtering, training
and jobs are the core's and ask it. `engine.kinds` has those that ship.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine import arguments
from engine.core.agent import Agent, PolicyAgent
from engine.core.batched_contract import Batched
from engine.core.checkpoint import fingerprint, one_thread, restore_optimizer
from engine.core.counterfactuals import Counterfactuals
from engine.core.effort import Effort
from engine.core.evaluation import PolicyEvaluation
from engine.core.features import Feature, dropped
from engine.core.gradients.attribution import Attribution
from engine.core.gradients.derivatives import Derivatives, KeptGradients, TorchDerivatives
from engine.core.gradients.inner_products import Direction
from engine.core.gradients.products import products_by_part
from engine.core.learner import Learner
from engine.core.objective import Batch, MinibatchObjective, RecordObjective, draw_minibatches
from engine.core.policy import Policy
from engine.core.stated_advantages import StatedAdvantages
from engine.core.targets import of_records
from engine.core.targets.functions import Target
from engine.core.targets.of_records import check_columns, target_of_records
from engine.core.targets.question import TargetName
from engine.core.update import as_batch
from engine.errors import BadInputError
from engine.known_kinds import kind_named
from engine.spaces import Space
from engine.store.manifest import RunManifest
from engine.store.snapshot import Snapshot

Given = Mapping[str, Any]
"""What a caller puts in the place of something that the settings name, by the name of an argument."""


class Words(NamedTuple):
    """What people call things in this kind of run."""

    records: str = "records"
    episodes: str = "episodes"
    """What a return is of."""
    returned: str = "return"
    """What training maximises."""
    evaluated: str = "evaluation episodes"


class Kind(Counterfactuals):
    """A kind of run. What is written here is right for records that are a state and an action each, with PPO's objective.

    A new kind gives `name` and `policy`, and beside it a `store.kind_tables.Columns`: then its rounds can be attributed,
    replayed and validated. With `settings`, `begin` and `after` it can be trained; with `after` and `evaluation`, retrained.
    It changes what else differs. Every snapshot and buffer that it is handed is its own. docs/architecture.md has an example.
    """

    name: ClassVar[str]
    """What `run.json` calls it, and `engine.known_kinds.register`; its snapshots have it as `kind`, and so do its settings."""
    words: ClassVar[Words] = Words()
    default_target: ClassVar[str] = "return"
    """Asked for where nobody names a target."""
    effort: ClassVar[Effort] = Effort()
    takes: ClassVar[tuple[str, ...]] = ()
    """What a caller may give in the place of something that the settings name."""
    no_rollouts: ClassVar[str] = "nothing leads back to the states in which the records were made"
    """Why no rollouts can be played from where a record was made, so that A-bar is not known; empty where they can."""
    has_states: ClassVar[bool] = False
    """Whether its records are steps of an environment: a state, an action and a reward each, in episodes."""
    answers_states: ClassVar[bool] = False
    """Whether its policies can be asked about the states of another run."""
    has_texts: ClassVar[bool] = False
    """Whether its records are sequences of tokens, which people read."""

    @staticmethod
    def origin(manifest: RunManifest) -> str:
        """Who trained a run and what can be done with it, where that was not this project; one line for people, or empty."""
        return ""

    # A round at theta(k).

    def policy(self, snapshot: Any) -> Policy:
        """pi_theta(k) as a torch module of its own; `Policy.load` takes over `snapshot.parameters`."""
        raise NotImplementedError

    def agent(self, snapshot: Any) -> Agent:
        """Policy and optimizer as they stood before the update."""
        policy = self.policy(snapshot)
        optimizer = restore_optimizer(policy, snapshot.config, snapshot.checkpoint)
        return PolicyAgent(snapshot.config, policy, optimizer, self.objective(snapshot).of_record)

    def batch(self, snapshot: Any, policy: Policy) -> Batch:
        """The round's records as tensors in the policy's precision, advantages as stored; here those of `as_batch`."""
        return as_batch(policy, snapshot.buffer)

    def log_probs(self, snapshot: Any) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """(n,) log-probabilities of the records' actions by the policy that the files make, and as they were recorded.

        Raises:
            BadInputError: the policy can't be made here.
        """
        policy = self.policy(snapshot)
        batch = self.batch(snapshot, policy)
        found = policy(batch.inputs, batch.action, False).log_prob
        return found.detach().cpu().numpy(), batch.log_prob.cpu().numpy()

    def log_probs_by(self, policy: Any, snapshot: Any) -> NDArray[np.floating]:
        """(m,) log-probabilities of what was done in a round, by a policy of any round; here one a record."""
        # Of all records at once: some policies remember earlier steps.
        inputs, action = policy.encoded(snapshot.buffer.observation), policy.as_tensor(snapshot.buffer.action)
        return np.asarray(policy(inputs, action, with_value=False).log_prob.detach().cpu().numpy())

    def advantages(self, snapshot: Any) -> NDArray[np.floating]:
        """(m,) advantages of what was done, as `log_probs_by` has it."""
        return np.asarray(snapshot.buffer.advantage)

    def near_log_prob(self, snapshot: Any) -> float:
        """How far apart the two may be for them to be one policy's, rounded on two machines, as a share of max(1, |log pi|)."""
        return 0.01

    def stated_advantages(self, snapshot: Any) -> StatedAdvantages | None:
        """What the round's advantages are where they follow from rewards alone; None where step by step, see `trajectories`."""
        return None

    def objective(self, snapshot: Any) -> MinibatchObjective:
        """How a minibatch's terms become what its optimizer step ascends."""
        return RecordObjective(snapshot.config)

    def derivatives(self, snapshot: Any) -> Derivatives:
        """What estimators along the update need, on the path that the run was trained on."""
        return self.torch_derivatives(snapshot)

    def torch_derivatives(self, snapshot: Any) -> TorchDerivatives:
        """The same by automatic differentiation, which knows second derivatives too."""
        policy = self.policy(snapshot)
        batch, objective = self.batch(snapshot, policy), self.objective(snapshot)
        return TorchDerivatives(policy, batch, objective, snapshot.buffer.critic_kept)

    def credit(self, snapshot: Any, policy: Policy, direction: Direction, by_layer: bool = False) -> Attribution:
        """The products <direction, grad J_i(theta(k))> of the round's records, as what each is credited with.

        Advantages are normalised as the first epoch's minibatches were; 0 for records that the update went without.
        """
        objective = self.objective(snapshot)
        batch = objective.at_start(self.batch(snapshot, policy), snapshot.minibatches)
        found = products_by_part(policy, batch, objective.of_record, direction, by_layer)
        return found.map(partial(np.where, snapshot.buffer.critic_kept), np.float32(0))

    def seconds_an_order(self, snapshot: Any, estimator: str, by_layer: bool = False) -> float | None:
        """About how long that estimator takes for one minibatch order, from what the round's update took.

        None where a few optimizer steps are timed instead, which says it better and is quick but for large models.
        """
        return None

    def kept_gradients(self, snapshot: Any) -> KeptGradients | None:
        """The gradients of the round's records, where they are kept in memory and answer as quickly as a file."""
        return None

    def keeps_gradients(self, snapshot: Any) -> bool:
        """Whether `kept_gradients` has an answer."""
        return False

    def target(self, snapshot: Any, name: TargetName) -> Any:
        """The target of that name; `named_target` says the errors."""
        return target_of_records(snapshot, name)

    def check_target(self, snapshot: Any, target: Target) -> None:
        """Refuse a target that this kind's policies have no value for.

        Raises:
            BadInputError: it was made of a run of another kind, or of one with other observations or actions.
        """
        of_kind = getattr(target, "of_kind", None) or self.name
        if of_kind != self.name:
            raise BadInputError(
                f"this {target.name} target is of a run of the kind {of_kind}, and round {snapshot.round} of one of the kind "
                f"{self.name}; make the target of this round"
            )
        check_columns(snapshot, target, self.spaces(snapshot))

    def return_target(self, snapshot: Any, reference: Any | None = None) -> Any:
        """The return target over a reference buffer, by default the snapshot's own."""
        return of_records.return_target(snapshot, reference)

    def spaces(self, snapshot: Any) -> tuple[Space, Space] | None:
        """What observations and actions look like, so that people can type them; None where they can't."""
        return None

    def check_loadable(self, snapshot: Any) -> None:
        """Refuse a round whose models the person at the keyboard does not allow to be loaded.

        Raises:
            BadInputError: says what to pass.
        """

    def check_possible(self, snapshot: Any, target: Any) -> None:
        """Refuse a target that no record can be said to lead to, because its gradient at theta(k) means nothing.

        Raises:
            BadInputError: it is such a target; says what to choose.
        """

    def check_replayable(self, snapshot: Any, device: str = "cpu") -> None:
        """Refuse a round that can't be replayed so.

        Raises:
            BadInputError: says why, and what can be had.
        """
        if device != "cpu":
            raise BadInputError(f"rounds of the kind {self.name} are replayed on the CPU only, not on {device}")

    def batched(self, snapshot: Any) -> Batched:
        """Many replays of the round at once on a CUDA device, where `check_replayable` allows it."""
        raise BadInputError(f"rounds of the kind {self.name} are replayed on the CPU only")

    def draw_minibatches(self, snapshot: Any, rng: np.random.Generator, left: NDArray[np.int64]) -> NDArray[np.integer]:
        """(n_epochs, m) permutations of the m records that are `left`, as the trainer might have drawn them."""
        return left[draw_minibatches(rng, len(left), snapshot.config.n_epochs)]

    def no_signal(self, snapshot: Any) -> NDArray[np.bool_]:
        """(n,) records from which nothing was learned, so that they have no rank."""
        return np.zeros(len(snapshot.buffer), bool)

    # For people.

    def columns(self, snapshot: Any, records: Sequence[int]) -> dict[str, list[Any]]:
        """By which people recognise these records, in a table: name -> a number or a short text each."""
        return {}

    def features(self, snapshot: Any) -> Iterator[Feature]:
        """What a person would ask about the records, by which the bottom ones are compared with the rest."""
        yield dropped(snapshot.buffer.kept)

    def unknown(self, snapshot: Any) -> Sequence[str]:
        """What `features` says of other rounds and not of this one, and why; a line each."""
        return ()

    def groups(self, snapshot: Any) -> tuple[str, NDArray[Any]]:
        """What records belong together: a word for one group, and (n,) its number for each record.

        Raises:
            BadInputError: nothing does.
        """
        raise BadInputError(
            f"the records of a run of the kind {self.name} belong to nothing that they could be summed over"
        )

    def action_names(self, snapshot: Any) -> Sequence[str]:
        """Names of the actions, where `spaces` has some."""
        spaces = self.spaces(snapshot)
        return () if spaces is None else spaces[1].value_names

    def typed_action(self, snapshot: Any, text: str) -> list[float]:
        """An action that a person typed, by name or by number, or by its numbers.

        Raises:
            BadInputError: there is no such action; says what would be right.
        """
        spaces = self.spaces(snapshot)
        if spaces is None:
            raise BadInputError(f"--action is not for a run of the kind {self.name}")
        return arguments.action(text, spaces[1])

    # Evaluating and training on.

    def unplayed(self, snapshot: Any) -> str:
        """Why no policy can be played in the place of this round's, so that a removal is judged on records; empty where one can.

        Raises:
            BadInputError: there is no policy to ask.
        """
        return ""

    def unjudged(self, snapshot: Any) -> str:
        """Why nothing here says how good a policy is, as far as is known without loading it; empty where something does."""
        return ""

    def evaluation(self, snapshot: Any, given: Given) -> PolicyEvaluation:
        """How policies are evaluated in the place of this round's.

        Raises:
            BadInputError: they can't be.
        """
        raise BadInputError(f"policies of the kind {self.name} can't be evaluated here")

    def check_given(self, given: Given) -> None:
        """Refuse what this kind has no use for.

        Raises:
            BadInputError: something is given that `takes` does not name.
        """
        if unknown := next((name for name, one in given.items() if one is not None and name not in self.takes), None):
            have = f"; what can be given is {', '.join(self.takes)}" if self.takes else ""
            raise BadInputError(f"a run of the kind {self.name} has no use for {unknown}{have}")

    def player(self, snapshot: Any, agent: Agent) -> Any:
        """The policy of a replayed round as `PolicyEvaluation.returns` takes it."""
        return agent

    def begin(self, settings: Any, out: Path, given: Given) -> Learner[Any]:
        """Round 0 of a training."""
        raise BadInputError(f"runs of the kind {self.name} are not trained here")

    def after(self, snapshot: Any, agent: Agent, out: Path, given: Given, *, collects: bool = True) -> Learner[Any]:
        """The training as it stood after a round's update, its generators as the round's checkpoint has them.

        Args:
            snapshot: the round, as it was replayed.
            agent: after its update.
            out: folder of the run that goes on.
            given: what the caller puts in the place of something that the settings name.
            collects: whether more is to be collected.
        """
        raise BadInputError(f"runs of the kind {self.name} are not trained on here")

    def collected_anew(self, snapshot: Any, rng: np.random.Generator) -> Any:
        """The round collected again from theta(k), with luck drawn from `rng`."""
        with closing(self.after(snapshot, self.agent(snapshot), Path(), {})) as learner:
            learner.round = snapshot.round
            learner.reseed(rng)
            return learner.collect()

    def settings(self, source: Any) -> Any:
        """What `engine.train` is told, from a run's manifest or from a snapshot of it.

        An object that names its `kind`, has the settings that all runs have as `config`, and a field for each of its own.
        """
        raise BadInputError(f"runs of the kind {self.name} are not trained here")

    def checked(self, settings: Any) -> Any:
        """The settings as `run.json` will have them.

        Raises:
            BadInputError: they don't go together; names one.
        """
        return settings

    def own(self, snapshot: Any) -> Any:
        """A recorded round of a run that the person at the keyboard goes on with, and not of a received one."""
        return snapshot

    def make_filter(self, settings: Any) -> Callable[..., Any] | None:
        """The filter that the settings name, see `engine.core.filtering.ranked_filter`; None for none.

        Raises:
            BadInputError: this kind does not have it.
        """
        if settings.config.filter != "none":
            raise BadInputError(f"filter is {settings.config.filter}; runs of the kind {self.name} have none")
        return None

    def fingerprint(self) -> dict[str, str]:
        """Software and hardware that a replay's bits depend on here.

        Raises:
            BadInputError: what the kind needs is not installed.
        """
        return fingerprint()


def kind_of(snapshot: Snapshot) -> Kind:
    """What can be done with a round.

    Raises:
        BadInputError: it is no round, or of a kind that is not known here.
    """
    if not isinstance(snapshot, Snapshot):
        raise BadInputError(
            f"a recorded round is needed, not {type(snapshot).__name__}; give engine.open_run(folder).snapshot(k)"
        )
    kind: Kind = kind_named(snapshot.kind)
    return kind


def recorded_here(snapshot: Snapshot) -> bool:
    """Whether a replay here has the recorded bits: the fingerprints are equal. On another machine it agrees to rounding."""
    one_thread()
    try:
        return dict(snapshot.fingerprint) == kind_of(snapshot).fingerprint()
    except BadInputError:  # what the kind needs is not installed
        return False
