"""The demonstration's policy and reward model as folders, made once and kept: what a download is for real models."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from engine.demos.courtesy.grammar import draw_prompt
from engine.errors import StorageError
from engine.kinds.language.dependencies import transformers

POLICY_STEPS = 200
REWARD_STEPS = 100


@dataclass(frozen=True)
class World:
    """A trained world. Its models are read like any others, with `from_pretrained`."""

    folder: Path

    @property
    def policy(self) -> Path:
        """Folder of the causal language model, which is rude about half of the time, and its tokenizer."""
        return self.folder / "policy"

    @property
    def reward(self) -> Path:
        """Folder of the learned classifier `rude` / `courteous`, and its tokenizer."""
        return self.folder / "reward"

    def prompts(self, rng: np.random.Generator, n: int) -> list[str]:
        """`n` prompts, drawn from the grammar with replacement."""
        return [draw_prompt(rng) for _ in range(n)]


def build_world(
    folder: str | Path | None = None,
    seed: int = 0,
    *,
    policy_steps: int = POLICY_STEPS,
    reward_steps: int = REWARD_STEPS,
) -> World:
    """The world of a seed: read from the cache, or trained there first, in a few seconds.

    >>> from transformers import AutoModelForCausalLM
    >>> world = build_world()
    >>> AutoModelForCausalLM.from_pretrained(world.policy, local_files_only=True).config.n_layer
    2

    The same seed gives the same bytes on the same machine and versions. A folder's name carries a hash of the code and the
    versions that made it, so that the cache never holds anything out of date.

    Args:
        folder: of the cache; by default `$SNAPSHOT_INFLUENCE_CACHE`, or else `~/.cache/snapshot-influence`.
        seed: of the networks' initialisation and of the sentences that they learn from.
        policy_steps: training steps of the policy.
        reward_steps: training steps of the reward model.

    Raises:
        BadInputError: the extra `rlhf` is not installed.
        StorageError: the folder can't be written.
    """
    cache = cache_folder() if folder is None else Path(folder)
    place = cache / f"courtesy-{_fingerprint()}-{seed}-{policy_steps}-{reward_steps}"
    if not place.is_dir():
        try:
            _make(place, seed, policy_steps, reward_steps)
        except OSError as error:
            raise StorageError(
                f"{cache} can't be written ({error.strerror}); name another folder in SNAPSHOT_INFLUENCE_CACHE"
            ) from error
    return World(place)


def cache_folder() -> Path:
    """Where worlds are kept by default."""
    return Path(os.environ.get("SNAPSHOT_INFLUENCE_CACHE") or Path.home() / ".cache" / "snapshot-influence")


def _make(place: Path, seed: int, policy_steps: int, reward_steps: int) -> None:
    """Train beside `place` and move there at once: another process sees a whole world or none."""
    from engine.core.checkpoint import one_thread
    from engine.demos.courtesy import models

    one_thread()
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".courtesy-") as temporary:
        made = World(Path(temporary) / "world")
        tokenizer = models.make_tokenizer()
        models.train_policy(tokenizer, seed, policy_steps).save_pretrained(made.policy)
        models.train_reward(tokenizer, seed + 1, reward_steps).save_pretrained(made.reward)
        for path in (made.policy, made.reward):
            tokenizer.save_pretrained(path)
        with suppress(FileExistsError):
            _move(made.folder, place)


def _move(made: Path, place: Path) -> None:
    try:
        made.rename(place)
    except OSError:
        if not place.is_dir():
            raise
        shutil.rmtree(made)


def _fingerprint() -> str:
    """What the bytes of a world depend on, apart from its arguments: the code and the libraries that train it."""
    import torch

    here = Path(__file__).parent
    sources = [(here / f"{name}.py").read_bytes() for name in ("grammar", "judge", "models")]
    parts = [*sources, torch.__version__.encode(), transformers().__version__.encode()]
    return sha256(b"\0".join(parts)).hexdigest()[:12]
