"""What may be an email, a password, a name: and what is refused says what to do."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.base.errors import BadInput
from nearcast.control.accounts import rules


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("  Ada@Example.ORG ", "ada@example.org"),
        ("admin@localhost", "admin@localhost"),
        ("o'neil+films@sub.example-host.com", "o'neil+films@sub.example-host.com"),
        ("jos\u0065\u0301@example.org", "jos\u00e9@example.org"),
        ("用户@例え.jp", "用户@例え.jp"),
    ],
)
def test_emails_have_one_spelling(text: str, email: str) -> None:
    assert rules.checked_email(text) == email


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "ada", "@", "ada@", "@example.org", "a b@example.org", "ada@exa mple.org", "ada@-example.org", "ada@example..org",
        "ada@example.org\x00", "ada@example.org\nBcc: x@y.z", "a" * 65 + "@example.org", "ada@" + "a" * 260, "ada@b@c",
        "\ud800@example.org",
        "ada@example.org'; DROP TABLE accounts; --", "\u202egro.elpmaxe@ada", "<ada@example.org>",
    ],
)  # fmt: skip
def test_what_is_no_email_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(rules.BadEmail) as caught:
        rules.checked_email(text)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "short", "aaaaaaaaaaaa", "ada@example.org", "x" * 257, "\ud800abcdefgh"])
def test_weak_passwords_are_refused(text: str) -> None:
    with pytest.raises(rules.BadPassword) as caught:
        rules.checked_password(text, "ada@example.org")
    assert caught.value.hint


def test_a_password_is_the_same_however_it_was_composed() -> None:
    assert rules.checked_password("cafe\u0301 noir", "") == rules.checked_password("caf\u00e9 noir", "")


@pytest.mark.parametrize("text", ["", "  \t ", "x" * 31, "bad\x07bell", "\ud83d", "a\u202eb"])
def test_names_that_cannot_be_shown_are_refused(text: str) -> None:
    with pytest.raises(rules.BadProfile):
        rules.checked_name(text)


@pytest.mark.parametrize("text", ["Ada", "  Ada   Lovelace ", "Зоя", "🎬 Kino", "100%_done", "O'Neil"])
def test_names_may_be_anything_that_can_be_shown(text: str) -> None:
    assert rules.checked_name(text) == " ".join(text.split())


@given(st.text())
def test_no_text_breaks_a_check(text: str) -> None:
    for check in (rules.checked_email, rules.checked_name, rules.checked_language, rules.checked_avatar, rules.checked_title_id):
        with suppress(BadInput):
            assert check(text).encode() is not None


@pytest.mark.parametrize("rating", [-2, 3, 100])
def test_ratings_have_four_values(rating: int) -> None:
    with pytest.raises(rules.BadOpinion):
        rules.checked_rating(rating)
