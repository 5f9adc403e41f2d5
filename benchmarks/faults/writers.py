"""Everything that writes, by name."""

from __future__ import annotations

from benchmarks.faults.writer import Writer
from benchmarks.faults.writers_of_notes import WRITERS_OF_NOTES
from benchmarks.faults.writers_of_rounds import WRITERS_OF_ROUNDS
from benchmarks.faults.writers_of_work import WRITERS_OF_WORK

WRITERS: dict[str, Writer] = {
    writer.name: writer for writer in (*WRITERS_OF_ROUNDS, *WRITERS_OF_NOTES, *WRITERS_OF_WORK)
}
