"""Discovery in memory."""

from __future__ import annotations

from nearcast.control.discovery.orders import changed
from nearcast.model.services import (
    ApplianceList,
    AppliancesQuestion,
    DropQuestion,
    InstanceList,
    Nothing,
    OrderQuestion,
    ReportAnswer,
)
from nearcast.model.site import Appliance, ApplianceReport, Instance, Order
from tests.fakes.fake import Fake


class FakeDiscovery(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.reports: dict[str, ApplianceReport] = {}
        self.known: dict[str, Instance] = {}
        self.orders: dict[str, Order] = {}

    async def report(self, question: ApplianceReport) -> ReportAnswer:
        self.asked(question)
        self.reports[question.id] = question
        return ReportAnswer(lease_s=question.lease_s)

    async def appliances(self, question: AppliancesQuestion) -> ApplianceList:
        self.asked(question)
        return ApplianceList(appliances=tuple(Appliance(report=each, age_s=0.5) for each in self.reports.values()))

    async def order(self, question: OrderQuestion) -> Order:
        self.asked(question)
        self.orders[question.appliance] = changed(self.orders.get(question.appliance) or Order(appliance=question.appliance), question)
        return self.orders[question.appliance]

    async def register(self, question: Instance) -> ReportAnswer:
        self.asked(question)
        self.known[question.id] = question
        return ReportAnswer(lease_s=question.lease_s)

    async def instances(self, question: Nothing) -> InstanceList:
        self.asked(question)
        return InstanceList(instances=tuple(self.known.values()))

    async def drop(self, question: DropQuestion) -> Nothing:
        self.asked(question)
        self.known.pop(question.id, None)
        return Nothing()
