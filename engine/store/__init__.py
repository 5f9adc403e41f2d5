"""The run format: what a run is on disk, and how it is written, read and verified.

with RunWriter.create("runs/mine", manifest) as writer:
    writer.commit_round(snapshot, metrics)
open_run("runs/mine").snapshot(0)
verify_run("runs/mine")
"""

from engine.spaces import Space
from engine.store.commit import RunWriter
from engine.store.derived import load_table, save_table
from engine.store.documents import Document, read_json, write_json
from engine.store.files import Files, inside
from engine.store.find import find_runs
from engine.store.manifest import Parent, RunManifest
from engine.store.read import RoundInfo, Run, open_run
from engine.store.snapshot import Snapshot, check_records
from engine.store.transfer.export import export_run
from engine.store.verify import Damage, verify_documents, verify_run

__all__ = [
    "Damage",
    "Document",
    "Files",
    "Parent",
    "RoundInfo",
    "Run",
    "RunManifest",
    "RunWriter",
    "Snapshot",
    "Space",
    "check_records",
    "export_run",
    "find_runs",
    "inside",
    "load_table",
    "open_run",
    "read_json",
    "save_table",
    "verify_documents",
    "verify_run",
    "write_json",
]
