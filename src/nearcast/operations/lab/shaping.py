"""How a viewer's line is made slow: rate by tbf, delay by a queue. Arguments of `tc`, `iptables` and the delay process. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nearcast.operations.lab.topology import Viewer

BURST_BYTES_MIN = 8 * 1024
BURST_S = 0.004
LATENCY_MS = 100
"""A line's buffer: what would wait longer is dropped, as by a home router of decent make."""


def rate(interface: str, bps: float) -> list[str]:
    """Arguments for `tc`: a token bucket (tc-tbf(8)) with a burst that the kernel's timer can keep up with."""
    burst = max(BURST_BYTES_MIN, int(bps / 8 * BURST_S))
    timing = ["rate", f"{bps:.0f}bit", "burst", str(burst), "latency", f"{LATENCY_MS}ms"]
    return ["qdisc", "replace", "dev", interface, "root", "tbf", *timing]


def delay_rules(viewers: Sequence[Viewer]) -> list[list[str]]:
    """Arguments for `iptables` at their router: what goes to each viewer to one queue, what comes from them to another."""
    return [
        ["-t", "mangle", "-A", "FORWARD", way, each.name, "-j", "NFQUEUE", "--queue-num", str(number), "--queue-bypass"]
        for index, each in enumerate(viewers)
        for way, number in (("-o", 2 * index), ("-i", 2 * index + 1))
    ]


def delay_arguments(viewers: Sequence[Viewer]) -> list[str]:
    """Arguments for the delay process: half of the round trip each way."""
    return [
        f"{number}:{each.rtt_ms / 2:g}:{each.jitter_ms:g}:{each.loss:g}:{number}"
        for index, each in enumerate(viewers)
        for number in (2 * index, 2 * index + 1)
    ]
