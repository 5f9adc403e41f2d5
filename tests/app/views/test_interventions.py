"""The page of interventions while a worker is at one."""

from __future__ import annotations

from pages import Open, errors, words

from engine.intervention.plan import Intervention
from engine.jobs.folder import LOCK_FILE, write_status
from engine.jobs.interventions import create_job
from engine.store.files import Files
from engine.store.read import Run


def test_cancel_shows_at_once(open_page: Open, shown: Run) -> None:
    job, _ = create_job(shown, shown.snapshot(1), Intervention(round=1, removed=(3,), orders=2, episodes=4), {})
    lock = Files().lock(job.folder / LOCK_FILE)  # as a worker that does not look up has it
    write_status(job.folder, "running", "replaying", 1, 4)
    app = open_page("interventions", shown.path.parent, run="cartpole")
    assert "running" in words(app)
    app.button(key="cancel_job").click().run()
    assert errors(app) == []
    assert (app.button(key="cancel_job").label, app.button(key="cancel_job").disabled) == ("Cancelling …", True)
    assert "cancelling" in words(app)
    write_status(job.folder, "cancelled", "cancelled", 1, 4)
    Files().unlock(lock)
    assert "cancelling" not in words(app.run())
