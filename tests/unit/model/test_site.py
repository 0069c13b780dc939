from __future__ import annotations

import msgspec
import pytest

from nearcast.model.site import Site


@pytest.mark.parametrize("name", ["frankfurt", "rack-1", "7", "a" * 63])
def test_names_that_an_appliance_may_stand_in(name: str) -> None:
    assert msgspec.convert({"name": name}, Site).name == name


@pytest.mark.parametrize("name", ["", "Frankfurt", "a b", "-a", "a.b", "a/b", "a\n", "a\x1b[31mRED\0\nb", "ａ", "a" * 64])
def test_names_that_no_appliance_may_stand_in_are_refused(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"`\$\.name`"):
        msgspec.convert({"name": name}, Site)


@pytest.mark.parametrize("field", ["label", "zone", "region"])
def test_what_people_read_has_nothing_that_steers_a_terminal(field: str) -> None:
    for text in ("", "Frankfurt am Main – Süd", "東京"):
        assert getattr(msgspec.convert({"name": "a", field: text}, Site), field) == text
    for text in ("\x1b[31mred", "two\nlines", "end\n", "a\0b", "\x9b31m", "a" * 201):
        with pytest.raises(msgspec.ValidationError, match=rf"`\$\.{field}`"):
            msgspec.convert({"name": "a", field: text}, Site)
