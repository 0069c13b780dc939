"""How the commands speak: words to standard error, data to standard output, errors as ``error[NC…]`` and ``hint:``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from nearcast.base.errors import NearcastError


def say(text: str) -> None:
    """A line of talk."""
    click.echo(text, err=True)


def answer(text: str) -> None:
    """A line of data."""
    click.echo(text)


def answer_json(value: Any) -> None:
    """``value`` as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def complain(error: NearcastError) -> None:
    """The error and what cures it."""
    click.echo(click.style(f"error[{error.code}]", fg="red", bold=True) + f" {error.message}", err=True)
    if error.hint:
        click.echo(click.style("hint:", fg="cyan") + f" {error.hint}", err=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows of data in columns; numbers (columns whose head ends in ``>``) to the right. The head is talk on a terminal only."""
    names = [name.removesuffix(">") for name in head]
    widths = [max(len(cell) for cell in column) for column in zip(names, *rows, strict=True)]
    right = [name.endswith(">") for name in head]

    def line(cells: Sequence[str]) -> str:
        parts = [cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in zip(cells, widths, right, strict=True)]
        return "  ".join(parts).rstrip()

    answer(click.style(line(names), bold=True))
    for row in rows:
        answer(line(row))


def interactive() -> bool:
    """Whether a person watches: standard error is a terminal that can be redrawn."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") != "dumb"
