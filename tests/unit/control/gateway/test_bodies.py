"""Bounds of the bodies: the document and the rooms behind it agree on what a name and an email may hold."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nearcast.control.accounts.rules import checked_email, checked_name
from nearcast.control.gateway.bodies import AccountBody, Genre, Name, ProfileName

CONTROLS = ("\u0000", "\u001f", "\u007f", "\u0085", "\u009f")
OVERRIDES = ("\u202a", "\u202e")


@pytest.mark.parametrize("kind", [Name, ProfileName, Genre])
@pytest.mark.parametrize("text", ["Ünï", "東京 物語", "a", " a b "])
def test_names_of_every_script(kind: Any, text: str) -> None:
    assert msgspec.convert(text, kind) == text


@pytest.mark.parametrize("kind", [Name, ProfileName, Genre])
@pytest.mark.parametrize("text", ["", " ", "\u00a0", *(f"a{each}b" for each in CONTROLS)])
def test_names_that_show_nothing_or_hide_something(kind: Any, text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, kind)


@pytest.mark.parametrize("text", [f"a{each}b" for each in (*CONTROLS, *OVERRIDES)])
def test_what_accounts_would_refuse_the_document_refuses_first(text: str) -> None:
    """Some engines of regular expressions count U+0085 among the white space, some do not: it is named."""
    for field, value in (("profile_name", text), ("email", f"{text}@example.org")):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"email": "a@example.org", field: value}, AccountBody)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, ProfileName)


def test_the_room_takes_what_the_document_lets_in() -> None:
    body = msgspec.convert({"email": "Jörg.o'Neill+films@exämple.org", "profile_name": "Jörg 🎬"}, AccountBody)
    assert checked_email(body.email) == body.email.lower()
    assert checked_name(body.profile_name) == body.profile_name
