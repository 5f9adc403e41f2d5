"""Addresses: what is one, and what looks like one."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import BadInputError
from engine.store.buckets.address import Address


def test_a_path_that_was_made_of_an_address_is_the_same_address() -> None:
    text = "s3://bucket/runs/mine?endpoint_override=localhost:9000&scheme=http"
    address = Address.of(text)
    assert address == Address.of(Path(text)) == Address("s3", "bucket", "runs/mine", text[text.index("?") :])
    assert str(address) == text
    assert Address.of("s3://bucket/") == Address("s3", "bucket", "")
    assert str(Address.of("gs://bucket/a b/c%d")) == "gs://bucket/a b/c%d", "a key is taken as it is"


@pytest.mark.parametrize("text", ["runs/mine", "/s3:/bucket", "C:/runs", "s3", "s3:bucket", "http://bucket/run"])
def test_other_paths_are_no_addresses(text: str) -> None:
    assert Address.of(text) is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("s3://", "names no bucket; it must look like s3://BUCKET/RUN"),
        ("gs:///", "names no bucket; it must look like gs://BUCKET/RUN"),
        ("s3://key:secret@bucket/run", "names no bucket"),
        ("s3://b/a/../c", "no address of a run"),
        ("s3://b/a//c", "no address of a run"),
        ("s3://b/.hidden/run", "no address of a run"),
        ("s3://b/a\nb", "no address of a run"),
        ("s3://b/a?secret_key=1", "have no option secret_key; they have endpoint_override, region, scheme"),
        ("gs://b/a?region=x", "have no option region"),
    ],
)
def test_bad_addresses_are_refused_in_one_line(text: str, what: str) -> None:
    with pytest.raises(BadInputError, match=what) as refused:
        Address.of(text)
    assert "\n" not in str(refused.value)
    assert "secret@" not in str(refused.value), "what may be a key is not printed"
