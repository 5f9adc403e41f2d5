"""Pages on runs in a person's own environments: as any other where they are named, one line where they are not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import pytest
from own_worlds import saying, write_package
from pages import Open, errors, words
from serving import environment, first_page, served

import engine

SMALL = {"rounds": 2, "n_envs": 2, "n_steps": 40, "n_epochs": 2, "batch_size": 16, "seed": 1}
PACKAGE = "own_worlds_of_pages"
ROOT = Path(engine.__file__).parents[1]
WORLDS = ("Walk", "Arm", "ChannelsFirst", "Grey")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    write_package(folder, PACKAGE)
    return folder


@pytest.fixture(scope="module")
def runs(here: Path) -> Iterator[Path]:
    with saying(imports=[PACKAGE], directory=here):
        for name in WORLDS:
            engine.train(engine.preset(f"own/{name}-v0", **SMALL), here / "runs" / name)
        yield here / "runs"


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("page", ["timeline", "diagnose", "behaviour"])
def test_page_draws(open_page: Open, page: str, name: str) -> None:
    app = open_page(page, run=name, round="1", inspect="7")
    assert errors(app) == []
    assert app.selectbox(key="run").value == name


def test_an_image_is_shown_wherever_it_has_its_channels(open_page: Open) -> None:
    assert "38 x 36 pixels" in words(
        open_page("diagnose", run="ChannelsFirst", round="1", inspect="7", show="Observation")
    )
    assert "40 x 40 pixels" in words(open_page("diagnose", run="Grey", round="1", inspect="7", show="Observation"))


def test_without_its_name_all_is_there_that_needs_no_environment(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(gym.registry, "own/Walk-v0")
    app = open_page("diagnose", run="Walk", round="1", inspect="9", show="Observation")
    assert errors(app) == []
    assert "can't play this run's environment 'own/Walk-v0': it is not registered here" in words(app)
    assert any(frame.key == "top_records" for frame in app.dataframe)


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux says who listens where")
@pytest.mark.parametrize(
    "command",
    [
        "-m app --port PORT",
        pytest.param("-m streamlit run APP --server.port=PORT --server.headless=true --", marks=pytest.mark.slow),
    ],
)
def test_the_server_imports_what_its_own_arguments_name(here: Path, runs: Path, tmp_path: Path, command: str) -> None:
    """The package lies in the working directory, from which nothing else is imported."""
    (here / "pandas.py").write_text("raise RuntimeError('imported from the working directory')")
    (here / PACKAGE / "seen.py").write_text("from pathlib import Path\nPath(__file__).with_name('seen').touch()")
    words = command.replace("APP", str(ROOT / "app" / "streamlit_app.py")).split()
    names = ["--runs", str(runs), "--import", f"{PACKAGE}.seen", "--make", f"{PACKAGE}:walk"]
    where = environment(PYTHONPATH=str(ROOT))
    with served([sys.executable, "-P", *words, *names], here, tmp_path / "log", where) as found:
        (here / PACKAGE / "seen").unlink(missing_ok=True)
        _, page = first_page(found.port)
    assert "own/Walk-v0" in page
    assert (here / PACKAGE / "seen").exists()
