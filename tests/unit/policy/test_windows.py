from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nearcast.policy.windows import UnknownTimezone, window_at, zone

ZONES = ("UTC", "Europe/Berlin", "America/Chicago", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kiritimati")
CLOCK = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59))


def at(text: str, timezone: str = "Europe/Berlin") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone))


@pytest.mark.parametrize(
    ("window", "now", "is_open", "turns"),
    [
        ("02:00-14:00", "2026-06-01T01:59:30", False, timedelta(seconds=30)),
        ("02:00-14:00", "2026-06-01T02:00:00", True, timedelta(hours=12)),
        ("02:00-14:00", "2026-06-01T14:00:00", False, timedelta(hours=12)),
        ("22:00-06:00", "2026-06-01T23:00:00", True, timedelta(hours=7)),
        ("22:00-06:00", "2026-06-01T05:00:00", True, timedelta(hours=1)),
        ("22:00-06:00", "2026-06-01T06:00:00", False, timedelta(hours=16)),
        # Clocks go from 02:00 to 03:00, and back from 03:00 to 02:00.
        ("02:30-14:00", "2026-03-29T01:30:00", False, timedelta(minutes=30)),
        ("01:00-02:30", "2026-03-29T01:30:00", True, timedelta(minutes=30)),
        ("00:00-04:00", "2026-03-29T00:00:00", True, timedelta(hours=3)),
        ("00:00-04:00", "2026-10-25T00:00:00", True, timedelta(hours=5)),
        ("04:00-05:00", "2026-10-25T01:00:00", False, timedelta(hours=4)),
    ],
)
def test_windows(window: str, now: str, is_open: bool, turns: timedelta) -> None:
    found = window_at(window, "Europe/Berlin", at(now))
    assert (found.open, found.turns_in_s) == (is_open, turns.total_seconds())


@given(CLOCK, CLOCK, st.sampled_from(ZONES), st.datetimes(datetime(2024, 1, 1), datetime(2032, 1, 1)))
@example("02:10", "02:50", "Europe/Berlin", datetime(2026, 3, 29, 0, 30))
def test_it_turns_when_it_says_and_not_before(opens: str, closes: str, timezone: str, moment: datetime) -> None:
    if opens == closes:
        return
    now = moment.replace(tzinfo=UTC)
    found = window_at(f"{opens}-{closes}", timezone, now)
    assert 0 < found.turns_in_s <= timedelta(hours=49).total_seconds()
    turn = now + timedelta(seconds=found.turns_in_s)
    assert window_at(f"{opens}-{closes}", timezone, turn).open != found.open
    assert window_at(f"{opens}-{closes}", timezone, turn - timedelta(milliseconds=1)).open == found.open
    local = now.astimezone(ZoneInfo(timezone)).strftime("%H:%M")
    assert found.open == (opens <= local < closes if opens < closes else local >= opens or local < closes)


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "Europe", "../etc/passwd", "/etc/localtime", "Berlin\0"])
def test_names_that_are_no_time_zones(name: str) -> None:
    with pytest.raises(UnknownTimezone) as caught:
        zone(name)
    assert caught.value.code == "NC2040"
