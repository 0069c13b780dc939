"""Discovery with the keys of appliances: which key an appliance is to have is an order, the key itself comes from the root secret."""

from __future__ import annotations

from msgspec.structs import replace

from nearcast.model.services import (
    ApplianceList,
    AppliancesQuestion,
    Discovery,
    DropQuestion,
    InstanceList,
    Nothing,
    OrderQuestion,
    ReportAnswer,
)
from nearcast.model.site import ApplianceReport, Instance, Order
from nearcast.policy import capability


class KeyedDiscovery:
    """Fits ``model.services.Discovery``. Who may report for an appliance is given that appliance's key, and no other."""

    def __init__(self, discovery: Discovery, root: bytes) -> None:
        self._discovery = discovery
        self._root = root

    async def report(self, question: ApplianceReport, /) -> ReportAnswer:
        answer = await self._discovery.report(question)
        if question.key_generation >= answer.key_generation:
            return answer
        return replace(answer, key=capability.edge_key(self._root, question.id, answer.key_generation))

    async def appliances(self, question: AppliancesQuestion, /) -> ApplianceList:
        return await self._discovery.appliances(question)

    async def order(self, question: OrderQuestion, /) -> Order:
        return await self._discovery.order(question)

    async def register(self, question: Instance, /) -> ReportAnswer:
        return await self._discovery.register(question)

    async def instances(self, question: Nothing, /) -> InstanceList:
        return await self._discovery.instances(question)

    async def drop(self, question: DropQuestion, /) -> Nothing:
        return await self._discovery.drop(question)
