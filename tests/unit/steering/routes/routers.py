"""A router of an ISP for tests: a real BGP speaker on a loopback address of its own, which announces what it is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from nearcast.base.processes import die_with_parent

CONFIGURATION = """\
process told {{
  run /bin/sh -c cat<$NEARCAST_TEST_PIPE;
  encoder json;
}}
neighbor {peer} {{
  local-address {address};
  router-id {router_id};
  local-as {asn};
  peer-as {peer_asn};
  connect {port};
  hold-time 9;
  {password}
  family {{ ipv4 unicast; ipv6 unicast; }}
  capability {{ graceful-restart 30; }}
  api {{ processes [ told ]; }}
}}
"""


class Router:
    """An ExaBGP that opens a session to ``port`` of loopback, over IPv6 where its address is one. ``say`` is one of its commands:
    ``announce route 20.1.0.0/16 next-hop 127.0.0.11``."""

    def __init__(
        self, folder: Path, port: int, *, address: str = "127.0.0.11", asn: int = 64511, peer_asn: int = 64500, password: str = ""
    ) -> None:
        self.address, self._folder = address, folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "router.conf").write_text(
            CONFIGURATION.format(
                peer="::1" if ":" in address else "127.0.0.1",
                router_id="127.0.0.11" if ":" in address else address,
                address=address,
                asn=asn,
                peer_asn=peer_asn,
                port=port,
                password=f'md5-password "{password}";' if password else "",
            )
        )
        self._pipe = folder / "told"
        os.mkfifo(self._pipe)
        self._out = os.open(self._pipe, os.O_RDWR)  # a writer and a reader: nobody waits for the other
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            **os.environ,
            "NEARCAST_TEST_PIPE": str(self._pipe),
            "exabgp_daemon_user": "root" if os.getuid() == 0 else "nobody",
            "exabgp_api_cli": "false",
            "exabgp_api_ack": "false",
            "exabgp_log_destination": "stdout",
            "exabgp_tcp_bind": "",
        }
        with (self._folder / "router.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "exabgp", "server", str(self._folder / "router.conf")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                preexec_fn=die_with_parent,
            )

    def say(self, *commands: str) -> None:
        os.write(self._out, "".join(f"{each}\n" for each in commands).encode())

    def announce(self, prefix: str, more: str = "") -> None:
        hop = "::1" if ":" in prefix else "127.0.0.11" if ":" in self.address else self.address
        self.say(f"announce route {prefix} next-hop {hop} {more}")

    def withdraw(self, prefix: str) -> None:
        hop = "::1" if ":" in prefix else "127.0.0.11" if ":" in self.address else self.address
        self.say(f"withdraw route {prefix} next-hop {hop}")

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        os.close(self._out)
