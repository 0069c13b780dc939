"""The Discovery service of ``model.services``: the registry with a clock."""

from __future__ import annotations

import math
from typing import TypeVar

import structlog

from nearcast.base.clock import Clock
from nearcast.base.errors import BadInput, Unavailable
from nearcast.control.discovery.registry import Registry
from nearcast.control.discovery.settings import DiscoverySettings
from nearcast.model.services import ApplianceList, DropQuestion, InstanceList, Nothing, ReportAnswer
from nearcast.model.site import Appliance, ApplianceReport, Instance

E = TypeVar("E", ApplianceReport, Instance)

NAME_MAX = 200

_log = structlog.get_logger("discovery")


class BadReport(BadInput):
    """A report or registration without an id, a site, a service or an address."""

    code = "NC4504"
    cure = "name all of them, each at most 200 characters long"


class RegistryFull(Unavailable):
    """More has registered than the registry takes."""

    code = "NC4505"
    cure = "drop what is not needed; look for a client that registers under ever new names"


def given_lease_s(asked_s: float, settings: DiscoverySettings) -> float:
    """Within the limits; what is no number gets the shortest."""
    return settings.lease_min_s if math.isnan(asked_s) else min(max(asked_s, settings.lease_min_s), settings.lease_max_s)


class DiscoveryService:
    """Fits ``model.services.Discovery``. Ages are counted on the monotonic clock: setting the wall clock drops nobody."""

    def __init__(self, *, clock: Clock, settings: DiscoverySettings | None = None) -> None:
        self._clock = clock
        self._settings = settings or DiscoverySettings()
        self._appliances: Registry[ApplianceReport] = Registry()
        self._instances: Registry[Instance] = Registry()

    async def report(self, question: ApplianceReport, /) -> ReportAnswer:
        _check(id=question.id, site=question.site, address=question.address)
        return self._renew(self._appliances, question.id, question, question.lease_s)

    async def register(self, question: Instance, /) -> ReportAnswer:
        _check(id=question.id, service=question.service, address=question.address)
        return self._renew(self._instances, question.id, question, question.lease_s)

    def _renew(self, registry: Registry[E], entry_id: str, entry: E, lease_s: float) -> ReportAnswer:
        given_s = given_lease_s(lease_s, self._settings)
        try:
            fresh = registry.renew(entry_id, entry, lease_s=given_s, now_s=self._clock.monotonic_s())
        except OverflowError as error:
            raise RegistryFull(str(error)) from error
        if fresh:
            _log.info("registered", id=entry_id, kind=type(entry).__name__)
        return ReportAnswer(lease_s=given_s)

    async def appliances(self, question: Nothing, /) -> ApplianceList:
        self._expire()
        alive = self._appliances.alive(self._clock.monotonic_s())
        return ApplianceList(appliances=tuple(Appliance(report=report, age_s=age_s) for report, age_s in alive))

    async def instances(self, question: Nothing, /) -> InstanceList:
        self._expire()
        return InstanceList(instances=tuple(instance for instance, _ in self._instances.alive(self._clock.monotonic_s())))

    async def drop(self, question: DropQuestion, /) -> Nothing:
        """An id that is not there is dropped already."""
        for registry in (self._appliances, self._instances):
            if registry.drop(question.id):
                _log.info("dropped", id=question.id)
        return Nothing()

    def _expire(self) -> None:
        now_s = self._clock.monotonic_s()
        for gone in (*self._appliances.expire(now_s), *self._instances.expire(now_s)):
            _log.warning("lease over", id=gone)


def _check(**fields: str) -> None:
    for name, value in fields.items():
        if not value or len(value) > NAME_MAX:
            raise BadReport(f"the report's {name} is {'empty' if not value else 'too long'}")
