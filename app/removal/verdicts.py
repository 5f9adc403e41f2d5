"""The verdict of a removal or a repair, as Markdown and as a box in its colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app.shell import kinds
from app.shell.text import escape
from engine.intervention.comparison import meaning, verdict_name
from engine.intervention.target_and_return import joined
from engine.intervention.unplayed import means_on_records
from engine.jobs.interventions import InterventionJob
from engine.store.read import Run

_BOX = {"helps": st.success, "hurts": st.warning, "within noise": st.info}
"""Verdicts about a target alone say nothing of better or worse."""


def sentence(verdict: object, repair: bool = False) -> str:
    """The verdict of a removal, or of a repair, and what it means; Markdown."""
    return f"**{escape(verdict_name(verdict))}**: {meaning(verdict, repair)}"


def of_result(result: Mapping[str, Any]) -> str:
    """The verdict of a result and what it means, played or not; Markdown."""
    if "unplayed" not in result:
        return sentence(result["verdict"], bool(result.get("repair")))
    return f"**{escape(verdict_name(result['verdict']))}**: {escape(means_on_records(result))} Nothing was played."


def told(run: Run, job: InterventionJob, result: Mapping[str, Any]) -> str:
    """Target and return in one sentence, then the verdict; Markdown."""
    line = joined(result, job.metadata.get("summed_influence"), kinds.words(run).returned)
    return f"**{escape(line)}**  \n{of_result(result)}"


def box(run: Run, job: InterventionJob, result: Mapping[str, Any]) -> None:
    """The same in the colour of the verdict."""
    _BOX.get(str(result["verdict"]), st.info)(told(run, job, result))
