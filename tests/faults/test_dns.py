"""The name server of a whole system: a worker, steering or an appliance dies or freezes, and whoever asks for names is answered on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dns.dnssec
import dns.edns
import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from nearcast.base.processes import Identity
from nearcast.base.supervise import SystemStatus
from nearcast.model.services import Discovery, Nothing
from nearcast.steering.dns import keyring
from nearcast.system.dns import key_path
from nearcast.system.serve import open_system
from tests.e2e import faults
from tests.e2e.harness import System, new_system, wait_for
from tests.ports import free_port

ZONE = "cdn.example"
PLAY = f"play.{ZONE}"
TITLE = f"t_aaaabbbbccccdddd.titles.{ZONE}"
FRA, BOM = "127.0.0.2", "127.0.0.3"
PATIENCE_S = 0.5
"""Before a query is sent again, as resolvers do."""
IN_A_ROW = 32
"""Answers of each name that must agree before all workers are taken to."""


class Asking:
    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, name: str, kind: str = "A", *, tcp: bool = False, signed: bool = False, subnet: str = "") -> dns.message.Message:
        """The answer, which must come at the second try at the latest; what waited at a worker that died is lost."""
        address, _, bits = subnet.partition("/")
        options: list[dns.edns.Option] = [dns.edns.ECSOption(address, int(bits))] if subnet else []
        asked = dns.message.make_query(name, kind, want_dnssec=signed, use_edns=0 if signed or subnet else -1, options=options)
        try:
            return self._once(asked, PATIENCE_S, tcp=tcp)
        except (dns.exception.Timeout, OSError, EOFError):
            return self._once(asked, 60 * PATIENCE_S, tcp=tcp)

    def _once(self, asked: dns.message.Message, timeout_s: float, *, tcp: bool) -> dns.message.Message:
        over = dns.query.tcp if tcp else dns.query.udp
        return over(asked, "127.0.0.1", timeout=timeout_s, port=self.port)

    def all_say(self, address: str, *names: str) -> bool:
        """Whether every worker does, which a query cannot choose among: so many from ports of their own that each gets some.

        One worker may see a change a moment before another. With two, all of IN_A_ROW miss one of them once in 2^31.
        """
        return all(data(self(name)) == [address] for _ in range(IN_A_ROW) for name in names or (PLAY,))


def data(found: dns.message.Message, kind: str = "A") -> list[str]:
    wanted = dns.rdatatype.from_text(kind)
    return sorted(each.to_text() for rrset in found.answer if rrset.rdtype == wanted for each in rrset)


@pytest.fixture
def running() -> Iterator[tuple[System, Asking]]:
    port = free_port()
    more = ["[steering.dns]", f'zone = "{ZONE}"', f"port = {port}", "workers = 2"]
    with new_system(appliances=(("fra-1", "frankfurt"), ("bom-1", "mumbai")), more=more, own_hosts=True) as system:
        system.up()
        system.wait_ready()
        ask = Asking(port)
        wait_for("both appliances in the answers", lambda: both_known(ask))
        yield system, ask


def both_known(ask: Asking) -> bool:
    return ask.all_say(FRA) and ask.all_say(FRA, f"fra-1.appliances.{ZONE}") and ask.all_say(BOM, f"bom-1.appliances.{ZONE}")


def test_every_name_is_answered_and_goes_on_being_answered(running: tuple[System, Asking]) -> None:
    system, ask = running
    for tcp in (False, True):
        every_name(ask, tcp=tcp)
    its_workers_may_do_little(system)
    discovery_knows_them(system)
    a_worker_dies(system, ask)
    a_worker_freezes(system, ask)
    a_rollover_begins_and_is_taken_back(system, ask)
    a_rollover_is_killed_before_all_have_begun_with_it(system, ask)
    steering_freezes_and_dies(system, ask)
    an_appliance_freezes_and_dies(system, ask)
    assert system.home.log("supervisor").read_text().count("gives no sign of life") == 1  # the one that was frozen
    system.run("down")
    assert not system.pids()
    with pytest.raises((dns.exception.Timeout, OSError)):
        dns.query.tcp(dns.message.make_query(PLAY, "A"), "127.0.0.1", timeout=PATIENCE_S, port=ask.port)


def every_name(ask: Asking, *, tcp: bool) -> None:
    for name in (ZONE, PLAY, TITLE, f"fra-1.appliances.{ZONE}"):
        assert data(ask(name, tcp=tcp)) == [FRA], name
    assert data(ask(PLAY, tcp=tcp, subnet="192.0.2.0/24")) == [BOM]
    assert data(ask(f"bom-1.appliances.{ZONE}", tcp=tcp)) == [BOM]
    assert data(ask(f"ns1.{ZONE}", tcp=tcp)) == ["127.0.0.1"]
    assert data(ask(ZONE, "NS", tcp=tcp), "NS") == [f"ns1.{ZONE}."]
    assert data(ask(ZONE, "SOA", tcp=tcp), "SOA")
    assert "site=mumbai" in data(ask(f"whoami.{ZONE}", "TXT", tcp=tcp, subnet="192.0.2.0/24"), "TXT")[0]
    for name, code in ((f"sites.{ZONE}", dns.rcode.NOERROR), (f"x.{ZONE}", dns.rcode.NXDOMAIN), ("example.org", dns.rcode.REFUSED)):
        found = ask(name, tcp=tcp)
        assert (found.rcode(), found.answer) == (code, []), name
    keys = ask(ZONE, "DNSKEY", tcp=tcp, signed=True).answer
    signed = ask(PLAY, tcp=tcp, signed=True).answer
    for rrset, signature in (keys, signed):
        dns.dnssec.validate(rrset, signature, {dns.name.from_text(ZONE): keys[0]})


def its_workers_may_do_little(system: System) -> None:
    """Where root started them: they are another user with no group, no capability and no way to more, and read on in a closed home."""
    if os.geteuid() != 0:
        print("not looked at: whose processes they are, as we are not root")
        return
    assert system.home.data.stat().st_mode & 0o777 == 0o700
    for name in ("dns-1", "dns-2"):
        statuses = []
        for thread in Path(f"/proc/{system.identity(name).pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended by now
                statuses.append((thread / "status").read_text())
        assert statuses
        for each in statuses:
            its_thread_may_do_little(each)
    checks = json.loads(system.cli("doctor", "--json").stdout)
    assert [each["state"] for each in checks if each["name"] == "name server's user"] == ["good"]


def its_thread_may_do_little(status: str) -> None:
    """No way to more in any thread; the bounding set of capabilities counts for nothing then."""
    told = {key: value.split() for key, _, value in (line.partition(":") for line in status.splitlines())}
    users, groups = set(told["Uid"]), set(told["Gid"])
    assert len(users) == len(groups) == 1
    assert "0" not in users | groups
    assert told["Groups"] == []
    assert {told[each][0] for each in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert told["NoNewPrivs"] == ["1"]


def discovery_knows_them(system: System) -> None:
    """Although they may not go to its socket any more; `nearcast status` of other hosts lists what it knows."""
    wait_for("discovery to know the workers", lambda: {"dns-1", "dns-2"} <= {*asyncio.run(services_known(system))})


async def services_known(system: System) -> list[str]:
    opened = open_system(system.home)
    try:
        return [each.service for each in (await opened.client(Discovery).instances(Nothing())).instances]
    finally:
        await opened.channels.close()


def wait_back(system: System, ask: Asking, name: str, before: int) -> None:
    """Until the process that had the id ``before`` was started anew, and every name is answered as ever."""
    wait_for(f"{name} to come back", lambda: (found := system.process(name).identity) is not None and found.pid != before)
    wait_for("all to be ready", lambda: system.status.ready)
    wait_for("all to answer as before", lambda: ask.all_say(FRA))


def a_worker_dies(system: System, ask: Asking) -> None:
    before = system.identity("dns-1").pid
    faults.killed([before])
    assert ask.all_say(FRA)
    wait_back(system, ask, "dns-1", before)


def a_worker_freezes(system: System, ask: Asking) -> None:
    """It would keep its share of the queries; its supervisor ends it, and the other has them all."""
    before = system.identity("dns-2").pid
    with faults.frozen([before]):
        began_s = time.monotonic()
        wait_for("the frozen one to be gone", lambda: not Path(f"/proc/{before}").exists(), pause_s=0.02)
        print(f"a frozen worker is gone: {time.monotonic() - began_s:.2f} s")
        assert ask.all_say(FRA)
    wait_back(system, ask, "dns-2", before)


def a_rollover_begins_and_is_taken_back(system: System, ask: Asking) -> None:
    """Each worker begins anew with what was written down; what they sign is good for who knows the key of before."""
    before = ask(ZONE, "DNSKEY", tcp=True, signed=True).answer[0]
    for step, count in (("start", 2), ("cancel", 1)):
        system.run("dns", "rollover", step)
        for _ in range(IN_A_ROW):
            found = ask(ZONE, "DNSKEY", signed=True)
            rrset, signatures = found.answer
            assert (len(rrset), len(signatures)) == (count, count), step
            dns.dnssec.validate(rrset, signatures, {dns.name.from_text(ZONE): before})
            address, signature = ask(PLAY, signed=True).answer
            dns.dnssec.validate(address, signature, {dns.name.from_text(ZONE): before})
    assert ask(ZONE, "DNSKEY", tcp=True, signed=True).answer[0] == before


def a_rollover_is_killed_before_all_have_begun_with_it(system: System, ask: Asking) -> None:
    """The hours that a stage lasts do not pass while a worker knows nothing of it; it is told, and the next command ends what was begun."""
    path, supervisor, first = key_path(system.home), system.status.supervisor.pid, system.identity("dns-1")
    with faults.frozen([supervisor]):  # so that the first worker does not come back, and the command waits for it
        with system.popen("dns", "rollover", "start") as command:
            wait_for("the first worker to be told to begin anew", lambda: not first.alive)
            faults.killed([command.pid])
        assert keyring.load(path).stage == "published"
    wait_for("the first worker to come back", lambda: (found := system.status).ready and identity_in(found, "dns-1") != first)
    ring = keyring.load(path)
    keyring.save(path, ring._replace(since_s=ring.since_s - 2 * keyring.PUBLISH_S))
    found = json.loads(system.run("dns", "keys", "--json"))
    assert found["late"] == ["dns-2"]
    assert found["left_s"] == keyring.PUBLISH_S
    (check,) = [each for each in json.loads(system.cli("doctor", "--json").stdout) if each["name"] == "signing key"]
    assert "dns-2 has not begun" in check["found"]
    assert "nearcast dns reload" in check["cure"]
    refused = system.cli("dns", "rollover", "next")
    assert "NC3064" in refused.stderr, refused.stderr
    assert "dns-2 has begun anew" in refused.stderr
    assert keyring.load(path).stage == "published"
    assert {len(ask(ZONE, "DNSKEY", signed=True).answer[0]) for _ in range(IN_A_ROW)} == {2}
    assert json.loads(system.run("dns", "keys", "--json"))["late"] == []
    system.run("dns", "rollover", "cancel")


def identity_in(status: SystemStatus, name: str) -> Identity | None:
    return next(each.identity for each in status.processes if each.name == name)


def steering_freezes_and_dies(system: System, ask: Asking) -> None:
    log = system.home.logs / "dns-1.log"
    steer = system.identity("steer").pid
    with faults.frozen([steer]):
        wait_for("the workers to say so", lambda: "the health view is old" in log.read_text())
        for name in (PLAY, TITLE):
            assert data(ask(name)) == [FRA]
    wait_for("the view to be live", lambda: "the health view is live again" in log.read_text())
    faults.killed([steer])
    assert ask.all_say(FRA)
    wait_back(system, ask, "steer", steer)


def an_appliance_freezes_and_dies(system: System, ask: Asking) -> None:
    began_s = time.monotonic()
    with faults.frozen(system.edge_pids("fra-1")):
        wait_for("the frozen one to leave the answers", lambda: ask.all_say(BOM, PLAY, TITLE), pause_s=0.02)
        print(f"frozen, out of the answers: {time.monotonic() - began_s:.2f} s")
    wait_for("it to be back", lambda: ask.all_say(FRA, PLAY, TITLE))
    supervisor = system.status.supervisor.pid
    os.kill(supervisor, signal.SIGSTOP)  # so that it stays dead
    try:
        began_s = time.monotonic()
        faults.killed(system.edge_pids("fra-1"))
        wait_for("the dead one to leave the answers", lambda: ask.all_say(BOM, PLAY, TITLE), pause_s=0.02)
        print(f"killed, out of the answers: {time.monotonic() - began_s:.2f} s")
    finally:
        os.kill(supervisor, signal.SIGCONT)
    wait_for("it to be back", lambda: ask.all_say(FRA, PLAY, TITLE))
