"""Settings of the gateway: whom it believes, and what it lets in."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class GatewaySettings(Struct, frozen=True, kw_only=True):
    """The front door for browsers and scripts."""

    public_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^/?#]+)?$",
            description="how browsers reach the gateway, as https://films.example.org; empty: as each request says in its Host header",
        ),
    ] = ""
    proxies: Annotated[
        tuple[str, ...],
        Meta(description="addresses or networks of proxies in front; only from them X-Forwarded-For and X-Forwarded-Proto are believed"),
    ] = ()
    content_origins: Annotated[
        tuple[str, ...],
        Meta(
            description="origins besides its own from which the page may fetch, as https://*.edges.example.org; empty: public_url,"
            " uploads and every edge that is known, or any http or https origin while none is, or more than 100 are"
        ),
    ] = ()
    metrics_from: Annotated[tuple[str, ...], Meta(description="addresses or networks that may read /metrics")] = ("127.0.0.0/8", "::1/128")
    body_max_bytes: Annotated[int, Meta(ge=1024, description="largest request body that is taken, but for plans of routes (8 MB)")] = (
        1 << 20
    )
    timeout_s: Annotated[float, Meta(gt=0, description="how long services have to answer one request, long polls apart")] = 10.0
    account_cache_s: Annotated[
        float, Meta(ge=0, description="how long it is kept that a sign-in still counts; a revoked one ends after so long")
    ] = 3.0
    picture_cache_bytes: Annotated[int, Meta(ge=0, description="memory for posters and thumbnails")] = 16 << 20
    publication_cache_s: Annotated[float, Meta(ge=0, description="how long it is kept which pictures a title has")] = 5.0
