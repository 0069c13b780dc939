"""``nearcast link``: a new one-time sign-in link."""

from __future__ import annotations

import click

from nearcast.cli import reach, talk


@click.command("link")
@click.argument("email", default="")
def command(email: str) -> None:
    """Print a one-time sign-in link for the account of EMAIL (without it: the first administrator)."""
    from nearcast.cli.up import sign_in_link
    from nearcast.system import settings

    talk.answer(sign_in_link(settings.load(reach.home()), email))
