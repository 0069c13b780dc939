"""A small zone with its routes, its health and its key, for the tests of the name server."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
from cryptography.hazmat.primitives.asymmetric import ec

from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.model.route import Route
from nearcast.model.site import Site
from nearcast.steering.decide import Decider
from nearcast.steering.dns.answer import Answerer
from nearcast.steering.dns.choose import Chooser
from nearcast.steering.dns.compose import Composer
from nearcast.steering.dns.cookies import Cookies
from nearcast.steering.dns.keyring import Ring, signers
from nearcast.steering.dns.limit import Limiter
from nearcast.steering.dns.settings import DnsSettings, NameServer, RateSettings
from nearcast.steering.dns.zone import Zone
from nearcast.steering.routes import Table
from nearcast.steering.view import View

NOW_S = 1_790_000_000.0
KEY = ec.derive_private_key(7, ec.SECP256R1())
RESOLVER = bytes((192, 0, 2, 53))
TITLE = "t_aaaabbbbccccdddd"

SITES = (
    Site(name="frankfurt", zone="eu"),
    Site(name="dallas", zone="us"),
    Site(name="mumbai", zone="ap", doors=("198.18.0.9", "2001:db8:d::9")),
    Site(name="rack", zone="isp", isp="acme"),
)
ROUTES = (
    Route(prefix="0.0.0.0/0", sites=("frankfurt", "dallas", "mumbai")),
    Route(prefix="::/0", sites=("frankfurt", "dallas", "mumbai")),
    Route(prefix="203.0.113.0/24", sites=("dallas", "frankfurt")),
    Route(prefix="203.0.113.128/25", sites=("mumbai", "dallas")),
    Route(prefix="2001:db8:3::/48", sites=("dallas", "frankfurt")),
    Route(prefix="10.7.0.0/16", sites=("dallas", "frankfurt")),
)
TABLE = Table.of(ROUTES, SITES)
SETTINGS = DnsSettings(
    zone="cdn.example",
    name_servers=(
        NameServer(name="ns1", addresses=("198.51.100.1", "2001:db8:53::1")),
        NameServer(name="ns2", addresses=("198.51.100.2",)),
        NameServer(name="ns.other.example."),
    ),
    static={"gateway": ("198.51.100.80",), "a.deep": ("198.51.100.81",)},
    rate=RateSettings(identical_per_s=0, failing_per_s=0, total_per_s=0),
)

APPLIANCES = {
    "fra-1": ("frankfurt", ("198.18.1.1", "2001:db8:a::1")),
    "fra-2": ("frankfurt", ("198.18.1.2", "2001:db8:a::2")),
    "dal-1": ("dallas", ("198.18.2.1",)),
    "bom-1": ("mumbai", ("198.18.3.1",)),
    "rack-1": ("rack", ("198.18.4.1",)),
}


def health(name: str, **more: object) -> ApplianceHealth:
    site, addresses = APPLIANCES[name]
    return ApplianceHealth(id=name, site=site, address=f"http://{addresses[0]}", addresses=addresses, **more)  # type: ignore[arg-type]


def view(version: int = 1, held: dict[str, dict[str, int]] | None = None, **states: dict[str, object]) -> View:
    """Everybody up, but for what ``states`` say of some (``fra_1={"state": "down"}``)."""
    told = {name.replace("_", "-"): state for name, state in states.items()}
    appliances = tuple(health(name, **told.get(name, {})) for name in APPLIANCES if told.get(name, {}).get("state") != "gone")
    return View(HealthSnapshot(version=version, published_s=1000.0 + version, appliances=appliances), held or {"dal-1": {TITLE: 10}})


def answerer(
    settings: DnsSettings = SETTINGS,
    *,
    table: Table = TABLE,
    seen: View | None = None,
    signed: bool = False,
    ring: Ring | None = None,
    identity: str = "",
) -> Answerer:
    zone = Zone(settings, SITES)
    keys = signers(zone.origin, ring or Ring(KEY)) if signed or ring else None
    limiter = Limiter(settings.rate) if settings.rate.identical_per_s else None
    made = Answerer(
        zone,
        Chooser(Decider(SITES), SITES),
        Composer(zone, keys),
        limiter=limiter,
        jar=Cookies(bytes(32)),
        identity=identity,
    )
    made.use(table, view() if seen is None else seen, 0.0)
    return made


def query(name: str, kind: str = "A", *, subnet: str = "", dnssec: bool = False, payload: int = 0, **more: object) -> dns.message.Message:
    """``subnet`` in CIDR notation goes as client subnet."""
    options: list[dns.edns.Option] = list(more.pop("options", []))  # type: ignore[call-overload]
    if subnet:
        address, _, bits = subnet.partition("/")
        options.append(dns.edns.ECSOption(address, int(bits)))
    edns = 0 if options or dnssec or payload else -1
    return dns.message.make_query(name, kind, use_edns=edns, want_dnssec=dnssec, payload=payload or 1232, options=options, **more)  # type: ignore[arg-type]


def option(code: int, value: bytes) -> dns.edns.GenericOption:
    return dns.edns.GenericOption(dns.edns.OptionType.make(code), value)


def raw(made: Answerer, packet: bytes) -> bytes:
    """The answer as it is, which there must be."""
    found = made.answer(packet, RESOLVER, NOW_S)
    assert found is not None
    return found


def ask(made: Answerer, asked: dns.message.Message, source: bytes = RESOLVER, *, stream: bool = False) -> dns.message.Message:
    """The answer as dnspython reads it; it must be one to this very question."""
    wire = made.answer(asked.to_wire(), source, NOW_S, stream=stream)
    assert wire is not None
    found = dns.message.from_wire(wire)
    assert asked.is_response(found)
    return found


def data(found: dns.message.Message, kind: str = "A") -> list[str]:
    """The answer section's data of a type."""
    wanted = dns.rdatatype.from_text(kind)
    return sorted(each.to_text() for rrset in found.answer if rrset.rdtype == wanted for each in rrset)


def scope(found: dns.message.Message) -> int:
    """The scope that the answer has for the client's subnet; -1 without."""
    return next((each.scopelen for each in found.options if isinstance(each, dns.edns.ECSOption)), -1)
