"""The catalogue: one entry per supported environment.

Every entry has the preset `default`: one environment, 2048 steps a round, Adam. `tuned`, where there is one, learns more; the
comment beside it says in how many steps it reached which return (stochastic policy, mean of 100 evaluation episodes). `paper` is
how arXiv 2505.19281 trains its six environments, with the gradient clip off as in its code, and `paper-adam` its side study with
Adam (Table 3). `v0.1` is what version 0.1 called `paper`: its results were made with it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from engine.envs.environment import Environment, Extra, StateAccess, attributes
from engine.envs.layout import Layout, Place
from engine.envs.toy_text import lake


def _load_mujoco() -> None:
    mujoco = import_module("mujoco")
    # By itself MuJoCo writes its warnings to the screen and into MUJOCO_LOG.TXT in the working directory.
    mujoco.set_mju_user_warning(logging.getLogger("mujoco").debug)


def _read_mujoco(env: gym.Env[Any, Any]) -> tuple[Any, ...]:
    mujoco, simulator = import_module("mujoco"), env.unwrapped
    model, kind = simulator.model, mujoco.mjtState.mjSTATE_INTEGRATION  # type: ignore[attr-defined]
    state = np.empty(mujoco.mj_stateSize(model, kind))
    mujoco.mj_getState(model, simulator.data, state, kind)  # type: ignore[attr-defined]
    return (state,)


def _write_mujoco(env: gym.Env[Any, Any], state: tuple[Any, ...]) -> None:
    mujoco, simulator = import_module("mujoco"), env.unwrapped
    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    mujoco.mj_setState(simulator.model, simulator.data, state[0], kind)  # type: ignore[attr-defined]


def _look_at_robot(env: gym.Env[Any, Any]) -> None:
    """MuJoCo's camera stays where the first drawing has put it, and the robot runs out of the picture."""
    renderer = env.unwrapped.mujoco_renderer  # type: ignore[attr-defined]
    if renderer.viewer is not None:
        renderer.viewer._init_camera()
        renderer._set_cam_config()


def _first_ray(env: gym.Env[Any, Any]) -> None:
    """A drawing shows a single one of the lidar's rays, and the next drawing the next one."""
    env.unwrapped.lidar_render = 0  # type: ignore[attr-defined]


MINIGRID = Extra("minigrid", "minigrid", partial(import_module, "minigrid"))
HIGHWAY = Extra("highway", "highway-env", partial(import_module, "highway_env"))
MUJOCO = Extra("mujoco", "mujoco", _load_mujoco)


def _image_only(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """MiniGrid's observation is the image alone, without direction and mission text."""
    wrapped: gym.Env[Any, Any] = import_module("minigrid.wrappers").ImgObsWrapper(env)
    return wrapped


def _minigrid_place(state: tuple[Any, ...]) -> Place:
    (column, row), heading, _ = state
    return Place(int(row), int(column), int(heading))


def _minigrid_tiles(env: gym.Env[Any, Any]) -> tuple[tuple[str, ...], ...]:
    grid = env.unwrapped.grid  # type: ignore[attr-defined]
    cells = [[grid.get(column, row) for column in range(grid.width)] for row in range(grid.height)]
    return tuple(tuple("" if cell is None else cell.type for cell in row) for row in cells)


def _minigrid_picture(env: gym.Env[Any, Any]) -> NDArray[np.uint8]:
    drawn: NDArray[np.uint8] = env.unwrapped.grid.render(32, agent_pos=(-1, -1))  # type: ignore[attr-defined]
    return drawn


_GRID = tuple(f"row {cell // 4}, column {cell % 4}" for cell in range(16))
_UNCLIPPED: Mapping[str, Any] = {"max_grad_norm": None}
_SGD: Mapping[str, Any] = {"optimizer": "sgd", "learning_rate": 5e-3}
_FROZEN_LAKE_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {"rounds": 30},
    "v0.1": {"rounds": 30, **_SGD},
}
_NORMALIZED: Mapping[str, Any] = {"normalize_observation": True, "normalize_reward": True}
_CHEETAH = ("back thigh", "back shin", "back foot", "front thigh", "front shin", "front foot")
_HIGHWAY: Mapping[str, Any] = {
    "observation_names": tuple(
        f"{who} {what}"
        for who in ("ego", "vehicle 1", "vehicle 2", "vehicle 3", "vehicle 4")
        for what in ("presence", "x", "y", "vx", "vy")
    ),
    "action_names": ("lane left", "idle", "lane right", "faster", "slower"),
    "options": {"config": {"vehicles_count": 10}},
    "extra": HIGHWAY,
}

CATALOGUE: Mapping[str, Environment] = {
    entry.name: entry
    for entry in (
        Environment(
            name="CartPole-v1",
            gym_id="CartPole-v1",
            description="keep a pole upright on a cart; return = steps survived, at most 500",
            observation_names=("cart position", "cart velocity", "pole angle", "pole angular velocity"),
            action_names=("push left", "push right"),
            presets={
                "default": {"rounds": 25},
                "v0.1": {"rounds": 25},
                "tuned": {  # 143,360 steps: 500 (seeds 0, 1, 2)
                    "rounds": 70,
                    "n_envs": 8,
                    "n_steps": 256,
                    "batch_size": 256,
                    "n_epochs": 20,
                    "learning_rate": 1e-3,
                    "gamma": 0.98,
                    "gae_lambda": 0.8,
                },
            },
            state=attributes("state", steps_beyond_terminated=None),
        ),
        Environment(
            name="FrozenLake-v1",
            gym_id="FrozenLake-v1",
            description="4x4 grid with holes, not slippery; return 1 at the goal, else 0",
            observation_names=_GRID,
            action_names=("left", "down", "right", "up"),
            presets={"paper": {"rounds": 30, **_SGD, **_UNCLIPPED}, **_FROZEN_LAKE_PRESETS},
            options={"map_name": "4x4", "is_slippery": False},
            state=attributes("s"),
            layout=lake(columns=4),
        ),
        Environment(
            name="FrozenLake-v1-slippery",
            gym_id="FrozenLake-v1",
            description="4x4 grid with holes, slippery: two moves in three go sideways; best possible 0.74",
            observation_names=_GRID,
            action_names=("left", "down", "right", "up"),
            presets=_FROZEN_LAKE_PRESETS,
            options={"map_name": "4x4", "is_slippery": True},
            state=attributes("s"),
            layout=lake(columns=4),
        ),
        Environment(
            name="Acrobot-v1",
            gym_id="Acrobot-v1",
            description="swing a two-link arm above a line; return = -1 per step, at worst -500",
            observation_names=(
                "cos of joint 1",
                "sin of joint 1",
                "cos of joint 2",
                "sin of joint 2",
                "angular velocity 1",
                "angular velocity 2",
            ),
            action_names=("torque -1", "torque 0", "torque +1"),
            presets={
                "paper": {"rounds": 20, **_SGD, **_UNCLIPPED},
                "default": {"rounds": 20},
                "v0.1": {"rounds": 20},
                "tuned": {  # 307,200 steps: -82 (seed 0)
                    "rounds": 75,
                    "n_envs": 16,
                    "n_steps": 256,
                    "n_epochs": 4,
                    "gae_lambda": 0.94,
                    **_NORMALIZED,
                },
            },
            state=attributes("state"),
        ),
        Environment(
            name="LunarLander-v3",
            gym_id="LunarLander-v3",
            description="land between two flags; 200 counts as solved, a crash costs 100",
            observation_names=(
                "x",
                "y",
                "x velocity",
                "y velocity",
                "angle",
                "angular velocity",
                "left leg touches",
                "right leg touches",
            ),
            action_names=("nothing", "left engine", "main engine", "right engine"),
            presets={
                "paper": {"rounds": 100, **_SGD, **_UNCLIPPED},
                "paper-adam": {"rounds": 100, "learning_rate": 1e-3, **_UNCLIPPED},
                "default": {"rounds": 100},
                "v0.1": {"rounds": 100, "learning_rate": 1e-3},
                "tuned": {  # 1,015,808 steps: 271 (seed 0)
                    "rounds": 62,
                    "n_envs": 16,
                    "n_steps": 1024,
                    "n_epochs": 4,
                    "learning_rate": 1e-3,
                    "gamma": 0.999,
                    "gae_lambda": 0.98,
                    "ent_coef": 0.01,
                },
            },
        ),
        Environment(
            name="MiniGrid-Empty-8x8-v0",
            gym_id="MiniGrid-Empty-8x8-v0",
            description="walk to the green square of an empty room; return about 0.96 for the shortest way, 0 without it",
            observation_names=(),
            action_names=("turn left", "turn right", "forward", "pick up", "drop", "toggle", "done"),
            presets={
                "paper": {"rounds": 40, **_SGD, **_UNCLIPPED, "path": "torch"},
                # The learning rate is a guess: the usual one of Adam.
                "paper-adam": {"rounds": 40, **_UNCLIPPED, "path": "torch"},
                "default": {"rounds": 30, "path": "torch"},
                "v0.1": {"rounds": 30, **_SGD, "path": "torch"},
                "tuned": {  # 98,304 steps: 0.96 (seeds 0 to 5; without the entropy bonus seed 0 never finds the way)
                    "rounds": 24,
                    "n_envs": 8,
                    "n_steps": 512,
                    "batch_size": 512,
                    "learning_rate": 5e-4,
                    "ent_coef": 0.01,
                    "path": "torch",
                },
            },
            extra=MINIGRID,
            wrap=_image_only,
            state=attributes("agent_pos", "agent_dir", "step_count"),
            layout=Layout(_minigrid_place, _minigrid_tiles, of_state=True, picture=_minigrid_picture),
        ),
        Environment(
            name="highway-fast-v0",
            gym_id="highway-fast-v0",
            description="overtake on three lanes for 30 s without a crash; return at most 30; about 100 steps a second",
            presets={"default": {"rounds": 25}, "v0.1": {"rounds": 25}},
            **_HIGHWAY,
        ),
        Environment(
            name="highway-v0",
            gym_id="highway-v0",
            description="overtake on four lanes for 40 s without a crash; return at most 40; about 50 steps a second",
            presets={
                "paper": {"rounds": 25, **_SGD, **_UNCLIPPED},
                "default": {"rounds": 25},
                "v0.1": {"rounds": 25},
            },
            **_HIGHWAY,
        ),
        Environment(
            name="BipedalWalker-v3",
            gym_id="BipedalWalker-v3",
            description="walk on two legs over gentle hills; 300 at the far end, a fall costs 100",
            observation_names=(
                "hull angle",
                "hull angular velocity",
                "x velocity",
                "y velocity",
                *(
                    f"{leg} {part}"
                    for leg in ("leg 1", "leg 2")
                    for part in ("hip angle", "hip speed", "knee angle", "knee speed", "touches")
                ),
                *(f"lidar {ray}" for ray in range(1, 11)),
            ),
            action_names=("hip 1 torque", "knee 1 torque", "hip 2 torque", "knee 2 torque"),
            presets={
                "paper": {"rounds": 150, **_UNCLIPPED},
                "default": {"rounds": 150},
                "v0.1": {"rounds": 150},
                "tuned": {  # 3,276,800 steps: 253 (seed 0)
                    "rounds": 200,
                    "n_envs": 16,
                    "n_steps": 1024,
                    "gamma": 0.999,
                    "clip_range": 0.18,
                    **_NORMALIZED,
                },
            },
            draw_afresh=_first_ray,
            fresh_each_episode=True,  # its Box2D world keeps contacts of the last episode
        ),
        Environment(
            name="Pendulum-v1",
            gym_id="Pendulum-v1",
            description="swing a pendulum up and hold it; return about -150 at best, -1200 at random",
            observation_names=("cos of the angle", "sin of the angle", "angular velocity"),
            action_names=("torque",),
            presets={
                "default": {"rounds": 50},
                "v0.1": {"rounds": 50},
                "tuned": {  # 163,840 steps: -175 (seed 0)
                    "rounds": 40,
                    "n_envs": 4,
                    "n_steps": 1024,
                    "learning_rate": 1e-3,
                    "gamma": 0.9,
                },
            },
            state=attributes("state"),
        ),
        Environment(
            name="HalfCheetah-v5",
            gym_id="HalfCheetah-v5",
            description="run on two legs, 1000 steps; return = distance gained less the effort",
            observation_names=(
                "z of the front tip",
                "angle of the front tip",
                *(f"angle of the {joint}" for joint in _CHEETAH),
                "x velocity of the front tip",
                "z velocity of the front tip",
                "angular velocity of the front tip",
                *(f"angular velocity of the {joint}" for joint in _CHEETAH),
            ),
            action_names=tuple(f"{joint} torque" for joint in _CHEETAH),
            presets={
                "default": {"rounds": 150},
                "v0.1": {"rounds": 150},
                "tuned": {"rounds": 490, "n_envs": 8, "n_steps": 256, **_NORMALIZED},  # 1,003,520 steps: 1740 (seed 0)
            },
            extra=MUJOCO,
            state=StateAccess(_read_mujoco, _write_mujoco),
            draw_afresh=_look_at_robot,
        ),
    )
}
