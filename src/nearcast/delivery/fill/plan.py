"""Who is to hold what. In this version every appliance holds everything that is published, small files of a title first."""

from __future__ import annotations

from collections.abc import Iterable

from nearcast.model.fill import Assignment, FillItem
from nearcast.model.title import VISIBLE, Publication


def assign(publications: Iterable[Publication], appliance: str, version: int) -> Assignment:
    """What ``appliance`` is to hold, in the order in which to fetch it. Withdrawn and unready titles are not in it.

    Titles keep the order given; a title's files come as Manifest.files() has them, so that a film can start early from here.
    """
    items = [
        FillItem(title_id=each.title_id, file=file)
        for each in publications
        if each.manifest is not None and each.state in VISIBLE
        for file in each.manifest.files()
    ]
    return Assignment(version=version, items=tuple(items))
