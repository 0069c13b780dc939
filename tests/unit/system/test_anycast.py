"""What a host announces and which doors it runs: processes, checks, load, and what `nearcast doctor` and `nearcast anycast` say."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from nearcast.base.config import BadConfiguration, parse
from nearcast.base.paths import Home
from nearcast.base.web import Receive, Scope, Send, serve_asgi
from nearcast.cli import anycast as verb
from nearcast.cli.main import cli
from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.model.site import ApplianceReport
from nearcast.steering.anycast.announcer import AnycastStatus
from nearcast.steering.anycast.decide import Offer
from nearcast.steering.anycast.load import SiteLoad
from nearcast.steering.view import NO_VIEW, View
from nearcast.system import anycast, places, settings, start, steering_checks
from nearcast.system.settings import Settings
from tests.ports import free_port

CONFIGURED = """
[[appliances]]
id = "fra-1"
site = "frankfurt"
port = 8101
[anycast]
asn = 64512
addresses = ["127.0.0.1"]
[[anycast.routers]]
address = "127.0.0.1"
asn = 64500
local = "127.0.0.2"
port = PORT
"""
DOOR = '[[doors]]\nid = "fra"\nsite = "frankfurt"\nport = 8443\n'


@pytest.fixture
def router() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def read(text: str = CONFIGURED, port: int = 1790) -> Settings:
    return parse(Settings, text.replace("PORT", str(port)))


def test_its_process_and_its_doors_run_only_where_they_are_configured() -> None:
    assert "anycast" not in places.processes(Settings())
    found = list(places.processes(read(CONFIGURED + DOOR)))
    assert found[-2:] == ["door-fra", "anycast"]


def test_the_doors_are_looked_at_else_the_appliances_else_what_is_said() -> None:
    assert [each.target for each in anycast.checks(read())] == ["http://127.0.0.1:8101/healthz"]
    assert [each.target for each in anycast.checks(read(CONFIGURED + DOOR))] == ["http://127.0.0.1:8443/healthz"]
    named = CONFIGURED + '[[anycast.checks]]\nkind = "dns"\ntarget = "127.0.0.1:53"\nname = "cdn.example"\n'
    assert [each.kind for each in anycast.checks(read(named + DOOR))] == ["dns"]
    assert anycast.site(read()) == "frankfurt"


@pytest.mark.parametrize(
    ("door", "said"),
    [
        (DOOR.replace("8443", "8101"), "fra-1 and the door fra are both at port 8101"),
        (DOOR.replace("8443", "8201"), "the own page of fra-1 and the door fra are both at port 8201"),
        (DOOR.replace("8443", "8080") + 'listen = ["::"]\n', "the gateway and the door fra"),
        (DOOR + DOOR.replace("8443", "8444"), "the name fra is taken"),
        (DOOR.replace('"fra"', '"two"') + DOOR, "the door two and the door fra"),
    ],
)
def test_doors_in_each_others_way_are_told(door: str, said: str) -> None:
    with pytest.raises(BadConfiguration) as told:
        read(CONFIGURED + door)
    assert said in str(told.value)


def test_another_address_has_ports_of_its_own_and_plain_http_past_this_machine_is_refused(tmp_path: Path) -> None:
    whole = read(CONFIGURED + DOOR.replace("8443", "8080") + 'listen = ["192.0.2.53"]\n')
    with pytest.raises(start.Plain, match="door fra"):
        start.check_protected(whole)
    home = Home(tmp_path)
    home.config.parent.mkdir(exist_ok=True)
    home.config.write_text(CONFIGURED.replace("PORT", "1790") + DOOR.replace('"frankfurt"', '"frankfrut"'))
    with pytest.raises(BadConfiguration, match="did you mean 'frankfurt'"):
        settings.load(home, {})
    home.config.write_text(CONFIGURED.replace("PORT", "1790").replace("asn = 64512", 'asn = 64512\nsite = "nowhere"'))
    with pytest.raises(BadConfiguration, match="there is no site 'nowhere'"):
        settings.load(home, {})


class Viewed:
    """A reader of a view that the test says."""

    def __init__(self) -> None:
        self.found: View = NO_VIEW

    def view(self) -> View:
        return self.found


async def test_the_load_is_the_views_else_what_the_appliances_say() -> None:
    report = ApplianceReport(
        id="fra-1", site="frankfurt", address="a", health_url="h", state="up", holdings={}, sent_bps=90.0, limit_bps=100.0
    )

    async def own_page(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        body = msgspec.json.encode({"at": 1.0, "report": report})
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})

    port = free_port()
    server = await serve_asgi(own_page, "127.0.0.1", port)
    viewed = Viewed()
    reader = anycast.LoadReader("frankfurt", viewed, [port])  # type: ignore[arg-type]  # it is asked for its view alone
    assert await reader() == SiteLoad(share=0.9)
    there = ApplianceHealth(id="fra-2", site="frankfurt", address="a", state="draining")
    viewed.found = View(HealthSnapshot(version=1, published_s=0.0, appliances=(there,)), {})
    assert await reader() == SiteLoad(draining=True)
    viewed.found = NO_VIEW
    await server.stop(0.2)
    assert await reader() == SiteLoad(), "an agent that is dead says nothing, and its nginx may serve all the same"
    await reader.close()


def test_doctor_tells_what_is_missing(tmp_path: Path, router: socket.socket) -> None:
    home = Home(tmp_path)
    assert list(steering_checks.anycast_checks(home, Settings())) == []
    good = list(steering_checks.anycast_checks(home, read(port=router.getsockname()[1])))
    assert [(each.name, each.state) for each in good] == [("anycast", "good"), ("router", "good")]
    router.close()
    nobody = CONFIGURED.replace('["127.0.0.1"]', '["192.0.2.53/24"]')
    bad = list(steering_checks.anycast_checks(home, read(nobody, port=free_port())))
    assert [(each.name, each.state) for each in bad] == [("anycast", "bad"), ("router", "note")]
    assert "ip addr add 192.0.2.53/32 dev lo" in bad[0].cure
    elsewhere = CONFIGURED.replace('local = "127.0.0.2"', 'local = "192.0.2.9"')
    assert [each.state for each in steering_checks.anycast_checks(home, read(elsewhere))] == ["good", "bad"]


def test_the_command_shows_and_drains(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    run = CliRunner(env={"NEARCAST_HOME": str(tmp_path)})
    with pytest.raises(verb.NothingAnnounced):
        run.invoke(cli, ["anycast", "status"], catch_exceptions=False)
    found = AnycastStatus(
        at=time.time(),
        addresses=("192.0.2.53/24",),
        phase="up",
        since=time.time() - 60,
        level=1,
        offer=Offer(med=200, prepends=0),
        why="the site is at 91% of its limit",
        share=0.91,
        sessions={"10.0.0.1": True},
        bfd={"10.0.0.1": False},
        exabgp_restarts=0,
    )
    anycast.status_path(home).write_bytes(msgspec.json.encode(found))
    told = run.invoke(cli, ["anycast", "status"]).output
    assert "MED 200, 0 prepends: the site is at 91% of its limit" in told
    assert "10.0.0.1  BGP up, BFD down" in told
    assert [each.found for each in steering_checks.anycast_checks(home, read())][1] == "127.0.0.1: BGP down"
    anycast.status_path(home).write_bytes(msgspec.json.encode(msgspec.structs.replace(found, at=time.time() - 60)))
    assert anycast.status(home) is None, "an announcer that has fallen silent stands for nothing"
    anycast.status_path(home).write_bytes(msgspec.json.encode(msgspec.structs.replace(found, at=time.time() + 600)))
    drained = run.invoke(cli, ["anycast", "drain"])
    assert (drained.exit_code, drained.stderr) == (0, "the service addresses drain; --undo takes it back\n")
    assert anycast.drain_path(home).exists()
    assert run.invoke(cli, ["anycast", "drain", "--undo"]).exit_code == 0
    assert not anycast.drain_path(home).exists()


def test_where_nothing_is_announced_nothing_drains(tmp_path: Path) -> None:
    """What is set up a month later would be withdrawn from its first moment."""
    home = Home(tmp_path)
    run = CliRunner(env={"NEARCAST_HOME": str(tmp_path)})
    with pytest.raises(verb.NothingAnnounced):
        run.invoke(cli, ["anycast", "drain"], catch_exceptions=False)
    assert not anycast.drain_path(home).exists()
    home.config.write_text(CONFIGURED.replace("PORT", "1790"))
    told = run.invoke(cli, ["anycast", "drain"])
    assert told.exit_code == 0
    assert "will drain once their announcer runs" in told.stderr
    assert anycast.drain_path(home).exists()
    home.config.unlink()
    assert run.invoke(cli, ["anycast", "drain", "--undo"]).exit_code == 0, "it is always allowed to take it back"
    assert not anycast.drain_path(home).exists()
    assert os.environ.get("NEARCAST_HOME") != str(tmp_path)
