"""An appliance's figures for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from nearcast.delivery.edge.logs import Counts
from nearcast.delivery.edge.reactive import Reactive
from nearcast.model.site import ApplianceReport


class EdgeMetrics:
    """Sets the figures of one appliance in ``registry`` from totals that only grow."""

    def __init__(self, registry: CollectorRegistry, appliance: str) -> None:
        self._appliance = appliance
        label = ["appliance"]
        self._requests = Counter(
            "nearcast_edge_requests", "Answers of nginx by source of the bytes and status", [*label, "source", "status"], registry=registry
        )
        self._sent = Counter("nearcast_edge_sent_bytes", "Bytes sent to players", label, registry=registry)
        self._parent = Counter(
            "nearcast_edge_parent_bytes", "Bytes fetched on misses, by who gave them", [*label, "parent"], registry=registry
        )
        self._doors = Counter("nearcast_edge_doors_bytes", "Bytes sent to other appliances", label, registry=registry)
        self._refused = Counter("nearcast_edge_refused", "Requests that were refused for load", label, registry=registry)
        self._written = Counter("nearcast_edge_reactive_written_bytes", "Bytes of misses written to the disk", label, registry=registry)
        self._fetched = Counter("nearcast_edge_filled_bytes", "Bytes copied by the fill", label, registry=registry)
        self._restarts = Counter("nearcast_edge_nginx_restarts", "Times that nginx was started anew", label, registry=registry)
        self._evicted = Counter("nearcast_edge_evicted_bytes", "Bytes that the reactive partition let go", label, registry=registry)
        self._wrong = Counter(
            "nearcast_edge_wrong_slices", "Slices of the parent that were not what was published", label, registry=registry
        )
        self._exposures = Counter("nearcast_edge_exposures", "Answers that may have had bytes of a wrong slice", label, registry=registry)
        self._reactive = Gauge("nearcast_edge_reactive_bytes", "Bytes kept from misses", label, registry=registry)
        self._leader = Gauge(
            "nearcast_edge_eviction_policy", "1 for the policy that decides what is let go", [*label, "policy"], registry=registry
        )
        self._up = Gauge("nearcast_edge_up", "1 while nginx answers", label, registry=registry)
        self._held = Gauge("nearcast_edge_held_bytes", "Bytes placed", label, registry=registry)
        self._missing = Gauge("nearcast_edge_missing_bytes", "Bytes assigned and not placed yet", label, registry=registry)
        self._free = Gauge("nearcast_edge_disk_free_bytes", "Free space", label, registry=registry)
        self._seen: dict[tuple[str, ...], int] = {}

    def update(self, report: ApplianceReport, counts: Counts, reactive: Reactive, fetched_bytes: int, restarts: int) -> None:
        for (source, status), total in counts.by_outcome.items():
            self._grow("requests", self._requests, total, source, str(status))
        self._grow("sent", self._sent, counts.sent_bytes)
        for parent, total in counts.parent_bytes_by.items():
            self._grow("parent", self._parent, total, parent)
        self._grow("doors", self._doors, counts.doors_bytes)
        self._grow("refused", self._refused, counts.refused)
        self._grow("written", self._written, reactive.written_bytes_total)
        self._grow("filled", self._fetched, fetched_bytes)
        self._grow("restarts", self._restarts, restarts)
        self._grow("evicted", self._evicted, reactive.removed_bytes_total)
        self._grow("wrong", self._wrong, reactive.wrong_total)
        self._grow("exposures", self._exposures, reactive.exposures_total)
        self._leader.clear()
        self._leader.labels(self._appliance, reactive.leader).set(1)
        gauges = {
            self._up: report.state != "down",
            self._held: report.held_bytes,
            self._reactive: reactive.used_bytes,
            self._missing: report.missing_bytes,
            self._free: report.disk_free_bytes,
        }
        for gauge, value in gauges.items():
            gauge.labels(self._appliance).set(value)

    def _grow(self, name: str, counter: Counter, total: int, *labels: str) -> None:
        key = (name, *labels)
        counter.labels(self._appliance, *labels).inc(total - self._seen.get(key, 0))
        self._seen[key] = total
