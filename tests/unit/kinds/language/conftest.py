"""Short runs of a language model by each algorithm, for the modules that don't record their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from languages import GRPO, record_language

from engine.store.read import Run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("languages")


@pytest.fixture(scope="module")
def ppo(folder: Path) -> Run:
    return record_language(folder, "ppo")


@pytest.fixture(scope="module")
def grpo(folder: Path) -> Run:
    return record_language(folder, "grpo", **GRPO)
