"""What Diagnose says of the round that is open: whether its policy and its replayed update are the recorded ones."""

from __future__ import annotations

import numpy as np
import pytest
from pages import Open, errors, words
from streamlit.testing.v1 import AppTest

import engine
from app.scores import replayed
from engine.core.replays.replayed_run import kept_replay
from engine.jobs.calculate import calculate
from engine.jobs.calculations import Calculation
from engine.jobs.questions import JobQuestion, Replay
from engine.store.commit import RunWriter
from engine.store.read import Run
from engine.store.snapshot import Snapshot


def diagnose(open_page: Open, run: Run) -> AppTest:
    app = open_page("diagnose", run.path.parent, run=run.path.name, round="1")
    assert errors(app) == []
    return app


def said(app: AppTest) -> str:
    """The line about the replay."""
    return next(caption.value for caption in app.caption if "replay" in caption.value)


def with_round_1(run: Run, name: str, **changes: object) -> Run:
    """A copy of the run whose round 1 has other contents."""
    with RunWriter.create(run.path.parent / name, run.manifest) as writer:
        for k in run.stored_rounds:
            snapshot: Snapshot = run.snapshot(k)
            writer.commit_round(snapshot.changed(**changes) if k == 1 else snapshot, snapshot.metrics)
        writer.commit_final(len(run.rounds), run.checkpoint(len(run.rounds)))
    return engine.open_run(run.path.parent / name)


def test_a_round_is_replayed_when_it_is_opened_and_that_is_kept(open_page: Open, shown: Run) -> None:
    assert said(diagnose(open_page, shown)) == ":material/verified: replay verified, equal bit for bit"
    assert kept_replay(shown, 1).equal


def test_scores_of_another_policy_look_untrusted(open_page: Open, shown: Run) -> None:
    checkpoint = dict(shown.snapshot(1).checkpoint)
    name = next(name for name in checkpoint if name.startswith("parameter/") and "actor" in name)
    other = with_round_1(shown, "other", checkpoint={**checkpoint, name: checkpoint[name] + np.float32(0.5)})
    app = diagnose(open_page, other)
    assert "trust: none, another policy" in words(app)
    assert "Don't trust these scores: the policy that the files make is not the one that was recorded" in words(app)
    assert said(app).startswith(":material/error: replay differs: largest difference ")


def test_what_takes_long_is_offered_and_replayed_in_the_background(
    open_page: Open, shown: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replayed, "AT_ONCE_SECONDS", 0.0)
    started: list[JobQuestion] = []
    monkeypatch.setattr(Calculation, "start", lambda job: started.append(job.question))
    app = diagnose(open_page, shown)
    assert app.button(key="replay_round").label == "Replay it (about 1 s)"
    app.button(key="replay_round").click().run()
    assert started == [Replay(round=1)]
    told: list[tuple[int, int]] = []
    calculate(shown, started[0], lambda _, done, total: told.append((done, total)))
    steps = shown.config.n_epochs * -(-shown.config.records_per_round // shown.config.batch_size)
    assert told == [(done, steps) for done in range(steps)]
    assert "replay verified, equal bit for bit" in said(diagnose(open_page, shown))


def test_why_a_round_is_not_replayed_is_said(open_page: Open, shown: Run) -> None:
    bare = with_round_1(shown, "bare", minibatches=shown.snapshot(1).minibatches[:0])
    assert said(diagnose(open_page, bare)).startswith("not replayed: round 1 was recorded without its minibatches")
