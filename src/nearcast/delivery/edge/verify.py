"""Slices that nginx kept are verified after they landed, against the block digests of their file, whose own digest is its name.

Players are not made to wait for it, so a wrong slice may be served for some seconds: such exposures are counted, and the slice is
taken away. What cannot be verified now, because the parent is silent, is tried again.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import struct
from collections import OrderedDict

import structlog
from msgspec import Struct

from nearcast.base.errors import NearcastError
from nearcast.delivery.edge.reactive import Reactive, Verdict
from nearcast.delivery.fill.blocks import DIGEST_BYTES, CorruptBlocks, block_count, is_block, read_digests
from nearcast.delivery.fill.source import OtherLength, Source, SourceDown, SourceLacks
from nearcast.model.rendition import BLOCK_BYTES, File

ROUND_S = 0.5
SLICES_MAX = 64
"""Verified in one round, a gigabit a second: hashing must leave the machine to its viewers."""
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


def read_slice(raw: bytes) -> Slice | None:
    """The slice in nginx's cache file; None where there is nothing that can be one."""
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
                try:
                    verdict = await self._verdict(name)
                except (SourceDown, TimeoutError):
                    break  # nor would the parent tell of the others
                except NearcastError as error:
                    _log.warning("a slice cannot be verified now", slice=name, error=error.message, code=error.code)
                    self._reactive.postpone(name)
                    break
                if verdict == "wrong":
                    _log.error("a slice from the parent was wrong and is taken away", slice=name)
                await asyncio.to_thread(self._reactive.settle, name, verdict)
            await asyncio.sleep(ROUND_S)

    async def _verdict(self, name: str) -> Verdict:
        """Raises what keeps the parent from telling the digests."""
        raw = await asyncio.to_thread(self._reactive.read, name)
        found = read_slice(raw) if raw else None
        if found is None:
            return "gone"
        title_id, file_name, _ = name.split("/")
        root, _, extension = file_name.partition(".")
        if extension == "blocks":  # digests alone: their own digest is the name
            return "right" if hashlib.sha256(found.body).hexdigest() == root else "wrong"
        file = File(root=root, extension=extension, size_bytes=found.size_bytes)
        try:
            async with asyncio.timeout(DIGESTS_TIMEOUT_S):
                digests = await self._digests_of(title_id, file)
        except SourceLacks:
            return "gone"  # withdrawn meanwhile
        except (OtherLength, CorruptBlocks):
            return "wrong"  # what it said of the file's length is not what was published
        right = found.index < len(digests) and await asyncio.to_thread(is_block, found.body, digests[found.index])
        return "right" if right else "wrong"

    async def _digests_of(self, title_id: str, file: File) -> tuple[bytes, ...]:
        known = self._digests.get((title_id, file))
        if known is None:
            size_bytes = DIGEST_BYTES * block_count(file.size_bytes)
            raw = b"".join([chunk async for chunk in self._source.read(title_id, file.blocks_name, 0, size_bytes)])
            known = self._digests[title_id, file] = read_digests(raw, file)
            while len(self._digests) > FILES_MAX:
                self._digests.popitem(last=False)
        return known
