"""``nearcast account``: who may sign in, and whose subscription has lapsed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import click

from nearcast.base.errors import NotFound
from nearcast.cli import reach, talk
from nearcast.model.account import Account
from nearcast.model.services import AccountChange, Accounts, NewAccount, Nothing

if TYPE_CHECKING:
    from nearcast.system.part import System


class UnknownEmail(NotFound):
    """No account has this email address."""

    code = "NC0211"
    cure = "`nearcast account list` shows them"


@click.group("account")
def command() -> None:
    """Add, list and change accounts."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_accounts(as_json: bool) -> None:
    """List the accounts."""
    found = reach.converse(lambda system: system.client(Accounts).accounts(Nothing()))
    if as_json:
        talk.answer_json(found)
        return
    rows = [[each.email, each.role, each.subscription, ", ".join(profile.name for profile in each.profiles)] for each in found.accounts]
    talk.table(["email", "role", "subscription", "profiles"], rows)


@command.command("add")
@click.argument("email")
@click.option("--admin", is_flag=True, help="May ingest, edit and see the edges.")
@click.option("--name", "profile_name", default="", help="Name of the first profile.")
@click.option("--password-stdin", is_flag=True, help="Read a password from standard input. Without one the account signs in by link.")
def add(email: str, admin: bool, profile_name: str, password_stdin: bool) -> None:
    """Add an account."""
    password = _password(password_stdin) if password_stdin else ""
    new = NewAccount(email=email, password=password, role="admin" if admin else "viewer", profile_name=profile_name)
    made = reach.converse(lambda system: system.client(Accounts).create(new))
    talk.answer(made.id)
    talk.say(f"{made.email} may sign in" + ("" if password else f"; `nearcast link {made.email}` prints a link"))


@command.command("lapse")
@click.argument("email")
def lapse(email: str) -> None:
    """Let the subscription of EMAIL lapse: nothing plays any more until it is active again."""
    _subscribe(email, "lapsed")


@command.command("activate")
@click.argument("email")
def activate(email: str) -> None:
    """Make the subscription of EMAIL active."""
    _subscribe(email, "active")


@command.command("passwd")
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def passwd(email: str, password_stdin: bool) -> None:
    """Set the password of EMAIL, and end its sign-ins."""
    password = _password(password_stdin)
    _change(email, lambda account: AccountChange(account_id=account.id, password=password, revoke_tokens=True))
    talk.say(f"{email} has a new password; every sign-in of it has ended")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    entered: str = click.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
    return entered


def _subscribe(email: str, state: Literal["active", "lapsed"]) -> None:
    system = _change(email, lambda account: AccountChange(account_id=account.id, subscription=state))
    kept_s = system.settings.playback.entitlement_cache_s
    talk.say(f"the subscription of {email} is {state}; Play goes by it within {kept_s:g} s ([playback] entitlement_cache_s)")


def _change(email: str, change: Callable[[Account], AccountChange]) -> System:
    """Change the account of ``email``; answers with the system that it is one of. Raises UnknownEmail."""

    async def body(system: System) -> System:
        accounts = system.client(Accounts)
        found = next((each for each in (await accounts.accounts(Nothing())).accounts if each.email.casefold() == email.casefold()), None)
        if found is None:
            raise UnknownEmail(f"there is no account {email}")
        await accounts.change(change(found))
        return system

    return reach.converse(body)
