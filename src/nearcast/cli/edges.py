"""``nearcast edges``: what each appliance sends, holds and fetches, and what is believed of its health."""

from __future__ import annotations

from collections.abc import Collection

import click

from nearcast.base.units import bytes_text
from nearcast.cli import reach, talk
from nearcast.model.health import ApplianceHealth
from nearcast.model.services import AppliancesQuestion, Discovery
from nearcast.model.site import Appliance, ApplianceReport
from nearcast.steering.view import View


@click.command("edges")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the appliances: state, load against the limit, connections, hit ratio, holdings, disk and fill."""
    found = reach.converse(lambda system: system.client(Discovery).appliances(AppliancesQuestion())).appliances
    if as_json:
        talk.answer_json(found)
        return
    view = believed()
    silent = [each for each in view.snapshot.appliances if each.id not in {one.report.id for one in found}]
    if not found and not silent:
        talk.say("no edge reports; `nearcast status` shows which were started")
        return
    head = ["edge", "site", "state", "sends>", "of limit>", "conns>", "hits>", "titles>", "held>", "disk>", "reactive>", "missing>"]
    rows = [_row(each, view.by_id.get(each.report.id)) for each in found]
    rows += [[each.id, each.site, health_text(each), *["-"] * (len(head) - 3)] for each in silent]
    talk.table(head, rows)
    for each in found:
        if each.report.problem:
            talk.say(f"{each.report.id}: {each.report.problem}")
    for one in view.snapshot.appliances:
        if one.why:
            talk.say(f"{one.id}: {one.why}")
    for line in from_within({each.report.site for each in found} | {each.site for each in silent}):
        talk.say(line)
    if view.snapshot.version and view.snapshot.source == "last-known":
        talk.say("health is as it was known last; `nearcast status` shows whether steer runs")


def from_within(sites: Collection[str]) -> list[str]:
    """Of those at which nobody outside looks, how they are judged."""
    from nearcast.system.settings import load

    known = load(reach.home()).steering.sites
    told = "is reached from its network alone: its reports and its neighbours there decide, not looks from outside"
    return [f"{each.name} {told}" for each in known if each.name in sites and each.reached_by == "isp"]


def believed() -> View:
    """The health view of this host; an empty one where nothing was published."""
    from nearcast.steering.health.published import ViewReader
    from nearcast.system.folders import view_folder

    reader = ViewReader(view_folder(reach.home()))
    try:
        return reader.view()
    finally:
        reader.close()


def hit_ratio(report: ApplianceReport) -> float | None:
    """Share of the bytes sent that did not have to be fetched for it, since the agent started; None where nothing was sent."""
    sent = report.placed_bytes_total + report.reactive_bytes_total + report.missed_bytes_total
    return (sent - report.missed_bytes_total) / sent if sent else None


def state_text(report: ApplianceReport) -> str:
    """``up``, or what is to be known beside: ``up, full``."""
    return report.state if report.load == "normal" else f"{report.state}, {report.load}"


def health_text(health: ApplianceHealth) -> str:
    """``up``, or what is to be known beside: ``up, full``, ``up, silent``."""
    words = [health.state, *([health.load] if health.load != "normal" else []), *([] if health.heard else ["silent"])]
    return ", ".join(words)


def _row(each: Appliance, health: ApplianceHealth | None) -> list[str]:
    report, hits = each.report, hit_ratio(each.report)
    return [
        report.id,
        report.site,
        health_text(health) if health else state_text(report),
        f"{report.sent_bps / 1e6:.1f} Mb/s",
        f"{100 * report.sent_bps / report.limit_bps:.0f} %" if report.limit_bps else "-",
        f"{report.connections}/{report.connections_max}",
        "-" if hits is None else f"{100 * hits:.1f} %",
        str(len(report.holdings)),
        bytes_text(report.held_bytes),
        f"{100 * report.held_bytes / report.capacity_bytes:.0f} %" if report.capacity_bytes else "-",
        bytes_text(report.reactive_bytes),
        bytes_text(report.missing_bytes) if report.missing_bytes else "-",
    ]
