"""What the lab needs of a machine, asked of the machine itself: each tool, and each thing of the kernel by trying it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from nearcast.base.errors import Unavailable
from nearcast.base.processes import Identity, identify
from nearcast.operations.lab import record
from nearcast.operations.lab.commands import CommandFailed, environment, into, run

PACKAGES = {"ip": "iproute2", "tc": "iproute2", "bird": "bird2", "birdc": "bird2", "iptables": "iptables", "ethtool": "ethtool"}
INSTALL = "sudo apt-get install --no-install-recommends"


class Need(Struct, frozen=True, kw_only=True):
    """One thing that the lab needs. ``cure`` says what to do where it is missing."""

    name: str
    there: bool
    says: str = ""
    cure: str = ""


class CannotRun(Unavailable):
    """This machine lacks something that the lab needs."""

    code = "NC0263"
    cure = "`nearcast lab status` lists what the lab needs and what is missing"


def needs() -> list[Need]:
    """Everything, in the order in which it is to be cured. Makes two namespaces for a moment where it may."""
    found = [_root()]
    found += [_tool(name, package) for name, package in PACKAGES.items()]
    if all(each.there for each in found):
        found += _kernel()
    return found


@functools.cache
def missing() -> tuple[Need, ...]:
    """What is missing here; asked once in a process."""
    return tuple(each for each in needs() if not each.there)


def check() -> None:
    """Raises CannotRun with all that is missing."""
    if lacking := missing():
        packages = sorted({PACKAGES[each.name] for each in lacking if each.name in PACKAGES})
        cures = [each.cure for each in lacking if each.name not in PACKAGES]
        hint = "; ".join([*cures, *([f"run: {INSTALL} {' '.join(packages)}"] if packages else [])])
        raise CannotRun(reason(lacking), hint=hint)


def reason(lacking: Sequence[Need]) -> str:
    """One sentence of what is missing."""
    return "the lab cannot run here: " + "; ".join(each.says for each in lacking)


def _root() -> Need:
    there = os.geteuid() == 0
    return Need(name="root", there=there, says="" if there else "it needs root", cure="" if there else "run it as root, or by sudo")


def _tool(name: str, package: str) -> Need:
    there = shutil.which(name, path=environment()["PATH"]) is not None
    return Need(name=name, there=there, says="" if there else f"{name} is not installed", cure="" if there else f"{INSTALL} {package}")


def _kernel() -> list[Need]:
    """Each step needs the ones before it."""
    own = identify(os.getpid()) or Identity(os.getpid(), 0)
    found: list[Need] = []
    trial = record.Record(name=f"trial-{os.getpid()}", keeper=own, since=time.time())
    here, there = record.namespace(trial.name, "a"), record.namespace(trial.name, "b")
    bucket = ["rate", "9mbit", "burst", "16kb", "latency", "50ms"]

    def namespaces() -> None:
        record.make_namespace(trial, here)
        record.make_namespace(trial, there)

    steps: list[tuple[str, Callable[[], object]]] = [
        ("network namespaces", namespaces),
        ("veth", lambda: run(["ip", "link", "add", "one", "netns", here, "type", "veth", "peer", "name", "two", "netns", there])),
        ("bridge", lambda: run(["ip", "-n", here, "link", "add", "lan", "type", "bridge"])),
        ("tbf", lambda: run(["tc", "-n", here, "qdisc", "replace", "dev", "one", "root", "tbf", *bucket])),
        ("NFQUEUE", lambda: _queue(here)),
    ]
    record.begin(trial)
    try:
        for name, step in steps:
            try:
                step()
                found.append(Need(name=name, there=True))
            except (CommandFailed, record.LabExists, OSError) as error:
                cure = "use a kernel that has it, and a container or machine that may make namespaces (CAP_SYS_ADMIN, CAP_NET_ADMIN)"
                found.append(Need(name=name, there=False, says=f"this kernel has no {name} for us ({error})", cure=cure))
                break
    finally:
        record.clean(trial, with_keeper=False)
    return found


def _queue(namespace: str) -> None:
    """Raises CommandFailed where a rule cannot hand packets to a process."""
    rule = ["-A", "FORWARD", "-o", "one", "-j", "NFQUEUE", "--queue-num", "9", "--queue-bypass"]
    run([*into(namespace), "iptables", "-w", "-t", "mangle", *rule])
    command = [*into(namespace), sys.executable, "-m", "nearcast.operations.lab.delay", "9:1:0:0:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()) as process:
        said = process.stdout.readline() if process.stdout else b""
        process.terminate()
    if said != b"ready\n":
        raise CommandFailed("a process cannot bind a queue")
