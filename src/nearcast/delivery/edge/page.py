"""An appliance's own page: one HTML document that needs nothing from anywhere else and fetches itself anew every other second. Pure."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Sequence
from html import escape

from nearcast.base.units import bytes_text, duration_text
from nearcast.delivery.edge.misses import Miss
from nearcast.delivery.edge.status import Copying, Sample, Status, Trouble

_COMMAND = re.compile(r"`([^`]+)`")
STYLE = """
:root { color-scheme: dark; --night: #0b0a0c; --night-1: #131114; --night-2: #1b181c; --night-3: #2a262b; --ivory: #f6f1ea;
  --ivory-2: #c9c1b9; --ivory-3: #978e88; --ember: #ff7a3d; --good: #6fd08c; --warn: #ffc857; --bad: #ff6a6a; --blue: #7fb4ff; }
* { box-sizing: border-box; margin: 0; }
[hidden] { display: none !important; }
body { background: var(--night); color: var(--ivory); font: 15px/1.5 "Avenir Next", "Segoe UI", Roboto, "Helvetica Neue",
  "Liberation Sans", Arial, sans-serif; padding: 2.25rem clamp(1rem, 4vw, 3rem) 3rem; font-variant-numeric: tabular-nums; }
main { max-width: 72rem; margin: 0 auto; display: grid; gap: 1.25rem; grid-template-columns: repeat(12, 1fr); }
header { grid-column: 1 / -1; display: flex; flex-wrap: wrap; align-items: baseline; gap: .35rem 1rem; padding-bottom: .25rem; }
h1 { font-size: 1.9rem; font-weight: 600; letter-spacing: -.02em; }
header p { color: var(--ivory-3); }
header .end { margin-left: auto; }
.pill { display: inline-flex; align-items: center; gap: .5rem; padding: .15rem .75rem; border-radius: 99px; background: var(--night-2);
  font-size: .87rem; align-self: center; }
.pill::before { content: ""; width: .55rem; height: .55rem; border-radius: 50%; background: var(--dot, var(--good)); }
section { background: var(--night-1); border-radius: 14px; padding: 1.15rem 1.35rem 1.3rem; grid-column: span 12; min-width: 0;
  overflow-wrap: anywhere; }
@media (min-width: 60rem) { .w4 { grid-column: span 4; } .w5 { grid-column: span 5; } .w6 { grid-column: span 6; }
  .w7 { grid-column: span 7; } .w8 { grid-column: span 8; } }
h2 { font-size: .82rem; font-weight: 500; color: var(--ivory-3); margin-bottom: .75rem; display: flex; justify-content: space-between;
  gap: 1rem; }
h2 span { color: var(--ivory-3); font-weight: 400; }
.figure { font-size: 1.85rem; font-weight: 600; letter-spacing: -.02em; line-height: 1.2; }
.figure small { font-size: .95rem; font-weight: 400; color: var(--ivory-3); letter-spacing: 0; margin-left: .3rem; }
.note { color: var(--ivory-3); font-size: .87rem; }
.row { margin-top: .85rem; }
.bar { height: 8px; border-radius: 4px; background: var(--night-3); overflow: hidden; display: flex; margin: .4rem 0 .3rem; }
td .bar { margin: 0; }
.bar i { display: block; height: 100%; background: var(--fill, var(--ember)); }
.split { display: flex; justify-content: space-between; gap: 1rem; }
svg { display: block; width: 100%; height: 110px; overflow: visible; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
td, th { text-align: left; padding: .28rem .9rem .28rem 0; font-weight: 400; white-space: nowrap; }
th { color: var(--ivory-3); font-size: .82rem; }
td.n, th.n { text-align: right; padding-right: 0; }
td.wide { width: 99%; overflow: hidden; text-overflow: ellipsis; max-width: 0; }
code { font: .86em ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; color: var(--ivory-2); }
.trouble { grid-column: 1 / -1; background: #2a150d; border-left: 3px solid var(--ember); }
.trouble p + p { margin-top: .6rem; }
.trouble b { font-weight: 600; }
.key { display: flex; flex-wrap: wrap; gap: .25rem 1.2rem; margin-top: .6rem; font-size: .87rem; color: var(--ivory-2); }
.key span::before { content: ""; display: inline-block; width: .6rem; height: .6rem; border-radius: 2px; background: var(--dot);
  margin-right: .45rem; }
footer { grid-column: 1 / -1; color: var(--ivory-3); font-size: .82rem; display: flex; gap: 1.25rem; }
a { color: var(--ivory-2); }
"""
SCRIPT = """
setInterval(async () => {
  const lost = document.getElementById('lost');
  try {
    const page = new DOMParser().parseFromString(await (await fetch('/', {cache: 'no-store'})).text(), 'text/html');
    document.querySelector('main').replaceWith(page.querySelector('main'));
    lost.hidden = true;
  } catch { lost.hidden = false; }
}, 2000);
"""
DOTS = {"up": "var(--good)", "draining": "var(--warn)", "down": "var(--bad)"}
STATES = {"up": "serving", "draining": "draining: nobody new is sent here", "down": "nginx does not answer"}
LOADS = {"normal": "", "high": "Players are asked to take less.", "full": "It is full."}
KINDS = {
    "peer": ("from peers", "var(--good)"),
    "tier": ("from the tier above", "var(--blue)"),
    "origin": ("from the origin", "var(--ember)"),
}
CAUSES = {
    "content": "not to be held at this site",
    "health": "who holds it here is down or in repair",
    "overload": "who holds it here is over its limit",
    "other": "none of these, or not known",
}


def render(status: Status, nonce: str) -> str:
    """The whole document. ``nonce``: what the Content-Security-Policy of the answer lets the script run by."""
    cards = [
        _header(status),
        _troubles(status.troubles),
        _throughput(status),
        _hits(status),
        _fill(status),
        _disk(status),
        _misses(status),
        _upkeep(status),
        _top(status),
        _footer(status),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(status.report.id)} · Nearcast edge</title><style>{STYLE}</style>"
        '<noscript><meta http-equiv="refresh" content="5"></noscript></head><body>'
        f"<main>{''.join(cards)}</main>"
        '<p id="lost" class="pill" style="--dot: var(--bad); position: fixed; right: 1.5rem; bottom: 1.5rem" hidden>'
        "The agent does not answer; films are served on. What is shown is old.</p>"
        f'<script nonce="{nonce}">{SCRIPT}</script></body></html>'
    )


def rate_text(bps: float) -> str:
    """``1.25 Gb/s``: bits, powers of ten, as links are sold."""
    for unit in ("b/s", "kb/s", "Mb/s"):
        if abs(bps) < 999.5:
            return f"{bps:.0f} {unit}" if bps >= 100 or unit == "b/s" else f"{bps:.1f} {unit}"
        bps /= 1000
    return f"{bps:.2f} Gb/s"


def spark(samples: Sequence[Sample], limit_bps: float, width: int = 600, height: int = 100) -> str:
    """Sent (area) and filled (line) over the last minutes; the limit as a dashed line where the figures come near it."""
    if len(samples) < 2:
        return '<p class="note">The first minutes are being measured.</p>'
    most = max(1.0, *(max(each.sent_bps, each.fill_bps) for each in samples))
    top = limit_bps if 0 < limit_bps < 3 * most else 1.15 * most
    top = max(top, 1.05 * most)
    step = width / (len(samples) - 1)

    def points(values: Iterable[float]) -> str:
        return " ".join(f"{index * step:.1f},{height - height * value / top:.1f}" for index, value in enumerate(values))

    sent, filled = points(each.sent_bps for each in samples), points(each.fill_bps for each in samples)
    line = f'<line x1="0" x2="{width}" y1="{height - height * limit_bps / top:.1f}" y2="{height - height * limit_bps / top:.1f}" stroke="var(--ivory-3)" stroke-dasharray="4 5" vector-effect="non-scaling-stroke"/>'  # noqa: E501
    return (
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" aria-label="Throughput of the last minutes">'
        f'<polygon points="0,{height} {sent} {width},{height}" fill="var(--ember)" fill-opacity=".16"/>'
        f'<polyline points="{sent}" fill="none" stroke="var(--ember)" stroke-width="2" vector-effect="non-scaling-stroke"/>'
        f'<polyline points="{filled}" fill="none" stroke="var(--blue)" stroke-width="1.5" vector-effect="non-scaling-stroke"/>'
        f"{line if 0 < limit_bps <= top else ''}</svg>"
    )


def _header(status: Status) -> str:
    report = status.report
    address = escape(report.address)
    return (
        f'<header><h1>{escape(report.id)}</h1><span class="pill" style="--dot: {DOTS[report.state]}">{STATES[report.state]}</span>'
        f'<p>{escape(report.site)}</p><p class="end"><code>{address}</code></p></header>'
    )


def _troubles(troubles: Sequence[Trouble]) -> str:
    if not troubles:
        return ""
    rows = [
        f"<p><b>{_sentence(each.message)}</b> {f'<code>{each.code}</code>' if each.code else ''}"
        f'<br><span class="note">{_sentence(each.hint)}</span></p>'
        for each in troubles
    ]
    return f'<section class="trouble">{"".join(rows)}</section>'


def _sentence(text: str) -> str:
    """With a capital, a full stop, and commands set apart."""
    whole = escape(text[:1].upper() + text[1:] + ("" if text.endswith(".") else "."))
    return _COMMAND.sub(r"<code>\1</code>", whole)


def _throughput(status: Status) -> str:
    report = status.report
    limit = f"of {rate_text(report.limit_bps)}" if report.limit_bps else "no limit known"
    said = LOADS[report.load]
    if status.refused_sixteenths:
        said += f" {status.refused_sixteenths} of 16 playbacks are sent elsewhere."
    minutes = max(1, round(len(status.samples) / 60))
    return _card(
        "w8",
        "Throughput",
        f'<p class="figure">{rate_text(report.sent_bps)}<small>{limit}</small></p>'
        f'<p class="note">{report.connections:,} of {report.connections_max:,} connections. {said}</p>'
        f'<div class="row">{spark(status.samples, report.limit_bps)}</div>'
        '<div class="key"><span style="--dot: var(--ember)">sent to viewers</span><span style="--dot: var(--blue)">filled</span></div>',
        f"last {minutes} min",
    )


def _hits(status: Status) -> str:
    report, ratio = status.report, status.hit_ratio
    parts = [
        ("placed", report.placed_bytes_total, "var(--good)"),
        ("kept from misses", report.reactive_bytes_total, "var(--blue)"),
        ("from above", report.missed_bytes_total, "var(--ember)"),
    ]
    total = sum(size for _, size, _ in parts)
    counted = f"{_many(report.requests_total, 'request')}, {_many(report.errors_total, 'error')}"
    rows = "".join(_line(name, bytes_text(size)) for name, size, _ in parts)
    return _card(
        "w4",
        "Served from here",
        f'<p class="figure">{f"{100 * ratio:.1f} %" if ratio is not None else "–"}<small>of {bytes_text(total)}</small></p>'
        f"{_bar((size / total if total else 0, colour) for _, size, colour in parts)}<table>{rows}</table>"
        f'<p class="note row">{counted}, {status.refused:,} refused for load</p>',
        "since the agent started",
    )


def _fill(status: Status) -> str:
    report, filling = status.report, status.filling
    assigned = filling.assigned_bytes
    share = (assigned - report.missing_bytes) / assigned if assigned else 1.0
    if not assigned:
        said = "Nothing is assigned yet."
    elif not filling.files_missing:
        said = "Everything that it is to hold is here."
    else:
        are = "is" if filling.files_missing == 1 else "are"
        said = f"{_many(filling.files_missing, 'file')}, {bytes_text(report.missing_bytes)}, {are} missing."
    pace = f"at {rate_text(report.fill_bps)}" + (f" of {rate_text(filling.rate_bps)}" if filling.rate_bps else "")
    copies = "".join(_copying(each) for each in filling.copying)
    kinds = "".join(
        f'<span style="--dot: {KINDS[kind][1]}">{bytes_text(size)} {KINDS[kind][0]}</span>' for kind, size in filling.by_kind.items()
    )
    return _card(
        "w7",
        "Fill",
        f'<p class="figure">{_percent(share)}'
        f"<small>of {bytes_text(assigned)}, generation {report.generation}</small></p>"
        f"{_bar([(share, 'var(--good)')])}"
        f'<p class="note">{said} {pace[:1].upper() + pace[1:] + "." if filling.copying else ""}</p>'
        f"{f'<table class=row>{copies}</table>' if copies else ''}"
        f"{f'<div class=key>{kinds}</div>' if kinds else ''}",
        _window(status),
    )


def _window(status: Status) -> str:
    filling = status.filling
    turns = f" for {_span(filling.window_turns_s)}" if filling.window_turns_s is not None else ""
    if filling.window_open:
        return f"window open{turns}" if turns else "no window to wait for"
    opens = f", opens in {_span(filling.window_turns_s)}" if filling.window_turns_s is not None else ""
    return f"window closed{opens}: urgent files only"


def _copying(copying: Copying) -> str:
    share = copying.done_bytes / copying.size_bytes if copying.size_bytes else 0
    name = f"{escape(copying.title_id)} <code>{escape(copying.file[:8])}….{escape(copying.file.rpartition('.')[2])}</code>"
    return (
        f'<tr><td class="wide">{name}</td><td>{escape(copying.source) or "asking"}</td>'
        f'<td class="n">{100 * share:.0f} % of {bytes_text(copying.size_bytes)}</td></tr>'
    )


def _disk(status: Status) -> str:
    report = status.report
    rows = []
    for name, used, room, colour, note in (
        ("Placed", report.held_bytes, status.placed_capacity_bytes, "var(--good)", _many(status.titles_held, "title")),
        ("Reactive", report.reactive_bytes, status.reactive_capacity_bytes, "var(--blue)", f"{escape(status.leader)} decides what goes"),
    ):
        rows.append(
            f'<div class="row"><div class="split"><span>{name}</span>'
            f'<span>{bytes_text(used)} <span class="note">of {bytes_text(room)}</span></span></div>'
            f"{_bar([(used / room if room else 0, colour)])}<p class='note'>{note}</p></div>"
        )
    return _card("w5", "Disk", "".join(rows), f"{bytes_text(report.disk_free_bytes)} free")


def _misses(status: Status) -> str:
    total = sum(status.misses.values())
    rows = "".join(
        f'<tr><td>{cause}</td><td class="wide note">{CAUSES[cause]}</td><td class="n">{status.misses.get(cause, 0):,}</td></tr>'
        for cause in CAUSES
    )
    last = "".join(_miss(each) for each in status.last_misses)
    recent = f'<table class="row"><tr><th>at</th><th>title</th><th>cause</th><th>from</th><th class="n">bytes</th></tr>{last}</table>'
    return _card("w7", "Misses by cause", f"<table>{rows}</table>{recent if last else ''}", _many(total, "request"))


def _miss(miss: Miss) -> str:
    return (
        f"<tr><td>{_clock(miss.at)}</td><td class='wide'>{escape(miss.title)} <code>{escape(miss.file[:8])}</code></td>"
        f'<td>{miss.cause}</td><td>{escape(miss.parent) or "–"}</td><td class="n">{bytes_text(miss.bytes)}</td></tr>'
    )


def _upkeep(status: Status) -> str:
    scrub = status.scrub
    bar = _bar([(scrub.share, "var(--good)")]) if scrub.enabled else ""
    if not scrub.enabled:
        said = "Switched off (scrub_bps is 0)."
    elif not scrub.began_at:
        said = "Nothing was placed yet that could be read again."
    else:
        began = f"{_clock(scrub.began_at)} UTC"
        said = f"The pass that began at {began} has read all that was placed." if scrub.done else f"Under way since {began}."
    rows = [
        ("read again and verified", bytes_text(scrub.read_bytes)),
        ("damaged, and healed", f"{scrub.damaged:,}, {scrub.repaired:,}"),
        ("foreign files taken away", f"{scrub.foreign:,}"),
        ("wrong slices of a parent, exposures", f"{status.wrong_slices:,}, {status.exposures:,}"),
        ("nginx started anew", f"{status.nginx_restarts:,}"),
        ("given to other appliances", bytes_text(status.doors_bytes)),
    ]
    lines = "".join(_line(name, value) for name, value in rows)
    last = f'<p class="note row">Last: {escape(scrub.last)}.</p>' if scrub.last else ""
    aside = f"scrub {100 * scrub.share:.0f} %" if scrub.enabled and scrub.began_at else ""
    return _card("w5", "Upkeep", f'{bar}<p class="note">{said}</p><table class="row">{lines}</table>{last}', aside)


def _top(status: Status) -> str:
    if not status.top:
        return ""
    most = status.top[0][1] or 1
    rows = "".join(
        f"<tr><td>{escape(title_id)}</td><td class='wide'>{_bar([(size / most, 'var(--ember)')])}</td>"
        f"<td class='n'>{bytes_text(size)}</td></tr>"
        for title_id, size in status.top
    )
    return _card("", "Sent most of late", f"<table>{rows}</table>", "half of it within the last half hour")


def _footer(status: Status) -> str:
    return (
        f'<footer><span>{_clock(status.at)} UTC</span><a href="/status.json">status.json</a><a href="/metrics">metrics</a>'
        f"<span>MAC key generation {status.report.key_generation}</span></footer>"
    )


def _card(width: str, name: str, body: str, aside: str = "") -> str:
    return f'<section class="{width}"><h2>{name}<span>{aside}</span></h2>{body}</section>'


def _bar(parts: Iterable[tuple[float, str]]) -> str:
    inside = "".join(f'<i style="width: {100 * min(1.0, max(0.0, share)):.2f}%; --fill: {colour}"></i>' for share, colour in parts)
    return f'<div class="bar">{inside}</div>'


def _percent(share: float) -> str:
    """Rounded down: what is not whole is not called so."""
    return f"{share:.0%}".replace("%", " %") if share in (0, 1) else f"{math.floor(1000 * share) / 10:.1f} %"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _line(name: str, value: str) -> str:
    return f'<tr><td class="wide note">{name}</td><td class="n">{value}</td></tr>'


def _span(duration_s: float | None) -> str:
    """``11 h 20 min``, or minutes and seconds where it is short."""
    if duration_s is None:
        return ""
    minutes = int(duration_s // 60)
    if minutes < 10:
        return f"{duration_text(duration_s)} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _clock(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%H:%M:%S")
