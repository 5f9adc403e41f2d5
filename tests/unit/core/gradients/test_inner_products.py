"""Inner products <v, grad J_i>: four backends, one answer; worked examples by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from worlds import double, moved_snapshot, off_policy

from engine.config import TrainConfig
from engine.core.gradients.inner_products import Backend, Direction, gradient, inner_products
from engine.core.objective import Batch
from engine.core.targets.functions import Target
from engine.core.targets.of_records import ActionTarget, ReturnTarget, action_target, return_target
from engine.core.update import as_batch
from engine.envs import find
from engine.errors import BadInputError
from engine.kinds.control.networks import ActorCritic, restore_policy
from engine.spaces import Space
from engine.store.snapshot import Snapshot

FAST: tuple[Backend, ...] = ("jvp", "ghost", "double")


@pytest.fixture(scope="module", params=["LunarLander-v3", "FrozenLake-v1", "Pendulum-v1", "MiniGrid-Empty-8x8-v0"])
def snapshot(request: pytest.FixtureRequest) -> Snapshot:
    environment = find(request.param)
    settings = {"n_steps": 96, "learning_rate": 3e-3, "ent_coef": 0.02, "n_epochs": 4}
    return off_policy(moved_snapshot(environment, rounds=2, **settings))


def restored(snapshot: Snapshot) -> ActorCritic:
    return restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)


def directions(policy: ActorCritic, snapshot: Snapshot) -> dict[str, Direction]:
    generator = torch.Generator().manual_seed(1)
    everything = {name: torch.randn(p.shape, generator=generator).to(p.dtype) for name, p in policy.named_parameters()}
    return {
        "return": gradient(return_target(snapshot), policy),
        "action": gradient(action_target(snapshot, record=5), policy),
        "actor and critic": everything,
        "one layer": {name: v for name, v in everything.items() if name.startswith("actor.2.")},
        "first layer": {name: everything[name] for name in list(everything)[:2]},
        "critic": {name: v for name, v in everything.items() if name.startswith("critic.")},
    }


@pytest.mark.parametrize("which", ["return", "action", "actor and critic", "one layer", "first layer", "critic"])
@pytest.mark.parametrize("backend", FAST)
def test_backends_agree_with_the_loop(snapshot: Snapshot, backend: Backend, which: str) -> None:
    exact, single = restored(snapshot), restored(snapshot)
    exact, wide = double(exact, snapshot)
    oracle = inner_products(exact, wide, snapshot.config, directions(exact, snapshot)[which], "loop")
    scale = float(oracle.abs().max())
    assert scale > 0
    found = inner_products(exact, wide, snapshot.config, directions(exact, snapshot)[which], backend)
    assert float((found - oracle).abs().max()) <= 1e-10 * scale
    narrow = as_batch(single, snapshot.buffer)
    found = inner_products(single, narrow, snapshot.config, directions(single, snapshot)[which], backend)
    assert float((found - oracle).abs().max()) <= 1e-5 * scale


@pytest.mark.parametrize("backend", [*FAST, "loop"])
def test_a_record_does_not_notice_its_neighbours(snapshot: Snapshot, backend: Backend) -> None:
    """Neither order nor number of the records in the call changes a record's influence."""
    policy, batch = double(restored(snapshot), snapshot)
    direction = directions(policy, snapshot)["actor and critic"]
    together = inner_products(policy, batch, snapshot.config, direction, backend)
    order = torch.randperm(len(together), generator=torch.Generator().manual_seed(2))
    shuffled = inner_products(policy, batch.take(order), snapshot.config, direction, backend)
    torch.testing.assert_close(shuffled, together[order], rtol=1e-10, atol=1e-12)
    for size in (1, 7, 50):
        parts = [
            inner_products(policy, batch.part(start, start + size), snapshot.config, direction, backend)
            for start in range(0, len(together), size)
        ]
        torch.testing.assert_close(torch.cat(parts), together, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("backend", [*FAST, "loop"])
def test_linear_in_the_direction(snapshot: Snapshot, backend: Backend) -> None:
    policy, batch = double(restored(snapshot), snapshot)
    parts = directions(policy, snapshot)
    both = {name: 2 * parts["actor and critic"][name] for name in parts["actor and critic"]}
    for name, v in parts["return"].items():
        both[name] = both[name] - 3 * v
    first = inner_products(policy, batch, snapshot.config, parts["actor and critic"], backend)
    second = inner_products(policy, batch, snapshot.config, parts["return"], backend)
    combined = inner_products(policy, batch, snapshot.config, both, backend)
    torch.testing.assert_close(combined, 2 * first - 3 * second, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("backend", [*FAST, "loop"])
def test_terms_and_layers_add_up(snapshot: Snapshot, backend: Backend) -> None:
    """A record's influence is the sum over the terms of its objective, and over the layers that the direction touches."""
    policy, batch = double(restored(snapshot), snapshot)
    direction = directions(policy, snapshot)["actor and critic"]
    products = partial(inner_products, policy, batch, snapshot.config, backend=backend)
    whole = products(direction)
    terms = [products(direction, term=term) for term in ("actor", "critic", "entropy")]
    assert all(term.any() for term in terms)
    torch.testing.assert_close(sum(terms), whole, rtol=1e-9, atol=1e-10)
    layers = {name.rpartition(".")[0] for name in direction}
    parts = [products({k: v for k, v in direction.items() if k.startswith(f"{layer}.")}) for layer in layers]
    torch.testing.assert_close(sum(parts), whole, rtol=1e-9, atol=1e-10)


def test_targets_of_the_policy_leave_the_critic_out(snapshot: Snapshot) -> None:
    policy = restored(snapshot)
    for target in (return_target(snapshot), action_target(snapshot, record=0)):
        names = set(gradient(target, policy))
        assert names == {name for name, _ in policy.named_parameters() if not name.startswith("critic.")}


def test_the_policy_is_left_as_it_was(snapshot: Snapshot) -> None:
    policy = restored(snapshot)
    batch = as_batch(policy, snapshot.buffer)
    for backend in (*FAST, "loop"):
        inner_products(policy, batch, snapshot.config, directions(policy, snapshot)["return"], backend)
    assert all(p.grad is None and p.requires_grad for p in policy.parameters())
    assert not any(module._forward_hooks for module in policy.modules())
    for name, p in policy.named_parameters():
        assert np.array_equal(p.detach().numpy(), snapshot.parameters[name])


def two_action_world(probability: float) -> tuple[ActorCritic, TrainConfig]:
    """One state, two actions, a softmax over two logits: logit_a = W_a + b_a, pi(0) = `probability`."""
    policy = ActorCritic(Space("discrete", n=1), Space("discrete", n=2), (), torch.Generator()).double()
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.zero_()
        policy.actor[0].bias[0] = np.log(probability / (1 - probability))  # type: ignore[operator]
    return policy, TrainConfig(env_id="two actions", normalize_advantage=False)


def two_records(probability: float, advantage: tuple[float, float]) -> Batch:
    """Record 0 took action 0, record 1 action 1."""
    return Batch(
        inputs=torch.ones(2, 1, dtype=torch.float64),
        action=torch.tensor([0, 1]),
        log_prob=torch.tensor([probability, 1 - probability], dtype=torch.float64).log(),
        advantage=torch.tensor(advantage, dtype=torch.float64),
        returns=torch.zeros(2, dtype=torch.float64),
        kept=torch.ones(2, dtype=torch.bool),
    )


STATE = np.array([0])


@pytest.mark.parametrize("backend", [*FAST, "loop"])
@pytest.mark.parametrize(
    ("probability", "advantage", "expected"),
    [(0.5, (2.0, -3.0), (2.0, 3.0)), (0.5, (2.0, 3.0), (2.0, -3.0)), (0.8, (1.0, 1.0), (0.16, -0.64))],
)
def test_sign_worked_out_by_hand(
    backend: Backend, probability: float, advantage: tuple[float, float], expected: tuple[float, float]
) -> None:
    """Influence on log pi(0) in the one-state, two-action world.

    grad log pi(a) = e_a - pi in the logits, and the same again in W and in b. At pi = (p, 1 - p):
    <grad log pi(0), grad log pi(0)> = 2 * 2 (1 - p)^2, <grad log pi(0), grad log pi(1)> = -2 * 2 p (1 - p).
    The ratio is 1, so grad J_i = A_i grad log pi(a_i).

    p = 1/2, A = (2, -3): I = (2 * 1, -3 * -1) = (2, 3). Taking action 0 and finding it good raises pi(0); so does
    taking action 1 and finding it bad. With A_1 = +3 the second record lowers pi(0): -3. At p = 0.8, A = (1, 1):
    4 * 0.04 = 0.16 and -4 * 0.16 = -0.64.
    """
    policy, config = two_action_world(probability)
    direction = gradient(ActionTarget(STATE, np.array([0])), policy)
    found = inner_products(policy, two_records(probability, advantage), config, direction, backend)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("backend", [*FAST, "loop"])
def test_return_target_worked_out_by_hand(backend: Backend) -> None:
    """f = (2 log pi(0) - 3 log pi(1)) / 2 at pi = (1/2, 1/2), A = (2, -3).

    grad f = g_0 - 1.5 g_1 with <g_0, g_0> = <g_1, g_1> = 1 and <g_0, g_1> = -1.
    I_0 = 2 (1 + 1.5) = 5 and I_1 = -3 (-1 - 1.5) = 7.5: both records push where the return is.
    """
    policy, config = two_action_world(0.5)
    target = ReturnTarget(np.array([0, 0]), np.array([0, 1]), np.array([2, -3], np.float32), "by hand")
    found = inner_products(policy, two_records(0.5, (2, -3)), config, gradient(target, policy), backend)
    np.testing.assert_allclose(found.detach().numpy(), [5, 7.5], rtol=1e-12)


def test_critic_influence_worked_out_by_hand() -> None:
    """With v = (dV/dW = 1, dV/db = 1) and R = 4, V = 0: J = -1/2 (V - R)^2, grad J . v = (R - V) * (1 + 1) = 8."""
    policy, config = two_action_world(0.5)
    batch = two_records(0.5, (1, 1))._replace(returns=torch.tensor([4.0, -1.0], dtype=torch.float64))
    direction = {"critic.0.weight": torch.ones(1, 1).double(), "critic.0.bias": torch.ones(1).double()}
    for backend in (*FAST, "loop"):
        found = inner_products(policy, batch, config, direction, backend)
        np.testing.assert_allclose(found.detach().numpy(), [8, -2], rtol=1e-12)


class _Constant:
    name = "constant"

    def describe(self) -> dict[str, str]:
        return {"target": self.name}

    def value(self, policy: ActorCritic) -> torch.Tensor:
        return 0 * policy.actor(torch.ones(1, 1, dtype=policy.dtype)).sum()


def test_zero_gradient_is_refused_in_words() -> None:
    policy, _ = two_action_world(0.5)
    target: Target = _Constant()
    with pytest.raises(BadInputError, match="constant target is zero"):
        gradient(target, policy)


def test_unknown_backend_is_refused_by_name() -> None:
    policy, config = two_action_world(0.5)
    with pytest.raises(BadInputError, match="jvp, ghost, double, loop"):
        inner_products(policy, two_records(0.5, (1, 1)), config, {}, "magic")  # type: ignore[arg-type]


def test_ghost_names_the_layer_it_has_no_rule_for() -> None:
    policy, config = two_action_world(0.5)
    policy.actor = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.GroupNorm(1, 2)).double()
    direction = gradient(ActionTarget(STATE, np.array([0])), policy)
    batch = two_records(0.5, (1, 1))
    with pytest.raises(BadInputError, match=r"actor\.1 \(GroupNorm\); use jvp"):
        inner_products(policy, batch, config, direction, "ghost")
    oracle = inner_products(policy, batch, config, direction, "loop").detach()
    torch.testing.assert_close(inner_products(policy, batch, config, direction, "jvp"), oracle)
    torch.testing.assert_close(inner_products(policy, batch, config, direction).detach(), oracle)
