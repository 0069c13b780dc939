"""Argon2id (RFC 9106) on a few threads: memory stays bounded however many people sign in at once, and the loop never waits."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from nearcast.control.accounts.settings import AccountsSettings


class Passwords:
    """Makes and checks hashes. A check against no hash takes as long as any other, so that time does not tell who has an account."""

    def __init__(self, settings: AccountsSettings) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.argon2_time_cost,
            memory_cost=settings.argon2_memory_kib,
            parallelism=settings.argon2_lanes,
            type=Type.ID,
        )
        self._nobody = ""
        self._threads = ThreadPoolExecutor(settings.password_checks, thread_name_prefix="passwords")

    async def hashed(self, password: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, password)

    async def matches(self, password: str, password_hash: str | None) -> bool:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._matches, password, password_hash)

    def _matches(self, password: str, password_hash: str | None) -> bool:
        try:
            encoded = password.encode()
        except UnicodeEncodeError:
            encoded = b""
        if not self._nobody:
            self._nobody = self._hasher.hash("nobody has this password")
        try:
            matched = self._hasher.verify(password_hash or self._nobody, encoded)
        except (VerificationError, InvalidHashError):
            return False
        return matched and password_hash is not None

    def outdated(self, password_hash: str) -> bool:
        """Whether the settings have changed since the hash was made."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
