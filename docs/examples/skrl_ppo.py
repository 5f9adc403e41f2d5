"""PPO of skrl, recorded: what the recorder needs is marked `# recorded`.

Run it with `python skrl_ppo.py runs/mine 20`, and look at it with `snapshot-influence dashboard --allow skrl_ppo`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import torch
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import CategoricalMixin, DeterministicMixin, Model
from skrl.trainers.torch import SequentialTrainer, SequentialTrainerCfg
from skrl.utils import set_seed
from torch import Tensor, nn

from engine.recording import Loss, Recorder, rebuilds  # recorded

ENV_ID, SEED, ENVS, STEPS, ROUNDS = "CartPole-v1", 1, 4, 128, 20
OBSERVATION, ACTION = gym.spaces.Box(-float("inf"), float("inf"), (4,)), gym.spaces.Discrete(2)


class Policy(CategoricalMixin, Model):
    """Logits of the actions."""

    def __init__(self) -> None:
        Model.__init__(self, observation_space=OBSERVATION, action_space=ACTION, device="cpu")
        CategoricalMixin.__init__(self)
        self.net = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))

    def compute(self, inputs: dict[str, Any], role: str) -> tuple[Tensor, dict[str, Any]]:
        """What skrl asks of a model."""
        return self.net(inputs["observations"]), {}


class Value(DeterministicMixin, Model):
    """The value of a state."""

    def __init__(self) -> None:
        Model.__init__(self, observation_space=OBSERVATION, action_space=ACTION, device="cpu")
        DeterministicMixin.__init__(self)
        self.net = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))

    def compute(self, inputs: dict[str, Any], role: str) -> tuple[Tensor, dict[str, Any]]:
        """What skrl asks of a model."""
        return self.net(inputs["observations"]), {}


def evaluate(models: Any, observation: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # recorded
    """What the recorder asks of the models: log-probability, entropy, value."""
    policy, value = models["policy"], models["value"]
    outputs = policy.act({"observations": observation, "taken_actions": action}, role="policy")[1]
    entropy = policy.get_entropy(role="policy")
    return (
        outputs["log_prob"].flatten(),
        entropy.flatten(),
        value.act({"observations": observation}, role="value")[0].flatten(),
    )


@rebuilds  # recorded
def make_models() -> tuple[nn.ModuleDict, Any]:
    """How a reader of the run makes the models again, in the order in which the optimizer has their parameters."""
    return nn.ModuleDict({"policy": Policy(), "value": Value()}), evaluate


class RecordedMemory(RandomMemory):  # recorded
    """Memory that tells a recorder what each update is given: the first epoch's sample comes after the advantages."""

    recorder: Recorder
    epochs: int
    sampled = 0

    def sample(self, names: list[str], *, mini_batches: int = 1, **kwargs: Any) -> Iterator[list[Tensor]]:
        """Minibatches as skrl draws them, each named before its step."""
        drawn = super().sample(names, mini_batches=mini_batches, **kwargs)
        if self.sampled % self.epochs == 0:
            self._tell()
        self.sampled += 1
        for indexes, batch in zip(self.get_sampling_indexes().tensor_split(mini_batches), drawn, strict=True):
            self.recorder.minibatch(indexes)
            yield batch

    def _tell(self) -> None:
        ended = self.tensors["terminated"] | self.tensors["truncated"]
        first = torch.zeros_like(ended[:1]) if self.sampled == 0 else self.last_ended
        self.last_ended = ended[-1:].clone()
        self.recorder.round(
            observation=self.tensors["observations"],
            action=self.tensors["actions"].squeeze(-1).long(),
            log_prob=self.tensors["log_prob"],
            value=self.tensors["values"],
            advantage=self.tensors["advantages"],
            returns=self.tensors["returns"],
            reward=self.tensors["rewards"],
            starts=torch.cat([first, ended[:-1]]),
            n_envs=self.num_envs,
        )


def main(folder: str, rounds: int = ROUNDS) -> PPO:
    """Train."""
    set_seed(SEED)
    env = wrap_env(gym.make_vec(ENV_ID, ENVS, vectorization_mode="sync"))
    models = make_models()[0]
    cfg = PPO_CFG(
        rollouts=STEPS,
        learning_epochs=4,
        mini_batches=4,
        learning_rate=1e-3,
        grad_norm_clip=0.5,
        ratio_clip=0.2,
        value_clip=0.2,
        entropy_loss_scale=0.01,
        value_loss_scale=0.5,
        experiment={"write_interval": 0, "checkpoint_interval": 0},
    )
    memory = RecordedMemory(memory_size=STEPS, num_envs=ENVS, device="cpu")
    agent = PPO(
        models=dict(models.items()),
        memory=memory,
        cfg=cfg,
        observation_space=env.observation_space,
        action_space=env.action_space,
        device="cpu",
    )
    declared = Loss(
        clip=cfg.ratio_clip,
        value_clip=cfg.value_clip,
        value_error="mse_loss",
        vf_coef=cfg.value_loss_scale,
        ent_coef=cfg.entropy_loss_scale,
    )
    with Recorder(  # recorded
        folder,
        models,
        agent.optimizer,
        evaluate=evaluate,
        loss=declared,
        rebuild=make_models,
        normalize_advantage=False,  # skrl does it once for the whole round, and that is what is recorded
        max_grad_norm=cfg.grad_norm_clip,
        gamma=cfg.discount_factor,
        gae_lambda=cfg.gae_lambda,
        env_id=ENV_ID,
        seed=SEED,
        trainer="skrl PPO",
    ) as memory.recorder:
        memory.epochs = cfg.learning_epochs
        trainer_cfg = SequentialTrainerCfg(timesteps=rounds * STEPS, headless=True, disable_progressbar=True)
        SequentialTrainer(cfg=trainer_cfg, env=env, agents=agent).train()
    return agent


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/mine", int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS)
