"""What doctor says of steering: each thing that is asked for and is not there is told, with what to do."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]  # comes with mmdb-writer

from nearcast.base.config import parse
from nearcast.base.paths import Home
from nearcast.model.health import HealthSnapshot
from nearcast.model.services import SourceStatus
from nearcast.model.site import Site
from nearcast.steering.health.published import ViewWriter
from nearcast.steering.routes.store import TableWriter
from nearcast.system import folders, steering_checks
from nearcast.system.checking import Check
from nearcast.system.settings import Settings


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.make()
    return home


def states(found: Iterator[Check]) -> list[tuple[str, str]]:
    return [(each.name, each.state) for each in found]


def test_nothing_is_asked_for(home: Home) -> None:
    assert list(steering_checks.run(home, Settings())) == []


def test_the_file_of_geography(home: Home) -> None:
    path = home.root / "countries.mmdb"
    configured = parse(Settings, f'[steering.geographic]\nmmdb = "{path}"\n')
    (missing,) = steering_checks.geography(configured)
    assert missing.state == "bad"
    assert "No such file" in missing.found
    os.mkfifo(path)
    (endless,) = steering_checks.geography(configured)
    assert (endless.state, endless.found) == ("bad", f"{path}: it is no regular file")
    path.unlink()
    path.write_bytes(b"no database")
    (broken,) = steering_checks.geography(configured)
    assert broken.state == "bad"
    assert "mmdb" in broken.cure
    writer = MMDBWriter(database_type="Test-Country")
    writer.insert_network(IPSet(["198.51.100.0/24"]), {"country": {"iso_code": "DE"}})
    writer.to_db_file(str(path))
    (good,) = steering_checks.geography(configured)
    assert good.state == "good"
    assert "Test-Country" in good.found


def test_table_and_view_are_kept_or_not(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steering_checks, "SETTLED_S", 0.2)
    assert states(steering_checks.kept(home)) == [("route table", "bad"), ("health view", "bad")]
    view = ViewWriter(folders.view_folder(home))
    view.open()
    view.publish(HealthSnapshot(version=0, published_s=0.0, appliances=(), source="live"), {})
    assert states(steering_checks.kept(home)) == [("route table", "bad"), ("health view", "good")]
    table = TableWriter(folders.routes_folder(home), (Site(name="a"),))
    table.start()
    try:
        view.beat()
        assert states(steering_checks.kept(home)) == [("route table", "good"), ("health view", "good")]
    finally:
        table.close()
        view.close()


def test_the_sessions_of_an_isp(home: Home) -> None:
    up = SourceStatus(name="north", kind="bgp", state="up", prefixes=7)
    assert steering_checks.session(up, home).found == "BGP up, 7 prefixes"
    down = steering_checks.session(SourceStatus(name="north", kind="bgp", state="down", prefixes=7, problem="refused"), home)
    assert (down.name, down.state) == ("ISP north", "bad")
    assert "refused" in down.found
    assert "exabgp.log" in down.cure


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """One question over UDP, answered with its number and ``answer``."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def once() -> None:
            asked, client = server.recvfrom(512)
            server.sendto(asked[:2] + answer, client)

        thread = threading.Thread(target=once)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_a_name_server_that_answers_and_one_that_does_not() -> None:
    with answering(b"\x84\0" + bytes(8)) as port:
        assert steering_checks.answers("127.0.0.1", port, "cdn.example").state == "good"
    with answering(b"\x84\5" + bytes(8)) as port:
        assert "error 5" in steering_checks.answers("127.0.0.1", port, "cdn.example").found
    nobody = steering_checks.answers("127.0.0.1", port, "cdn.example")
    assert nobody.state == "bad"
    assert "does not answer" in nobody.found


def test_ports_that_somebody_else_has(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        configured = parse(
            Settings,
            f"""
[steering.bgp]
asn = 64500
port = {port}
[[steering.isps]]
name = "north"
asn = 64601
routers = ["192.0.2.1"]
sites = ["frankfurt"]
allow = ["198.51.100.0/24"]
[steering.dns]
zone = "cdn.example"
port = {port}
""",
        )
        assert states(steering_checks.run(home, configured))[:2] == [("BGP", "bad"), ("name server", "bad")]
    assert states(steering_checks.run(home, configured))[:2] == [("BGP", "good"), ("name server", "good")]
