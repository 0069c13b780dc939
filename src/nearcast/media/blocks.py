"""Content names: SHA-256 of each 1 MiB block, and a root over those digests, so that any slice can be verified on its own."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nearcast.media.files import disk
from nearcast.model.rendition import BLOCK_BYTES, File


def digests(content: bytes) -> bytes:
    """The digests of the blocks of ``content``, one after another."""
    view = memoryview(content)
    return b"".join(hashlib.sha256(view[at : at + BLOCK_BYTES]).digest() for at in range(0, max(1, len(view)), BLOCK_BYTES))


def root(blocks: bytes) -> str:
    """The content name: hex SHA-256 over the digests."""
    return hashlib.sha256(blocks).hexdigest()


def hash_file(path: Path, extension: str) -> tuple[File, bytes]:
    """What ``path`` is called once published, and the digests of its blocks. Raises DiskFailed."""
    found, size_bytes = [], 0
    with disk(), path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            found.append(hashlib.sha256(block).digest())
            size_bytes += len(block)
    blocks = b"".join(found) or hashlib.sha256(b"").digest()
    return File(root=root(blocks), extension=extension, size_bytes=size_bytes), blocks
