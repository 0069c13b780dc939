from __future__ import annotations

import json
from pathlib import Path

from prometheus_client import CollectorRegistry

from nearcast.delivery.edge.logs import AccessLog, Line, parent_bytes, read_line
from nearcast.delivery.edge.metrics import EdgeMetrics
from nearcast.delivery.edge.reactive import Reactive
from nearcast.model.site import ApplianceReport


def row(status: int = 206, size_bytes: int = 100, **more: object) -> bytes:
    return json.dumps({"at": 1.5, "status": status, "bytes": size_bytes, "request_time_s": 0.01, **more}).encode() + b"\n"


def line(**more: object) -> Line:
    found = read_line(row(**more))  # type: ignore[arg-type]  # fields by name
    assert found is not None
    return found


def test_where_the_bytes_came_from() -> None:
    assert line().source == "placed"
    assert line(cache="HIT").source == "cache"
    assert line(cache="MISS").source == "parent"
    assert line(parent_status="206").source == "parent", "passed on without being kept"
    assert line(status=403).source == "none"


def test_parent_bytes_over_several_slices() -> None:
    assert parent_bytes(line(parent_bytes="100, 200 : 300")) == 600
    assert parent_bytes(line(parent_bytes="-")) == 0


def log_over(path: Path, bytes_max: int = 1 << 20) -> tuple[AccessLog, list[str]]:
    reopened: list[str] = []
    return AccessLog(path, bytes_max, lambda: reopened.append("x")), reopened


def test_counts_only_what_is_new_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(row(size_bytes=5000))
    log, _ = log_over(path)
    log.poll()
    assert log.counts.requests == 0
    with path.open("ab") as file:
        file.write(row() + row(status=403, size_bytes=1) + row()[:10])
    log.poll()
    assert (log.counts.requests, log.counts.sent_bytes) == (2, 101)
    with path.open("ab") as file:
        file.write(row()[10:] + b"damaged\n" + row(cache="MISS", parent_bytes="1048576"))
    log.poll()
    assert (log.counts.requests, log.counts.damaged, log.counts.parent_bytes) == (4, 1, 1_048_576)
    assert log.counts.by_outcome == {("placed", 206): 2, ("none", 403): 1, ("parent", 206): 1}
    log.close()


def test_rotation_is_bounded_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.touch()
    log, reopened = log_over(path, bytes_max=1000)
    log.poll()
    written = path.open("ab")  # nginx's own handle
    for turn in range(1, 5):
        written.write(row() * 20)
        written.flush()
        log.poll()
        assert len(reopened) == turn
        written.write(row())  # it still writes to the old file until it has opened the new one
        written.close()
        written = path.open("ab")
        written.write(row())
        written.flush()
        log.poll()
        log.poll()
        assert log.counts.requests == turn * 22
    written.close()
    log.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["access.log", "access.log.1"]


def test_an_absent_log_is_no_error(tmp_path: Path) -> None:
    log, _ = log_over(tmp_path / "access.log")
    log.poll()
    assert log.counts.requests == 0


def test_metrics_only_grow(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    metrics = EdgeMetrics(registry, "fra-1")
    log, _ = log_over(tmp_path / "access.log")
    report = ApplianceReport(id="fra-1", site="frankfurt", address="", health_url="", state="up", holdings={}, held_bytes=7)
    reactive = Reactive(tmp_path, 1 << 20)
    reactive.removed_bytes_total = 5
    for _ in range(3):
        log.counts.add(line())
        metrics.update(report, log.counts, reactive, 10, 0)
        metrics.update(report, log.counts, reactive, 10, 0)
    labels = {"appliance": "fra-1"}
    assert registry.get_sample_value("nearcast_edge_requests_total", {**labels, "source": "placed", "status": "206"}) == 3
    assert registry.get_sample_value("nearcast_edge_sent_bytes_total", labels) == 300
    assert registry.get_sample_value("nearcast_edge_filled_bytes_total", labels) == 10
    assert registry.get_sample_value("nearcast_edge_evicted_bytes_total", labels) == 5
    assert registry.get_sample_value("nearcast_edge_eviction_policy", {**labels, "policy": "S3-FIFO"}) == 1
    assert registry.get_sample_value("nearcast_edge_held_bytes", labels) == 7
    assert registry.get_sample_value("nearcast_edge_up", labels) == 1
