"""All routes of the HTTP API, by group, in the order in which the reference lists them."""

from __future__ import annotations

from nearcast.control.gateway.api import admin, playing, routes, sign_in, system, titles
from nearcast.control.gateway.routes import Route

GROUPS: dict[str, tuple[Route, ...]] = {
    "Signing in": sign_in.ROUTES,
    "Titles": titles.ROUTES,
    "Playing": playing.ROUTES,
    "Administration": admin.ROUTES,
    "Routes": routes.ROUTES,
    "System": system.ROUTES,
}
ROUTES: tuple[Route, ...] = tuple(route for group in GROUPS.values() for route in group)
