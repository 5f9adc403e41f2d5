"""Small runs recorded once per session; tests read them and never write to them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from object_store import bucket, object_store  # noqa: F401  fixtures
from worlds import record

from engine.demos.courtesy.world import World, build_world
from engine.store.read import Run

os.environ["HF_HUB_OFFLINE"] = "1"  # a model that is not here is not looked for elsewhere


MEMORY, ENOUGH = Path("/dev/shm"), 4 * 2**30
"""A folder in memory, and the free bytes that all tests together leave room with."""


def pytest_configure() -> None:
    """Temporary folders lie in memory where it has room: a commit waits for the disk half a dozen times.

    That everything is synced in the right order is tested by what is asked of the disk, never by what a disk does.
    """
    settings.register_profile("any machine", deadline=None)  # a busy one takes longer, and no test asserts on time
    settings.load_profile("any machine")
    if MEMORY.is_dir():
        found = os.statvfs(MEMORY)
        if found.f_bavail * found.f_frsize >= ENOUGH and not found.f_flag & os.ST_NOEXEC:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that train for minutes have half an hour."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cartpole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """CartPole, two environments, Adam; the last minibatch of an epoch is a short one."""
    settings = {"rounds": 3, "n_envs": 2, "n_steps": 70, "batch_size": 32, "n_epochs": 3}
    return record(tmp_path_factory.mktemp("runs") / "cartpole", "CartPole-v1", **settings)


@pytest.fixture(scope="session")
def lander(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """LunarLander with the settings of `v0.1` but shorter rounds: Adam 1e-3, ten epochs."""
    return record(tmp_path_factory.mktemp("runs") / "lander", "LunarLander-v3", rounds=3, n_steps=256)


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trained worlds are kept for one session, and shared between its processes."""
    base = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "SNAPSHOT_INFLUENCE_CACHE", str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache")
        )
        yield


@pytest.fixture(scope="session")
def courtesy(_cache: None) -> World:
    """The policy and the reward model of the demonstration, trained from scratch in a few seconds."""
    return build_world()


@pytest.fixture
def listing() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder with its bytes: equal listings mean that nothing was written."""
    return lambda folder: {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }
