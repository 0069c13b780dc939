"""``nearcast titles``: what there is to watch, and what is on its way."""

from __future__ import annotations

import click

from nearcast.base.units import duration_text
from nearcast.cli import reach, talk
from nearcast.model.services import Catalog, TitlesQuestion


@click.command("titles")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the titles, newest first, unpublished ones among them."""
    found = reach.converse(lambda system: system.client(Catalog).titles(TitlesQuestion(everything=True, limit=1000)))
    if as_json:
        talk.answer_json(found)
        return
    rows = [
        [
            each.id,
            each.metadata.name,
            each.state,
            f"{each.max_height}p" if each.max_height else "-",
            duration_text(each.runtime_s) if each.runtime_s else "-",
            "clear" if each.clear else "encrypted",
        ]
        for each in found.titles
    ]
    if rows:
        talk.table(["id", "title", "state", "up to>", "length>", ""], rows)
    else:
        talk.say('no titles yet: `nearcast ingest film.mp4 --title "A Film"`')
