"""An appliance's figures for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from nearcast.delivery.edge.status import Status

COUNTERS = {
    "requests": ("Answers of nginx to viewers, by source of the bytes and status", ("source", "status")),
    "sent_bytes": ("Bytes sent to players, by where they came from", ("source",)),
    "parent_bytes": ("Bytes fetched on misses, by who gave them", ("parent",)),
    "parent_errors": ("Fetches on misses that failed, by who was asked", ("parent",)),
    "doors_bytes": ("Bytes sent to other appliances", ()),
    "refused": ("Requests that were refused for load", ()),
    "errors": ("Answers of 500 and more, refusals aside", ()),
    "misses": ("Requests that a parent had to be asked for, by cause", ("cause",)),
    "filled_bytes": ("Bytes copied by the fill, by kind of source", ("kind",)),
    "reactive_written_bytes": ("Bytes of misses written to the disk", ()),
    "evicted_bytes": ("Bytes that the reactive partition let go", ()),
    "wrong_slices": ("Slices of a parent that were not what was published", ()),
    "exposures": ("Answers that may have had bytes of a wrong slice", ()),
    "scrubbed_bytes": ("Bytes of placed files read again and verified", ()),
    "damaged_files": ("Placed files that were not what was published any more", ()),
    "repaired_files": ("Damaged files that were made whole again", ()),
    "foreign_files": ("Files taken away that the fill did not place", ()),
    "nginx_restarts": ("Times that nginx was started anew", ()),
}
GAUGES = {
    "up": "1 while nginx answers",
    "draining": "1 while nobody new is sent here",
    "sent_bits_per_second": "What is sent to players, smoothed over some seconds",
    "limit_bits_per_second": "What it can send; 0: not known",
    "connections": "Connections open to nginx",
    "held_bytes": "Bytes placed",
    "placed_capacity_bytes": "Room for placed files",
    "missing_bytes": "Bytes assigned and not placed yet",
    "reactive_bytes": "Bytes kept from misses",
    "disk_free_bytes": "Free space",
    "fill_bits_per_second": "What the fill fetches, smoothed over some seconds",
    "generation": "Placement generation that is assigned",
    "mac_key_generation": "Generation of the MAC key that nginx takes",
    "scrub_share": "Share of the placed bytes that this pass of the scrub has read",
}


class EdgeMetrics:
    """Sets the figures of one appliance in ``registry`` from totals that only grow."""

    def __init__(self, registry: CollectorRegistry, appliance: str) -> None:
        self._appliance = appliance
        self._counters = {
            name: Counter(f"nearcast_edge_{name}", text, ["appliance", *labels], registry=registry)
            for name, (text, labels) in COUNTERS.items()
        }
        self._gauges = {name: Gauge(f"nearcast_edge_{name}", text, ["appliance"], registry=registry) for name, text in GAUGES.items()}
        self._leader = Gauge(
            "nearcast_edge_eviction_policy", "1 for the policy that decides what is let go", ["appliance", "policy"], registry=registry
        )
        self._load = Gauge("nearcast_edge_load", "1 for the level that players are told", ["appliance", "level"], registry=registry)
        self._seen: dict[tuple[str, ...], int] = {}

    def update(self, status: Status) -> None:
        for name, totals in _totals(status).items():
            for labels, total in totals.items():
                self._grow(name, total, labels)
        for name, value in _values(status).items():
            self._gauges[name].labels(self._appliance).set(value)
        self._leader.clear()
        self._leader.labels(self._appliance, status.leader).set(1)
        for level in ("normal", "high", "full"):
            self._load.labels(self._appliance, level).set(level == status.report.load)

    def _grow(self, name: str, total: int, labels: tuple[str, ...]) -> None:
        key = (name, *labels)
        self._counters[name].labels(self._appliance, *labels).inc(total - self._seen.get(key, 0))
        self._seen[key] = total


def _totals(status: Status) -> dict[str, Mapping[tuple[str, ...], int]]:
    report, scrub = status.report, status.scrub
    sent = {"placed": report.placed_bytes_total, "cache": report.reactive_bytes_total, "parent": report.missed_bytes_total}
    single = {
        "doors_bytes": status.doors_bytes,
        "refused": status.refused,
        "errors": report.errors_total,
        "reactive_written_bytes": status.written_bytes,
        "evicted_bytes": status.evicted_bytes,
        "wrong_slices": status.wrong_slices,
        "exposures": status.exposures,
        "scrubbed_bytes": scrub.read_bytes,
        "damaged_files": scrub.damaged,
        "repaired_files": scrub.repaired,
        "foreign_files": scrub.foreign,
        "nginx_restarts": status.nginx_restarts,
    }
    many = {"sent_bytes": sent, "parent_bytes": status.parent_bytes, "parent_errors": status.parent_errors}
    many |= {"misses": status.misses, "filled_bytes": status.filling.by_kind}
    found: dict[str, Mapping[tuple[str, ...], int]] = {name: {(): total} for name, total in single.items()}
    found |= {name: {(label,): total for label, total in totals.items()} for name, totals in many.items()}
    found["requests"] = {tuple(outcome.split(" ")): total for outcome, total in status.by_outcome.items()}
    return found


def _values(status: Status) -> dict[str, float]:
    report = status.report
    return {
        "up": report.state != "down",
        "draining": report.state == "draining",
        "sent_bits_per_second": report.sent_bps,
        "limit_bits_per_second": report.limit_bps,
        "connections": report.connections,
        "held_bytes": report.held_bytes,
        "placed_capacity_bytes": report.capacity_bytes,
        "missing_bytes": report.missing_bytes,
        "reactive_bytes": report.reactive_bytes,
        "disk_free_bytes": report.disk_free_bytes,
        "fill_bits_per_second": report.fill_bps,
        "generation": report.generation,
        "mac_key_generation": report.key_generation,
        "scrub_share": status.scrub.share,
    }
