"""One worker on real sockets: UDP and TCP, IPv4 and IPv6, and clients that mean no good."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest
from msgspec.structs import replace

from nearcast.steering.dns.choose import NO_TABLE, Table
from nearcast.steering.dns.server import streams
from nearcast.steering.dns.server.counting import Counting
from nearcast.steering.dns.server.worker import CannotListen, Worker, or_none
from nearcast.steering.dns.settings import DnsSettings, RateSettings
from nearcast.steering.routes.reader import NoTable
from nearcast.steering.view import NO_VIEW, View
from tests.unit.steering.dns.making import SETTINGS, TABLE, answerer, data, query, view

PLAY = query("play.cdn.example", subnet="203.0.113.0/24")
TIMEOUT_S = 10.0


def free_port() -> int:
    """Of both transports."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as probe, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            port = int(probe.getsockname()[1])
            with contextlib.suppress(OSError):
                other.bind(("127.0.0.1", port))
                return port


class Published:
    """What steer would publish."""

    def __init__(self, seen: View) -> None:
        self.seen = seen
        self.found: Table | None = TABLE
        self.broken = False

    def table(self) -> Table:
        if self.broken:
            raise OSError("the disk is gone")
        if self.found is None:
            raise NoTable("none yet")
        return self.found

    def view(self) -> View:
        return self.seen


@contextmanager
def running(settings: DnsSettings | None = None, seen: View | None = None, **more: object) -> Iterator[tuple[Worker, int, Published]]:
    found = replace(settings or SETTINGS, port=free_port(), **more)
    published = Published(view() if seen is None else seen)
    worker = Worker(found, answerer(found, signed=True), or_none(published.table), published.view)
    worker.start()
    try:
        yield worker, found.port, published
    finally:
        worker.stop()
        assert worker.wait(TIMEOUT_S)


def until(condition: object, *args: object) -> None:
    """Wait until ``condition`` of ``args`` holds."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while not condition(*args):  # type: ignore[operator]
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("ask", [dns.query.udp, dns.query.tcp])
def test_both_transports_and_both_families(address: str, ask: object) -> None:
    with running(listen=("127.0.0.1", "::1")) as (worker, port, _):
        for _ in range(3):
            found = ask(PLAY, address, timeout=TIMEOUT_S, port=port)  # type: ignore[operator]
            assert data(found) == ["198.18.2.1"]
        until(lambda: worker.queries_udp + worker.queries_tcp == 3)


def test_every_address_answers_from_where_it_was_asked() -> None:
    """A client that is connected takes an answer from that address alone."""
    with running(listen=("0.0.0.0", "::"), name_servers=SETTINGS.name_servers) as (_, port, _):
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.9.8.7"), (socket.AF_INET6, "::1")):
            with socket.socket(family, socket.SOCK_DGRAM) as client:
                client.settimeout(TIMEOUT_S)
                client.connect((address, port))
                client.send(PLAY.to_wire())
                assert data(dns.message.from_wire(client.recv(4096))) == ["198.18.2.1"]


def test_what_came_to_everybody_is_answered_by_nobody() -> None:
    with running(listen=("0.0.0.0",), name_servers=SETTINGS.name_servers) as (worker, port, _):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            client.settimeout(0.3)
            client.sendto(PLAY.to_wire(), ("127.255.255.255", port))
            with pytest.raises(TimeoutError):
                client.recv(4096)
        assert data(dns.query.udp(PLAY, "127.0.0.1", timeout=TIMEOUT_S, port=port)) == ["198.18.2.1"]
        until(lambda: worker.queries_udp == 2)


def test_many_at_once_are_all_answered() -> None:
    with running() as (_, port, _), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        client.settimeout(TIMEOUT_S)
        client.connect(("127.0.0.1", port))
        wire = bytearray(PLAY.to_wire())
        for number in range(300):
            wire[:2] = struct.pack("!H", number)
            client.send(b"\0" if number % 7 == 3 else bytes(wire))  # noise in between
        wanted = {number for number in range(300) if number % 7 != 3}
        assert {struct.unpack("!H", client.recv(4096)[:2])[0] for _ in wanted} == wanted


def test_two_workers_share_a_port() -> None:
    with running() as (first, port, published):
        second = Worker(replace(SETTINGS, port=port), answerer(), published.table, published.view)
        second.start()
        deadline_s = time.monotonic() + TIMEOUT_S
        while not (first.queries_udp and second.queries_udp):
            assert time.monotonic() < deadline_s
            assert data(dns.query.udp(PLAY, "127.0.0.1", timeout=TIMEOUT_S, port=port))
        second.stop()
        assert second.wait(TIMEOUT_S)
        assert data(dns.query.tcp(PLAY, "127.0.0.1", timeout=TIMEOUT_S, port=port))


def framed(wire: bytes) -> bytes:
    return struct.pack("!H", len(wire)) + wire


def read_answers(client: socket.socket, count: int) -> list[dns.message.Message]:
    found: list[dns.message.Message] = []
    received = b""
    while len(found) < count:
        more = client.recv(65536)
        assert more, "closed too early"
        received += more
        while len(received) >= 2 and len(received) >= 2 + int.from_bytes(received[:2], "big"):
            size = int.from_bytes(received[:2], "big")
            found.append(dns.message.from_wire(received[2 : 2 + size]))
            received = received[2 + size :]
    return found


def test_pipelined_queries_are_answered_in_order() -> None:
    with running() as (_, port, _), socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as client:
        asked = [query("play.cdn.example", subnet="203.0.113.0/24", id=number) for number in range(500)]
        client.sendall(b"".join(framed(each.to_wire()) for each in asked))
        assert [each.id for each in read_answers(client, 500)] == list(range(500))


def test_a_query_may_come_byte_by_byte_and_its_sender_may_stop_sending() -> None:
    with running() as (_, port, _), socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as client:
        for byte in framed(PLAY.to_wire()):
            client.send(bytes((byte,)))
        client.shutdown(socket.SHUT_WR)
        assert data(read_answers(client, 1)[0]) == ["198.18.2.1"]
        assert client.recv(10) == b""


@pytest.mark.parametrize("junk", [b"\0\0", b"\0\5hello", framed(b"\0\0\x80" + bytes(20))])
def test_who_sends_no_queries_is_shown_out(junk: bytes) -> None:
    with running() as (_, port, _), socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as client:
        client.sendall(junk)
        assert client.recv(10) == b""


def test_slow_senders_are_shown_out_and_nobody_else() -> None:
    with running(idle_s=0.6) as (worker, port, _), socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as slow:
        slow.settimeout(0.05)
        wire = framed(PLAY.to_wire()) * 50
        closed = False
        for at in range(len(wire)):
            try:
                slow.send(wire[at : at + 1])
                closed = slow.recv(10) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                closed = True
            if closed:
                break
        assert closed
        assert worker.streams.lapsed == 1
        assert data(dns.query.tcp(PLAY, "127.0.0.1", timeout=TIMEOUT_S, port=port))


def test_who_takes_no_answers_is_shown_out_and_costs_little() -> None:
    with running(idle_s=0.6) as (worker, port, _), socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.setblocking(False)
        many = framed(query("cdn.example", "NS", dnssec=True).to_wire()) * 1000
        until(lambda: len(worker.streams) == 1)
        deadline_s = time.monotonic() + TIMEOUT_S
        while len(worker.streams):
            try:
                client.send(many)
            except BlockingIOError:
                time.sleep(0.02)
            except ConnectionError:
                break
            for each in list(worker.streams._open.values()):
                assert len(each.unsent) < 2 * streams.UNSENT_BYTES_MAX
            assert time.monotonic() < deadline_s
        until(lambda: not len(worker.streams))


def test_one_network_has_so_many_connections_and_the_oldest_makes_room() -> None:
    with running(connections=4, connections_each=3) as (worker, port, _):
        ours = [socket.create_connection(("127.0.0.1", port), TIMEOUT_S) for _ in range(3)]
        until(lambda: len(worker.streams) == 3)
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as one_more:
            assert one_more.recv(10) == b""
        others = [socket.create_connection(("127.0.0.1", port), TIMEOUT_S, source_address=(f"127.0.{number}.1", 0)) for number in (1, 2)]
        until(lambda: worker.streams.lapsed == 1)
        assert ours[0].recv(10) == b""
        others[1].sendall(framed(PLAY.to_wire()))
        assert data(read_answers(others[1], 1)[0])
        for each in (*ours, *others):
            each.close()


def test_what_died_leaves_the_answers_of_a_running_worker() -> None:
    with running() as (_, port, published):

        def addresses() -> list[str]:
            return data(dns.query.udp(query("play.cdn.example", subnet="8.8.8.0/24"), "127.0.0.1", timeout=TIMEOUT_S, port=port))

        assert addresses() == ["198.18.1.1", "198.18.1.2"]
        published.seen = view(2, fra_1={"state": "down"})
        until(lambda: addresses() == ["198.18.1.2"])


def test_it_goes_on_with_what_it_knew(capsys: pytest.CaptureFixture[str]) -> None:
    with running() as (_, port, published):
        published.broken = True
        last = view(3)
        published.seen = View(replace(last.snapshot, source="last-known"), last.holdings)
        time.sleep(0.3)
        assert data(dns.query.udp(PLAY, "127.0.0.1", timeout=TIMEOUT_S, port=port)) == ["198.18.2.1"]
        published.broken = False
        time.sleep(0.3)
        assert data(dns.query.udp(PLAY, "127.0.0.1", timeout=TIMEOUT_S, port=port)) == ["198.18.2.1"]
    written = capsys.readouterr().out
    assert written.count("what is published cannot be read; the last known stays") == 1
    assert written.count("the health view is old: answers go on from the last known") == 1


def test_before_anything_is_published() -> None:
    with running(seen=NO_VIEW) as (_, port, published):
        published.found = None
        assert dns.query.udp(PLAY, "127.0.0.1", timeout=TIMEOUT_S, port=port).rcode() == dns.rcode.SERVFAIL
        assert dns.query.udp(query("cdn.example", "SOA"), "127.0.0.1", timeout=TIMEOUT_S, port=port).rcode() == dns.rcode.NOERROR
    assert or_none(published.table)() is NO_TABLE


def test_a_defect_costs_one_query_and_is_told_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with running() as (worker, port, _):

        def fail(*_: object) -> None:
            raise ZeroDivisionError("seven by nought")

        with monkeypatch.context() as broken:
            broken.setattr(worker._answerer, "_carefully", fail)
            for ask in (dns.query.udp, dns.query.udp, dns.query.tcp):
                found = ask(query("cdn.example", "SOA"), "127.0.0.1", timeout=TIMEOUT_S, port=port)
                assert found.rcode() == dns.rcode.SERVFAIL
        until(lambda: worker.defects == 3)
        assert dns.query.udp(query("cdn.example", "SOA"), "127.0.0.1", timeout=TIMEOUT_S, port=port).answer
    assert capsys.readouterr().out.count("a query ended in a defect") == 1


def test_a_port_that_is_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        published = Published(view())
        with pytest.raises(CannotListen, match="in use"):
            Worker(replace(SETTINGS, port=port), answerer(), published.table, published.view).start()
    with pytest.raises(CannotListen, match="cannot listen"):
        Worker(replace(SETTINGS, listen=("192.0.2.77",), port=free_port()), answerer(), published.table, published.view).start()


def with_addresses(version: int, *addresses: str) -> View:
    """One of dallas says these of itself."""
    found = view(version)
    told = (replace(each, addresses=addresses) if each.id == "dal-1" else each for each in found.snapshot.appliances)
    return View(replace(found.snapshot, appliances=tuple(told)), found.holdings)


def test_an_address_that_is_none_costs_only_itself(capsys: pytest.CaptureFixture[str]) -> None:
    bad = ("foo", "999.1.1.1", "", "fe80::1%eth0", "224.0.0.1", "0.0.0.0", "::", "ff02::1")
    with running() as (worker, port, published):
        for version, (addresses, wanted) in enumerate(((bad, ["198.18.1.1", "198.18.1.2"]), ((*bad, "198.18.2.7"), ["198.18.2.7"])), 2):
            published.seen = with_addresses(version, *addresses)
            until(lambda wanted=wanted: data(dns.query.udp(PLAY, "127.0.0.1", timeout=TIMEOUT_S, port=port)) == wanted)
        assert not worker.wait(0.0)
        assert not worker.defects
    written = capsys.readouterr().out
    assert written.count("addresses of an appliance are none") == 1
    assert "dal-1" in written
    assert "999.1.1.1" in written


def test_a_view_that_cannot_be_taken_over_leaves_the_last_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with running() as (worker, port, published):
        assert data(dns.query.udp(PLAY, "127.0.0.1", timeout=TIMEOUT_S, port=port)) == ["198.18.2.1"]
        with monkeypatch.context() as patched:
            patched.setattr(worker._answerer._zone, "with_appliances", lambda appliances: 1 / 0)
            published.seen = view(2, dal_1={"state": "down"})
            until(lambda: worker._told)
            assert data(dns.query.udp(PLAY, "127.0.0.1", timeout=TIMEOUT_S, port=port)) == ["198.18.2.1"]
        until(lambda: data(dns.query.udp(PLAY, "127.0.0.1", timeout=TIMEOUT_S, port=port)) == ["198.18.1.1", "198.18.1.2"])
        assert not worker.wait(0.0)
    assert capsys.readouterr().out.count("the last known stays error='ZeroDivisionError") == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_workers_of_one_home_share_the_port_and_nobody_else(address: str, tmp_path: Path) -> None:
    settings = replace(SETTINGS, listen=(address,), port=free_port())
    published = Published(view())

    def worker() -> Worker:
        return Worker(settings, answerer(), published.table, published.view)

    ours = [worker(), worker()]
    for each in ours:
        each.start(tmp_path / "ours")
    for _ in range(2):
        with pytest.raises(CannotListen, match="in use"):
            worker().start(tmp_path / "theirs")
        assert data(dns.query.udp(PLAY, address, timeout=TIMEOUT_S, port=settings.port)) == ["198.18.2.1"]
        assert data(dns.query.tcp(PLAY, address, timeout=TIMEOUT_S, port=settings.port)) == ["198.18.2.1"]
        if len(ours) == 2:
            ours[0].stop()
            assert ours.pop(0).wait(TIMEOUT_S)
    ours[0].stop()
    assert ours[0].wait(TIMEOUT_S)
    theirs = worker()
    theirs.start(tmp_path / "theirs")
    theirs.stop()
    assert theirs.wait(TIMEOUT_S)


def test_what_it_did_is_counted() -> None:
    with running() as (worker, port, _):
        for name in ("play.cdn.example", "nothing.cdn.example", "example", "play.cdn.example"):
            dns.query.udp(query(name), "127.0.0.1", timeout=TIMEOUT_S, port=port)
        dns.query.tcp(PLAY, "127.0.0.1", timeout=TIMEOUT_S, port=port)
        until(lambda: worker.queries_udp == 4)
        samples = {(each.name, *each.labels.values()): each.value for family in Counting(worker).collect() for each in family.samples}
        assert samples["nearcast_dns_queries_total", "udp"] == 4
        assert samples["nearcast_dns_queries_total", "tcp"] == 1
        assert samples["nearcast_dns_answers_total", "NOERROR"] == 3
        assert samples["nearcast_dns_answers_total", "NXDOMAIN"] == 1
        assert samples["nearcast_dns_answers_total", "REFUSED"] == 1
        worker.check()


def test_what_should_not_be_sent_is_told_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with running(rate=RateSettings(identical_per_s=2)) as (worker, port, _), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        worker._reported_s = time.monotonic()
        for _ in range(20):
            client.send(b"\0\1\0\0\0\1\0\0\0\0\0\0\x40")
            client.send(query("gateway.cdn.example").to_wire())
        until(lambda: worker.queries_udp == 40)
        worker._reported_s = float("-inf")
        until(lambda: worker._reported_s > 0)
    written = capsys.readouterr().out
    assert written.count("malformed queries") == 1
    assert "a label is too long, or compressed" in written
    assert written.count("answers are held back by the rate limit") == 1
    assert written.count("127.0.0.1") == 2
