"""What is recorded of a VecNormalize: its running statistics, and how it uses them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecNormalize


def statistics(normalized: VecNormalize) -> dict[str, NDArray[Any]]:
    """The running statistics as plain arrays, under the names that the run format has for them."""
    found: dict[str, NDArray[Any]] = {}
    moments = {"return": normalized.ret_rms} if normalized.norm_reward else {}
    if normalized.norm_obs:
        seen = normalized.obs_rms
        moments |= (
            {f"observation/{key}": part for key, part in seen.items()}
            if isinstance(seen, dict)
            else {"observation": seen}
        )
    for name, each in moments.items():
        for part in ("mean", "var", "count"):
            found[f"normalizer/{name}_{part}"] = np.asarray(getattr(each, part), np.float64).copy()
    return found


def normalizing(model: Any) -> dict[str, Any]:
    """How a VecNormalize clips and whether it learns, where there is one."""
    normalized = model.get_vec_normalize_env()
    if normalized is None:
        return {}
    limits = {name: float(getattr(normalized, name)) for name in ("clip_obs", "clip_reward", "epsilon")}
    return {"normalizing": {**limits, "training": bool(normalized.training)}}
