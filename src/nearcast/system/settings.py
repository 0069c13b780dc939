"""The whole configuration: what each room declares, and what belongs to no room."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from nearcast.base import config
from nearcast.base.config import Unfitting
from nearcast.base.options import commented_toml
from nearcast.base.paths import Home
from nearcast.base.processes import write_atomically
from nearcast.control.accounts.settings import AccountsSettings
from nearcast.control.catalog.settings import CatalogSettings
from nearcast.control.discovery.settings import DiscoverySettings
from nearcast.control.gateway.settings import GatewaySettings
from nearcast.control.history.settings import HistorySettings
from nearcast.control.home.settings import HomeSettings
from nearcast.control.playback.settings import PlaybackSettings
from nearcast.control.search.settings import SearchSettings
from nearcast.control.store.settings import StoreSettings
from nearcast.delivery.door.settings import DoorSettings
from nearcast.delivery.settings import EdgeSettings, FillSettings, OriginSettings
from nearcast.media.settings import MediaSettings
from nearcast.model.site import Site
from nearcast.policy.sight import KNOWN_S, witness_s
from nearcast.steering.anycast.settings import AnycastSettings
from nearcast.steering.settings import SteeringSettings
from nearcast.system import folders
from nearcast.system.secrets import JOINED
from nearcast.system.table import DOOR_PREFIX

Port = Annotated[int, Meta(ge=1, le=65535)]


LOOPBACK = "127.0.0.1"


class NetworkSettings(Struct, frozen=True, kw_only=True):
    """Where the system listens."""

    host: Annotated[
        str, Meta(description="the address at which gateway, uploads and edges listen; with a public name, every address of this machine")
    ] = LOOPBACK
    public_name: Annotated[
        str, Meta(description="the name under which others reach this machine; set, everything public speaks TLS (`up --public`)")
    ] = ""
    gateway_port: Annotated[Port, Meta(description="the gateway: web page and HTTP API")] = 8080
    upload_port: Annotated[Port, Meta(description="uploads of films, straight to the fleet")] = 8090
    plain: Annotated[
        bool, Meta(description="let host and edges speak plain HTTP past this machine: only where a proxy in front brings TLS")
    ] = False
    internal_host: Annotated[
        str,
        Meta(
            description="the address at which other hosts of this system reach this one by mutual TLS: edges that join, report and "
            "fetch from the origin; empty: none do, and the origin answers this machine alone"
        ),
    ] = ""
    origin_port: Annotated[Port, Meta(description="the origin, for edges only")] = 8100
    join_port: Annotated[Port, Meta(description="where edges of other hosts join (`nearcast edge join`)")] = 8110
    edges_port: Annotated[Port, Meta(description="where edges of other hosts report and are told what to hold")] = 8111
    origin_url: Annotated[
        str,
        Meta(
            pattern=r"^(https://[^/?#]+)?$",
            description="where the origin is, if on another host: `https://10.0.0.5:8100`; empty: on this one",
        ),
    ] = ""
    addresses: Annotated[
        dict[str, str],
        Meta(description='where processes listen for calls, if not at a socket in the home folder: `play = "10.0.0.5:9001"`'),
    ] = {}


class TlsSettings(Struct, frozen=True, kw_only=True):
    """Certificates for gateway, uploads and edges. Empty: `up --public` makes an authority of its own."""

    certificate: Annotated[str, Meta(description="path of a PEM certificate chain")] = ""
    key: Annotated[str, Meta(description="path of its PEM key", extra={"secret": False})] = ""

    def __post_init__(self) -> None:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key must both be set, or neither")


class LogSettings(Struct, frozen=True, kw_only=True):
    """What is written to the logs."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="the least severity that is written")] = "info"


class DemoSettings(Struct, frozen=True, kw_only=True):
    """The film that a new system starts with."""

    film: Annotated[bool, Meta(description="ingest the demo film on the first start")] = True


_DEMO_BYTES = 16 << 30
DEMO_APPLIANCES = (
    EdgeSettings(id="fra-1", site="frankfurt", port=8101, disk_bytes_max=_DEMO_BYTES),
    EdgeSettings(id="bom-1", site="mumbai", port=8102, disk_bytes_max=_DEMO_BYTES),
    EdgeSettings(id="sin-1", site="singapore", port=8103, disk_bytes_max=_DEMO_BYTES),
    EdgeSettings(id="dal-1", site="dallas", port=8104, disk_bytes_max=_DEMO_BYTES),
)


def check_ports(network: NetworkSettings, appliances: tuple[EdgeSettings, ...]) -> None:
    """Raises Unfitting where two of this machine's listeners would take one port. Those for other hosts count where there are any."""
    taken = {network.gateway_port: "the gateway", network.upload_port: "uploads", network.origin_port: "the origin"}
    if network.internal_host:
        taken |= {network.join_port: "edges that join", network.edges_port: "edges of other hosts"}
    for index, each in enumerate(appliances):  # where viewers come to stands first: an own page can be moved, and is told of
        if each.port in taken:
            raise Unfitting(("appliances", index, "port"), f"{taken[each.port]} and {each.id} are both at port {each.port}")
        taken[each.port] = each.id
    for index, each in enumerate(appliances):
        if each.own_port in taken:
            hint = f"set admin_port of {each.id} to a free one; without, it is 100 above port"
            text = f"{taken[each.own_port]} and the own page of {each.id} are both at port {each.own_port}"
            raise Unfitting(("appliances", index, "admin_port"), text, hint)
        taken[each.own_port] = f"the own page of {each.id}"


def check_doors(network: NetworkSettings, appliances: Sequence[EdgeSettings], doors: Sequence[DoorSettings]) -> None:
    """Raises Unfitting for doors of one name, in an appliance's folder, or at an address and port where something else of ours listens."""
    everywhere = ("0.0.0.0", "::")  # noqa: S104  (compared, not bound)
    public = everywhere if network.public_name else (network.host,)
    taken: list[tuple[int, tuple[str, ...], str]]
    taken = [(network.gateway_port, public, "the gateway"), (network.upload_port, public, "uploads")]
    taken += [(network.origin_port, (network.internal_host or LOOPBACK,), "the origin")]
    taken += [(each.port, public if each.listen == (LOOPBACK,) else each.listen, each.id) for each in appliances]
    taken += [(each.own_port, (LOOPBACK,), f"the own page of {each.id}") for each in appliances]
    names: set[str] = {each.id for each in appliances if each.id.startswith(DOOR_PREFIX)}
    for index, door in enumerate(doors):
        if door.id in names or DOOR_PREFIX + door.id in names:
            raise Unfitting(("doors", index, "id"), f"the name {door.id} is taken", "each door has an id of its own, and no appliance's")
        names.add(door.id)
        for port, hosts, who in taken:
            if port == door.port and (set(hosts) & set(door.listen) or set(everywhere) & {*hosts, *door.listen}):
                raise Unfitting(("doors", index, "port"), f"{who} and the door {door.id} are both at port {port}")
        taken.append((door.port, door.listen, f"the door {door.id}"))


def check_reports(appliances: Sequence[EdgeSettings], publish_s: float) -> None:
    """Raises Unfitting where the silence of an appliance could not be known everywhere in the time that is promised."""
    for index, each in enumerate(appliances):
        known_s = witness_s(each.report_s) + publish_s
        if known_s > KNOWN_S:
            text = (
                f"{each.id} reports each {each.report_s:g} s, so that its silence is known after {known_s:.3g} s; {KNOWN_S:g} are promised"
            )
            hint = f"{(KNOWN_S - publish_s) / 2.5:.3g} at most where publish_s of [steering.health] is {publish_s:g}; 0.5 is usual"
            raise Unfitting(("appliances", index, "report_s"), text, hint)


def homeless(standing: Sequence[EdgeSettings | DoorSettings], sites: Sequence[Site], table: str = "appliances") -> Iterator[Unfitting]:
    """Appliances, or doors, in sites that there are none of: no route leads to them, and nobody knows their quiet hours."""
    known = [each.name for each in sites]
    for index, each in enumerate(standing):
        if each.site not in known:
            close = difflib.get_close_matches(each.site, known, n=1, cutoff=0.6)
            hint = f"did you mean {close[0]!r}?" if close else f"add it as one of [[steering.sites]]; there are: {', '.join(known)}"
            yield Unfitting((table, index, "site"), f"{each.id} stands in {each.site!r}, and there is no such site", hint)


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that can be set."""

    network: NetworkSettings = field(default_factory=NetworkSettings)
    tls: TlsSettings = field(default_factory=TlsSettings)
    log: LogSettings = field(default_factory=LogSettings)
    demo: DemoSettings = field(default_factory=DemoSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    accounts: AccountsSettings = field(default_factory=AccountsSettings)
    catalog: CatalogSettings = field(default_factory=CatalogSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    home: HomeSettings = field(default_factory=HomeSettings)
    playback: PlaybackSettings = field(default_factory=PlaybackSettings)
    steering: SteeringSettings = field(default_factory=SteeringSettings)
    anycast: AnycastSettings = field(default_factory=AnycastSettings)
    history: HistorySettings = field(default_factory=HistorySettings)
    discovery: DiscoverySettings = field(default_factory=DiscoverySettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    media: MediaSettings = field(default_factory=MediaSettings)
    fill: FillSettings = field(default_factory=FillSettings)
    origin: OriginSettings = field(default_factory=OriginSettings)
    appliances: Annotated[tuple[EdgeSettings, ...], Meta(description="The edge appliances that this machine runs.")] = DEMO_APPLIANCES
    doors: Annotated[tuple[DoorSettings, ...], Meta(description="The doors of sites that this machine runs.")] = ()

    def __post_init__(self) -> None:
        names = [each.id for each in self.appliances]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise Unfitting(("appliances", index, "id"), f"there are two appliances named {name}", "each has an id of its own")
        check_ports(self.network, self.appliances)
        check_doors(self.network, self.appliances, self.doors)
        check_reports(self.appliances, self.steering.health.publish_s)


TITLE = """The configuration of a Nearcast. Every option stands here with its default, commented out.
`nearcast config check` finds mistakes; `nearcast config show` prints the values in force.
An option can be set by the environment too: [network] gateway_port is NEARCAST_NETWORK__GATEWAY_PORT."""


def commented() -> str:
    """The text of a new configuration file."""
    return commented_toml(Settings, TITLE)


def config_path(home: Home, environment: Mapping[str, str] | None = None) -> Path:
    """``NEARCAST_CONFIG`` (set by ``up --config``), else ``nearcast.toml`` in the home folder."""
    environment = {**remembered(home), **os.environ} if environment is None else environment
    named = environment.get("NEARCAST_CONFIG", "")
    return Path(named).expanduser().absolute() if named else home.config


def digest(settings: Settings) -> str:
    """Changes with any value of the configuration."""
    return hashlib.sha256(msgspec.json.encode(settings)).hexdigest()[:16]


def remember(home: Home, options: Mapping[str, str]) -> None:
    """Keep what a start was told on its command line, as environment variables, for every later command of this home."""
    write_atomically(home.run / "options.json", msgspec.json.encode(options))


def remembered(home: Home) -> dict[str, str]:
    """What ``remember`` kept; nothing where there is nothing."""
    try:
        return msgspec.json.decode((home.run / "options.json").read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        return {}


def load(home: Home, environment: Mapping[str, str] | None = None) -> Settings:
    """The configuration in force. A missing file is an empty one, unless it was named.

    ``environment``: by default this process's own, over what the last start was told. Raises BadConfiguration or
    UnreadableConfiguration.
    """
    environment = {**remembered(home), **os.environ} if environment is None else environment
    path = config_path(home, environment)
    text = config.read(path, named=path != home.config)

    def look(whole: Settings) -> Iterator[Unfitting]:
        if not (home.secrets / JOINED).exists():  # of a host that has joined, the main host knows the sites
            yield from homeless(whole.appliances, whole.steering.sites)
            yield from homeless(whole.doors, whole.steering.sites, "doors")
            if whole.anycast.site and whole.anycast.site not in [each.name for each in whole.steering.sites]:
                yield Unfitting(("anycast", "site"), f"there is no site {whole.anycast.site!r}", "name one of [[steering.sites]]")
        yield from folders.misplaced(home, whole.appliances)

    return config.parse(Settings, text, str(path), environment, look)


def planned(home: Home, path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """What would be in force with another file in the place of the configuration: what the environment sets, it sets there, too. Raises as
    ``load``; what it would be refused for on this host alone (appliances in sites that there are none of, folders) is left aside.
    """
    environment = {**remembered(home), **os.environ} if environment is None else environment
    return config.parse(Settings, config.read(path), str(path), environment)
