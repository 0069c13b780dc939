"""What machines ask of the gateway itself: whether it lives, how it does, and what it takes."""

from __future__ import annotations

from nearcast.base.metrics import CONTENT_TYPE
from nearcast.control.gateway.address import networks, parsed, within
from nearcast.control.gateway.bodies import Health
from nearcast.control.gateway.call import Call
from nearcast.control.gateway.errors import MetricsElsewhere
from nearcast.control.gateway.routes import Route
from nearcast.control.gateway.wire import JSON, Answer


async def health(call: Call) -> Health:
    return Health()


async def metrics(call: Call) -> Answer:
    readers = networks(call.gateway.settings.metrics_from)
    if not within(parsed(call.client_address), readers):
        raise MetricsElsewhere("metrics are not for this address")
    return Answer(body=(await call.gateway.exposition()).encode(), media_type=CONTENT_TYPE)


async def openapi(call: Call) -> Answer:
    return Answer(body=call.gateway.document(), media_type=JSON, headers={"cache-control": "no-cache"})


ROUTES = (
    Route(method="GET", path="/healthz", handler=health, summary="Whether the gateway lives"),
    Route(
        method="GET",
        path="/metrics",
        handler=metrics,
        summary="Prometheus metrics of all processes",
        media_type="text/plain",
        errors=(403,),
    ),
    Route(method="GET", path="/openapi.json", handler=openapi, summary="This API as an OpenAPI 3.1 document"),
)
