"""``nearcast unpublish``: withdraws a title; films that play now go on to their end."""

from __future__ import annotations

import click

from nearcast.cli import reach, talk
from nearcast.model.services import Catalog, TitleQuestion


@click.command("unpublish")
@click.argument("title_id")
def command(title_id: str) -> None:
    """Withdraw the title TITLE_ID. `nearcast ingest --title-id` publishes it again."""
    found = reach.converse(lambda system: system.client(Catalog).unpublish(TitleQuestion(title_id=title_id)))
    talk.say(f"{found.metadata.name} is withdrawn")
