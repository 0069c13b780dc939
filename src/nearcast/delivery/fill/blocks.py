"""Files verified slice by slice: SHA-256 for each block of 1 MiB, and a root over those digests. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from nearcast.base.errors import NearcastError
from nearcast.model.rendition import BLOCK_BYTES, File

DIGEST_BYTES = 32


class CorruptBlocks(NearcastError):
    """The list of block digests of a file does not fit the file's name."""

    code = "NC2010"
    status = 502
    cure = "the origin's copy is damaged: publish the title again (`nearcast ingest`)"


def block_count(size_bytes: int) -> int:
    return -(-size_bytes // BLOCK_BYTES)


def block_span(index: int, size_bytes: int) -> tuple[int, int]:
    """Start and end (exclusive) of a block."""
    return index * BLOCK_BYTES, min((index + 1) * BLOCK_BYTES, size_bytes)


def read_digests(raw: bytes, file: File) -> tuple[bytes, ...]:
    """The digests of ``file`` from the text of its ``.blocks``. Raises CorruptBlocks when they do not make up its root."""
    if len(raw) != DIGEST_BYTES * block_count(file.size_bytes) or hashlib.sha256(raw).hexdigest() != file.root:
        raise CorruptBlocks(f"the block digests of {file.name} are damaged")
    return tuple(raw[at : at + DIGEST_BYTES] for at in range(0, len(raw), DIGEST_BYTES))


def is_block(data: bytes, digest: bytes) -> bool:
    return hashlib.sha256(data).digest() == digest


def missing_blocks(digests: tuple[bytes, ...], size_bytes: int, read: Callable[[int, int], bytes]) -> tuple[int, ...]:
    """The blocks that are not there whole and right; ``read(start, end)`` gives what is there of them."""
    found = []
    for index, digest in enumerate(digests):
        start, end = block_span(index, size_bytes)
        data = read(start, end)
        if len(data) != end - start or not is_block(data, digest):
            found.append(index)
    return tuple(found)


def first_run(missing: Sequence[int]) -> range:
    """The first of the missing blocks and those that follow it without a gap: what one request fetches."""
    end = missing[0]
    for index in missing:
        if index != end:
            break
        end += 1
    return range(missing[0], end)
