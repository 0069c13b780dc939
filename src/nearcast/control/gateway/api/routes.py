"""What operators ask of the routes: where they come from, why a viewer goes where they go, and who would move if they changed."""

from __future__ import annotations

from nearcast.base.errors import Unavailable
from nearcast.control.gateway.bodies import ExplainQuery, RehearseBody
from nearcast.control.gateway.call import Call
from nearcast.control.gateway.routes import Route
from nearcast.model.route import Announcement
from nearcast.model.route import Route as Planned
from nearcast.model.services import ExplainQuestion, Explanation, Nothing, Rehearsal, RehearseQuestion, RoutingStatus, TitleQuestion


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
    routes = None if body.routes is None else tuple(Planned(prefix=each.prefix, sites=each.sites) for each in body.routes)
    question = RehearseQuestion(
        routes=routes,
        announce=tuple(_announcement(each.prefix, each.isp, each.site, each.as_path, each.med) for each in body.announce),
        withdraw=tuple(_announcement(each.prefix, each.isp, each.site) for each in body.withdraw),
        limit=body.limit,
    )
    return await call.clients.routing.rehearse(question)


def _announcement(prefix: str, isp: str, site: str, as_path: tuple[int, ...] = (), med: int = 0) -> Announcement:
    return Announcement(prefix=prefix, site=site, source=isp, as_path=as_path, med=med)


ROUTES = (
    Route(method="GET", path="/api/v1/routes", handler=status, summary="Where routes come from, and the health view", role="admin"),
    Route(
        method="GET",
        path="/api/v1/routes/explain",
        handler=explain,
        summary="Why a viewer at an address goes where they go",
        role="admin",
        errors=(404,),
    ),
    Route(
        method="POST",
        path="/api/v1/routes/rehearse",
        handler=rehearse,
        summary="Who would move if routes changed",
        role="admin",
        errors=(404, 409, 413),
    ),
)
