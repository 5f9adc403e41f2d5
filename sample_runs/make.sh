#!/usr/bin/env bash
# Make the sample runs anew with the shipped commands: sample_runs/make.sh [FOLDER]. Takes a few minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-.venv/bin/python}"
to="${1:-sample_runs}"
engine() { "$python" -m engine "$@"; }

engine train FrozenLake-v1 --preset v0.1 --rounds 30 --seed 1 --out "$to/FrozenLake-v1"
engine retrain "$to/FrozenLake-v1" --round 8 --drop-bottom 0.5 --evaluate 1024
engine retrain "$to/FrozenLake-v1" --round 12 --drop-bottom 1 --evaluate 1024 --continue-rounds 5

engine train Acrobot-v1 --preset v0.1 --rounds 20 --seed 1 --out "$to/Acrobot-v1"
engine retrain "$to/Acrobot-v1" --round 4 --drop-bottom 0.5 --continue-rounds 3

# All 100 rounds of LunarLander take 25 MB: the copy keeps the records of rounds early, middle and late,
# and the metrics of every round.
whole="$(mktemp -d)"
trap 'rm -rf "$whole"' EXIT
engine train LunarLander-v3 --preset v0.1 --rounds 100 --seed 0 --out "$whole/LunarLander-v3"
engine export "$whole/LunarLander-v3" --rounds 0-9,20,30,40,48-55,65,75,85,94-99 --out "$to/LunarLander-v3"
engine retrain "$to/LunarLander-v3" --round 5 --drop-bottom 0.5
engine retrain "$to/LunarLander-v3" --round 50 --drop-bottom 0.5 --continue-rounds 5

# Another trainer's run, in an environment that the catalogue does not have (needs the extra sb3).
"$python" sample_runs/record_cliffs.py "$to/CliffWalking-v1"
engine retrain "$to/CliffWalking-v1" --round 6 --drop-bottom 0.5

# The demonstration of language models (needs the extra rlhf): plain PPO on rewards of which a fifth are flipped.
engine rlhf courtesy --rounds 20 --flip 0.2 --seed 0 --out "$whole/courtesy"
engine export "$whole/courtesy" --rounds 0,4,10 --out "$to/courtesy"
