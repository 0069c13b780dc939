"""A worker of the name server that root starts gives its rights up for good, and goes on with what it needs. Done for real, so as root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nearcast.base.paths import Home
from nearcast.delivery.edge.worker import Worker
from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.steering.dns.settings import DnsSettings
from nearcast.steering.health.published import ViewWriter
from nearcast.steering.routes.store import TableWriter
from nearcast.steering.settings import SteeringSettings
from nearcast.system import dns, folders, settings, table, unprivileged
from nearcast.system.part import System
from nearcast.system.secrets import Keys
from nearcast.system.settings import Settings
from nearcast.system.steering_checks import name_server_user, uid_of, user_name
from tests.ports import free_port

NOBODY = Worker("nobody", "nogroup", 65534, 65534)
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or unprivileged.choose("") is None, reason="needs root, with CAP_SETUID and CAP_SETGID, and a user to become"
)

WORKER = """
import asyncio, json, os, sys, threading
from pathlib import Path
import dns.message, dns.query
from prometheus_client import REGISTRY, generate_latest
from nearcast.base.paths import Home
from nearcast.system import dns as built, settings, table
from nearcast.system.part import System
from nearcast.system.secrets import Keys

def tries(what):
    try:
        what()
    except OSError as error:
        return type(error).__name__
    return "done"

async def main():
    home = Home(Path(sys.argv[1]))
    whole = settings.load(home)
    port = whole.steering.dns.port
    system = System(home, whole, Keys({table.CALLS: bytes(32)}))
    made = await built.build(system, "dns-1")
    gate, later = threading.Event(), []
    thread = threading.Thread(target=lambda: (gate.wait(), later.append(tries(lambda: os.setuid(0)))))
    thread.start()
    made.settled(True)
    gate.set(); thread.join()
    known = set(sys.modules)
    async def ask(name, kind, signed=False):
        asked = dns.message.make_query(name, kind, want_dnssec=signed)
        found = await asyncio.to_thread(dns.query.udp, asked, "127.0.0.1", timeout=60, port=port)
        return [each.to_text() for rrset in found.answer for each in rrset]
    first = await ask("play.cdn.example", "A")
    print("first", flush=True)
    while (then := await ask("play.cdn.example", "A")) == first:
        await asyncio.sleep(0.02)
    await ask("cdn.example", "DNSKEY", True)
    await ask("nothing.cdn.example", "AAAA", True)
    await ask("whoami.cdn.example", "TXT")
    generate_latest(REGISTRY)
    print(json.dumps({
        "answers": [first, then],
        "ids": [*os.getresuid(), *os.getresgid()],
        "groups": os.getgroups(),
        "thread": later[0],
        "back": tries(lambda: os.setuid(0)),
        "key": tries(lambda: built.key_path(home).read_bytes()),
        "write": tries(lambda: Path("state").write_bytes(b"")),
        "late": sorted(each for each in set(sys.modules) - known if not each.startswith("dns.")),
    }), flush=True)
    os._exit(0)

asyncio.run(asyncio.wait_for(main(), 120))
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.make()
    found.root.chmod(0o700)
    found.config.write_text(f'[steering.dns]\nzone = "cdn.example"\nport = {free_port()}\n')
    return found


@as_root
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_rights_are_given_up_for_good_and_what_is_published_can_be_read(home: Home, umask: int) -> None:
    """Also where the folders are there from a start under another umask."""
    (folders.view_folder(home) / "holdings").mkdir(parents=True)
    before = os.umask(umask)
    try:
        _rights_are_given_up(home)
    finally:
        os.umask(before)


def _rights_are_given_up(home: Home) -> None:
    steering = settings.load(home).steering
    site = steering.sites[0].name

    def snapshot(address: str) -> HealthSnapshot:
        appliance = ApplianceHealth(id="a-1", site=site, address="http://x", addresses=(address,))
        return HealthSnapshot(version=0, published_s=0.0, appliances=(appliance,))

    views, routes = ViewWriter(folders.view_folder(home)), TableWriter(folders.routes_folder(home), steering.sites, steering.routes)
    views.open()
    routes.start()
    try:
        views.publish(snapshot("198.18.1.1"), {})
        with subprocess.Popen([sys.executable, "-c", WORKER, str(home.root)], stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            assert "first\n" in iter(worker.stdout.readline, "")
            views.publish(snapshot("198.18.1.2"), {})
            told = json.loads(next(line for line in worker.stdout if line.startswith("{")))  # its log has lines between
    finally:
        routes.close()
        views.close()
    user = unprivileged.choose("")
    assert user is not None
    assert told["answers"] == [["198.18.1.1"], ["198.18.1.2"]]
    assert told["ids"] == [user.uid] * 3 + [user.gid] * 3
    assert told["groups"] == []
    assert {told[each] for each in ("thread", "back", "key", "write")} == {"PermissionError"}
    assert told["late"] == []


@as_root
def test_whom_root_becomes(home: Home) -> None:
    found = unprivileged.choose("nobody")
    assert found is not None
    assert found.uid != 0
    assert unprivileged.choose("root") is None
    with pytest.raises(unprivileged.NoSuchUser, match="no user"):
        unprivileged.choose("nobody-of-this-name")


REFUSED = """
import contextlib, sys
from pathlib import Path
from nearcast.base.errors import NearcastError
from nearcast.base.paths import Home
from nearcast.system import dns as built, folders, settings, table, unprivileged
from nearcast.system.part import System
from nearcast.system.secrets import Keys

home = Home(Path(sys.argv[1]))
published = built.Published(System(home, settings.load(home), Keys({table.CALLS: bytes(32)})))
published.lies_in(Path(), Path("view"))
unprivileged.become(unprivileged.choose(""), folders.routes_folder(home))

for each in (published.table, published.view):
    with contextlib.suppress(OSError, NearcastError):  # the worker stays with what it knew
        each()
print("read", flush=True)
sys.stdin.readline()
try:
    published.check()
    print("good")
except NearcastError as error:
    print(error.code, error.message)
"""


@as_root
@pytest.mark.parametrize(
    "closed", [".", "state", "base-1", "log-1", "view", "view/pulse", "view/view", "view/holdings", "view/holdings/a-1.1"]
)
def test_a_worker_that_may_not_read_what_is_published_ends_and_says_so(home: Home, closed: str) -> None:
    """Steering that began anew under another user or umask, say: its worker would name dead appliances for ever, and be ready."""
    steering, routes = settings.load(home).steering, folders.routes_folder(home)
    table_writer, views = TableWriter(routes, steering.sites, steering.routes), ViewWriter(folders.view_folder(home))
    appliance = ApplianceHealth(id="a-1", site=steering.sites[0].name, address="http://x", holdings_digest="1")
    table_writer.start()
    views.open()
    views.publish(HealthSnapshot(version=0, published_s=0.0, appliances=(appliance,)), {"a-1": {"t": 1}})
    table_writer.close()
    views.close()
    mode = (routes / closed).stat().st_mode
    for mended in (False, True):
        (routes / closed).chmod(0o700 if (routes / closed).is_dir() else 0o600)
        with subprocess.Popen([sys.executable, "-c", REFUSED, str(home.root)], stdin=-1, stdout=-1, text=True) as worker:
            assert worker.stdin is not None
            assert worker.stdout is not None
            assert "read\n" in iter(worker.stdout.readline, "")
            if mended:  # its writer has just begun, say
                (routes / closed).chmod(mode)
            told, _ = worker.communicate("\n")
        assert told == "good\n" if mended else told.startswith("NC0238 "), told


def test_doctor_tells_as_whom_queries_are_read(home: Home) -> None:
    def told(user: str = "", zone: str = "cdn.example") -> list[str]:
        return [each.state for each in name_server_user(home, Settings(steering=SteeringSettings(dns=DnsSettings(zone=zone, user=user))))]

    assert told(zone="") == []
    if os.geteuid() == 0:
        assert told("nobody-of-this-name") == ["bad"]
        assert told("root") == ["note"]
        assert told("nobody") == ["good"]
    else:
        assert told() == []
    assert uid_of(os.getpid()) == os.geteuid()
    assert uid_of(2**22 + 1) is None
    assert user_name(0) == "root"
    assert user_name(2**31) == str(2**31)


def test_who_is_not_root_stays_who_it_is(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert dns.lower_user(home, "nobody-of-this-name") is None


def test_a_worker_whose_folder_was_removed_begins_anew(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = dns.Published(System(home, settings.load(home), Keys({table.CALLS: bytes(32)})))
    published.check()
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    published.lies_in(Path(), Path("view"))
    published.check()
    below.rmdir()
    with pytest.raises(dns.FolderGone):
        published.check()
