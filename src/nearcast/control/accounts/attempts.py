"""How often a wrong password may be tried: a sliding log of failures for each account and for each client address.

Kept in memory, on purpose: a failure then costs no disk write that an attacker could cause by the thousand, and what a restart
forgets is one window of guesses against passwords that Argon2id makes slow. Memory is bounded by ``KEYS_MAX``.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque

from nearcast.base.errors import TooMany

KEYS_MAX = 20_000


class TooManyAttempts(TooMany):
    """Too many failed sign-ins to this account or from this address."""

    code = "NC4101"
    cure = "wait, or ask an administrator for a one-time sign-in link"


def wait_s(failures: deque[float], limit: int, window_s: float, now_s: float) -> float:
    """How long until one more attempt is allowed, 0 if it is now. ``failures``: times in seconds, oldest first.

    Forgets what the window has left behind. Within any ``window_s`` at most ``limit`` attempts fail.
    """
    while failures and failures[0] <= now_s - window_s:
        failures.popleft()
    if len(failures) < limit:
        return 0.0
    return failures[len(failures) - limit] + window_s - now_s


def address_key(client_address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that an IPv6 customer is given whole (RFC 6177)."""
    try:
        address = ipaddress.ip_address(client_address.partition("%")[0])
    except ValueError:
        return client_address
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


class Attempts:
    """Counts an attempt when it begins, so that a hundred begun at once are a hundred, and takes it back when it succeeds."""

    def __init__(self, limit: int, window_s: float, keys_max: int = KEYS_MAX) -> None:
        self._limit = limit
        self._window_s = window_s
        self._keys_max = keys_max
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def begin(self, key: str, now_s: float) -> None:
        """Raises TooManyAttempts, with the time to wait, when ``key`` has no attempt left. The empty key is not counted."""
        if not key:
            return
        failures = self._failures.setdefault(key, deque())
        self._failures.move_to_end(key)
        left_s = wait_s(failures, self._limit, self._window_s, now_s)
        if left_s > 0:
            minutes = max(1, round(left_s / 60))
            unit = "minute" if minutes == 1 else "minutes"
            raise TooManyAttempts(
                f"too many failed sign-ins; the next is possible in {minutes} {unit}",
                hint=f"wait {minutes} {unit}, or ask an administrator for a one-time sign-in link",
            )
        failures.append(now_s)
        while len(self._failures) > self._keys_max:
            self._failures.popitem(last=False)

    def succeeded(self, key: str, began_s: float, *, forget: bool = False) -> None:
        """Take the attempt back that began at ``began_s``; ``forget``: and every failure before it."""
        failures = self._failures.get(key)
        if failures is None:
            return
        if forget:
            failures.clear()
        elif began_s in failures:
            failures.remove(began_s)
        if not failures:
            del self._failures[key]
