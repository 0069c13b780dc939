"""Response-rate limiting: what a spoofed sender's victim is spared (the method of BIND's RRL; Vixie and Schryver 2012).

Each network has a bucket for each answer, one for failures, and one for everything, as a generic cell rate algorithm (ITU-T I.371):
the time at which the bucket is empty again moves by 1/rate with each answer, and may not be more than ``BURST_S`` ahead.
"""

from __future__ import annotations

import ipaddress
from typing import Literal

from nearcast.steering.dns.settings import RateSettings

BURST_S = 1.0
BUCKETS_MAX = 100_000
"""In one generation; when so many are full within a second, the oldest are forgotten, and the networks' totals hold."""
IPV4_BYTES, IPV6_BYTES = 3, 7
PASS: Literal[0] = 0
SLIP: Literal[1] = 1
DROP: Literal[2] = 2
Verdict = Literal[0, 1, 2]
FAILING = b"failing"
_TOTAL = b""


def network(source: bytes) -> bytes:
    """The network of an address of 4 or 16 bytes: IPv4 /24, IPv6 /56."""
    return source[: IPV4_BYTES if len(source) == 4 else IPV6_BYTES]


def _pause_s(rate_per_s: float) -> float:
    """Between two answers at that rate; 0: without limit."""
    return 1 / rate_per_s if rate_per_s else 0.0


class Limiter:
    """``verdict`` says whether an answer goes out, is cut to one that asks for TCP, or is not sent. Time comes in with each call."""

    def __init__(self, settings: RateSettings) -> None:
        self._pause_s = {FAILING: _pause_s(settings.failing_per_s), _TOTAL: _pause_s(settings.total_per_s)}
        self._identical_s = _pause_s(settings.identical_per_s)
        self._slip = settings.slip
        self._slipped = 0
        self._exempt = [ipaddress.ip_network(each) for each in settings.exempt]
        self._free: dict[bytes, bool] = {}
        self._now: dict[tuple[bytes, bytes], float] = {}
        self._before: dict[tuple[bytes, bytes], float] = {}
        self._turned_s = float("-inf")

    def verdict(self, source: bytes, what: bytes, now_s: float) -> Verdict:
        """``what`` is the question, or FAILING."""
        prefix = network(source)
        if self._exempt and self._is_exempt(source):
            return PASS
        if now_s - self._turned_s > BURST_S or len(self._now) >= BUCKETS_MAX:
            self._before = self._now if now_s - self._turned_s <= 2 * BURST_S else {}
            self._now, self._turned_s = {}, now_s
        within = self._take((prefix, what), self._pause_s.get(what, self._identical_s), now_s)
        within &= self._take((prefix, _TOTAL), self._pause_s[_TOTAL], now_s)
        if within:
            return PASS
        self._slipped += 1
        return SLIP if self._slip and self._slipped % self._slip == 0 else DROP

    def _take(self, bucket: tuple[bytes, bytes], pause_s: float, now_s: float) -> bool:
        if not pause_s:
            return True
        empty_s = self._now.get(bucket) or self._before.get(bucket, now_s)
        empty_s = max(empty_s, now_s) + pause_s
        if empty_s - now_s > BURST_S + pause_s / 1000:  # rounding takes nobody's last answer
            return False
        self._now[bucket] = empty_s
        return True

    def _is_exempt(self, source: bytes) -> bool:
        found = self._free.get(source)
        if found is None:
            if len(self._free) >= BUCKETS_MAX:
                self._free.clear()
            address = ipaddress.ip_address(source)
            found = self._free[source] = any(address in each for each in self._exempt)
        return found
