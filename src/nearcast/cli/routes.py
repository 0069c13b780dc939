"""``nearcast routes``: where routes come from, why a viewer goes where they go, and who would move if routes changed."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from nearcast.base.errors import BadInput, Unavailable
from nearcast.cli import reach, talk
from nearcast.model.route import Announcement, Candidate
from nearcast.model.services import (
    Catalog,
    ExplainQuestion,
    Explanation,
    Nothing,
    PlannedGeography,
    PlannedIsp,
    Rehearsal,
    RehearseQuestion,
    Routing,
    RoutingStatus,
    TitleQuestion,
)

if TYPE_CHECKING:
    from nearcast.system.part import System

REHEARSE_TIMEOUT_S = 70.0
"""More than the service takes for it: it says itself that it gives up."""
KINDS = {"config": "configuration", "bgp": "BGP", "geographic": "geography"}
DEFAULTS = ("0.0.0.0/0", "::/0")


class BadAsPath(BadInput):
    """An AS path on the command line is none."""

    code = "NC0251"
    cure = 'give AS numbers, the ISP\'s own first: --as-path "64511 64999"'


@click.group("routes", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Which sites serve which viewers: the sources of routes, one viewer explained, a change rehearsed."""
    if context.invoked_subcommand is not None:
        return
    found = reach.converse(lambda system: system.client(Routing).status(Nothing()))
    if as_json:
        talk.answer_json(found)
    else:
        _tell_status(found)


@command.command("explain")
@click.argument("address")
@click.option("--title", "title_id", default="", metavar="ID", help="For this title: who holds it counts.")
@click.option("--count", type=click.IntRange(1, 16), default=3, show_default=True, help="How many appliances a session is given.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(address: str, title_id: str, count: int, as_json: bool) -> None:
    """Why a viewer at ADDRESS goes where they go: route, sites, appliances, and what was rejected."""

    async def ask(system: System) -> Explanation:
        if title_id:
            try:
                await system.client(Catalog).title(TitleQuestion(title_id=title_id))
            except Unavailable:
                talk.say(f"the catalog does not answer: whether there is a title {title_id} was not checked")
        return await system.client(Routing).explain(ExplainQuestion(address=address, title_id=title_id, count=count))

    found = reach.converse(ask)
    if as_json:
        talk.answer_json(found)
    else:
        _tell_explanation(found, title_id)


@command.command("diff")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[NEW.toml]")
@click.option("--announce", multiple=True, metavar="PREFIX", help="An ISP would announce this. May be given again.")
@click.option("--withdraw", multiple=True, metavar="PREFIX", help="An ISP would withdraw this. May be given again.")
@click.option("--isp", default="", metavar="NAME", help="Which ISP.")
@click.option("--site", default="", metavar="NAME", help="For this site alone; else for all of the ISP's.")
@click.option("--as-path", default="", metavar="NUMBERS", help='As the ISP would announce it: "64511 64999"; else the ISP alone.')
@click.option("--med", type=click.IntRange(0, 2**32 - 1), default=0, help="MED of what is announced.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=40, show_default=True, help="So many are listed, the largest first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(
    file: Path | None,
    announce: tuple[str, ...],
    withdraw: tuple[str, ...],
    isp: str,
    site: str,
    as_path: str,
    med: int,
    limit: int,
    as_json: bool,
) -> None:
    """Who would move with the sites, ISPs, geography and routes of NEW.toml, or with what an ISP plans. Nothing is changed."""
    if file is None and not announce and not withdraw:
        raise click.UsageError("nothing to compare with: give NEW.toml, --announce or --withdraw")
    if (announce or withdraw) and not isp:
        raise click.UsageError("--announce and --withdraw need --isp: who would say so")
    path = read_path(as_path)
    told = tuple(Announcement(prefix=each, site=site, source=isp, as_path=path, med=med) for each in announce)
    gone = tuple(Announcement(prefix=each, site=site, source=isp) for each in withdraw)
    plan = RehearseQuestion() if file is None else read_plan(file)
    question = replace(plan, announce=told, withdraw=gone, limit=limit)
    found = reach.converse(lambda system: system.client(Routing, timeout_s=REHEARSE_TIMEOUT_S).rehearse(question))
    if as_json:
        talk.answer_json(found)
    else:
        _tell_rehearsal(found, isp)


def read_path(text: str) -> tuple[int, ...]:
    """AS numbers between spaces or commas. Raises BadAsPath."""
    try:
        path = tuple(int(each) for each in text.replace(",", " ").split())
    except ValueError:
        raise BadAsPath(f"{text!r} is no AS path") from None
    if not all(0 < each < 2**32 for each in path):
        raise BadAsPath(f"{text!r} holds a number that no AS has")
    return path


def read_plan(file: Path) -> RehearseQuestion:
    """What of a configuration file moves viewers, with the options that the environment sets, as it would be in force.

    Raises BadConfiguration with every mistake of the whole file, UnreadableConfiguration.
    """
    from nearcast.system import settings

    found = settings.planned(reach.home(), file).steering
    return RehearseQuestion(
        sites=found.sites,
        isps=tuple(
            PlannedIsp(name=each.name, asn=each.asn, sites=each.sites, allow=each.allow, prefixes_max=each.prefixes_max)
            for each in found.isps
        ),
        asn=found.bgp.asn,
        geographic=PlannedGeography(mmdb=found.geographic.mmdb, blocks=found.geographic.blocks),
        routes=found.routes,
    )


# --- what is shown ----------------------------------------------------------------------------------------------------


def _tell_status(found: RoutingStatus) -> None:
    head = ["source", "kind", "state", "prefixes>", "refused>"]
    talk.table(head, [[each.name, KINDS[each.kind], each.state, f"{each.prefixes:,}", f"{each.refused:,}"] for each in found.sources])
    for each in found.sources:
        if each.problem:
            talk.say(f"{each.name}: {each.problem}")
        if each.last_refused:
            talk.say(f"{each.name}: last refused at {_utc(each.last_refused_at)}: {each.last_refused}")
    compiled = "" if not found.compiled_at else f", compiled {_when(found.compiled_at)}"
    changes = "no changes since" if not found.overlay else f"{found.overlay:,} prefixes changed since"
    talk.say(f"table {found.version}: {found.prefixes_ipv4:,} IPv4 and {found.prefixes_ipv6:,} IPv6 prefixes{compiled}, {changes}")
    health = found.health
    up = sum(each.state == "up" for each in health.appliances)
    old = "" if health.source == "live" else " (the last known: nobody renews it)"
    talk.say(f"health view {health.version}: {up} of {len(health.appliances)} appliances up{old}")


def _when(unix_s: float) -> str:
    return datetime.datetime.fromtimestamp(unix_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _utc(unix_s: float) -> str:
    return datetime.datetime.fromtimestamp(unix_s, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _tell_explanation(found: Explanation, title_id: str) -> None:
    talk.answer(headline(found, title_id))
    if found.last_known:
        talk.say("health or routes are the last known: the process steer does not renew them")
    if found.candidates:
        talk.answer("")
        head = ["site", "prefix", "told by", "AS path", "MED>", "distance>", "it stands here because"]
        talk.table(head, [_candidate(each) for each in found.candidates])
    if found.considered:
        talk.answer("")
        rows = [[each.appliance, each.site, each.verdict, each.why] for each in found.considered]
        talk.table(["appliance", "site", "verdict", "because"], rows)
    if found.note:
        talk.say(found.note)


def headline(found: Explanation, title_id: str) -> str:
    """The answer in a sentence."""
    who = found.address if found.counted_as == found.address else f"{found.address} (counted as {found.counted_as})"
    what = f" for {title_id}" if title_id else ""
    chosen = [each for each in found.considered if each.verdict == "chosen"]
    way = (
        "by the default route"
        if found.prefix in DEFAULTS
        else f"by the route {found.prefix}"
        if found.prefix
        else "though no route holds it"
    )
    if not chosen:
        return f"{who} goes nowhere{what}: there is no appliance that may serve it"
    first, *others = [f"{each.appliance} in {each.site}" for each in chosen]
    then = f", then {', '.join(others)}" if others else ""
    return f"{who} goes to {first}{what}, {way}{then}"


def _candidate(each: Candidate) -> list[str]:
    return [
        each.site,
        each.prefix,
        "configuration" if each.source == "config" else each.source,
        " ".join(map(str, each.as_path)) or "-",
        str(each.med) if each.as_path else "-",
        f"{each.distance_km:,.0f} km" if each.distance_km >= 0 else "-",
        each.why,
    ]


NO_ROUTE = "(no route)"


def _tell_rehearsal(found: Rehearsal, isp: str) -> None:
    for change in found.changes:
        talk.answer(change)
    for refused in found.refused:
        talk.answer(f"refused: {refused.why}" if refused.source == isp else f"refused, of {refused.source}: {refused.why}")
    _tell_more(found.refused_total - len(found.refused), "refused")
    for accepted in found.accepted:
        talk.answer(f"taken from now on, of {accepted.source}: {accepted.prefix}")
    _tell_more(found.accepted_total - len(found.accepted), "taken")
    if not found.moved:
        talk.answer("nobody would move")
        return
    head = ["would move", "room for>", "from", "to"]
    talk.table(
        head,
        [
            [each.prefix, room(each.prefix, each.addresses), ", ".join(each.before) or NO_ROUTE, ", ".join(each.after) or NO_ROUTE]
            for each in found.moved
        ],
    )
    more = found.moved_total - len(found.moved)
    count = "1 prefix" if found.moved_total == 1 else f"{found.moved_total:,} prefixes"
    talk.say(f"{count} would move" + (f"; {more:,} smaller ones are not listed (--limit)" if more else ""))
    if not all(each.before and each.after for each in found.moved):
        talk.say("whom no route holds is given any site that stands in no ISP's network, while there is one")


def _tell_more(count: int, what: str) -> None:
    if count > 0:
        talk.say(f"{count:,} more would be {what} that are not listed (--limit)")


def room(prefix: str, addresses: float) -> str:
    """``256 addresses``, or in IPv6 ``65,536 /64s``."""
    unit = "/64s" if ":" in prefix else "addresses"
    count = f"{addresses:,.0f}" if addresses >= 1 else f"{addresses:.2g}"
    return f"{count} {unit}"
