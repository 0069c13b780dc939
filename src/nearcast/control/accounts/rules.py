"""What an email, a password, a name may be: pure checks, each refusal saying what to do instead."""

from __future__ import annotations

import re
import unicodedata

from nearcast.base.errors import BadInput

EMAIL_MAX = 254
PASSWORD_MIN = 8
PASSWORD_MAX = 256
NAME_MAX = 30
PROFILES_MAX = 5
MY_LIST_MAX = 1000

_LOCAL = re.compile(r"[^\s@\"(),:;<>\[\]\\]{1,64}")
_DOMAIN = re.compile(r"(?=.{1,253}$)[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)*")
_AVATAR = re.compile(r"[a-z][a-z0-9-]{0,23}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_TITLE_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


class BadEmail(BadInput):
    """An email address that cannot be one."""

    code = "NC4102"
    cure = "give it as name@example.org"


class BadPassword(BadInput):
    """A password that is too short, too long or too plain."""

    code = "NC4103"
    cure = f"choose {PASSWORD_MIN} to {PASSWORD_MAX} characters; a few words in a row are good"


class BadProfile(BadInput):
    """A profile's name, avatar or language that cannot be used."""

    code = "NC4104"


class BadOpinion(BadInput):
    """A rating or a title id that cannot be."""

    code = "NC4105"
    cure = "rate -1 (not for me), 0 (none), 1 (like) or 2 (love)"


def is_storable(text: str) -> bool:
    """No control characters, no halves of surrogate pairs, no text direction overrides that could dress one name as another."""
    return not any(unicodedata.category(char) in {"Cc", "Cs"} or char in "\u202a\u202b\u202c\u202d\u202e" for char in text)


def checked_email(text: str) -> str:
    """``text`` trimmed, in lower case and composed (NFC): one spelling for one account."""
    email = unicodedata.normalize("NFC", text.strip()).lower()
    if not email:
        raise BadEmail("the email is empty")
    local, _, domain = email.rpartition("@")
    if len(email) > EMAIL_MAX or not is_storable(email) or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise BadEmail("this is no email address")
    return email


def checked_password(text: str, email: str) -> str:
    """``text`` composed (NFC), as the same keys give different bytes on different systems."""
    password = composed(text)
    if len(password) < PASSWORD_MIN:
        raise BadPassword(f"the password has {len(password)} characters, {PASSWORD_MIN} are needed")
    if len(password) > PASSWORD_MAX:
        raise BadPassword(f"the password is longer than {PASSWORD_MAX} characters")
    if any(unicodedata.category(char) == "Cs" for char in password):
        raise BadPassword("the password holds characters that cannot be stored")
    if password.lower() in {email, email.partition("@")[0]} or len(set(password)) < 3:
        raise BadPassword("this password would be guessed first")
    return password


def composed(password: str) -> str:
    return unicodedata.normalize("NFC", password)


def checked_name(text: str) -> str:
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name or len(name) > NAME_MAX or not is_storable(name):
        raise BadProfile("this name cannot be used for a profile", hint=f"use 1 to {NAME_MAX} letters, digits or signs")
    return name


def checked_avatar(text: str) -> str:
    if not _AVATAR.fullmatch(text):
        raise BadProfile("this is no avatar", hint="name one of the pictures offered, as ember")
    return text


def checked_language(text: str) -> str:
    """Empty (the film's own), or a BCP 47 tag."""
    if text and (len(text) > 35 or not _LANGUAGE.fullmatch(text)):
        raise BadProfile("this is no language", hint="use a tag as en, de or pt-BR, or nothing for the film's own language")
    return text


def checked_rating(rating: int) -> int:
    if rating not in (-1, 0, 1, 2):
        raise BadOpinion(f"{rating} is no rating")
    return rating


def checked_title_id(text: str) -> str:
    if not _TITLE_ID.fullmatch(text):
        raise BadOpinion("this is no title id", hint="take the id from the list of titles")
    return text


def first_name(email: str) -> str:
    """A profile's name where none was given: what stands before the @."""
    return checked_name(email.partition("@")[0][:NAME_MAX])
