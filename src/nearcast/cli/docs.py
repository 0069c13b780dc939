"""``python -m nearcast.cli.docs``: writes the reference pages from the code. With ``--check`` it only says which are stale."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import sys
from pathlib import Path

import click

import nearcast
from nearcast.base import errors
from nearcast.base.options import reference as options_reference
from nearcast.cli import main
from nearcast.control.gateway.application import reference as http_reference
from nearcast.steering.routes.bgp import Reason
from nearcast.system import settings

ROOT = Path(nearcast.__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
PLAYER_ERRORS = ROOT / "web" / "src" / "player" / "problems.json"
SET_UP = ROOT / "deploy" / "setup.sh"
NOTE = "<!-- Written by `make docs` from the code: change it there. -->\n\n"
_SET_UP_FAIL = re.compile(r'fail (NC\d{4}) "([^"]+)" "([^"]+)"')
_SET_UP_NEED = re.compile(r"need (NC\d{4}) (\S+) [^;\n]*?-- ([^;\n]+)")
ROOMS = {
    "NC00": "Everywhere",
    "NC01": "Configuration",
    "NC02": "Processes and commands",
    "NC09": "Setting up",
    "NC1": "Media",
    "NC2": "Delivery",
    "NC3": "Steering",
    "NC4": "Control",
    "NC5": "Web player",
}


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    return {
        "http-api.md": NOTE + http_reference().rstrip() + "\n",
        "cli.md": NOTE + cli_page(),
        "configuration.md": NOTE + configuration_page(),
        "errors.md": NOTE + errors_page(),
    }


def stale() -> list[str]:
    """Pages that are not what the code says now."""
    return [name for name, text in pages().items() if not (FOLDER / name).exists() or (FOLDER / name).read_text() != text]


# --- command line -----------------------------------------------------------------------------------------------------


def cli_page() -> str:
    """Every command with its arguments and options."""
    head = """# Command line

Data goes to standard output, talk to standard error. Exit status 0: done; 1: it failed; 2: what was asked makes no sense;
3: something that is needed does not answer; 130: interrupted. Errors read `error[NC0101] sentence` and `hint: what to do`.
`--home FOLDER` and `--verbose` stand before the verb: `nearcast --home /srv/films status`.
"""
    with click.Context(main.cli, info_name="nearcast") as context:
        parts = [_command(found, context, name) for name in main.VERBS if (found := main.cli.get_command(context, name))]
    return "\n".join([head, *parts])


def _command(command: click.Command, parent: click.Context, name: str, depth: int = 2) -> str:
    with click.Context(command, info_name=name, parent=parent) as context:
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        text = re.sub(r"[ \t]*\n[ \t]*", "\n", command.help or "").strip()
        out = [f"{'#' * depth} `{context.command_path}`", "", f"    {usage}", "", text, ""]
        records = [
            record for each in command.get_params(context) if (record := each.get_help_record(context)) and not record[0].endswith("--help")
        ]
        rows = [f"| `{_cell(flag)}` | {_cell(about)} |" for flag, about in records]
        out += ["| option | |", "|---|---|", *rows, ""] if rows else []
        if isinstance(command, click.Group):
            subcommands = [(each, command.get_command(context, each)) for each in command.list_commands(context)]
            out += [_command(found, context, each, depth + 1) for each, found in subcommands if found]
        return "\n".join(out)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# --- configuration ----------------------------------------------------------------------------------------------------


def configuration_page() -> str:
    """Every option, from the typed Structs."""
    head = """# Configuration

One TOML file, `nearcast.toml` in the home folder (or where `nearcast up --config FILE` says). Nothing has to be set.
`nearcast config init` writes it with every option commented out, `nearcast config check` tells all mistakes at once with their
lines, `nearcast config show` prints the values in force.

The environment overrides the file: `[network] gateway_port` is `NEARCAST_NETWORK__GATEWAY_PORT` (two underscores between tables).
`NEARCAST_HOME` names the home folder; without it, the nearest folder upwards that has `.nearcast/` or `nearcast.toml`, else `~/.nearcast`.

"""
    return head + options_reference(settings.Settings)


# --- errors -----------------------------------------------------------------------------------------------------------


def load_everything() -> None:
    """Import every module of the package, so that every error class is known."""
    for module in pkgutil.walk_packages(nearcast.__path__, "nearcast."):
        if ".migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def error_classes() -> list[type[errors.NearcastError]]:
    """Every error class of Nearcast, in order of code."""
    load_everything()
    return [each for each in errors.tree() if each.__module__.startswith("nearcast.")]


def set_up_errors() -> list[tuple[str, str, str]]:
    """What ``deploy/setup.sh`` says where it fails: code, sentence and hint, in order of code."""
    script = SET_UP.read_text()
    needed = [
        (code, f"{name} is not installed", f"run: sudo apt-get install {packages}") for code, name, packages in _SET_UP_NEED.findall(script)
    ]
    return sorted(_SET_UP_FAIL.findall(script) + needed)


def errors_page() -> str:
    """Every code: what it means, what the gateway and a command answer, and what cures it."""
    head = """# Errors

Each error has a code that stays, one sentence, and a hint that cures it. Over HTTP it is a JSON object
`{code, message, hint, request_id, status}` with that status; a command prints it and ends with the exit status given here.
What has neither stands in the log, or is told by the player.
"""
    rows: dict[str, list[str]] = {room: [] for room in ROOMS}
    for each in error_classes():
        about = " ".join((each.__doc__ or "").split())
        rows[_room(each.code)].append(f"| {each.code} | {_cell(about)} | {each.status} | {each.exit_code} | {_cell(each.cure)} |")
    for reason in Reason:
        rows[_room(reason.code)].append(
            f"| {reason.code} | Refused of an ISP: a prefix that {_cell(reason.sentence)}. | | | {_cell(reason.cure)} |"
        )
    for code, message, hint in set_up_errors():
        rows[_room(code)].append(f"| {code} | {_cell(message)} (`make`) | | 1 | {_cell(hint)} |")
    for code, entry in json.loads(PLAYER_ERRORS.read_text()).items():
        rows[_room(code)].append(f"| {code} | {_cell(entry['message'])} | | | {_cell(entry['hint'])} |")
    out = [head]
    for room, lines in rows.items():
        if lines:
            out += [f"## {ROOMS[room]}", "", "| code | meaning | status | exit | what to do |", "|---|---|---|---|---|", *sorted(lines), ""]
    return "\n".join(out).rstrip() + "\n"


def _room(code: str) -> str:
    return next(room for room in ROOMS if code.startswith(room))


def run(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` name the stale ones. Answers with the exit status."""
    old = stale()
    if "--check" in arguments:
        for name in old:
            click.echo(f"docs/reference/{name} is stale: run `make docs`", err=True)
        return 1 if old else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in old:
        (FOLDER / name).write_text(pages()[name])
        click.echo(f"docs/reference/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
