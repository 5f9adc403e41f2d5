"""PPO of TorchRL, recorded: what the recorder needs is marked `# recorded`.

Run it with `python torchrl_ppo.py runs/mine 20`, and look at it with `snapshot-influence dashboard --allow torchrl_ppo`.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torch.distributions import Categorical
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, SamplerWithoutReplacement, TensorDictReplayBuffer
from torchrl.envs import StepCounter, TransformedEnv
from torchrl.envs.libs.gym import GymEnv
from torchrl.modules import MLP, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from engine.recording import Loss, Recorder, rebuilds  # recorded

ENV_ID, SEED, FRAMES, ROUNDS, EPOCHS, MINIBATCH = "CartPole-v1", 1, 512, 20, 4, 128
GAMMA, LAMBDA, CLIP, VALUE_COEF, ENTROPY_COEF, MAX_NORM, RATE = 0.99, 0.95, 0.2, 0.5, 0.01, 0.5, 1e-3


def networks() -> nn.ModuleDict:
    """Actor and critic, as TorchRL wraps them."""
    logits = MLP(in_features=4, out_features=2, num_cells=[64, 64], activation_class=nn.Tanh)
    value = MLP(in_features=4, out_features=1, num_cells=[64, 64], activation_class=nn.Tanh)
    actor = ProbabilisticActor(
        TensorDictModule(logits, in_keys=["observation"], out_keys=["logits"]),
        in_keys=["logits"],
        distribution_class=Categorical,
        return_log_prob=True,
    )
    return nn.ModuleDict({"actor": actor, "critic": ValueOperator(value, in_keys=["observation"])})


def evaluate(agent: Any, observation: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # recorded
    """What the recorder asks of the networks: log-probability, entropy, value."""
    records = TensorDict({"observation": observation}, batch_size=[len(observation)])
    chosen = agent["actor"].get_dist(records)
    return chosen.log_prob(action), chosen.entropy(), agent["critic"](records)["state_value"].flatten()


@rebuilds  # recorded
def make_networks() -> tuple[nn.ModuleDict, Any]:
    """How a reader of the run makes the networks again."""
    return networks(), evaluate


def main(folder: str, rounds: int = ROUNDS) -> nn.ModuleDict:
    """Train."""
    torch.manual_seed(SEED)
    env = TransformedEnv(GymEnv(ENV_ID, categorical_action_encoding=True), StepCounter())
    env.set_seed(SEED)
    agent = networks()
    actor, critic = agent["actor"], agent["critic"]
    collector = Collector(
        env,
        actor,
        frames_per_batch=FRAMES,
        total_frames=rounds * FRAMES,
        auto_register_policy_transforms=True,
    )
    buffer = TensorDictReplayBuffer(
        storage=LazyTensorStorage(FRAMES), sampler=SamplerWithoutReplacement(), batch_size=MINIBATCH
    )
    advantages = GAE(gamma=GAMMA, lmbda=LAMBDA, value_network=critic)
    objective = ClipPPOLoss(
        actor,
        critic,
        clip_epsilon=CLIP,
        entropy_coeff=ENTROPY_COEF,
        critic_coeff=VALUE_COEF,
        loss_critic_type="l2",
        normalize_advantage=True,
    )
    optimizer = torch.optim.Adam(agent.parameters(), lr=RATE, eps=1e-5)
    with Recorder(  # recorded
        folder,
        agent,
        optimizer,
        evaluate=evaluate,
        loss=Loss(clip=CLIP, vf_coef=VALUE_COEF, ent_coef=ENTROPY_COEF),
        rebuild=make_networks,
        max_grad_norm=MAX_NORM,
        gamma=GAMMA,
        gae_lambda=LAMBDA,
        env_id=ENV_ID,
        seed=SEED,
        trainer="TorchRL PPO",
        autoreset="same_step",
    ) as recorder:
        for data in collector:
            with torch.no_grad():
                advantages(data)
            recorder.round(  # recorded
                observation=data["observation"],
                action=data["action"],
                log_prob=data["action_log_prob"],
                value=data["state_value"],
                advantage=data["advantage"],
                returns=data["value_target"],
                reward=data["next", "reward"],
                starts=data["step_count"] == 0,
                truncated=data["next", "truncated"],
                n_envs=1,
            )
            for _ in range(EPOCHS):
                buffer.extend(data)
                for batch in buffer:
                    recorder.minibatch(batch["index"])  # recorded
                    losses = objective(batch)
                    loss = losses["loss_objective"] + losses["loss_entropy"] + losses["loss_critic"]
                    optimizer.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(agent.parameters(), MAX_NORM)
                    optimizer.step()
            collector.update_policy_weights_()
    collector.shutdown()
    return agent


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/mine", int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS)
