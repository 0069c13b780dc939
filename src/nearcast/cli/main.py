"""``nearcast``: finds the verb, loads its file alone, and turns every error into a sentence with a code, a hint and an exit status."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from pathlib import Path

import click

from nearcast import __version__
from nearcast.base.errors import BadInput, Internal, NearcastError

VERBS = {
    "up": "Start the system and print a sign-in link.",
    "down": "End the system.",
    "status": "Show what runs.",
    "doctor": "Check everything that is needed, and say what to do.",
    "ingest": "Turn a film into a playable title.",
    "jobs": "List ingest jobs; follow or cancel one.",
    "titles": "List the titles.",
    "edit": "Change what a title is called.",
    "unpublish": "Withdraw a title.",
    "link": "Print a new one-time sign-in link.",
    "account": "Add, list and change accounts.",
    "serve": "Run processes of the table by name.",
    "edge": "Run an edge: its agent and its nginx.",
    "edges": "Show what each edge sends, holds and fetches.",
    "fill": "Plan, run and watch which copies wait where.",
    "offload": "Report what the origin and the links were spared.",
    "anycast": "Show how this host's service addresses are announced, or drain them.",
    "dns": "Delegate the zone to our name servers.",
    "routes": "Show where routes come from, explain a viewer's, rehearse a change.",
    "keys": "Change the keys that protect the licences.",
    "config": "Write, check or show the configuration.",
    "lab": "Try the system in an internet of network namespaces.",
    "backup": "Save everything but the films to one file.",
    "restore": "Bring a backup back.",
}


class BadUsage(BadInput):
    """A command was called with arguments or options that it does not take, or without one that it needs."""

    code = "NC0240"
    cure = "`nearcast --help` lists the commands, `nearcast COMMAND --help` what each takes"


class Verbs(click.Group):
    """Loads a verb's module when it is asked for: ``nearcast status`` should not wait for what ``ingest`` needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        found: click.Command = importlib.import_module(f"nearcast.cli.{cmd_name}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--home", type=click.Path(file_okay=False, path_type=Path), help="The home folder (else NEARCAST_HOME, .nearcast/, ~/.nearcast)."
)
@click.option("--verbose", "-v", is_flag=True, help="Show the trace of an error.")
@click.version_option(__version__, prog_name="nearcast")
def cli(home: Path | None, verbose: bool) -> None:
    """Run your own Open Connect: films go in, are encoded, placed next to viewers, and play."""
    if home is not None:
        os.environ["NEARCAST_HOME"] = str(home.absolute())


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit status of ``nearcast`` with ``arguments``."""
    from nearcast.cli import talk

    verbose = bool({"-v", "--verbose"} & set(arguments)) or bool(os.environ.get("NEARCAST_VERBOSE"))
    try:
        status = cli.main(arguments, prog_name="nearcast", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except NearcastError as error:
        if verbose:
            traceback.print_exc()
        talk.complain(error)
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:  # a group without its verb: its help says which there are
        error.show()
        return error.exit_code
    except click.ClickException as error:
        talk.complain(misused(error))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        talk.say("interrupted")
        return 130
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        path = _save_trace()
        if verbose:
            traceback.print_exc()
        talk.complain(Internal(f"unexpected: {type(error).__name__}: {error}", hint=f"this is a defect: please report it with {path}"))
        return Internal.exit_code


def misused(error: click.ClickException) -> BadUsage:
    """What click refuses, as an error of the house; the hint is how the command is called."""
    message = error.format_message().rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = ""
    if context:
        usage = " ".join([context.command_path, *context.command.collect_usage_pieces(context)])
        hint = f"{usage}; `{context.command_path} --help` tells more"
    return BadUsage(message[:1].lower() + message[1:], hint=hint)


def _save_trace() -> str:
    """Write the trace of the current exception to the home's logs, else to the temporary folder; answers with where."""
    import tempfile

    from nearcast.base.paths import find_home

    text = f"nearcast {__version__} {sys.argv[1:]}\n{traceback.format_exc()}\n"
    for folder in (find_home(os.environ, Path.cwd(), Path.home()).logs, Path(tempfile.gettempdir())):
        path = folder / "cli.log"
        try:
            with path.open("a", encoding="utf-8") as log:
                log.write(text)
        except OSError:
            continue
        return str(path)
    return "`--verbose`"
