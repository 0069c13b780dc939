"""Holdings told by what changed: a digest names the whole, and who has not that one asks for all of it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from nearcast.model.site import Appliance

EMPTY = ""
"""The digest of nothing held, and the base of a report that tells everything."""


def digest(holdings: Mapping[str, int]) -> str:
    """16 hex digits that name these bytes by title id, in whatever order; empty for none."""
    if not holdings:
        return EMPTY
    text = "\n".join(f"{title_id} {size_bytes}" for title_id, size_bytes in sorted(holdings.items()))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def changes(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """What makes ``now`` of ``before``; 0 for titles that are gone."""
    found = {title_id: size_bytes for title_id, size_bytes in now.items() if before.get(title_id) != size_bytes}
    return found | {title_id: 0 for title_id in before if title_id not in now}


def merged(before: Mapping[str, int], changed: Mapping[str, int]) -> dict[str, int]:
    """``before`` with what ``changes`` told."""
    return {title_id: size_bytes for title_id, size_bytes in {**before, **changed}.items() if size_bytes}


def digests(appliances: Iterable[Appliance]) -> dict[str, str]:
    """What to tell discovery that one has (``AppliancesQuestion.known``)."""
    return {each.report.id: each.report.holdings_digest for each in appliances if each.report.holdings_digest}


def completed(found: Iterable[Appliance], known: Iterable[Appliance]) -> tuple[Appliance, ...]:
    """``found`` with the holdings of ``known`` where discovery left them out. Who was left out unknown comes with none, to be asked for
    again: the digest says so."""
    before = {each.report.id: each.report for each in known}
    whole = []
    for each in found:
        if each.report.holdings_base:
            old = before.get(each.report.id)
            had, name = (old.holdings, old.holdings_digest) if old else ({}, EMPTY)
            each = replace(each, report=replace(each.report, holdings=had, holdings_digest=name, holdings_base=EMPTY))
        whole.append(each)
    return tuple(whole)
