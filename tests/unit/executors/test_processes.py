"""A pool of processes: its workers leave nothing behind, and programs that can't have one are told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from multiprocessing import active_children
from pathlib import Path

import pytest
from deadlines import wait_until

import engine
from engine.errors import EngineError
from engine.executors import run_tasks

ROOT = Path(engine.__file__).parents[1]


def vanish(task: int) -> int:
    os._exit(3)


def dawdle(task: tuple[str, float]) -> None:
    """Say who does it, in a folder, and take so many seconds."""
    folder, seconds = task
    Path(folder, str(os.getpid())).touch()
    time.sleep(seconds)


@pytest.mark.parametrize("from_stdin", [True, False], ids=["from stdin", "without a guard"])
def test_a_program_that_workers_can_not_import_is_told_in_one_line(tmp_path: Path, from_stdin: bool) -> None:
    program = "from engine.executors import run_tasks; print(list(run_tasks(len, ['one'], 'processes', 1)))"
    script = tmp_path / "script.py"
    script.write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command, given = ([sys.executable, "-"], program) if from_stdin else ([sys.executable, str(script)], "")
    told = subprocess.run(
        command, input=given, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert told.returncode == 1
    *_, last = told.stderr.splitlines()
    assert 'it must be a file whose work stands under if __name__ == "__main__":' in last


def test_a_worker_that_dies_is_reported_in_one_line() -> None:
    with pytest.raises(EngineError, match="a worker process died"):
        list(run_tasks(vanish, [1, 2], "processes", 1))


def test_stopping_ends_the_workers_at_once(tmp_path: Path) -> None:
    before = set(active_children())
    results = run_tasks(dawdle, [(str(tmp_path), 0), (str(tmp_path), 600), (str(tmp_path), 600)], "processes", 2)
    next(results)
    start = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - start < 20
    assert set(active_children()) == before


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


@pytest.mark.long
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent(tmp_path: Path, sent: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        sys.path[:0] = {[str(folder) for folder in (ROOT, ROOT / "tests", Path(__file__).parent)]!r}
        from test_processes import dawdle
        from engine.executors import run_tasks
        if __name__ == "__main__":
            list(run_tasks(dawdle, [({str(tmp_path / "seen")!r}, 600)] * 4, "processes", 2))
        """)
    )
    (tmp_path / "seen").mkdir()
    parent = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list((tmp_path / "seen").iterdir())) >= 2)
    workers = [int(path.name) for path in (tmp_path / "seen").iterdir()]
    assert len(workers) == 2
    parent.send_signal(sent)
    assert parent.wait(120) != 0
    wait_until(lambda: not any(map(alive, workers)))
