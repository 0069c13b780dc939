"""Whether the service addresses are on this machine: what is announced and is not there is a black hole."""

from __future__ import annotations

import ipaddress
import socket
import subprocess
from collections.abc import Iterable

from nearcast.base.errors import NearcastError

IP_S = 5.0


class AddressNotAdded(NearcastError):
    """A service address cannot be put on the loopback interface."""

    code = "NC3080"
    cure = "do it as root: `ip addr add ADDRESS dev lo` (IPv4 with /32, IPv6 with /128), and leave add_addresses out"


def hosts(addresses: Iterable[str]) -> list[str]:
    """Service addresses without their prefixes."""
    return [str(ipaddress.ip_interface(each).ip) for each in addresses]


def missing(wanted: Iterable[str]) -> list[str]:
    """Those of the addresses that are not this machine's: nothing can be bound to them (bind(2), EADDRNOTAVAIL)."""
    return [each for each in wanted if not _here(each)]


def _here(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def add(address: str) -> None:
    """Put ``address`` on ``lo``. It stays there when we go. Blocks. Raises AddressNotAdded."""
    length, more = (128, ["nodad"]) if ":" in address else (32, [])
    try:
        done = subprocess.run(
            ["ip", "addr", "add", f"{address}/{length}", "dev", "lo", *more], capture_output=True, text=True, timeout=IP_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AddressNotAdded(f"{address} is not on lo: ip(8) cannot be run: {error}") from error
    if done.returncode and "File exists" not in done.stderr:
        raise AddressNotAdded(f"{address} cannot be put on lo: {done.stderr.strip()[:120]}")
