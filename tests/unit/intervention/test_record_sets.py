"""Selection, basket and groups on disk: every change can be undone, and nothing that is found there breaks a page."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest

import engine
from engine.core.targets.question import PlainTarget
from engine.errors import BadInputError, DamagedRunError, NotARunError
from engine.intervention import record_sets
from engine.intervention.origin import Chosen, Origin, in_words
from engine.intervention.record_sets import (
    change_basket,
    delete_group,
    read_sets,
    redo,
    save_group,
    select,
    undo,
)
from engine.store import verify_documents
from engine.store.read import Run


@pytest.fixture
def run(cartpole: Run, tmp_path: Path) -> Run:
    """A run that a test may change."""
    shutil.copytree(cartpole.path, tmp_path / "run")
    return engine.open_run(tmp_path / "run")


def on_disk(run: Run, round: int = 1) -> Path:
    return run.path / "basket" / f"{round:06d}.json"


def test_two_tabs_share_one_basket(run: Run) -> None:
    change_basket(run, 1, add=[5, 3])
    change_basket(engine.open_run(run.path), 1, add=[9])
    assert read_sets(run, 1).basket == [3, 5, 9]
    assert read_sets(run, 0).basket == []
    change_basket(run, 1, remove=[5])
    assert read_sets(run, 1).basket == [3, 9]
    change_basket(run, 1, remove=None)
    assert read_sets(run, 1).basket == []


def test_the_basket_knows_where_its_records_came_from(run: Run) -> None:
    worst = Origin(way="worst", share=0.5, estimator="tracin_adam", target=PlainTarget())
    change_basket(run, 1, add=[5, 3, 8], origin=worst)
    change_basket(run, 1, add=[9, 3], origin=Origin(way="lasso"))
    change_basket(run, 1, add=[20])
    change_basket(run, 1, remove=[8])
    sets = read_sets(run, 1)
    assert sets.chosen == (
        Chosen(records=2, origin=worst),
        Chosen(records=1, origin=Origin(way="lasso")),
        Chosen(records=1),
    )
    assert in_words(sets.chosen) == (
        "2 records the worst half by tracin_adam, return target; 1 record drawn around with the lasso; "
        "1 record of which it was not kept"
    )
    undo(run, 1)  # 8 is back
    undo(run, 1)  # 20 is gone
    assert [part.records for part in read_sets(run, 1).chosen] == [3, 1]
    redo(run, 1)
    assert [part.records for part in read_sets(run, 1).chosen] == [3, 1, 1]
    on_disk(run).write_text("[4, 2]")
    assert in_words(read_sets(run, 1).chosen) == "not kept"


def test_a_basket_does_not_bring_a_deleted_run_back(run: Run) -> None:
    shutil.rmtree(run.path)
    with pytest.raises(NotARunError, match="no longer there"):
        change_basket(run, 1, add=[1])
    assert not run.path.exists()


def test_the_baskets_of_earlier_versions_are_read(run: Run) -> None:
    change_basket(run, 1, add=[1])
    on_disk(run).write_text("[4, 2]")
    assert read_sets(run, 1).basket == [2, 4]
    change_basket(run, 1, add=[7])
    undo(run, 1)
    assert read_sets(run, 1).basket == [2, 4]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "null",
        '["x", true, -3]',
        '{"sets": [1], "undo": 5, "redo": [{}, 3]}',
        '{"sets": {"basket": {"1": 2}}, "undo": [{"added": [1]}]}',
    ],
)
def test_what_can_not_be_understood_is_an_error_and_stays(run: Run, content: str) -> None:
    change_basket(run, 1, add=[1])
    on_disk(run).write_text(content)
    for attempt in (read_sets, undo, redo, lambda *about: change_basket(*about, add=[2])):
        with pytest.raises(DamagedRunError, match=r"basket/000001.json is damaged"):
            attempt(run, 1)
    assert on_disk(run).read_text() == content
    kept = run.path / record_sets.set_aside(run, 1)
    assert kept.read_text() == content
    change_basket(run, 1, add=[2])
    assert read_sets(run, 1).basket == [2]


def test_every_change_can_be_undone_and_made_again(run: Run) -> None:
    change_basket(run, 1, add=[3, 5])
    select(run, 1, [5, 8])
    save_group(run, 1, "late", [5, 8])
    change_basket(run, 1, remove=None)
    select(run, 1, [])
    delete_group(run, 1, "late")
    seen = []
    while undo(run, 1):
        sets = read_sets(run, 1)
        seen.append((sets.basket, sets.selection, sets.groups))
    assert seen == [
        ([], [], {"late": [5, 8]}),
        ([], [5, 8], {"late": [5, 8]}),
        ([3, 5], [5, 8], {"late": [5, 8]}),
        ([3, 5], [5, 8], {}),
        ([3, 5], [], {}),
        ([], [], {}),
    ]
    while redo(run, 1):
        pass
    assert read_sets(engine.open_run(run.path), 1).sets == {}
    change = undo(run, 1)
    assert change is not None
    assert (record_sets.name_of_group(change.of), change.added) == ("late", (5, 8))


def test_a_new_change_ends_what_could_be_made_again(run: Run) -> None:
    change_basket(run, 1, add=[3])
    undo(run, 1)
    assert read_sets(run, 1).redo
    change_basket(run, 1, add=[4])
    assert redo(run, 1) is None
    assert read_sets(run, 1).basket == [4]


def test_undoing_keeps_what_another_tab_added(run: Run) -> None:
    change_basket(run, 1, add=[3])
    change_basket(run, 1, add=[3, 4])
    undo(run, 1)
    assert read_sets(run, 1).basket == [3], "4 was added, 3 was there before"


def test_nothing_is_remembered_of_a_change_that_is_none(run: Run) -> None:
    select(run, 1, [3])
    before = on_disk(run).read_bytes()
    select(run, 1, [3])
    change_basket(run, 1, remove=[9])
    assert on_disk(run).read_bytes() == before


def test_what_is_remembered_is_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(record_sets.MOST_CHANGES + 5):
        change_basket(run, 1, add=[i])
    assert len(read_sets(run, 1).undo) == record_sets.MOST_CHANGES
    monkeypatch.setattr(record_sets, "MOST_REMEMBERED", 10)
    change_basket(run, 1, add=range(1000, 1008))
    assert [len(change.added) for change in read_sets(run, 1).undo] == [1, 1, 8]
    assert len(read_sets(run, 1).basket) == record_sets.MOST_CHANGES + 13


def test_a_group_is_kept_under_its_name(run: Run) -> None:
    assert save_group(run, 1, "  wrong \n sign ", [8, 3]) == "wrong sign"
    save_group(run, 1, "basket", [1])
    save_group(run, 1, "wrong sign", [8, 9])
    sets = read_sets(run, 1)
    assert sets.groups == {"basket": [1], "wrong sign": [8, 9]}
    assert sets.basket == []
    assert read_sets(run, 0).groups == {}


@pytest.mark.parametrize(
    ("name", "records", "line"),
    [
        (" ", [1], "a name of 1 to 60"),
        ("a" * 61, [1], "a name of 1 to 60"),
        ("a\x07", [1], "printable"),
        ("empty", [], "needs records"),
    ],
)
def test_what_can_not_be_a_group_writes_nothing(run: Run, name: str, records: list[int], line: str) -> None:
    with pytest.raises(BadInputError, match=line):
        save_group(run, 1, name, records)
    assert not on_disk(run).exists()


def test_there_are_only_so_many_groups(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_sets, "MOST_GROUPS", 2)
    for name in ("a", "b"):
        save_group(run, 1, name, [1])
    with pytest.raises(BadInputError, match="delete one first"):
        save_group(run, 1, "c", [1])
    save_group(run, 1, "b", [2])
    assert read_sets(run, 1).groups == {"a": [1], "b": [2]}


def test_the_file_is_replaced_as_a_whole(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    change_basket(run, 1, add=[3])
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(engine.errors.StorageError, match="full"):
        change_basket(run, 1, add=[4])
    assert json.loads(on_disk(run).read_text())["sets"] == {"basket": [3]}
    assert sorted(path.name for path in on_disk(run).parent.iterdir()) == [on_disk(run).name, "lock"]


def test_what_earlier_versions_wrote_is_read_and_marked_unchecked(run: Run) -> None:
    on_disk(run).parent.mkdir()
    for content in ([3, 1], {"sets": {"basket": [1, 3]}, "undo": [], "redo": []}):
        on_disk(run).write_text(json.dumps(content))
        assert read_sets(run, 1).basket == [1, 3]
        assert not read_sets(run, 1).checked
        assert verify_documents(run.path) == ([], ["basket/000001.json"])
    change_basket(run, 1, add=[4])
    assert read_sets(run, 1).checked
    assert verify_documents(run.path) == ([], [])


def test_two_who_change_the_same_basket_lose_nothing(run: Run) -> None:
    def fill(start: int) -> None:
        for i in range(start, start + 20):
            change_basket(run, 1, add=[i])

    tabs = [threading.Thread(target=fill, args=(100 * tab,)) for tab in range(4)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert len(read_sets(run, 1).basket) == 80


def test_what_killed_writers_left_in_the_basket_is_swept(run: Run) -> None:
    change_basket(run, 1, add=[1])
    left = on_disk(run).with_name(f".{on_disk(run).name}.0123.tmp")
    left.write_text("half")
    change_basket(run, 1, add=[2])
    assert not left.exists()
