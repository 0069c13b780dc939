"""What the account commands say of what they did."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from nearcast.cli import account, reach
from nearcast.model.account import Account
from nearcast.model.services import AccountChange, AccountList, Nothing
from nearcast.system.settings import Settings

VIEWER = Account(id="a_1", email="v@example.org", role="viewer", subscription="active", profiles=(), created_at=0.0)


@pytest.mark.parametrize(("verb", "state"), [("lapse", "lapsed"), ("activate", "active")])
def test_a_subscription_is_told_with_the_time_after_which_it_counts(
    verb: str, state: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Play still worked right after `nearcast account lapse`, and nothing said why."""
    asked: list[AccountChange] = []

    class Accounts:
        async def accounts(self, question: Nothing) -> AccountList:
            return AccountList(accounts=(VIEWER,))

        async def change(self, question: AccountChange) -> Account:
            asked.append(question)
            return VIEWER

    there = SimpleNamespace(client=lambda *_: Accounts(), settings=Settings())
    monkeypatch.setattr(reach, "converse", lambda body: asyncio.run(body(there)))
    account.command.main([verb, "V@example.org"], standalone_mode=False)
    assert [(each.account_id, each.subscription) for each in asked] == [("a_1", state)]
    said = capsys.readouterr().err
    assert f"is {state}" in said
    assert f"{Settings().playback.entitlement_cache_s:g} s" in said
    assert "entitlement_cache_s" in said
