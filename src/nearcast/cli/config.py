"""``nearcast config``: writes, checks and shows the configuration."""

from __future__ import annotations

from pathlib import Path

import click

from nearcast.base.errors import Conflict
from nearcast.cli import reach, talk


class ConfigurationExists(Conflict):
    """A configuration file is there already."""

    code = "NC0104"
    cure = "edit it, or write another with --output; `--output -` prints it"


@click.group("config")
def command() -> None:
    """Write, check or show the configuration."""


@command.command("init")
@click.option("--output", "-o", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), help="Where to write it; - prints it.")
def init(output: Path | None) -> None:
    """Write a commented file with every option and its default."""
    from nearcast.base.config import UnreadableConfiguration
    from nearcast.system import settings

    text = settings.commented()
    if output is not None and str(output) == "-":
        talk.answer(text.rstrip("\n"))
        return
    path = output or settings.config_path(reach.home())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError as error:
        raise ConfigurationExists(f"{path} is there already") from error
    except OSError as error:
        raise UnreadableConfiguration(f"{path} cannot be written: {error.strerror}") from error
    talk.answer(str(path))


@command.command("check")
def check() -> None:
    """Say whether the configuration is good; if not, every mistake with its line."""
    from nearcast.system import settings

    home = reach.home()
    settings.load(home)
    path = settings.config_path(home)
    talk.say(f"{path} is good" if path.exists() else f"there is no {path}; the defaults stand")


@command.command("show")
def show() -> None:
    """Print the values in force, defaults and environment included; secrets are masked."""
    from nearcast.base.options import effective
    from nearcast.system import settings

    talk.answer(effective(settings.load(reach.home())).rstrip())
