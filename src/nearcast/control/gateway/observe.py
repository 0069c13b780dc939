"""What is noted of each request: Prometheus metrics by route and status, and a line of the access log.

Session ids are capabilities and stay out of the log: where a path holds ids, the route's template is written, and titles' ids beside it.
"""

from __future__ import annotations

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_log = structlog.get_logger("access")
BUCKETS_S = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Observer:
    """Metrics of one gateway, in ``registry``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter("nearcast_gateway_requests_total", "Requests answered.", ("route", "method", "status"), registry=registry)
        self._seconds = Histogram("nearcast_gateway_request_seconds", "Time to answer.", ("route",), buckets=BUCKETS_S, registry=registry)
        self.running = Gauge("nearcast_gateway_running_requests", "Requests being answered now.", registry=registry)
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    def note(
        self, *, route: str, method: str, path: str, status: int, sent_bytes: int, duration_s: float, client: str, account: str, code: str
    ) -> None:
        key = (route, method, status)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = self._requests.labels(route, method, str(status))
        counter.inc()
        histogram = self._histograms.get(route)
        if histogram is None:
            histogram = self._histograms[route] = self._seconds.labels(route)
        histogram.observe(duration_s)
        line: dict[str, object] = {"method": method, "path": path, "status": status, "sent_bytes": sent_bytes}
        line |= {"duration_ms": round(duration_s * 1000, 2), "client": client}
        if account:
            line["account"] = account
        if code:
            line["code"] = code
        (_log.warning if status >= 500 else _log.info)("request", **line)
