"""In which order what is written becomes durable; `test_campaign.py` loses the power at every moment of it."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.faults.made_up_rounds import METRICS, make_manifest, make_snapshot
from engine.store import Files, RunWriter


def test_the_order_of_a_commit_is_data_then_manifest_then_its_name(tmp_path: Path) -> None:
    class Recording(Files):
        order: list[str]

        def call(self, operation, *args, **kwargs):
            result = operation(*args, **kwargs)
            if operation is os.open:
                self.names[result] = args[0]
            if operation in (os.link, os.unlink):
                self.order.append(f"{operation.__name__} {Path(args[-1]).suffix}")
            if operation is os.fsync:
                path = self.names[args[0]]
                self.order.append(f"fsync {path.name if path.is_dir() else path.suffix}")
            return result

    files = Recording()
    files.order, files.names = [], {}
    with RunWriter.create(tmp_path / "run", make_manifest(), files) as writer:
        files.order.clear()
        writer.commit_round(make_snapshot(0), METRICS)
    assert files.order == [
        "fsync .parquet",
        "fsync .parquet",
        "fsync .parquet",
        "fsync data",
        "fsync .tmp",
        "link .json",
        "unlink .tmp",
        "fsync commits",
    ]
