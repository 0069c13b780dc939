"""What can be set about anycast: the service addresses, the routers that are told of them, and when they are not."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import Annotated, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from nearcast.base.config import Unfitting

Seconds = Annotated[float, Meta(gt=0, le=600)]
_PASSWORD = re.compile(r"[!#-:<-z|~]{0,80}")
"""What ExaBGP takes between quotation marks, whatever it means to its parser: no space, no quotation mark, no ; { }."""


class Router(Struct, frozen=True, kw_only=True):
    """A router of the site. A family of addresses other than its own is announced to it where a next hop of that family is given."""

    address: Annotated[str, Meta(description="IP address of the router.")]
    asn: Annotated[int, Meta(ge=1, le=4_294_967_295, description="Number of its autonomous system; our own means iBGP.")]
    local: Annotated[str, Meta(description="IP address of this machine from which the session is opened, and the next hop of its family.")]
    next_hop: Annotated[
        str, Meta(description="Our address of the other family, as next hop for its addresses. Empty: they are left out.")
    ] = ""
    port: Annotated[int, Meta(ge=1, le=65535, description="TCP port at which it takes BGP sessions.")] = 179
    password: Annotated[str, Meta(description="TCP MD5 password of the session (RFC 2385). Empty: none.")] = ""
    hops: Annotated[int, Meta(ge=1, le=255, description="How many hops it is away.")] = 1
    ttl_security: Annotated[bool, Meta(description="It sends with TTL 255 (RFC 5082): packets from afar are dropped.")] = False
    hold_s: Annotated[int, Meta(ge=3, le=65535, description="Silence after which it forgets us (hold time), where BFD is not quicker.")] = 9
    bfd: Annotated[bool, Meta(description="Whether the router speaks BFD with this machine.")] = False

    def __post_init__(self) -> None:
        """One spelling (RFC 5952), by which ExaBGP and BIRD tell of a session. What is no address is told of by the whole."""
        for name in ("address", "local", "next_hop"):
            with contextlib.suppress(ValueError):
                force_setattr(self, name, str(ipaddress.ip_address(getattr(self, name))))


class AnycastCheck(Struct, frozen=True, kw_only=True):
    """One look at the service. All checks must pass."""

    kind: Annotated[Literal["http", "dns"], Meta(description="`http`: 200 is wanted. `dns`: an answer without an error (UDP).")] = "http"
    target: Annotated[str, Meta(description="The URL, or for DNS the address with its port (`127.0.0.1:53`, `[::1]:53`).")]
    name: Annotated[str, Meta(description="For DNS: the name that is asked for (its SOA), as the zone.")] = ""

    def __post_init__(self) -> None:
        if self.kind == "http" and not self.target.startswith(("http://", "https://")):
            raise Unfitting(("target",), f"{self.target} is no URL", 'write it as "http://127.0.0.1:8101/healthz"')
        if self.kind == "dns":
            host, _, port = self.target.rpartition(":")
            if not port.isdigit() or not _is_address(host.strip("[]")):
                raise Unfitting(("target",), f"{self.target} is no address with its port", 'write it as "127.0.0.1:53" or "[::1]:53"')
            if not self.name:
                raise Unfitting(("name",), "a check of DNS asks for a name", "set name to the zone that is answered")


class BfdSettings(Struct, frozen=True, kw_only=True):
    """BFD (RFC 5880) by a BIRD of our own, for the routers with `bfd = true`."""

    interval_s: Annotated[float, Meta(ge=0.01, le=10, description="Interval of its packets, both ways.")] = 0.1
    multiplier: Annotated[int, Meta(ge=2, le=255, description="So many packets missing mean that the way is dead.")] = 3


class AnycastSettings(Struct, frozen=True, kw_only=True):
    """Service addresses that this host announces by BGP for its site, for as long as the service behind them is well."""

    asn: Annotated[int, Meta(ge=0, le=4_294_967_295, description="Our own AS number; 0: nothing is announced.")] = 0
    site: Annotated[str, Meta(description="The site whose load counts. Empty: that of the appliances or doors of this host.")] = ""
    router_id: Annotated[str, Meta(description="Our router id, an IPv4 address. Empty: the first IPv4 address of `local`.")] = ""
    addresses: Annotated[
        tuple[str, ...],
        Meta(description='Service addresses: `"192.0.2.53"` is announced alone, `"192.0.2.53/24"` by its prefix (past our own network).'),
    ] = ()
    routers: Annotated[tuple[Router, ...], Meta(description="The routers that are told.")] = ()
    checks: Annotated[
        tuple[AnycastCheck, ...], Meta(description="Looks at the service. None: the health of this host's doors, or of its appliances.")
    ] = ()
    add_addresses: Annotated[bool, Meta(description="Put the service addresses on `lo` at the start; needs the right to (root).")] = False
    check_s: Annotated[Seconds, Meta(description="Interval of the checks.")] = 0.1
    timeout_s: Annotated[Seconds, Meta(description="A check that takes longer has failed.")] = 0.15
    failures: Annotated[int, Meta(ge=1, le=100, description="So many failed checks in a row withdraw the addresses.")] = 2
    passes: Annotated[int, Meta(ge=1, le=1000, description="So many good checks in a row announce them again.")] = 5
    steps: Annotated[
        tuple[float, ...],
        Meta(description="Loads of the site (share of its limit) at each of which it makes itself one step less wanted."),
    ] = (0.85, 0.90, 0.95)
    relief: Annotated[
        float, Meta(gt=0, le=1, description="So far below a step the load must fall before it is taken back (hysteresis).")
    ] = 0.1
    raise_s: Annotated[Seconds, Meta(description="Time between two steps up: routers and viewers must have moved first.")] = 3.0
    lower_s: Annotated[Seconds, Meta(description="Time before a step down.")] = 30.0
    med: Annotated[int, Meta(ge=0, le=1_000_000, description="MED that is announced when all is well.")] = 100
    med_step: Annotated[int, Meta(ge=1, le=1_000_000, description="Added to it with each step.")] = 100
    drain_s: Annotated[
        float,
        Meta(ge=0, le=86_400, description="A draining site is announced as least wanted for so long, then no more."),
    ] = 10.0
    announce_s: Annotated[Seconds, Meta(description="The routes are handed over again so often.")] = 1.0
    bfd: BfdSettings = field(default_factory=BfdSettings)

    def __post_init__(self) -> None:
        for index, each in enumerate(self.addresses):
            try:
                ipaddress.ip_interface(each)
            except ValueError:
                raise Unfitting(("addresses",), f"{each!r} is no address", 'write it as "192.0.2.53" or "192.0.2.53/24"') from None
            if ipaddress.ip_interface(each).network.prefixlen == 0:
                raise Unfitting(("addresses",), f"{each} would announce the whole internet", "give the prefix that is ours")
            if each in self.addresses[:index]:
                raise Unfitting(("addresses",), f"{each} stands there twice", "name each once")
        if list(self.steps) != sorted(set(self.steps)) or not all(0 < each <= 2 for each in self.steps):
            raise Unfitting(("steps",), "the steps do not rise", "write shares of the limit, as [0.85, 0.9, 0.95]")
        for index, router in enumerate(self.routers):
            _check_router(("routers", index), router)
            if router.address in [each.address for each in self.routers[:index]]:
                raise Unfitting(("routers", index, "address"), f"the router {router.address} stands there twice", "name each once")
        self._check_whole()

    def _check_whole(self) -> None:
        if self.router_id and _version(self.router_id) != 4:
            raise Unfitting(("router_id",), f"{self.router_id} is no IPv4 address", "set it to one of this machine")
        if not self.asn:
            return
        if not self.addresses or not self.routers:
            missing = "addresses" if not self.addresses else "routers"
            raise Unfitting((missing,), f"asn is set, and there are no {missing}", f"set {missing}, or leave asn out")
        if not self.identity:
            raise Unfitting(("router_id",), "there is no IPv4 address to be our router id", "set router_id")
        for each in self.addresses:
            if not any(hop_for(router, ipaddress.ip_interface(each).version) for router in self.routers):
                raise Unfitting(("addresses",), f"no router is told of {each}", "give a router of its family, or set next_hop of one")

    @property
    def identity(self) -> str:
        """The router id."""
        return self.router_id or next((each.local for each in self.routers if _version(each.local) == 4), "")


def hop_for(router: Router, version: int) -> str:
    """The next hop that ``router`` is told for addresses of this IP version; empty: it is not told of them."""
    return next((each for each in (router.local, router.next_hop) if each and _version(each) == version), "")


def _check_router(path: tuple[str | int, ...], router: Router) -> None:
    for name, value in (("address", router.address), ("local", router.local)):
        if not _is_address(value):
            raise Unfitting((*path, name), f"{value!r} is no IP address", "write it as 192.0.2.1 or 2001:db8::1")
    if _version(router.address) != _version(router.local):
        raise Unfitting((*path, "local"), f"{router.local} cannot reach {router.address}", "both are IPv4, or both IPv6")
    if router.next_hop and _version(router.next_hop) in (0, _version(router.local)):
        raise Unfitting((*path, "next_hop"), f"{router.next_hop} is no address of the other family", "leave it out, or give one")
    if not _PASSWORD.fullmatch(router.password):
        raise Unfitting((*path, "password"), "the password has letters that a BGP session cannot carry", '80 at most, no space, no " ; { }')


def _is_address(text: str) -> bool:
    return _version(text) != 0


def _version(text: str) -> int:
    try:
        return ipaddress.ip_address(text).version
    except ValueError:
        return 0
