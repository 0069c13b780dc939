"""What operators ask of the routes: where they come from, why a viewer goes where they go, and who would move if they changed."""

from __future__ import annotations

import time

import msgspec

from nearcast.base import context
from nearcast.base.errors import Unavailable
from nearcast.control.gateway.bodies import ExplainQuery, RehearseBody
from nearcast.control.gateway.call import Call
from nearcast.control.gateway.routes import for_admins
from nearcast.model.route import Announcement
from nearcast.model.services import ExplainQuestion, Explanation, Nothing, Rehearsal, RehearseQuestion, RoutingStatus, TitleQuestion

REHEARSE_S = 70.0
"""More than the service takes for it, which says itself that it gives up; a browser waits longer still."""

REHEARSE_BYTES_MAX = 8 << 20
"""100,000 routes have 6 MB; ``rpc`` carries 16."""


async def status(call: Call) -> RoutingStatus:
    return await call.clients.routing.status(Nothing())


async def explain(call: Call, query: ExplainQuery) -> Explanation:
    if query.title_id:
        await _there(call, query.title_id)
    return await call.clients.routing.explain(ExplainQuestion(address=query.address, title_id=query.title_id, count=query.count))


async def _there(call: Call, title_id: str) -> None:
    """Raises NotFound for a title that there is none of; a catalog that does not answer stops no explanation."""
    try:
        await call.clients.catalog.title(TitleQuestion(title_id=title_id))
    except Unavailable:
        return


async def rehearse(call: Call, body: RehearseBody) -> Rehearsal:
    context.deadline_s.set(time.monotonic() + REHEARSE_S)  # a whole table takes longer than requests have
    planned = {name: getattr(body, name) for name in ("sites", "isps", "asn", "geographic", "routes", "limit")}
    question = msgspec.structs.replace(
        msgspec.convert(planned, RehearseQuestion, from_attributes=True),
        announce=tuple(_announcement(each.prefix, each.isp, each.site, each.as_path, each.med) for each in body.announce),
        withdraw=tuple(_announcement(each.prefix, each.isp, each.site) for each in body.withdraw),
    )
    return await call.clients.routing.rehearse(question)


def _announcement(prefix: str, isp: str, site: str, as_path: tuple[int, ...] = (), med: int = 0) -> Announcement:
    return Announcement(prefix=prefix, site=site, source=isp, as_path=as_path, med=med)


_PATH = "/api/v1/routes"

ROUTES = (
    for_admins("GET", _PATH, status, "Where routes come from, and the health view"),
    for_admins("GET", f"{_PATH}/explain", explain, "Why a viewer at an address goes where they go", errors=(404,)),
    for_admins(
        "POST",
        f"{_PATH}/rehearse",
        rehearse,
        "Who would move if sites, ISPs or routes changed; the plan may have 8 MB",
        errors=(404, 409, 413),
        body_bytes_max=REHEARSE_BYTES_MAX,
    ),
)
