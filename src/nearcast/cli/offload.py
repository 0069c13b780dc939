"""``nearcast offload``: what the copies near the viewers spared the origin, and the links of those who host them."""

from __future__ import annotations

import click

from nearcast.base.units import bytes_text
from nearcast.cli import reach, talk
from nearcast.model.services import Insight, OffloadQuestion
from nearcast.model.traffic import OffloadReport, SiteOffload

CAUSES = {
    "content": "nobody at the site was to hold it",
    "health": "who held it there was down, draining or in repair",
    "overload": "who held it there was full",
    "other": "a holder was there",
}


@click.command("offload")
@click.option("--days", type=click.IntRange(1, 60), default=1, show_default=True, help="Days to look back on, today among them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(days: int, as_json: bool) -> None:
    """Report where the bytes came from, by site, why some were not placed, the origin's share, and the bandwidth that each site saved."""
    found = reach.converse(lambda system: system.client(Insight).offload(OffloadQuestion(days=days)))
    if as_json:
        talk.answer_json(found)
        return
    if not found.sent_bytes:
        talk.say("nothing was sent to viewers in this time")
    if found.sites:
        head = ["site", "tier", "sent>", "placed>", "reactive>", "missed>", "filled>", "link saved>"]
        talk.table(head, [_row(each) for each in found.sites])
    if found.sent_bytes:
        talk.answer("")
        rows = [[name, bytes_text(size), percent(size, found.sent_bytes)] for name, size in by_tier(found).items()]
        talk.table(["served from", "bytes>", "share>"], rows)
    causes = miss_causes(found)
    if causes:
        talk.answer("")
        total = sum(causes.values())
        rows = [[cause, bytes_text(size), percent(size, total), CAUSES.get(cause, "")] for cause, size in causes.items()]
        talk.table(["not placed", "bytes>", "share>", "because (reactive hits and misses alike)"], rows)
    if found.flows:
        talk.answer("")
        head = ["generation>", "site", "from peers>", "from the tier>", "from the origin>", "most often>"]
        talk.table(
            head,
            [
                [
                    str(each.generation),
                    each.site,
                    bytes_text(each.peer_bytes),
                    bytes_text(each.tier_bytes),
                    bytes_text(each.origin_bytes),
                    f"{each.most_times:.2f} ×",
                ]
                for each in found.flows
            ],
        )
    if found.sent_bytes:
        spared = found.sent_bytes - found.origin_bytes
        talk.say(f"{f'offload {percent(spared, found.sent_bytes)}' if spared >= 0 else 'no offload yet'}: {_origin(found)}")


def by_tier(found: OffloadReport) -> dict[str, int]:
    """Bytes sent to viewers by where they lay. What was missed was had from the exchange, unless the origin had to send it."""
    missed = sum(each.missed_bytes for each in found.sites)
    origin = min(missed, sum(each.origin_bytes for each in found.sites))
    return {
        "the edge, placed": sum(each.placed_bytes for each in found.sites),
        "the edge, reactive": sum(each.reactive_bytes for each in found.sites),
        "the exchange": missed - origin,
        "the origin": origin,
    }


def miss_causes(found: OffloadReport) -> dict[str, int]:
    """Bytes of all sites that were not placed where they were asked for, kept there from a miss or not, by cause, the largest first."""
    causes: dict[str, int] = {}
    for site in found.sites:
        for cause, size_bytes in site.misses.items():
            causes[cause] = causes.get(cause, 0) + size_bytes
    return dict(sorted(causes.items(), key=lambda each: (-each[1], each[0])))


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _origin(found: OffloadReport) -> str:
    days = "today" if found.days == 1 else f"in {found.days} days"
    return f"{bytes_text(found.origin_bytes)} left the origin for {bytes_text(found.sent_bytes)} sent to viewers {days}"


def _row(each: SiteOffload) -> list[str]:
    return [
        each.site,
        each.tier,
        bytes_text(each.sent_bytes),
        percent(each.placed_bytes, each.sent_bytes),
        percent(each.reactive_bytes, each.sent_bytes),
        percent(each.missed_bytes, each.sent_bytes),
        bytes_text(each.filled_bytes),
        _saved(each),
    ]


def _saved(each: SiteOffload) -> str:
    """Less than nothing where the fill has brought more than was asked for yet, of which a percentage says nothing."""
    saved = bytes_text(each.saved_bytes)
    return f"{saved} ({percent(each.saved_bytes, each.sent_bytes)})" if each.saved_bytes >= 0 else saved
