"""PPO: networks, rollout, update, training loop, replay and evaluation."""
