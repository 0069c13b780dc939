"""What the origin and the ingest ask of an object store. It runs over each store that is here; S3 where NEARCAST_TEST_S3 names a bucket."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url

DATA = bytes(range(256)) * 5000


@pytest.fixture(params=["memory", "local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "local":
        yield LocalStore(tmp_path)
    else:
        address = os.environ.get("NEARCAST_TEST_S3", "")
        if not address:
            pytest.skip("NEARCAST_TEST_S3 names no bucket (s3://bucket, with AWS_* beside it)")
        yield from_url(f"{address.rstrip('/')}/{secrets.token_hex(8)}")


async def test_ranges_come_in_chunks_and_are_cut_at_the_end(store: ObjectStore) -> None:
    await obstore.put_async(store, "titles/a/f.mp4", DATA)
    assert (await obstore.head_async(store, "titles/a/f.mp4"))["size"] == len(DATA)
    for start, end in ((0, len(DATA)), (1000, 2000), (len(DATA) - 5, len(DATA))):
        found = await obstore.get_async(store, "titles/a/f.mp4", options={"range": (start, end)})
        parts = [bytes(each) async for each in found.stream(min_chunk_size=100_000)]
        assert b"".join(parts) == DATA[start:end]


async def test_what_is_absent_is_told_as_such(store: ObjectStore) -> None:
    await obstore.put_async(store, "titles/a/f.mp4", b"x")
    for path in ("titles/a/g.mp4", "titles/a", "titles"):
        with pytest.raises(FileNotFoundError):
            await obstore.head_async(store, path)


async def test_a_write_replaces_the_whole_object(store: ObjectStore) -> None:
    await obstore.put_async(store, "titles/a/f.mp4", DATA)
    await obstore.put_async(store, "titles/a/f.mp4", b"short")
    assert bytes(await (await obstore.get_async(store, "titles/a/f.mp4")).bytes_async()) == b"short"
    await obstore.delete_async(store, "titles/a/f.mp4")
    with pytest.raises(FileNotFoundError):
        await obstore.head_async(store, "titles/a/f.mp4")


async def test_an_object_of_nothing(store: ObjectStore) -> None:
    await obstore.put_async(store, "titles/a/empty.blocks", b"")
    assert (await obstore.head_async(store, "titles/a/empty.blocks"))["size"] == 0
