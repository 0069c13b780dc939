"""An appliance as production runs it, agent and all, for benchmarks: only the control plane is an idle one.

python -m bench.appliance SETTINGS_JSON FOLDER KEY PARENT_URL TOKEN
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import msgspec
import structlog
from prometheus_client import REGISTRY

from nearcast.delivery.edge.agent import EdgeAgent
from nearcast.delivery.settings import EdgeSettings
from nearcast.model.fill import Assignment
from nearcast.model.services import Nothing
from nearcast.model.services.fleet import (
    ApplianceList,
    AppliancesQuestion,
    Causes,
    CausesQuestion,
    DropQuestion,
    FillQuestion,
    InstanceList,
    OrderQuestion,
    ReportAnswer,
)
from nearcast.model.services.insight import Demand, DemandQuestion, OffloadQuestion
from nearcast.model.site import ApplianceReport, Instance, Order
from nearcast.model.traffic import OffloadReport, TrafficReport


class IdleControl:
    """Takes every report and wants nothing."""

    async def report(self, question: ApplianceReport, /) -> ReportAnswer:
        return ReportAnswer(lease_s=3)

    async def appliances(self, question: AppliancesQuestion, /) -> ApplianceList:
        return ApplianceList(appliances=())

    async def order(self, question: OrderQuestion, /) -> Order:
        return Order(appliance=question.appliance)

    async def register(self, question: Instance, /) -> ReportAnswer:
        return ReportAnswer(lease_s=3)

    async def instances(self, question: Nothing, /) -> InstanceList:
        return InstanceList(instances=())

    async def drop(self, question: DropQuestion, /) -> Nothing:
        return Nothing()

    async def assignment(self, question: FillQuestion, /) -> Assignment:
        await asyncio.sleep(question.wait_s)
        return Assignment(version=question.after, items=None)

    async def causes(self, question: CausesQuestion, /) -> Causes:
        return Causes(causes={})

    async def record(self, question: TrafficReport, /) -> Nothing:
        return Nothing()

    async def demand(self, question: DemandQuestion, /) -> Demand:
        raise NotImplementedError

    async def offload(self, question: OffloadQuestion, /) -> OffloadReport:
        raise NotImplementedError


async def run() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40), logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    settings, (folder, key, parent_url, token) = msgspec.json.decode(sys.argv[1], type=EdgeSettings), sys.argv[2:]
    idle = IdleControl()
    agent = EdgeAgent(
        settings,
        Path(folder),
        key=key,
        origin_token=token,
        parent_url=parent_url,
        discovery=idle,
        fill=idle,
        insight=idle,
        registry=REGISTRY,
    )
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await agent.start()
    print("ready", flush=True)
    working = asyncio.create_task(agent.wait())
    await asyncio.wait([working, asyncio.create_task(ended.wait())], return_when=asyncio.FIRST_COMPLETED)
    await agent.stop()
    with contextlib.suppress(asyncio.CancelledError):
        await working


if __name__ == "__main__":
    asyncio.run(run())
