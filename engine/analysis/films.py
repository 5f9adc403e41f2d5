"""An evaluation episode of a run's policy, drawn step by step."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.analysis.rendering import CannotDrawError, take_picture, to_png
from engine.core.checkpoint import fingerprint
from engine.kinds.control.agents import in_episodes
from engine.kinds.control.blueprint import Blueprint
from engine.kinds.control.control_only import control_only
from engine.kinds.control.evaluation import check_length
from engine.kinds.control.normalization import normalizer_at
from engine.kinds.control.recorded_environment import environment_of
from engine.kinds.control.stepper import feasible
from engine.store.derived import kept_columns, load_table, save_table
from engine.store.read import Run
from engine.store.words import counted

PICTURES = 120
"""A film has at most twice as many."""
PNG = b"\x89PNG\r\n\x1a\n"
"""What a picture begins with."""
WIDTH = 320
"""Pixels; larger pictures are made smaller."""


@dataclass(frozen=True, eq=False)
class Film:
    """One episode in pictures, the first and the last state among them, the others evenly spaced."""

    step: NDArray[np.int64]
    """(m,) steps made before each picture."""
    reward_sum: NDArray[np.float64]
    """(m,) undiscounted return so far."""
    pictures: list[bytes]
    """m PNG files; empty where the environment can't be drawn."""
    ended: str
    """`terminated` or `truncated`."""
    complaint: str = ""
    """Why there are no pictures."""

    def __repr__(self) -> str:
        return f"Film({counted(self.steps, 'step')}, {counted(len(self.pictures), 'picture')}, return {self.total:.3g})"

    @property
    def steps(self) -> int:
        """How long the episode was."""
        return int(self.step[-1])

    @property
    def total(self) -> float:
        """Its undiscounted return."""
        return float(self.reward_sum[-1])

    def at(self, step: int) -> int:
        """The last picture that was taken at or before a step."""
        return int(np.searchsorted(self.step, step, side="right")) - 1


@control_only
def film(run: Run, k: int, seed: int, *, sees: int | None = None, cache: bool = True) -> Film:
    """Let the policy before round k's update (or the final one) play the evaluation episode of a seed.

    The seed fixes the environment's generator and the noise of the sampled actions, as in every evaluation: two policies
    with the same seed meet the same start and the same luck, and the return is `Evaluator.returns(policy, [seed])`.

    Args:
        run: the run.
        k: a checkpoint of it.
        seed: of the episode.
        sees: a checkpoint whose statistics normalise what the policy sees, where the run has some; by default k's own.
        cache: keep the film in the run's `derived/`, and take it from there.

    Raises:
        BadInputError: the run has no checkpoint k, the environment is not here, or the episode does not end.
        DamagedRunError: the checkpoint is damaged.
    """
    checkpoint = run.checkpoint(k)  # verified also where the film is kept
    key = _key(run, k, seed, sees)
    kept = load_table(run.path, key) if cache else None
    found = None if kept is None else _from_table(kept)
    if found is None:
        found = _play(run, checkpoint, checkpoint if sees is None else run.checkpoint(sees), seed)
        if cache:
            save_table(run.path, key, _table(found), {"ended": found.ended, "complaint": found.complaint})
    return found


def _play(run: Run, checkpoint: dict[str, NDArray[Any]], statistics: dict[str, NDArray[Any]], seed: int) -> Film:
    environment, manifest = environment_of(run), run.manifest
    agent = Blueprint.of(run).agent(checkpoint)
    normalizer = normalizer_at(run.config, statistics)
    generator, env = np.random.default_rng([seed, 1]), environment.make()
    act, only = in_episodes(agent, 1), np.arange(1)
    taken: list[tuple[int, float, bytes]] = []
    complaint, every = "", 1
    try:
        shown, _ = env.reset(seed=seed)
        steps, total, terminated, truncated = 0, 0.0, False, False
        while True:
            over = terminated or truncated
            if steps % every == 0 or over:
                picture = b""
                if not complaint:
                    try:
                        picture = to_png(take_picture(env, environment), WIDTH)
                    except CannotDrawError as error:
                        complaint = str(error)
                taken.append((steps, total, picture))
            if over:
                break
            if len(taken) > 2 * PICTURES:
                every *= 2
                taken = [one for one in taken if one[0] % every == 0]
            check_length(environment, steps)
            seen = np.asarray(shown)[None] if normalizer is None else normalizer.normalize(np.asarray(shown)[None])
            action = act(seen, agent.draw_noise(generator, 1), only)[0]
            shown, reward, terminated, truncated, _ = env.step(feasible(action, manifest.action_space))
            steps, total = steps + 1, total + float(reward)
    finally:
        env.close()
    step, sums, pictures = zip(*taken, strict=True)
    ended = "terminated" if terminated else "truncated"
    return Film(np.array(step, np.int64), np.array(sums), [] if complaint else list(pictures), ended, complaint)


def _key(run: Run, k: int, seed: int, sees: int | None) -> str:
    infos = (*run.rounds, *([run.final] if run.final else []))
    commits = {info.round: info.hash for info in infos}
    of_another = [] if sees in (None, k) else [commits[sees]]
    question = ["film", 1, commits[k], seed, PICTURES, WIDTH, fingerprint(), *of_another]
    return sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()


def _table(found: Film) -> pa.Table:
    pictures = found.pictures or [b""] * len(found.step)
    return pa.table({"step": found.step, "reward_sum": found.reward_sum, "picture": pa.array(pictures, pa.binary())})


def _from_table(table: pa.Table) -> Film | None:
    """What `_table` was made of; None if it was something else."""
    columns = kept_columns(table, _COLUMNS)
    metadata = {name: value.decode(errors="replace") for name, value in (table.schema.metadata or {}).items()}
    ended, complaint = metadata.get(b"ended", ""), metadata.get(b"complaint", "")
    if columns is None or ended not in ("terminated", "truncated") or not len(columns["step"]):
        return None
    pictures = [] if complaint else columns["picture"].tolist()
    if not all(picture.startswith(PNG) for picture in pictures) or (np.diff(columns["step"]) <= 0).any():
        return None
    return Film(columns["step"], columns["reward_sum"], pictures, ended, complaint)


_COLUMNS = {"step": pa.int64(), "reward_sum": pa.float64(), "picture": pa.binary()}
