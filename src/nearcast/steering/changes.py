"""What a plan changes of sites and ISPs, in sentences, as far as it can move a viewer. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from nearcast.model.site import Site
from nearcast.steering.settings import SteeringSettings


def site_changes(before: Sequence[Site], after: Sequence[Site]) -> Iterator[str]:
    """Sites that come, go, or stand elsewhere."""
    old, new = {each.name: each for each in before}, {each.name: each for each in after}
    yield from (f"the site {name} goes" for name in old if name not in new)
    yield from (f"the site {name} comes" for name in new if name not in old)
    for name in (each for each in old if each in new):
        one, other = old[name], new[name]
        for what, was, will in (
            ("stands in the network of", one.isp or "no ISP", other.isp or "no ISP"),
            ("is in", f"the zone {one.zone}" if one.zone else "no zone", f"the zone {other.zone}" if other.zone else "no zone"),
            ("stands", _place(one), _place(other)),
        ):
            if was != will:
                yield f"the site {name} {what} {will} instead of {was}"
        if one.parents != other.parents:
            will, was = (", ".join(each.parents) or "the origin" for each in (other, one))
            yield f"the site {name} fills from {will} instead of {was}: who asks for what it lacks may move, which is not compared"


def isp_changes(before: SteeringSettings, after: SteeringSettings, planned: Collection[str] = ()) -> Iterator[str]:
    """ISPs that come, go, may announce other prefixes, or are served by other sites. ``planned``: those whose announcements are."""
    if before.bgp.asn != after.bgp.asn:
        none = "" if after.bgp.asn else ": no BGP sessions are taken"
        yield f"our own AS number is {after.bgp.asn} instead of {before.bgp.asn}{none}"
    old, new = {each.name: each for each in before.isps}, {each.name: each for each in after.isps}
    yield from (f"the ISP {name} goes, with all that it announces" for name in old if name not in new)
    for name in (each for each in new if each not in old):
        if name in planned:
            yield f"the ISP {name} comes: compared is what it is planned to announce; what it will is known once its session is up"
        else:
            yield f"the ISP {name} comes: what it announces is known once its session is up, and compared as far as it is planned"
    for name in (each for each in old if each in new):
        one, other = old[name], new[name]
        for what, was, will in (
            ("has the AS number", str(one.asn), str(other.asn)),
            ("is served by", ", ".join(one.sites) or "no site", ", ".join(other.sites) or "no site"),
            ("may announce at most", _prefixes(one.prefixes_max), _prefixes(other.prefixes_max)),
        ):
            if was != will:
                yield f"the ISP {name} {what} {will} instead of {was}"
        for word, found in (("also", {*other.allow} - {*one.allow}), ("no longer", {*one.allow} - {*other.allow})):
            if found:
                yield f"the ISP {name} may {word} announce {', '.join(sorted(found))}"


def _place(site: Site) -> str:
    return "nowhere in particular" if site.latitude is None else f"at {site.latitude}° north, {site.longitude}° east"


def _prefixes(count: int) -> str:
    return "1 prefix" if count == 1 else f"{count:,} prefixes"
