"""A router to announce to: a second ExaBGP that listens on loopback, and what it was told, from its JSON.

As a program (``python router.py FILE``) it is that ExaBGP's helper, which keeps every line it hears.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LOCAL, OURS = "127.0.0.1", "127.0.0.2"
ASN = 64500


class Route:
    """One route as it was told last."""

    def __init__(self, next_hop: str, attribute: dict[str, Any]) -> None:
        self.next_hop = next_hop
        self.med = int(attribute.get("med", 0))
        self.path = [number for part in attribute.get("as-path", {}).values() for number in part["value"]]


class Router:
    """``routes`` by prefix, as they stand now; the session's end takes all. ``sessions`` counts those that came up."""

    def __init__(self, folder: Path, port: int, our_asn: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.heard = folder / "heard.jsonl"
        self.heard.touch()
        self._at = 0
        self.routes: dict[str, Route] = {}
        self.sessions = 0
        self.withdrawn: list[str] = []
        conf = folder / "router.conf"
        conf.write_text(
            f"process sink {{ run {sys.executable} -S {Path(__file__)} {self.heard}; encoder json; }}\n"
            f"neighbor {OURS} {{ router-id {LOCAL}; local-address {LOCAL}; local-as {ASN}; peer-as {our_asn}; passive true;\n"
            f"  hold-time 9; listen {port}; family {{ ipv4 unicast; ipv6 unicast; }}\n"
            "  api { processes [ sink ]; neighbor-changes; receive { parsed; update; } } }\n"
        )
        environment = {
            **os.environ,
            "exabgp_daemon_user": pwd.getpwuid(os.getuid()).pw_name,
            "exabgp_api_cli": "false",
            "exabgp_api_ack": "false",
        }
        with (folder / "router.log").open("wb") as log:
            command = [sys.executable, "-m", "exabgp", "server", str(conf)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def look(self) -> dict[str, Route]:
        """Read what has come since, and answer with the routes."""
        with self.heard.open("rb") as file:
            file.seek(self._at)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.splitlines():
            self._take(json.loads(line))
        return self.routes

    def _take(self, event: dict[str, Any]) -> None:
        neighbor = event.get("neighbor", {})
        if event["type"] == "state":
            self.sessions += neighbor["state"] == "up"
            if neighbor["state"] == "down":
                self.routes.clear()
        if event["type"] != "update":
            return
        update = neighbor["message"].get("update", {})
        for hops in update.get("announce", {}).values():
            for next_hop, found in hops.items():
                for each in found:
                    if isinstance(each, dict):  # else the end of the first table (EOR)
                        self.routes[each["nlri"]] = Route(next_hop, update["attribute"])
        for found in update.get("withdraw", {}).values():
            for each in found:
                self.routes.pop(each["nlri"], None)
                self.withdrawn.append(each["nlri"])

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def keep(path: Path) -> None:
    with path.open("a") as out:
        for line in sys.stdin:
            out.write(line)
            out.flush()
    while os.getppid() != 1:  # until ExaBGP has seen that we are there to the end
        time.sleep(0.1)


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
