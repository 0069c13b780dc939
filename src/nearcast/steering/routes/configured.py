"""Routes of the configuration: each says which sites serve a prefix, best first."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator

from nearcast.model.route import Announcement, Route
from nearcast.steering.routes.prefix import BadRoute, parse_prefix


def spread(routes: Iterable[Route], sites: Collection[str]) -> Iterator[Announcement]:
    """Each route as one announcement for each of its sites; ``sites`` are the names that there are. Raises BadRoute."""
    seen = set()
    for route in routes:
        prefix = parse_prefix(route.prefix)
        if prefix in seen:
            raise BadRoute(f"the prefix {prefix} has two routes", hint="join them into one, with the sites in order")
        seen.add(prefix)
        if not route.sites:
            raise BadRoute(f"the route for {route.prefix} names no site")
        if len(set(route.sites)) < len(route.sites):
            raise BadRoute(f"the route for {route.prefix} names a site twice", hint="name each once, the best first")
        for order, site in enumerate(route.sites):
            if site not in sites:
                raise BadRoute(f"the route for {route.prefix} names the site {site!r}, which does not exist", hint=close_to(site, sites))
            yield Announcement(prefix=str(prefix), site=site, order=order)


def close_to(name: str, known: Collection[str]) -> str:
    """A hint for who misspelt a name."""
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}"
