"""A site fails behind the anycast address: the product's announcer and real routers, measured by a viewer who asks each 10 ms."""

from __future__ import annotations

import pytest

from tests.lab.scenarios import run


@pytest.mark.parametrize("name", ["site-withdrawn", "black-hole"])
def test_the_next_site_answers(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(name, capsys)
