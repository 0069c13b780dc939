"""``nearcast fill``: which copies are to wait where, what moves for it, and how far it has come."""

from __future__ import annotations

import datetime
import sys
import time
from typing import TYPE_CHECKING

import click

from nearcast.base.errors import BadInput
from nearcast.base.units import bytes_text, duration_text
from nearcast.cli import reach, talk
from nearcast.model.fill import ApplianceFill, FillStatus, Pin, Plan, SiteMove
from nearcast.model.services import Nothing, PinQuestion, Planner, PlanQuestion

if TYPE_CHECKING:
    from rich.console import RenderableType

PLAN_TIMEOUT_S = 120.0
"""A placement of a thousand sites takes a minute."""
WATCH_S = 1.0
PLAIN_STEP = 10
"""A plain line is written each time that an appliance has come so many percent further."""


class BadTime(BadInput):
    """A time on the command line is none."""

    code = "NC0250"
    cure = (
        "give it as 2026-12-24T20:00 (in this machine's time zone), or with its offset, 2026-12-24T20:00+01:00; a date alone is its 00:00"
    )


def parse_time(text: str, zone: datetime.tzinfo) -> float:
    """Unix seconds of an ISO 8601 time; one without an offset is in ``zone``, a date alone its first moment. Raises BadTime."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise BadTime(f"{text!r} is not a time") from None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()


@click.group("fill")
def command() -> None:
    """Which copies wait where: plan it, run it, watch it, pin a launch."""


@command.command("plan")
@click.option("--titles", is_flag=True, help="List the titles that would come and go.")
@click.option("--apply/--dry-run", "commit", default=False, help="Make it the next generation, or (the default) only show it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(titles: bool, commit: bool, as_json: bool) -> None:
    """Work the placement out anew and show what would move where, how many bytes, and how long that takes."""
    _tell_plan(_ask_plan(PlanQuestion(changes=titles or as_json, commit=commit)), as_json)


@command.command("run")
@click.option("--now", "at_once", is_flag=True, help="Do not wait for the quiet hours of each site.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def run(at_once: bool, as_json: bool) -> None:
    """Work the placement out anew and have the appliances fill accordingly, in their quiet hours or at once."""
    _tell_plan(_ask_plan(PlanQuestion(changes=as_json, commit=True, at_once=at_once)), as_json)


@command.command("status")
@click.option("--watch", is_flag=True, help="Go on showing it until everything is in.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(watch: bool, as_json: bool) -> None:
    """How far each appliance is with what it is to hold."""
    if as_json and watch:
        raise click.UsageError("--watch and --json do not go together: ask for --json again and again")
    if as_json:
        talk.answer_json(_ask_status())
    elif watch:
        _watch() if _drawn() else _follow()
    else:
        _tell_status(_ask_status())


@command.command("pin")
@click.argument("title_id")
@click.option(
    "--by",
    "release",
    required=True,
    metavar="TIME",
    help="When it must be everywhere: 2026-12-24T20:00 in this machine's time zone, or with its offset, +01:00; a date alone is 00:00.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def pin(title_id: str, release: str, as_json: bool) -> None:
    """Have TITLE_ID on every site, whole, by a certain time: a launch."""
    release_at = parse_time(release, datetime.datetime.now().astimezone().tzinfo or datetime.UTC)
    if release_at < time.time():
        raise BadTime(f"{release} is over", hint="name a time to come; a title that is out already is filled by `nearcast fill run --now`")
    _tell_pins(_ask_pin(PinQuestion(title_id=title_id, release_at=release_at)), as_json)


@command.command("unpin")
@click.argument("title_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def unpin(title_id: str, as_json: bool) -> None:
    """Let TITLE_ID be placed by its popularity alone again."""
    _tell_pins(_ask_pin(PinQuestion(title_id=title_id)), as_json)


def _ask_plan(question: PlanQuestion) -> Plan:
    return reach.converse(lambda system: system.client(Planner, timeout_s=PLAN_TIMEOUT_S).plan(question))


def _ask_status() -> FillStatus:
    return reach.converse(lambda system: system.client(Planner).status(Nothing()))


def _ask_pin(question: PinQuestion) -> tuple[Pin, ...]:
    return reach.converse(lambda system: system.client(Planner).pin(question)).pins


def _tell_pins(pins: tuple[Pin, ...], as_json: bool) -> None:
    if as_json:
        talk.answer_json(pins)
    elif pins:
        talk.table(["pinned title", "on every site by"], [[each.title_id, _local(each.release_at)] for each in pins])
    else:
        talk.say("no title is pinned")


def _tell_plan(found: Plan, as_json: bool) -> None:
    if as_json:
        talk.answer_json(found)
        return
    moving = [each for each in found.sites if each.enter_bytes or each.inside_bytes or each.leave_bytes]
    if shown := [each for each in found.sites if each in moving or each.missing_bytes]:
        head = ["site", "in>", "from outside>", "inside>", "out>", "freed>", "takes>", "still missing>", "begins"]
        talk.table(head, [_site_row(each) for each in shown])
    if found.changes:
        talk.answer("")
        rows = [
            [each.appliance, each.title_id, each.name, _signed("+", each.in_bytes), _signed("-", each.out_bytes)] for each in found.changes
        ]
        talk.table(["appliance", "title", "name", "in>", "out>"], rows)
    talk.say(summary(found, len(moving)))


def summary(found: Plan, moving: int) -> str:
    """What a plan comes to, in a sentence."""
    state = f"generation {found.generation} is in force" if found.committed else f"generation {found.generation} would be the next"
    missing_bytes = sum(each.missing_bytes for each in found.sites)
    if missing_bytes:
        state += f"; {bytes_text(missing_bytes)} of the one before are still missing (`nearcast fill status`)"
    if not moving:
        return f"{state}; {'nothing else' if missing_bytes else 'nothing'} has to move at any of {len(found.sites)} sites"
    enter = sum(each.enter_bytes for each in found.sites)
    words = f"{state}; {bytes_text(enter)} into {moving} of {len(found.sites)} sites, {bytes_text(found.origin_bytes)} from the origin"
    return words if found.committed else f"{words}\nnothing was changed: `nearcast fill run` does it"


def _site_row(each: SiteMove) -> list[str]:
    return [
        each.site,
        _titles(each.titles_in),
        bytes_text(each.enter_bytes),
        bytes_text(each.inside_bytes),
        _titles(each.titles_out),
        bytes_text(each.leave_bytes),
        duration_text(each.seconds) if each.seconds else "-",
        bytes_text(each.missing_bytes) if each.missing_bytes else "-",
        f"in {duration_text(each.opens_in_s)}" if each.opens_in_s > 0 else "now",
    ]


def _titles(count: int) -> str:
    return "1 title" if count == 1 else f"{count} titles"


def _signed(sign: str, size_bytes: int) -> str:
    return f"{sign}{bytes_text(size_bytes)}" if size_bytes else ""


def _local(at: float) -> str:
    return datetime.datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M %Z")


def done_share(each: ApplianceFill) -> float:
    """How much of what is assigned is there, 0 to 1."""
    return max(0.0, 1 - each.missing_bytes / each.assigned_bytes) if each.assigned_bytes else 1.0


def share_text(each: ApplianceFill) -> str:
    """``55 %``; what is not all there is never 100 %, and what has begun never 0 %."""
    share = done_share(each)
    if each.missing_bytes <= 0:
        return "100 %"
    return "< 1 %" if 0 < share < 0.01 else f"{int(100 * share)} %"


def rate_text(rate_bps: float) -> str:
    return f"{rate_bps / 1e6:.1f} Mb/s" if rate_bps >= 1e5 else f"{rate_bps / 1e3:.1f} kb/s"


def state_text(each: ApplianceFill) -> str:
    """What the fill of an appliance does now, in words."""
    if each.problem:
        return each.problem
    if not each.missing_bytes:
        return "holds everything"
    if each.fill_bps:
        eta = "" if each.eta_s is None else f", {duration_text(each.eta_s)} left"
        return f"{rate_text(each.fill_bps)}{eta}"
    if each.window_open or each.urgent_bytes:
        return "waits for a source"
    return f"waits for its quiet hours, {duration_text(each.opens_in_s)}"


def _drawn() -> bool:
    """Bars are drawn where a person watches, and what is data goes to them."""
    return talk.interactive() and sys.stdout.isatty()


def _tell_status(found: FillStatus) -> None:
    rows = [
        [each.appliance, each.site, each.state, share_text(each), bytes_text(each.missing_bytes), state_text(each)]
        for each in found.appliances
    ]
    if rows and _drawn():
        from rich.console import Console

        Console().print(_bars(found))
    elif rows:
        talk.table(["edge", "site", "state", "filled>", "missing>", "now"], rows)
    talk.say(f"generation {found.generation} of {_local(found.made_at)}" if found.generation else "nothing has been placed yet")


def _bars(found: FillStatus) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("edge", "site", "", "filled", "to hold", "now"):
        table.add_column(head, justify="right" if head in {"filled", "to hold"} else "left")
    for each in found.appliances:
        bar = ProgressBar(total=1.0, completed=done_share(each), width=32)
        table.add_row(each.appliance, each.site, bar, share_text(each), bytes_text(each.assigned_bytes), state_text(each))
    return table


def _follow() -> None:
    """A line for each step of an appliance, until nothing is missing: for logs and pipes."""
    told: dict[str, int] = {}
    while True:
        found = _ask_status()
        for each in found.appliances:
            step = int(100 * done_share(each)) // PLAIN_STEP
            if told.get(each.appliance) != step:
                told[each.appliance] = step
                talk.answer(f"{each.appliance}: {share_text(each)}, {state_text(each)}")
        if not any(each.missing_bytes for each in found.appliances):
            return
        time.sleep(WATCH_S)


def _watch() -> None:
    """Redrawn each second until nothing is missing."""
    from rich.live import Live

    with Live(_bars(found := _ask_status()), refresh_per_second=4) as live:
        while any(each.missing_bytes for each in found.appliances):
            time.sleep(WATCH_S)
            found = _ask_status()
            live.update(_bars(found))
