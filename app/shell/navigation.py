"""The pages of the navigation: those that have nothing to say of the run that is looked at step back into `More`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from app.shell import kinds, loaders, state
from app.shell.cached import cached
from engine.errors import EngineError
from engine.intervention.outcome import RESULT_FILE
from engine.jobs.folder import folders_with_ids
from engine.store.files import Files
from engine.store.manifest import RunManifest
from engine.store.verified import read_manifest

TITLES = {
    "runs": "Runs",
    "timeline": "Timeline",
    "diagnose": "Diagnose",
    "autopsy": "Autopsy",
    "behaviour": "Behaviour",
    "sequences": "Sequences",
    "interventions": "Interventions",
    "compare": "Outcome",
    "compare_runs": "Compare runs",
    "experiments": "Experiments",
    "words": "Words",
}
"""Name in `views/`, which is the page's address, too -> what it is called."""
_PALE = """<style>
[data-testid=stTopNavSection] {opacity: .7}
</style>"""


def navigation() -> StreamlitPage:
    """Draw it; gives the page that is looked at."""
    paths: dict[str, Path] = {}
    with suppress(EngineError):  # an object store that can't be reached; the page says so
        paths = loaders.run_paths()
    name = state.expected("run")
    path = paths.get(str(name)) if name else next((paths[each] for each in paths if "interventions/" not in each), None)
    back = stepped_back(path, len(paths))
    pages = {
        view: st.Page(f"views/{view}.py", title=title, **({"default": True} if view == "runs" else {"url_path": view}))
        for view, title in TITLES.items()
    }
    st.html(_PALE)
    return st.navigation(
        {
            "": [page for view, page in pages.items() if view not in back],
            "More": [page for view, page in pages.items() if view in back],
        },
        position="top",
    )


def stepped_back(path: Path | None, runs: int) -> set[str]:
    """The pages that have nothing to say.

    Args:
        path: folder of the run that is looked at; None: what is looked at is no run, but files of another trainer.
        runs: how many runs there are.
    """
    alone = {"compare_runs"} if runs < 2 else set()
    if path is None:
        return alone | {"compare"}
    try:
        about = {page.view for page in kinds.KINDS.get(_kind(path), kinds.Shown()).pages}
    except Exception:  # noqa: BLE001  see `page.in_one_line`; the page says what is wrong with it
        about = {"diagnose", "behaviour"}
    of_any_kind = {page.view for shown in kinds.KINDS.values() for page in shown.pages}
    return alone | (of_any_kind - about) | (set() if _has_outcome(path) else {"compare"})


@cached(max_entries=1024, by=lambda path: (path, (path / "run.json").stat().st_mtime_ns))
def _kind(path: Path) -> str:
    return RunManifest.from_bytes(read_manifest(path, Files())).kind


def _has_outcome(path: Path) -> bool:
    """Whether an intervention on the run is finished."""
    return any((folder / "branch" / RESULT_FILE).is_file() for folder in folders_with_ids(path, "interventions"))
