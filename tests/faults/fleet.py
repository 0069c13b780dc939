"""Three appliances in three sites, discovery and the watcher of steering, each a process of its own, as a host sees them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nearcast.base import rpc
from nearcast.model.health import ApplianceHealth
from nearcast.model.services import Discovery, OrderQuestion
from nearcast.steering.health.published import ViewReader

from .appliances import Appliance, OriginProcess, Process, until

NAMES = ("fra-1", "bom-1", "sin-1")
BLIND = "sin-1"
"""Its agent asks its nginx once a minute, and so goes on to report in good health while nobody is answered."""


class Fleet:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.address = f"unix:{root}/d.sock"
        self.origin = OriginProcess(root)
        self.discovery, self.watcher = Process(root / "discovery.log"), Process(root / "watcher.log")
        self.edges = {
            name: Appliance(
                root, self.origin, name, discovery=self.address, site=name, report_s=0.5, health_s=60.0 if name == BLIND else 0.5
            )
            for name in NAMES
        }
        self.reader = ViewReader(root / "view")

    def up(self) -> None:
        self.origin.up()
        self.discovery.start("discovery", self.address)
        for each in self.edges.values():
            each.up()
        self.watcher.start("watcher", self.address, str(self.root / "view"))

    def wait_well(self) -> None:
        """All are up, heard, and looked at by all others."""
        until(lambda: self.states == dict.fromkeys(NAMES, "up") and all(self[name].heard for name in NAMES))
        until(lambda: all(self.vouched(name) for name in NAMES))

    def vouched(self, name: str) -> bool:
        """Whether the others look at it already."""
        status = [self.edges[each].status for each in NAMES if each != name]
        return all(each is not None and each.report.seen.get(name) for each in status)

    def down(self) -> None:
        self.watcher.kill()
        self.discovery.kill()
        for each in self.edges.values():
            each.destroy()
        self.origin.end()
        self.reader.close()

    def __getitem__(self, name: str) -> ApplianceHealth:
        return self.reader.view().by_id[name]

    @property
    def states(self) -> dict[str, str]:
        return {name: each.state for name, each in self.reader.view().by_id.items()}

    def pids(self, name: str) -> list[int]:
        return [self.edges[name].pid, *self.edges[name].nginx_pids()]

    def order(self, question: OrderQuestion) -> None:
        async def ask() -> None:
            channels = rpc.Channels()
            await rpc.connect(Discovery, lambda: (self.address,), channels).order(question)
            await channels.close()

        asyncio.run(ask())
