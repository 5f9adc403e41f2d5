#!/bin/sh
# Everything that there is for a CUDA device, in ten minutes; without one, the same in small on the CPU.
# PYTHON names an interpreter that has torch and the extras sb3 and rlhf; by default that of `make setup`.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
"$PYTHON" -c 'import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device: on the CPU, in small")'
exec "$PYTHON" -m benchmarks replays device --quick
