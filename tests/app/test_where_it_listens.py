"""However it is started, the dashboard listens on 127.0.0.1 alone and sends no statistics; from a wheel it is whole."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, build_opener, urlopen

import pytest
from serving import environment, first_page, free_port, said_to_a_browser, served, settings_of
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import engine

ROOT = Path(__file__).resolve().parents[2]
HERE = {"127.0.0.1"}
STREAMLIT = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app"), "--server.headless=true"]
MODULE = [sys.executable, "-m", "app", "--port", "PORT"]

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux says who listens where"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the checkout without asking an index."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("engine", "app"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    pip("wheel", "--no-build-isolation", "--wheel-dir", folder, folder / "source")
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel is installed in; what it needs is this interpreter's."""
    target = tmp_path_factory.mktemp("installed")
    pip("install", "--target", target, wheel)
    return target


def pip(command: str, *arguments: object) -> None:
    options = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", command, *options, *map(str, arguments)], check=True, timeout=240)


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    """Code, pages' files, configuration, icon, templates and the study that recommends estimators."""
    packed = set(zipfile.ZipFile(wheel).namelist())
    files = {
        path.relative_to(ROOT).as_posix()
        for package in ("engine", "app")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"app/.streamlit/config.toml", "app/icon.svg", "app/views/runs.py"} <= files
    assert files - packed == set()


def test_installed_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    """It looks for runs in the working directory, listens on 127.0.0.1 alone and knows its study."""
    folder = tmp_path / "empty"
    folder.mkdir()
    where = environment(PYTHONPATH=str(installed), HOME=str(tmp_path / "home"))
    with served(MODULE, folder, tmp_path / "log", where) as found:
        assert found.addresses == HERE
        statistics, page = first_page(found.port)
        assert f"http://127.0.0.1:{found.port}" in found.log.read_text()
    assert not statistics
    assert str(folder / "runs") in page, "the page says where runs are looked for"
    assert str(installed) not in page
    assert list(folder.iterdir()) == []
    code = "from app.shell.loaders import _study; import app; print(app.__file__, len(_study()))"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=where, capture_output=True, text=True, check=True, timeout=60
    )
    place, records = said.stdout.split()
    assert Path(place).is_relative_to(installed)
    assert int(records) > 0


@pytest.mark.slow
def test_the_console_script_trains_and_shows_where_it_is_called(installed: Path, tmp_path: Path) -> None:
    """In a person's own environment: one program trains into the working directory, and its dashboard finds the run."""
    program = str(installed / "bin" / "snapshot-influence")
    where = environment(PYTHONPATH=str(installed), HOME=str(tmp_path / "home"))

    def said(*words: str) -> str:
        done = subprocess.run(
            [program, *words], cwd=tmp_path, env=where, capture_output=True, text=True, check=True, timeout=120
        )
        return done.stdout

    assert said("--version").strip() == engine.__version__
    assert "dashboard" in said("--help")
    said("train", "CartPole-v1", "--preset", "default", "--rounds", "2", "--set", "n_steps=64", "--out", "runs/mine")
    assert [run["run"] for run in json.loads(said("runs", "runs", "--json"))] == ["runs/mine"]
    with served([program, "dashboard", "--port", "PORT"], tmp_path, tmp_path / "log", where) as found:
        assert found.addresses == HERE
        statistics, page = first_page(found.port)
    assert not statistics
    assert "mine" in page
    assert str(tmp_path / "runs") not in page, "there is a run, so nothing says where to look"


@pytest.mark.parametrize("command", [[*STREAMLIT, "--server.port=PORT"], MODULE])
def test_what_a_browser_may_have_forgotten_is_sent_again(command: list[str], tmp_path: Path) -> None:
    """By the time that the server names what it has sent before, a browser on its way from page to page may not have it."""

    def large(said: list[ForwardMsg]) -> list[str]:
        return [one.hash for one in said if one.ByteSize() > 30_000]

    with served(command, ROOT, tmp_path / "log", environment()) as found:
        first = said_to_a_browser(found.port, "timeline", "run=LunarLander-v3")
        again = said_to_a_browser(found.port, "timeline", "run=LunarLander-v3", known=[one.hash for one in first])
    assert large(first)
    assert large(again) == large(first)
    assert not [one for one in again if one.WhichOneof("type") == "ref_hash"]


def test_training_imports_nothing_of_the_dashboard(installed: Path, tmp_path: Path) -> None:
    code = """
import sys
import engine
engine.train(engine.preset("CartPole-v1", "default", rounds=1, n_steps=64, batch_size=32), "runs/mine")
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""
    where = environment(PYTHONPATH=str(installed), HOME=str(tmp_path / "home"))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=where, capture_output=True, text=True, check=True, timeout=120
    )
    imported = set(done.stdout.split())
    assert {"engine", "torch", "gymnasium"} <= imported
    assert imported & {"app", "streamlit", "plotly", "matplotlib", "jinja2", "typer", "av", "transformers"} == set()


def test_what_was_recorded_there_is_shown_there(installed: Path, tmp_path: Path) -> None:
    """A person's own script, in their environment: it loads nothing of the dashboard, and the dashboard opens the run."""
    code = """
import sys
from stable_baselines3 import PPO
from engine.recording import sb3
model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, device="cpu")
model.learn(128, callback=sb3.Recorder("runs/mine"))
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""
    where = environment(PYTHONPATH=str(installed), HOME=str(tmp_path / "home"))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=where, capture_output=True, text=True, check=True, timeout=120
    )
    assert set(done.stdout.split()) & {"app", "streamlit", "plotly", "jinja2", "typer", "av", "transformers"} == set()
    assert len(engine.open_run(tmp_path / "runs" / "mine").stored_rounds) == 2
    program = str(installed / "bin" / "snapshot-influence")
    with served([program, "dashboard", "--port", "PORT"], tmp_path, tmp_path / "log", where) as found:
        _, page = first_page(found.port)
    assert "Stable-Baselines3 PPO" in page


def test_a_page_of_another_site_is_refused_and_nobody_is_asked_for_an_address(tmp_path: Path) -> None:
    where = environment(HOME=str(tmp_path / "home"), PYTHONPATH=str(ROOT))
    with served([*STREAMLIT, "--server.port=PORT"], tmp_path, tmp_path / "log", where) as found:
        stream = f"ws://127.0.0.1:{found.port}/_stcore/stream"
        for origin in ("http://evil.example", f"http://localhost:{found.port + 1}", None):
            with pytest.raises(InvalidStatus, match="403"):
                connect(stream, subprotocols=["streamlit"], origin=origin)  # type: ignore[list-item,arg-type]
        _, page = first_page(found.port)
        assert page
        assert "external" not in found.log.read_text()


@pytest.mark.parametrize("start", ["module", pytest.param("streamlit", marks=pytest.mark.slow)])
def test_on_another_address_the_token_opens_it(start: str, tmp_path: Path) -> None:
    where = environment(HOME=str(tmp_path / "home"), PYTHONPATH=str(ROOT), STREAMLIT_SERVER_ADDRESS="0.0.0.0")
    command = MODULE if start == "module" else [*STREAMLIT, "--server.port=PORT"]
    with served(command, tmp_path, tmp_path / "log", where) as found:
        assert found.addresses == {"0.0.0.0"}
        page = f"http://127.0.0.1:{found.port}/"
        with pytest.raises(HTTPError) as refused:
            urlopen(page, timeout=10)
        assert refused.value.code == 403
        (token,) = set(re.findall(r"[?]token=([\w-]+)", found.log.read_text()))
        cookies = build_opener(HTTPCookieProcessor())
        with cookies.open(f"{page}?token={token}", timeout=10) as answer:
            assert (answer.status, answer.url) == (200, page)
        with cookies.open(page, timeout=10) as answer:
            assert answer.headers["X-Frame-Options"] == "DENY"


def test_what_only_shows_runs_asks_for_nothing_and_writes_nothing(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests" / "pins" / "data" / "control-v1" / "run", tmp_path / "runs" / "pinned")
    before = sorted(tmp_path.rglob("*"))
    where = environment(HOME=str(tmp_path / "home"), PYTHONPATH=str(ROOT), STREAMLIT_SERVER_ADDRESS="0.0.0.0")
    with served([*MODULE, "--read-only", "--runs", "runs"], tmp_path, tmp_path / "log", where) as found:
        assert "token" not in found.log.read_text()
        _, page = first_page(found.port)
        assert "pinned" in page
    assert [path for path in sorted(tmp_path.rglob("*")) if path != tmp_path / "log"] == before


@pytest.mark.slow
def test_installed_and_started_by_streamlit_beside_runs(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests" / "pins" / "data" / "control-v1" / "run", tmp_path / "runs" / "pinned")
    command = [sys.executable, "-m", "streamlit", "run", str(installed / "app"), "--server.port=PORT"]
    where = environment(PYTHONPATH=str(installed), HOME=str(tmp_path / "home"))
    with served([*command, "--server.headless=true"], tmp_path, tmp_path / "log", where) as found:
        assert found.addresses == HERE
        statistics, page = first_page(found.port)
    assert not statistics
    assert str(tmp_path / "runs") not in page, "there is a run, so nothing says where to look"


@pytest.mark.parametrize("start", ["module", pytest.param("streamlit", marks=pytest.mark.slow)])
def test_from_the_checkout_whatever_files_say(start: str, tmp_path: Path) -> None:
    """Files in the home and in the working directory ask for another address and for statistics."""
    asked = {"server.address": "0.0.0.0", "browser.gatherUsageStats": True, "server.port": 1}
    for folder in (tmp_path / "home", tmp_path / "work"):
        settings_of(folder, **asked)
    where = environment(HOME=str(tmp_path / "home"), PYTHONPATH=str(ROOT))
    command = MODULE
    if start == "streamlit":
        command = [*STREAMLIT, "--server.port=PORT"]
    with served(command, tmp_path / "work", tmp_path / "log", where) as found:
        assert found.addresses == HERE
        statistics, _ = first_page(found.port)
    assert not statistics


def test_another_address_is_a_persons_choice(tmp_path: Path) -> None:
    where = environment(STREAMLIT_SERVER_ADDRESS="0.0.0.0", PYTHONPATH=str(ROOT))
    with served(MODULE, tmp_path, tmp_path / "log", where) as found:
        assert found.addresses == {"0.0.0.0"}
        assert f"http://0.0.0.0:{found.port}" in found.log.read_text(), "what is printed is what is so"


def test_an_address_that_is_not_this_machines_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app", "--port", str(free_port())]
    for address in ("192.0.2.1", "nowhere.invalid"):
        where = environment(STREAMLIT_SERVER_ADDRESS=address, PYTHONPATH=str(ROOT))
        done = subprocess.run(command, cwd=tmp_path, env=where, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode != 0
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert address in line
