"""The main host's side of an invitation: looks whether it can be kept, and makes the token."""

from __future__ import annotations

import time

import msgspec

from nearcast.base import ports, rpc
from nearcast.base.errors import BadInput, Conflict, NotFound
from nearcast.base.paths import Home
from nearcast.model.site import Identifier
from nearcast.system import issue, join, peers, secrets, settings, tls
from nearcast.system.settings import Settings


class NotReachable(BadInput):
    """No other host can reach this one, so no edge can join."""

    code = "NC0226"
    cure = "set [network] internal_host to an address of this machine that other hosts reach, then `nearcast down` and `nearcast up`"


class NameTaken(Conflict):
    """An appliance of this name is in the configuration of the main host."""

    code = "NC0227"
    cure = "choose another name for the edge that joins"


def token(home: Home, appliance_id: str, site: str, *, public_name: str = "", at: str = "", ttl_s: float = join.TTL_S) -> str:
    """A token for one edge. ``at``: how it reaches this host, by default at ``[network] internal_host``.

    Raises NotReachable, NameTaken, NotFound for a site that is none, BadInput for a name that is none, SecretMissing.
    """
    whole = settings.load(home)
    _check(whole, appliance_id, site)
    if public_name and public_name.lower().rstrip(".") == peers.SERVER_NAME:
        raise tls.BadPublicName(f"{public_name} is the name of this system's own servers")
    if public_name:
        tls.names_of(public_name)
    keys = secrets.keys_for(home.secrets, ("join",))
    authority = tls.load_authority(home.secrets)
    if authority is None:
        raise secrets.SecretMissing(f"the authority is not in {home.secrets}", hint="`nearcast up` makes it")
    address = ports.authority(at or _host(whole), whole.network.join_port)
    sealed = join.invite(peers.Appliance(site, appliance_id), public_name, keys["join"], time.time(), ttl_s)
    return join.to_text(join.Token(address, issue.fingerprint(authority[0]), sealed))


def _check(whole: Settings, appliance_id: str, site: str) -> None:
    for text in (appliance_id, site):
        try:
            msgspec.convert(text, Identifier)
        except msgspec.ValidationError:
            raise BadInput(f"{text!r} is no name", hint="small letters, digits and hyphens, at most 63") from None
    if not whole.network.internal_host:
        raise NotReachable("no other host can reach this one: [network] internal_host is not set")
    if not rpc.elsewhere(ports.authority(whole.network.internal_host, whole.network.edges_port)):
        raise NotReachable(
            f"no other host can reach this one: [network] internal_host = {whole.network.internal_host} is this machine's own"
        )
    if appliance_id in [each.id for each in whole.appliances]:
        raise NameTaken(f"there is an appliance {appliance_id} on this host")
    sites = [each.name for each in whole.steering.sites]
    if site not in sites:
        raise NotFound(f"there is no site {site}", hint=f"there are: {', '.join(sites)}")


def _host(whole: Settings) -> str:
    host = whole.network.internal_host
    if ports.dialled(host) != host:
        raise NotReachable(f"[network] internal_host = {host} is no address to go to", hint="name one: `nearcast edge invite … --at HOST`")
    return host
