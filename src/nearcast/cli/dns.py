"""``nearcast dns``: what the zone above ours needs to know of our name servers, and the keys that sign ours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from nearcast.base.errors import BadInput
from nearcast.base.paths import Home
from nearcast.cli import reach, talk

if TYPE_CHECKING:
    from nearcast.steering.dns.keyring import Stage
    from nearcast.system.settings import Settings
    from nearcast.system.signing import Standing, Step


class NoZone(BadInput):
    """There is no zone of ours, or it is not signed."""

    code = "NC0254"
    cure = "set [steering.dns] zone, and start again"


class KeyRow(Struct, frozen=True, kw_only=True):
    """A key of the zone. ``ds``: the record that the parent zone has, or is to have, while the key is in use."""

    tag: int
    use: str
    ds: str


class Keys(Struct, frozen=True, kw_only=True):
    """What ``nearcast dns keys --json`` prints. ``since``: Unix time of the stage, or of when the last worker began with it; 0 without a
    rollover. ``late``: workers of this host that have not begun with it.
    """

    stage: str
    since: int
    late: tuple[str, ...]
    left_s: float
    next: str
    keys: tuple[KeyRow, ...]


@click.group("dns")
def command() -> None:
    """Delegate the zone to our name servers, and change the key that signs it."""


@command.command("ds")
def ds() -> None:
    """Print the DS record for the parent zone. Makes the key if there is none yet."""
    last = _records()[-1]
    if " IN DS " not in last:
        raise _unsigned()
    talk.answer(last)


@command.command("delegation")
def delegation() -> None:
    """Print everything that the parent zone needs, as lines of a zone file: NS, glue, and DS where answers are signed."""
    for line in _records():
        talk.answer(line)


@command.command("keys")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def keys(as_json: bool) -> None:
    """Print the keys that sign the zone with their DS records, and where a rollover stands."""
    from nearcast.system import signing

    home, settings = _signed()
    found = _keys(settings.steering.dns.zone, signing.standing(home, signing.workers_of(settings)))
    if as_json:
        talk.answer_json(found)
        return
    talk.table(("TAG>", "USE", "DS"), [(str(each.tag), each.use, each.ds) for each in found.keys])
    talk.say(found.next)


@command.command("reload")
def reload() -> None:
    """Start the workers of this host again, one after the other: after secrets/dns.pem was copied from another host."""
    from nearcast.system import signing

    home, settings = _signed()
    workers = signing.workers_of(settings)
    with signing.alone(home):
        if not signing.restart_workers(home, workers, talk.say):
            talk.say("no worker runs here under a supervisor; start those again that run in another way")
    _tell(signing.standing(home, workers))


@command.group("rollover")
def rollover() -> None:
    """Change the key that signs the zone, step by step; no answer is without a signature that holds meanwhile.

    After each step copy secrets/dns.pem to the other hosts of the name server, and `nearcast dns reload` there.
    """


@rollover.command("start")
def start() -> None:
    """Make the next key, and publish it beside the present one."""
    from nearcast.steering.dns import keyring

    _step(lambda ring, _: keyring.begun(ring, keyring.fresh(ring), time.time()), "published")


@rollover.command("next")
@click.option("--ds-replaced", is_flag=True, help="All servers of the parent zone have the new DS in place of the old.")
@click.option("--ds-ttl", type=click.IntRange(0, 604800), help="With --ds-replaced: TTL of the old DS, in seconds; without it, a day.")
def advance(ds_replaced: bool, ds_ttl: int | None) -> None:
    """Take the next step, if its time has come: the parent may replace the DS; the new key signs; the old one is gone."""
    from nearcast.steering.dns import keyring

    if ds_ttl is not None and not ds_replaced:
        raise click.UsageError("--ds-ttl is for --ds-replaced: no other stage lasts for the DS at the parent")
    ttl_s = keyring.DS_TTL_S if ds_ttl is None else ds_ttl
    _step(
        lambda ring, late: keyring.advanced(ring, time.time(), late=late, replaced=ds_replaced, ds_ttl_s=ttl_s),
        *(("replaced",) if ds_replaced else ("ready", "stable")),
    )


@rollover.command("cancel")
def cancel() -> None:
    """Throw the next key away. Only while the parent zone has no DS of it, and none on its way."""
    from nearcast.steering.dns import keyring

    _step(lambda ring, _: keyring.cancelled(ring), "stable")


def _step(step: Step, *leads_to: Stage) -> None:
    from nearcast.system import signing

    home, settings = _signed()
    _tell(signing.take(home, signing.workers_of(settings), step, leads_to, talk.say))
    talk.say("copy secrets/dns.pem to the other hosts that answer for the zone, `nearcast dns reload` there, and save the secrets")


def _tell(found: Standing) -> None:
    from nearcast.steering.dns import keyring

    talk.say(f"stage {found.ring.stage}: {keyring.advice(found.ring, time.time(), found.late)}")


def _keys(zone: str, standing: Standing) -> Keys:
    from nearcast.steering.dns import delegation as records
    from nearcast.steering.dns import keyring, wire

    now_s, (ring, late) = time.time(), standing
    found = keyring.signers(wire.name(zone), ring)
    uses = ("signs answers", "published beside it" if ring.stage != "replaced" else "was before; still published")
    shown = [(each, use) for each, use in zip((found.main, found.beside), uses, strict=True) if each]
    return Keys(
        stage=ring.stage,
        since=ring.since_s if ring.following else 0,
        late=late,
        left_s=keyring.left_s(ring, now_s, late) if ring.following else 0.0,
        next=keyring.advice(ring, now_s, late),
        keys=tuple(KeyRow(tag=each.tag, use=use, ds=records.ds(zone, each)) for each, use in shown),
    )


def _unsigned() -> NoZone:
    return NoZone("answers are not signed", hint="set [steering.dns] dnssec = true, and start again")


def _signed() -> tuple[Home, Settings]:
    """Where a zone is signed. Makes its key if there is none yet. Raises NoZone."""
    home, settings = _zone()
    if not settings.steering.dns.dnssec:
        raise _unsigned()
    return home, settings


def _zone() -> tuple[Home, Settings]:
    from nearcast.system import settings, signing
    from nearcast.system.dns import key_path

    home = reach.home()
    found = settings.load(home)
    if not found.steering.dns.zone:
        raise NoZone("no zone is set")
    home.make()
    if signing.make(home) and found.steering.dns.dnssec:
        talk.say(f"a new signing key was made: {key_path(home)}; if the parent zone has a DS already, put back the key that it is for")
    return home, found


def _records() -> list[str]:
    from nearcast.steering.dns import delegation as records
    from nearcast.steering.dns import keyring, wire
    from nearcast.system.dns import key_path

    home, whole = _zone()
    settings = whole.steering.dns
    return records.records(settings, keyring.delegated(wire.name(settings.zone), keyring.load(key_path(home))))
