"""Names by content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from nearcast.media import blocks
from nearcast.media.files import DiskFailed
from nearcast.model.rendition import BLOCK_BYTES


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES])
def test_a_file_is_named_by_its_blocks(tmp_path: Path, size: int) -> None:
    content = bytes(each % 251 for each in range(1000)) * (size // 1000 + 1)
    content = content[:size]
    path = tmp_path / "x"
    path.write_bytes(content)
    file, digests = blocks.hash_file(path, "mp4")
    assert digests == blocks.digests(content)
    assert len(digests) == 32 * max(1, -(-size // BLOCK_BYTES))
    assert digests[-32:] == hashlib.sha256(content[(len(digests) // 32 - 1) * BLOCK_BYTES :]).digest()
    assert (file.root, file.size_bytes, file.name) == (hashlib.sha256(digests).hexdigest(), size, f"{file.root}.mp4")


def test_a_disk_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(DiskFailed):
        blocks.hash_file(tmp_path / "none", "mp4")
