"""A checkpoint: everything that training needs to go on, as named arrays."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from functools import cache
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController, threadpool_info
from torch import nn

from engine.config import TrainConfig
from engine.core.objective import make_optimizer
from engine.core.policy import trained
from engine.errors import DamagedRunError

Tensors = dict[str, NDArray[Any]]


def learner_tensors(policy: nn.Module, optimizer: torch.optim.Optimizer) -> Tensors:
    """`parameter/<name>` and `optimizer/<state>/<name>` of what is trained, as copies."""
    own = trained(policy)
    tensors = {f"parameter/{name}": parameter.detach().cpu().numpy().copy() for name, parameter in own.items()}
    for name, parameter in own.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            if value is not None:
                tensors[f"optimizer/{key}/{name}"] = value.detach().cpu().numpy().copy()
    return tensors


def restore_optimizer(
    policy: nn.Module, config: TrainConfig, checkpoint: Mapping[str, NDArray[Any]]
) -> torch.optim.Optimizer:
    """The optimizer of a policy as it was when the checkpoint was taken.

    Raises:
        DamagedRunError: a state is not one of these parameters.
    """
    check_optimizer(policy, checkpoint)
    optimizer = make_optimizer(policy, config)
    for name, parameter in trained(policy).items():
        suffix = f"/{name}"
        state = {
            tensor_name.removeprefix("optimizer/").removesuffix(suffix): torch.tensor(tensor, device=parameter.device)
            for tensor_name, tensor in checkpoint.items()
            if tensor_name.startswith("optimizer/") and tensor_name.endswith(suffix)
        }
        if state:
            optimizer.state[parameter] = state
    return optimizer


def check_optimizer(policy: nn.Module, checkpoint: Mapping[str, NDArray[Any]]) -> None:
    """Refuse optimizer states that are not those of the policy's trained parameters, or of one number each.

    Raises:
        DamagedRunError: names the first one.
    """
    shapes = {name: tuple(parameter.shape) for name, parameter in trained(policy).items()}
    for tensor_name, tensor in checkpoint.items():
        kind, _, rest = tensor_name.partition("/")
        name = rest.partition("/")[2]
        if kind == "optimizer" and (name not in shapes or tensor.shape not in ((), shapes[name])):
            raise DamagedRunError(f"{tensor_name} does not fit the networks that run.json describes")


def encode_rng(state: Mapping[str, Any]) -> NDArray[np.uint8]:
    """A NumPy bit generator's state as JSON bytes (its 128-bit integers as they are: JSON has no limit)."""
    return np.frombuffer(json.dumps(state, sort_keys=True).encode(), np.uint8)


def decode_rng(tensor: NDArray[Any]) -> dict[str, Any]:
    """The inverse of `encode_rng`.

    Raises:
        DamagedRunError: it is no generator's state.
    """
    try:
        state = json.loads(tensor.astype(np.uint8).tobytes())
    except (ValueError, RecursionError) as error:
        raise DamagedRunError("a generator's state in the checkpoint is not JSON") from error
    if not isinstance(state, dict):
        raise DamagedRunError("a generator's state in the checkpoint is none")
    return state


def generator_at(state: Any) -> np.random.Generator:
    """A NumPy generator that stands at a saved PCG64 state.

    Raises:
        DamagedRunError: it is no such state.
    """
    bit_generator = np.random.PCG64()
    try:
        bit_generator.state = state
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DamagedRunError("a generator's state in the checkpoint is none of a PCG64") from error
    return np.random.Generator(bit_generator)


def rng_tensors(generators: Mapping[str, np.random.Generator]) -> Tensors:
    """`rng/<name>` of NumPy generators."""
    return {f"rng/{name}": encode_rng(rng.bit_generator.state) for name, rng in generators.items()}


def restore_rng(checkpoint: Mapping[str, NDArray[Any]], name: str) -> np.random.Generator:
    """The generator saved as `rng/<name>`.

    Raises:
        DamagedRunError: there is none, or it can't be understood.
    """
    if f"rng/{name}" not in checkpoint:
        raise DamagedRunError(f"the checkpoint has no rng/{name}, so training can't go on from it")
    return generator_at(decode_rng(checkpoint[f"rng/{name}"]))


def one_thread() -> None:
    """Let torch and BLAS use one thread: more make small networks slower and can change bits."""
    torch.set_num_threads(1)
    _blas_libraries().limit(limits=1)


@cache
def _blas_libraries() -> ThreadpoolController:
    """Looking for them takes milliseconds; NumPy's, which bits depend on, is there from the start."""
    return ThreadpoolController().select(user_api="blas")


def fingerprint() -> dict[str, str]:
    """Software and hardware that replay's bits depend on."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "torch": torch.__version__,
        "numpy": np.__version__,
        "gymnasium": gymnasium.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "blas": _blas(),
        "threads": str(torch.get_num_threads()),
        "device": "cpu",
    }


@cache
def _blas() -> str:
    """Name, version and kernel of NumPy's BLAS; other libraries bring their own as they are imported."""
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas" and "numpy" in pool["filepath"]]
    return ", ".join(f"{p['internal_api']} {p['version']} {p.get('architecture', '')}".strip() for p in pools)
