"""PPO in a single file, recorded: what the recorder needs is marked `# recorded`.

Run it with `python ppo_single_file.py runs/mine`, and look at it with `snapshot-influence dashboard --allow ppo_single_file`.
"""

from __future__ import annotations

import sys
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from engine.recording import Loss, Recorder, rebuilds  # recorded

ENV_ID, SEED, ENVS, STEPS, ROUNDS, EPOCHS, MINIBATCH = "CartPole-v1", 1, 4, 128, 20, 4, 128
GAMMA, LAMBDA, CLIP, VF_COEF, ENT_COEF, MAX_NORM, RATE = 0.99, 0.95, 0.2, 0.5, 0.01, 0.5, 2.5e-4


class Agent(nn.Module):
    """Actor and critic on one torso."""

    def __init__(self, inputs: int = 4, actions: int = 2) -> None:
        super().__init__()
        self.torso = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
        self.actor, self.critic = nn.Linear(64, actions), nn.Linear(64, 1)

    def act(self, observation: Tensor, action: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Action, its log-probability, entropy and value."""
        hidden = self.torso(observation)
        chosen = torch.distributions.Categorical(logits=self.actor(hidden))
        action = chosen.sample() if action is None else action
        return action, chosen.log_prob(action), chosen.entropy(), self.critic(hidden).squeeze(-1)


def evaluate(agent: Any, observation: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # recorded
    """What the recorder asks of the agent."""
    _, log_prob, entropy, value = agent.act(observation, action)
    return log_prob, entropy, value


@rebuilds  # recorded
def make_agent() -> tuple[Agent, Any]:
    """How a reader of the run makes the agent again; its parameters come from the run."""
    return Agent(), evaluate


def main(folder: str, rounds: int = ROUNDS) -> Agent:
    """Train."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    envs = gym.make_vec(ENV_ID, ENVS, vectorization_mode="sync")
    agent = Agent()
    optimizer = torch.optim.Adam(agent.parameters(), lr=RATE, eps=1e-5)
    declared = Loss(clip=CLIP, value_clip=CLIP, value_clip_kind="max", vf_coef=VF_COEF * 0.5, ent_coef=ENT_COEF)
    with Recorder(
        folder, agent, optimizer, evaluate=evaluate, loss=declared, rebuild=make_agent, env_id=ENV_ID
    ) as recorder:
        shown, done = envs.reset(seed=SEED)[0], np.zeros(ENVS)
        for number in range(rounds):
            optimizer.param_groups[0]["lr"] = RATE * (1 - number / rounds)
            observation = torch.zeros(STEPS, ENVS, 4)
            action = torch.zeros(STEPS, ENVS, dtype=torch.int64)
            log_prob, reward, start, value = (torch.zeros(STEPS, ENVS) for _ in range(4))
            for t in range(STEPS):
                observation[t], start[t] = torch.as_tensor(shown), torch.as_tensor(done)
                with torch.no_grad():
                    action[t], log_prob[t], _, value[t] = agent.act(observation[t])
                shown, gained, terminated, truncated, _ = envs.step(action[t].numpy())
                reward[t], done = torch.as_tensor(gained), np.logical_or(terminated, truncated)
            with torch.no_grad():
                following = agent.act(torch.as_tensor(shown))[3]
            advantage, last = torch.zeros(STEPS, ENVS), torch.zeros(ENVS)
            for t in reversed(range(STEPS)):
                ended = torch.as_tensor(done, dtype=torch.float32) if t == STEPS - 1 else start[t + 1]
                after = following if t == STEPS - 1 else value[t + 1]
                delta = reward[t] + GAMMA * after * (1 - ended) - value[t]
                last = delta + GAMMA * LAMBDA * (1 - ended) * last
                advantage[t] = last
            returns = advantage + value
            recorder.round(  # recorded
                observation=observation,
                action=action,
                log_prob=log_prob,
                value=value,
                advantage=advantage,
                returns=returns,
                reward=reward,
                starts=start,
                n_envs=ENVS,
            )
            flat = [
                column.reshape(-1, *column.shape[2:])
                for column in (observation, action, log_prob, value, advantage, returns)
            ]
            for _ in range(EPOCHS):
                order = rng.permutation(STEPS * ENVS)
                for begin in range(0, len(order), MINIBATCH):
                    rows = torch.as_tensor(order[begin : begin + MINIBATCH])
                    recorder.minibatch(rows)  # recorded
                    seen, chosen, old_log_prob, old_value, gain, goal = (column[rows] for column in flat)
                    _, new_log_prob, entropy, new_value = agent.act(seen, chosen)
                    ratio = (new_log_prob - old_log_prob).exp()
                    gain = (gain - gain.mean()) / (gain.std() + 1e-8)
                    policy_loss = torch.max(-gain * ratio, -gain * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
                    near = old_value + (new_value - old_value).clamp(-CLIP, CLIP)
                    value_loss = 0.5 * torch.max((new_value - goal) ** 2, (near - goal) ** 2).mean()
                    loss = policy_loss - ENT_COEF * entropy.mean() + VF_COEF * value_loss
                    optimizer.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(agent.parameters(), MAX_NORM)
                    optimizer.step()
    envs.close()
    return agent


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/mine")
