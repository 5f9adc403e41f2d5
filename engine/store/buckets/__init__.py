"""Runs on an object store (`s3://`, `gs://`): the same files under the same names, and a copy here of what was read."""
