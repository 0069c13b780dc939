from __future__ import annotations

from pathlib import Path

import msgspec

from nearcast.delivery.edge.logs import AccessLog, Counts, Line, read_line, read_lines


def row(status: int = 206, size_bytes: int = 100, **more: object) -> bytes:
    """A line as nginx writes it."""
    return msgspec.json.encode(Line(at=1.5, status=status, bytes=size_bytes, request_time_s=0.01, **more)) + b"\n"  # type: ignore[arg-type]


def line(**more: object) -> Line:
    found = read_line(row(**more))  # type: ignore[arg-type]  # fields by name
    assert found is not None
    return found


def test_where_the_bytes_came_from() -> None:
    assert line().source == "placed"
    assert line(zone="slices", cache="HIT").source == "cache"
    assert line(zone="landing", cache="HIT").source == "cache"
    assert line(zone="landing", cache="MISS", parent="lon-1").source == "parent"
    assert line(zone="slices", cache="MISS", parent="memory").source == "cache", "it was in memory already"
    assert line(zone="off", parent_status="206").source == "parent", "passed on without being kept"
    assert line(status=403).source == "none"
    assert line(status=503).source == "none"


def test_one_damaged_line_costs_the_others_nothing() -> None:
    lines, damaged = read_lines(row(size_bytes=1) + b"{damaged\n" + row(size_bytes=2))
    assert ([each.bytes for each in lines], damaged) == ([1, 2], 1)
    assert read_lines(b"") == ([], 0)


def test_viewers_others_and_fetches_are_counted_apart() -> None:
    counts = Counts()
    counts.add(
        [
            line(size_bytes=10),
            line(size_bytes=20, zone="landing", cache="HIT"),
            line(size_bytes=40, zone="landing", cache="MISS", parent="lon-1"),
            line(size_bytes=1, status=502, zone="landing", cache="MISS"),
            line(size_bytes=2, status=503),
            line(size_bytes=3, status=403),
            line(size_bytes=100, door="held"),
            line(size_bytes=200, door="titles", zone="landing", cache="MISS"),
            line(size_bytes=1000, door="parent", parent="lon-1"),
            line(size_bytes=2000, door="parent", parent="origin"),
            line(size_bytes=5, status=502, door="parent", parent="lon-1"),
        ]
    )
    assert (counts.requests, counts.sent_bytes) == (6, 76)
    assert (counts.placed_bytes, counts.reactive_bytes, counts.missed_bytes) == (10, 20, 41)
    assert (counts.errors, counts.refused) == (1, 1)
    assert (counts.doors_requests, counts.doors_bytes) == (2, 300)
    assert counts.parent_bytes_by == {"lon-1": 1000, "origin": 2000}
    assert counts.parent_errors_by == {"lon-1": 1}
    assert counts.parent_bytes == 3000


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
        file.write(row()[10:] + b"damaged\n" + row(zone="landing", cache="MISS"))
    log.poll()
    assert (log.counts.requests, log.counts.damaged, log.counts.missed_bytes) == (4, 1, 100)
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
