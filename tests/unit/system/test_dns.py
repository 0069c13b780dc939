"""The process ``dns-1`` as the system builds it: over what ``steer`` publishes, and over what it last published."""

from __future__ import annotations

import asyncio
from pathlib import Path

import dns.dnssec
import dns.message
import dns.query
import dns.rcode
from click.testing import CliRunner

from nearcast.base.paths import Home
from nearcast.cli import main
from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.model.route import Announcement, Route
from nearcast.model.site import Site
from nearcast.steering.dns.settings import DnsSettings
from nearcast.steering.health.published import ViewWriter
from nearcast.steering.routes.store import TableWriter
from nearcast.steering.settings import SteeringSettings
from nearcast.system import dns as built
from nearcast.system import folders, places, table
from nearcast.system.part import System
from nearcast.system.secrets import Keys
from nearcast.system.settings import Settings
from tests.ports import free_port
from tests.unit.steering.dns.test_server import TIMEOUT_S

SITES = (Site(name="dallas"), Site(name="mumbai"))
ROUTES = (Route(prefix="0.0.0.0/0", sites=("dallas", "mumbai")),)


def health(name: str, site: str, address: str, state: str = "up") -> ApplianceHealth:
    return ApplianceHealth(id=name, site=site, address="http://x", addresses=(address,), state=state)  # type: ignore[arg-type]


def snapshot(state: str = "up") -> HealthSnapshot:
    appliances = (health("dal-1", "dallas", "198.18.1.1", state), health("bom-1", "mumbai", "198.18.2.1"))
    return HealthSnapshot(version=0, published_s=0.0, appliances=appliances)


async def ask(port: int, name: str = "play.cdn.example", kind: str = "A", *, signed: bool = False) -> dns.message.Message:
    asked = dns.message.make_query(name, kind, want_dnssec=signed)
    return await asyncio.to_thread(dns.query.udp, asked, "127.0.0.1", timeout=TIMEOUT_S, port=port)


async def until(port: int, address: str) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            found = await ask(port)
            if found.answer and [each.address for each in found.answer[0]] == [address]:
                return
            await asyncio.sleep(0.02)


async def test_it_answers_what_steer_publishes_and_goes_on_without(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    port = free_port()
    settings = Settings(
        steering=SteeringSettings(sites=SITES, routes=ROUTES, dns=DnsSettings(zone="cdn.example", port=port)), appliances=()
    )
    system = System(home, settings, Keys({table.CALLS: bytes(32)}))
    made = await built.build(system, "dns-1")
    assert made.settled
    made.settled(False)
    try:
        assert (await ask(port)).rcode() == dns.rcode.SERVFAIL
        assert (await ask(port, "cdn.example", "SOA")).rcode() == dns.rcode.NOERROR

        views = ViewWriter(folders.view_folder(home))
        views.open()
        writer = TableWriter(folders.routes_folder(home), SITES, ROUTES)
        await asyncio.to_thread(writer.start)
        try:
            views.publish(snapshot(), {})
            await until(port, "198.18.1.1")
            views.publish(snapshot("down"), {})
            await until(port, "198.18.2.1")
            views.publish(snapshot(), {})
            await until(port, "198.18.1.1")
            await asyncio.to_thread(writer.announce, [Announcement(prefix="127.0.0.0/8", site="mumbai")])
            await until(port, "198.18.2.1")
        finally:
            await asyncio.to_thread(writer.close)
            views.close()
        await asyncio.sleep(0.2)
        await until(port, "198.18.2.1")

        keys = await ask(port, "cdn.example", "DNSKEY")
        key = keys.answer[0][0]
        config = f'[steering.dns]\nzone = "cdn.example"\nport = {port}\n'
        home.config.write_text(config)
        told = CliRunner().invoke(main.cli, ["--home", str(tmp_path), "dns", "ds"])
        ds = dns.dnssec.make_ds(keys.answer[0].name, key, "SHA256").to_text()
        assert told.output.strip().lower().endswith(ds.lower())
        built.key_path(home).unlink()
        told = CliRunner().invoke(main.cli, ["--home", str(tmp_path), "dns", "ds"])
        assert "a new signing key was made" in told.stderr
        assert not told.stdout.strip().lower().endswith(ds.lower())
    finally:
        for close in reversed(made.closers):
            await close()


def test_there_are_as_many_processes_as_workers() -> None:
    with_zone = Settings(steering=SteeringSettings(dns=DnsSettings(zone="cdn.example", workers=3)))
    assert {name for name in places.processes(with_zone) if name.startswith("dns")} == {"dns-1", "dns-2", "dns-3"}
    assert not any(name.startswith("dns") for name in places.processes(Settings()))
