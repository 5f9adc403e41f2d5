"""The run format: what a run is on disk, and how it is written, read and verified."""
