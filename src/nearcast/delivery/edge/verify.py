"""Slices that nginx kept are verified after they landed, against the block digests of their file, whose own digest is its name.

Players are not made to wait for it, so a wrong slice may be served for some seconds: such exposures are counted, and the slice is
taken away. What cannot be verified now, because the parent is silent, is tried again.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections import OrderedDict
from pathlib import Path

import structlog
from msgspec import Struct

from nearcast.base.errors import NearcastError
from nearcast.delivery.edge.reactive import Reactive
from nearcast.delivery.fill.blocks import DIGEST_BYTES, block_count, is_block, read_digests
from nearcast.delivery.fill.source import Source, SourceDown
from nearcast.model.rendition import BLOCK_BYTES, File

ROUND_S = 0.5
SLICES_MAX = 16
"""Verified in one round: hashing must leave the machine to its viewers."""
FILES_MAX = 64
"""Files whose digests are remembered."""
DIGESTS_TIMEOUT_S = 3.0
_BODY_START = struct.Struct("<56xH")
"""Where nginx says in its cache file's header (version 5) at which byte the slice begins."""
_CONTENT_RANGE = re.compile(rb"\r\ncontent-range: bytes (\d{1,18})-\d{1,18}/(\d{1,18})\r\n", re.IGNORECASE)
_log = structlog.get_logger("edge")


class Slice(Struct, frozen=True):
    """One slice as it lies in the cache. ``size_bytes`` is the whole file's."""

    index: int
    size_bytes: int
    body: bytes


def read_slice(path: Path) -> Slice | None:
    """The slice in nginx's cache file; None where there is none any more, or nothing that can be one."""
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    if len(raw) < _BODY_START.size:
        return None
    (start,) = _BODY_START.unpack_from(raw)
    found = _CONTENT_RANGE.search(raw, 0, start)
    if found is None:
        return None
    return Slice(int(found[1]) // BLOCK_BYTES, int(found[2]), raw[start:])


class Verifier:
    """Verifies what is new in ``reactive``, with digests from ``source``."""

    def __init__(self, reactive: Reactive, source: Source) -> None:
        self._reactive = reactive
        self._source = source
        self._digests: OrderedDict[tuple[str, File], tuple[bytes, ...]] = OrderedDict()

    async def run(self) -> None:
        while True:
            for name in self._reactive.unverified(SLICES_MAX):
                right = await self._right(name)
                if right is None:
                    break  # the parent is silent: nor would it tell of the others
                if not right:
                    _log.error("a slice from the parent was wrong and is taken away", slice=name)
                await asyncio.to_thread(self._reactive.settle, name, right)
            await asyncio.sleep(ROUND_S)

    async def _right(self, name: str) -> bool | None:
        """None: it cannot be told now."""
        found = await asyncio.to_thread(read_slice, self._reactive.path(name))
        if found is None:
            return True  # gone meanwhile, or never a slice that nginx would serve
        title_id, file_name, _ = name.split("/")
        root, _, extension = file_name.partition(".")
        file = File(root=root, extension=extension, size_bytes=found.size_bytes)
        try:
            async with asyncio.timeout(DIGESTS_TIMEOUT_S):
                digests = await self._digests_of(title_id, file)
        except (SourceDown, TimeoutError):
            return None
        except NearcastError:  # the parent has no such digests for a file of such a length
            return False
        return found.index < len(digests) and await asyncio.to_thread(is_block, found.body, digests[found.index])

    async def _digests_of(self, title_id: str, file: File) -> tuple[bytes, ...]:
        known = self._digests.get((title_id, file))
        if known is None:
            size_bytes = DIGEST_BYTES * block_count(file.size_bytes)
            raw = b"".join([chunk async for chunk in self._source.read(title_id, file.blocks_name, 0, size_bytes)])
            known = self._digests[title_id, file] = read_digests(raw, file)
            while len(self._digests) > FILES_MAX:
                self._digests.popitem(last=False)
        return known
