"""Discovery in memory."""

from __future__ import annotations

from nearcast.model.services import (
    ApplianceList,
    DropQuestion,
    InstanceList,
    Nothing,
    ReportAnswer,
)
from nearcast.model.site import Appliance, ApplianceReport, Instance
from tests.fakes.fake import Fake


class FakeDiscovery(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.reports: dict[str, ApplianceReport] = {}
        self.known: dict[str, Instance] = {}

    async def report(self, question: ApplianceReport) -> ReportAnswer:
        self.asked(question)
        self.reports[question.id] = question
        return ReportAnswer(lease_s=question.lease_s)

    async def appliances(self, question: Nothing) -> ApplianceList:
        self.asked(question)
        return ApplianceList(appliances=tuple(Appliance(report=each, age_s=0.5) for each in self.reports.values()))

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
