"""``nearcast edit``: changes what a title is called without touching a byte of video."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from nearcast.base.errors import BadInput
from nearcast.cli import reach, talk
from nearcast.model.services import Catalog, MetadataChange, TitleQuestion
from nearcast.model.title import Publication

if TYPE_CHECKING:
    from nearcast.system.part import System


class NothingToEdit(BadInput):
    """An edit without a change."""

    code = "NC0212"
    cure = "give at least one of --title, --synopsis, --year, --genre, --credit"


@click.command("edit")
@click.argument("title_id")
@click.option("--title", "name", help="What it is called.")
@click.option("--synopsis", help="What it is about.")
@click.option("--year", type=click.IntRange(1870, 2200), help="When it came out.")
@click.option("--genre", "genres", multiple=True, help="A genre; may be given several times, and replaces all.")
@click.option("--credit", help="Who made it, and under which licence.")
def command(title_id: str, **fields: Any) -> None:
    """Change what the title TITLE_ID is called. Options that are not given leave things as they are."""
    given = {name: value for name, value in fields.items() if value not in (None, ())}
    if not given:
        raise NothingToEdit("nothing to change")

    async def body(system: System) -> Publication:
        catalog = system.client(Catalog)
        old = await catalog.publication(TitleQuestion(title_id=title_id))
        return await catalog.edit(MetadataChange(title_id=title_id, metadata=msgspec.structs.replace(old.metadata, **given)))

    talk.say(f"{reach.converse(body).metadata.name} is changed")
