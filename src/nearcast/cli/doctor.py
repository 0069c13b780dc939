"""``nearcast doctor``: checks every need and says what to do."""

from __future__ import annotations

import click

from nearcast.cli import reach, talk

MARKS = {"good": ("✓", "green"), "note": ("!", "yellow"), "bad": ("✗", "red")}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Check everything that is needed, and say what to do. Exit status 1 when something will not work."""
    from nearcast.system import checks

    found = []
    for each in checks.run(reach.home()):
        found.append(each)
        if as_json:
            continue
        mark, color = MARKS[each.state]
        talk.answer(f"{click.style(mark, fg=color)} {each.name:<14} {each.found}")
        if each.cure:
            talk.answer(f"  {'':<14} {click.style('→', fg='cyan')} {each.cure}")
    if as_json:
        talk.answer_json(found)
    context.exit(1 if any(each.state == "bad" for each in found) else 0)
