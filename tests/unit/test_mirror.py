"""A module's test is where one looks for it: folders below tests/unit and tests/app are those of engine and app."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import engine

ROOT = Path(engine.__file__).parents[1]
MIRRORS = {"engine": "tests/unit", "app": "tests/app"}
LARGE = 60
"""Lines of code past which a module has a test of its own, or stands below."""
THROUGH = {
    "tests/golden": (
        "engine/core/checkpoint.py",
        "engine/core/estimators/along_the_update.py",
        "engine/core/objective.py",
        "engine/core/update.py",
        "engine/kinds/control/batched.py",
        "engine/kinds/control/closed_form.py",
    ),
    "tests/unit/test_third_kind.py": ("engine/core/kind.py", "engine/core/scores.py", "engine/store/commit.py"),
    "tests/unit/analysis/checks/test_round_checks.py": (
        "engine/analysis/checks/landing.py",
        "engine/experiments/faultlab/plants.py",
    ),
    "tests/unit/analysis/incidents/test_drops.py": ("engine/analysis/incidents/falls.py",),
    "tests/unit/analysis/test_diagnosis.py": ("engine/kinds/control/features.py",),
    "tests/unit/analysis/test_rollout_advantages.py": ("engine/analysis/rollouts.py",),
    "tests/unit/core/test_chosen_targets.py": ("engine/cli/options.py",),
    "tests/unit/core/gradients/test_derivatives.py": ("engine/kinds/control/closed_form_derivatives.py",),
    "tests/unit/core/gradients/test_inner_products.py": ("engine/core/targets/of_records.py",),
    "tests/unit/core/replays/test_update_trace.py": ("engine/core/gradients/optimizer_adjoints.py",),
    "tests/unit/core/test_training.py": ("engine/kinds/control/kind.py", "engine/kinds/control/learner.py"),
    "tests/unit/envs/test_catalogue.py": ("engine/envs/environment.py",),
    "tests/unit/experiments/test_campaign.py": ("engine/experiments/plans.py", "engine/experiments/results.py"),
    "tests/unit/demos/courtesy/test_world.py": ("engine/demos/courtesy/models.py",),
    "tests/unit/demos/courtesy/experiment/test_results.py": (
        "engine/demos/courtesy/experiment/figures.py",
        "engine/demos/courtesy/experiment/findings.py",
        "engine/demos/courtesy/experiment/report.py",
    ),
    "tests/unit/experiments/test_faithfulness.py": ("engine/experiments/faithfulness_report.py",),
    "tests/unit/experiments/test_report.py": (
        "engine/experiments/figures.py",
        "engine/experiments/findings.py",
        "engine/experiments/report_tables.py",
    ),
    "tests/unit/intervention/autopsy/test_arms.py": ("engine/intervention/autopsy/advantage_arms.py",),
    "tests/unit/intervention/autopsy/test_examine.py": ("engine/intervention/autopsy/autopsy_result.py",),
    "tests/unit/intervention/autopsy/test_over_rounds.py": ("engine/intervention/autopsy/over_rounds_result.py",),
    "tests/unit/intervention/autopsy/test_two_runs.py": ("engine/intervention/autopsy/two_runs_result.py",),
    "tests/unit/intervention/test_retrain.py": ("engine/intervention/plan.py",),
    "tests/unit/jobs/test_calculations.py": ("engine/jobs/questions.py",),
    "tests/unit/jobs/test_supervise.py": ("engine/jobs/folder.py",),
    "tests/unit/kinds/language/test_learner.py": (
        "engine/kinds/language/kind.py",
        "engine/kinds/language/update.py",
    ),
    "tests/unit/kinds/language/test_models.py": ("engine/kinds/language/sources.py",),
    "tests/unit/kinds/language/test_policy.py": ("engine/kinds/language/objective.py",),
    "tests/unit/kinds/language/test_received_models.py": ("engine/kinds/language/description.py",),
    "tests/unit/kinds/language/test_tables.py": ("engine/kinds/language/sequences.py",),
    "tests/unit/recording/test_any_loop.py": (
        "engine/kinds/recorded/agent.py",
        "engine/kinds/recorded/loss.py",
    ),
    "tests/unit/recording/test_recorder.py": ("engine/recording/self_test.py",),
    "tests/unit/recording/test_sb3.py": (
        "engine/kinds/recorded/kind.py",
        "engine/kinds/recorded/policy.py",
    ),
    "tests/unit/recording/readers/test_any_file.py": ("engine/recording/readers/sequence_table.py",),
    "tests/unit/recording/readers/test_trl.py": (
        "engine/recording/readers/parquet_columns.py",
        "engine/store/parquet_pages.py",
    ),
    "tests/unit/store/test_forged_manifests.py": ("engine/store/chain.py", "engine/store/manifest.py"),
    "tests/unit/store/test_read.py": ("engine/store/derived.py",),
    "tests/unit/store/test_tables.py": (
        "engine/kinds/control/tables.py",
        "engine/store/parquet.py",
        "engine/store/snapshot.py",
    ),
    "tests/faults": ("engine/store/files.py", "engine/store/verify.py"),
    "tests/app/test_pages.py": (
        "app/shell/loaders.py",
        "app/shell/page.py",
    ),
    "tests/app/test_every_kind.py": ("app/shell/kinds.py",),
    "tests/app/test_other_environments.py": ("engine/kinds/control/fields.py",),
    "tests/app/diagnosis": ("app/charts/diagnosis.py", "app/charts/places.py"),
    "tests/app/removal/test_every_round.py": ("app/charts/across.py",),
    "tests/app/scores/test_background.py": ("app/removal/predicted_and_actual.py",),
    "tests/app/shell/test_selection.py": (
        "app/records/groups.py",
        "app/records/scatter.py",
    ),
    "tests/app/views/test_autopsy.py": ("app/autopsy/evidence.py", "app/autopsy/watched_episodes.py"),
    "tests/app/views/test_behaviour.py": (
        "app/behaviour/formation.py",
        "app/charts/behaviour.py",
        "app/charts/formation.py",
    ),
    "tests/app/views/test_compare.py": ("app/charts/comparison.py",),
    "tests/app/views/test_compare_runs.py": (
        "app/charts/compared_runs.py",
        "app/charts/films.py",
        "app/charts/policy_difference.py",
        "app/runs/policy_difference.py",
    ),
    "tests/app/charts/test_records.py": ("app/charts/theme.py",),
    "tests/app/views/test_diagnose.py": (
        "app/records/basket.py",
        "app/records/ranking.py",
    ),
    "tests/app/views/test_experiments.py": ("app/charts/experiments.py",),
    "tests/app/views/test_runs.py": ("app/runs/doors.py", "app/runs/listed.py", "app/runs/runs_table.py"),
    "tests/app/views/test_sequences.py": ("app/sequences/response.py",),
}
"""Modules that are tested through others: by comparison with an oracle, by damage on disk, by a page or a command that
they are part of. The test on the left says what they must do."""
ELSEWHERE = {module: test for test, modules in THROUGH.items() for module in modules}


def lines_of_code(path: Path) -> int:
    """Lines on which something begins or ends that is neither an import nor text by itself."""
    tree = ast.parse(path.read_text())
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.stmt | ast.expr)]
    apart = {
        line
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    return len({line for node in nodes for line in (node.lineno, node.end_lineno)} - apart)


def own_test(module: str) -> Path:
    package, _, rest = module.partition("/")
    path = Path(MIRRORS[package], rest)
    return path.with_name(f"test_{path.name}")


@cache
def large(root: Path) -> list[str]:
    """Every module that should have a test of its own."""
    found = (path for package in MIRRORS for path in sorted((root / package).rglob("*.py")))
    return [str(path.relative_to(root)) for path in found if path.name[0] != "_" and lines_of_code(path) > LARGE]


def homeless(root: Path) -> list[str]:
    """Large modules without a test where one looks for it, and without a word on where it is."""
    return [module for module in large(root) if not (root / own_test(module)).exists() and module not in ELSEWHERE]


def stray_folders(root: Path) -> list[str]:
    """Folders of tests that mirror no folder."""
    return [
        str(path.parent.relative_to(root))
        for package, tests in MIRRORS.items()
        for path in sorted((root / tests).rglob("test_*.py"))
        if not (root / package / path.parent.relative_to(root / tests)).is_dir()
    ]


def test_every_folder_of_tests_is_a_folder_of_its_package() -> None:
    assert stray_folders(ROOT) == []


def test_every_large_module_has_its_test_where_one_looks_for_it() -> None:
    assert homeless(ROOT) == []


@pytest.mark.parametrize("module", ELSEWHERE)
def test_what_is_tested_elsewhere_is_there_and_has_no_test_of_its_own(module: str) -> None:
    assert (ROOT / ELSEWHERE[module]).exists()
    assert module in large(ROOT), "it is gone, or so small that it needs no word here"
    assert not (ROOT / own_test(module)).exists(), "it has a test of its own now"


def test_a_module_without_a_test_and_a_folder_without_a_room_are_found(tmp_path: Path) -> None:
    for name in ("engine/core/new.py", "engine/core/tested.py", "app/shell/new.py", "engine/core/small.py"):
        lines = 3 if "small" in name else LARGE + 1
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('"""Text\nof\n' + "many\n" * LARGE + 'lines."""\nimport os\n' + "x = 1\n" * lines)
    for name in ("tests/unit/core/test_tested.py", "tests/app/attic/test_new.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert homeless(tmp_path) == ["engine/core/new.py", "app/shell/new.py"]
    assert stray_folders(tmp_path) == ["tests/app/attic"]
