"""What ``nearcast doctor`` looks at: each need, whether it is met, and what to do where it is not."""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import ssl
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509

from nearcast.base import ports
from nearcast.base.errors import NearcastError
from nearcast.base.paths import Home
from nearcast.base.units import bytes_text
from nearcast.delivery.settings import EdgeSettings, partitions
from nearcast.system import aside, folders, health_checks, peers, renewal, secrets, settings, start, steering_checks
from nearcast.system.checking import Check, attempt, version
from nearcast.system.gateway import WEB_ROOT
from nearcast.system.settings import Settings

DISK_LOW_BYTES = 5_000_000_000
ROOM_LOW_BYTES = 100_000_000
"""Less than a short film."""
WARN_DAYS = 30
NODE_MIN = (20, 19)


def run(home: Home) -> Iterator[Check]:
    """Every check, in order. None of them changes anything."""
    yield _python()
    try:
        whole = settings.load(home)
        start.check_protected(whole)
        yield Check(name="configuration", state="good", found=str(settings.config_path(home)))
    except NearcastError as error:
        yield Check(name="configuration", state="bad", found=error.message, cure=error.hint)
        whole = Settings()
    yield from _home(home)
    yield from _damaged(home)
    yield from _certificates(home, whole)
    for appliance in whole.appliances:
        yield appliance_check(home, whole, appliance)
    yield from disk_checks(home, whole.appliances)
    yield from steering_checks.run(home, whole)
    yield from health_checks.run(home, whole)
    yield from _programs()
    yield _web()
    yield from _running(home, whole)
    yield _chromium()


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    return Check(name="python", state="good" if good else "bad", found=version, cure="" if good else "install Python 3.11 or later")


def _home(home: Home) -> Iterator[Check]:
    from nearcast.control.license.master import ENVIRONMENT

    nearest = _nearest(home.root)
    writable = os.access(nearest, os.W_OK | os.X_OK)
    cure = "" if writable else "set NEARCAST_HOME to a folder that you may write to"
    yield Check(name="home", state="good" if writable else "bad", found=str(home.root), cure=cure)
    free = shutil.disk_usage(nearest).free
    cure = "" if free > DISK_LOW_BYTES else "films need room: the source, its renditions in origin/, and a copy on each edge"
    yield Check(name="disk", state="note" if cure else "good", found=f"{bytes_text(free)} free", cure=cure)
    if home.secrets.exists():
        try:
            secrets.check(home.secrets, master=not os.environ.get(ENVIRONMENT))
            yield Check(name="secrets", state="good", found="readable by their owner alone")
        except NearcastError as error:
            yield Check(name="secrets", state="bad", found=error.message, cure=error.hint)
    else:
        yield Check(name="secrets", state="good", found="made on the first start")


def _damaged(home: Home) -> Iterator[Check]:
    """What a start found damaged, and went on without."""
    for each in aside.lying(home.data):
        lost = aside.LOST.get(each.name.partition(aside.MARK)[0], "")
        cure = f"lost: {lost}; look after the disk, then remove the file, or `nearcast restore` the last backup"
        yield Check(name="data", state="note", found=f"damaged, and set aside: {each}", cure=cure)


def _certificates(home: Home, whole: Settings) -> Iterator[Check]:
    """What this host shows to others: in its file, and at the door for edges, which took it when it was opened."""
    from nearcast.system import issue

    try:
        joined = secrets.joined(home.secrets)
        if peers.path(home).exists():
            yield certificate_check("certificate", issue.ends_at(peers.path(home)), datetime.datetime.now(datetime.UTC), joined)
    except (NearcastError, OSError, ValueError) as error:
        yield Check(name="certificate", state="bad", found=str(error), cure=f"remove {peers.path(home)}; a start or a join makes it anew")
    host = whole.network.internal_host
    if host and start.running(home) is not None:
        with contextlib.suppress(OSError, ValueError):  # that nobody listens is told elsewhere
            shown = ssl.get_server_certificate((ports.dialled(host), whole.network.join_port), timeout=3.0)
            ends = x509.load_pem_x509_certificate(shown.encode()).not_valid_after_utc
            yield certificate_check("listeners", ends, datetime.datetime.now(datetime.UTC), None)


def certificate_check(name: str, ends: datetime.datetime, now: datetime.datetime, joined: secrets.Joined | None) -> Check:
    """How long a certificate between hosts lasts: a note ``WARN_DAYS`` before it ends. ``joined``: the edge that it is of."""
    if ends - now > datetime.timedelta(days=WARN_DAYS):
        return Check(name=name, state="good", found=f"good until {ends:%Y-%m-%d}")
    lapsed = ends <= now
    cure = renewal.invite_anew(joined) if joined else "`nearcast down`, then `nearcast up`: a start makes a new one"
    if joined and not lapsed:
        cure = f"see that the main host is up and lets this one reach edges_port; if it ends: {cure}"
    return Check(
        name=name,
        state="bad" if lapsed else "note",
        found=f"{'lapsed on' if lapsed else 'good only until'} {ends:%Y-%m-%d}",
        cure=cure,
    )


def appliance_check(home: Home, whole: Settings, appliance: EdgeSettings) -> Check:
    """Whether an appliance has room for placed films, and when it fills."""
    name = f"edge {appliance.id}"
    nearest = _nearest(folders.edge_folder(home, appliance))
    placed = partitions(appliance, shutil.disk_usage(nearest).total).placed
    if placed < ROOM_LOW_BYTES:
        cure = "give it a larger disk_bytes_max or a larger disk, or a smaller disk_reserve_bytes or reactive_share"
        return Check(name=name, state="bad", found=f"room for {bytes_text(placed)} of placed films in {nearest}", cure=cure)
    site = next((each for each in whole.steering.sites if each.name == appliance.site), None)
    when = f", fills {whole.fill.window} {site.timezone}" if site else ""  # of a host that has joined, the main host knows the site
    return Check(name=name, state="good", found=f"room for {bytes_text(placed)}{when}")


def disk_checks(home: Home, appliances: Sequence[EdgeSettings]) -> Iterator[Check]:
    """Whether the appliances of this host may fill more of a file system, all together, than is free there or theirs already."""
    by_device: dict[int, list[EdgeSettings]] = {}
    for each in appliances:
        by_device.setdefault(_nearest(folders.edge_folder(home, each)).stat().st_dev, []).append(each)
    for found in by_device.values():
        own = [folders.edge_folder(home, each) for each in found]
        disk = shutil.disk_usage(_nearest(own[0]))
        shares = [partitions(each, disk.total) for each in found]
        wanted_bytes = sum(each.placed + each.reactive for each in shares)
        there_bytes = disk.free + sum(map(size_on_disk, own))
        if wanted_bytes > there_bytes:
            names = ", ".join(each.id for each in found)
            text = f"{names} may fill {bytes_text(wanted_bytes)} of one disk, where {bytes_text(there_bytes)} are free or theirs"
            yield Check(name="edge disks", state="note", found=text, cure="give them a smaller disk_bytes_max, or a larger disk")


def size_on_disk(folder: Path) -> int:
    """Bytes that the files below take up; what goes while it is counted, or may not be read, counts nothing."""
    total_bytes = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total_bytes += os.lstat(os.path.join(root, name)).st_blocks * 512
    return total_bytes


def _nearest(folder: Path) -> Path:
    """The folder, or where it is to be made."""
    return next(each for each in (folder, *folder.parents) if each.exists())


def _programs() -> Iterator[Check]:
    from nearcast.delivery.edge.process import find_program
    from nearcast.media import tools

    yield attempt("nginx", lambda: version([find_program(), "-v"]))
    yield attempt("ffmpeg", lambda: version([tools.ffmpeg(), "-version"]))
    yield attempt("packager", lambda: version([tools.packager(), "--version"]))
    found = shutil.which("node")
    node = version([found, "--version"]).lstrip("v") if found else ""
    new_enough = tuple(int(each) for each in node.split(".")[:2] if each.isdigit()) >= NODE_MIN if node else False
    cure = "" if new_enough else "only needed to build the web app: `make up` brings Node"
    yield Check(name="node", state="good" if new_enough else "note", found=node or "not found", cure=cure)


def _web() -> Check:
    built = (WEB_ROOT / "index.html").is_file()
    return Check(
        name="web app",
        state="good" if built else "note",
        found="built" if built else "not built",
        cure="" if built else "`make up` builds it",
    )


def _running(home: Home, whole: Settings) -> Iterator[Check]:
    found = start.running(home)
    if found is None:
        try:
            start.check_ports(home, whole)
            yield Check(name="ports", state="good", found="free")
        except NearcastError as error:
            yield Check(name="ports", state="bad", found=error.message, cure=error.hint)
        left = start.left_over(home)
        cure = "`nearcast up` takes them over, `nearcast down` ends them" if left else "`nearcast up`"
        text = f"no supervisor, but {len(left)} processes" if left else "not running"
        yield Check(name="processes", state="note", found=text, cure=cure)
        return
    ill = [each for each in found.processes if each.state != "ready"]
    for each in ill:
        why = each.last_exit or start.last_words(Path(each.log))
        yield Check(name=each.name, state="bad", found=f"{each.state}: {why}", cure=f"see {each.log}")
    if not ill:
        yield Check(name="processes", state="good", found=f"{len(found.processes)} ready")


def _chromium() -> Check:
    named = os.environ.get("NEARCAST_CHROMIUM", "")
    found = named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
    cure = "" if found else "only needed by `make test`, which brings it"
    return Check(name="chromium", state="good" if found else "note", found=found or "not found", cure=cure)
