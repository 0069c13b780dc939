"""Where things are: which processes there are, where each listens, and how people reach them. Loads no engine."""

from __future__ import annotations

from nearcast.base import ports
from nearcast.delivery.settings import EdgeSettings
from nearcast.policy.capability import edge_purpose
from nearcast.system import table
from nearcast.system.settings import LOOPBACK, Settings


def bulkhead_of(service: str) -> str:
    """The process in which ``service`` runs."""
    return next(each.bulkhead for each in table.SERVICES if each.name == service)


def processes(settings: Settings) -> dict[str, table.Bulkhead]:
    """Every process of a system on one machine, by name: the bulkheads of the table, one for each appliance, and what is configured."""
    found = {each.name: each for each in table.BULKHEADS}
    for appliance in settings.appliances:
        name = table.EDGE_PREFIX + appliance.id
        found[name] = table.Bulkhead(name, table.EDGE, keys=(*table.EDGE_KEYS, edge_purpose(appliance.id)))
    for door in settings.doors:
        found[table.DOOR_PREFIX + door.id] = table.Bulkhead(table.DOOR_PREFIX + door.id, table.DOOR)
    if settings.steering.dns.zone:
        for number in range(1, settings.steering.dns.workers + 1):
            found[f"{table.DNS_PREFIX}{number}"] = table.Bulkhead(f"{table.DNS_PREFIX}{number}", table.DNS)
    if settings.anycast.asn:
        found[table.ANYCAST_NAME] = table.Bulkhead(table.ANYCAST_NAME, table.ANYCAST)
    return found


def gateway_url(settings: Settings) -> str:
    """How people reach the gateway, without a slash at the end."""
    return url(settings, settings.network.gateway_port)


def upload_url(settings: Settings) -> str:
    """How browsers reach the fleet's uploads."""
    return url(settings, settings.network.upload_port)


def url(settings: Settings, port: int) -> str:
    """The public origin of a port of this machine: https under the public name, else http at the host."""
    network = settings.network
    name = network.public_name or ports.dialled(network.host)
    return f"{'https' if public(settings) else 'http'}://{ports.authority(name, port)}"


def listen_host(settings: Settings) -> str:
    """Where public listeners bind: a public name makes no sense on the loopback interface alone."""
    network = settings.network
    return "0.0.0.0" if network.public_name and network.host == LOOPBACK else network.host  # noqa: S104  (asked for by --public)


def edge_listen(settings: Settings, appliance: EdgeSettings) -> tuple[str, ...]:
    """Where an edge listens: as it says, or if it says nothing of its own, where all that is public does."""
    return appliance.listen if appliance.listen != (LOOPBACK,) else (listen_host(settings),)


def origin_url(settings: Settings) -> str:
    """Where edges reach the origin: where the configuration says, else at this machine; past it only by mutual TLS."""
    network = settings.network
    if network.origin_url:
        return network.origin_url.rstrip("/")
    scheme, host = ("https", ports.dialled(network.internal_host)) if network.internal_host else ("http", LOOPBACK)
    return f"{scheme}://{ports.authority(host, network.origin_port)}"


def unprotected(settings: Settings) -> list[str]:
    """What would speak plain HTTP to others than this machine, in words; nothing where TLS or a proxy in front is told of."""
    if public(settings) or settings.network.plain:
        return []
    found = [f"[network] host = {settings.network.host}"] if not ports.on_loopback(settings.network.host) else []
    for each in settings.appliances:
        if not each.tls_certificate and each.listen != (LOOPBACK,):
            found += [f"appliance {each.id}: listen = {host}" for host in each.listen if not ports.on_loopback(host)]
    for door in settings.doors:
        found += [f"door {door.id}: listen = {host}" for host in door.listen if not door.tls_certificate and not ports.on_loopback(host)]
    return found


def public(settings: Settings) -> bool:
    """Whether what is public speaks TLS."""
    return bool(settings.network.public_name or settings.tls.certificate)
