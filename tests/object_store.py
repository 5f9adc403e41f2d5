"""An S3-compatible server of this machine, and an empty bucket for every test that asks for one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

At = Callable[[str], str]
"""Key -> address."""


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """`127.0.0.1:port`."""
    moto, serving = pytest.importorskip("moto.server"), pytest.importorskip("werkzeug.serving")
    serving.WSGIRequestHandler.disable_nagle_algorithm = True  # without it each answer waits for 40 ms
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(object_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> At:
    """Key -> address in a bucket of the test's own; copies lie in a folder of the test's own."""
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("SNAPSHOT_INFLUENCE_COPIES", str(tmp_path / "copies"))
    name = f"runs-{uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=f"http://{object_store}", region_name="us-east-1").create_bucket(Bucket=name)
    return lambda key: f"s3://{name}/{key}?endpoint_override={object_store}&region=us-east-1&scheme=http"
