"""Which edges of other hosts were shut out: a list beside the authority, with the time of each.

What was given to an edge before that time, a certificate or an invitation, is worth nothing to this host any more; what it is given
later is good, so that an edge of the same name may be invited anew while the old one stays out.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from nearcast.base.errors import BadInput, Conflict, Denied
from nearcast.base.paths import Home
from nearcast.model.site import Identifier
from nearcast.system import secrets, settings, tls

FILE = "dismissed.json"


class Dismissed(Denied):
    """An edge was shut out of this system."""

    code = "NC0230"
    cure = "to let an edge of this name in again: `nearcast edge invite ID --site SITE` on the main host, then `nearcast edge join TOKEN`"


class BadList(Denied):
    """The list of dismissed edges cannot be read, so that no edge of another host is let in."""

    code = "NC0232"
    cure = "restore secrets/dismissed.json of the main host from a backup, or remove it and dismiss again who is to be out"


class OwnAppliance(Conflict):
    """An appliance of this host's own configuration cannot be dismissed: it has not joined."""

    code = "NC0231"
    cure = "take it out of [[appliances]], then `nearcast down` and `nearcast up`"


def dismiss(home: Home, appliance_id: str, now_s: float) -> None:
    """Shut the edge out from now on. Raises BadInput for a name that is none, OwnAppliance, SecretMissing."""
    try:
        msgspec.convert(appliance_id, Identifier)
    except msgspec.ValidationError:
        raise BadInput(f"{appliance_id!r} is no name", hint="small letters, digits and hyphens, at most 63") from None
    if tls.load_authority(home.secrets) is None:
        raise secrets.SecretMissing(f"the authority is not in {home.secrets}", hint="do this on the main host, where `fleet` runs")
    if appliance_id in [each.id for each in settings.load(home).appliances]:
        raise OwnAppliance(f"{appliance_id} is an appliance of this host, not one that joined")
    with tls.locked(home.secrets):
        secrets.write(home.secrets / FILE, msgspec.json.encode({**_read(home.secrets), appliance_id: now_s}))


def since_s(folder: Path, appliance_id: str) -> float | None:
    """When the edge was dismissed; None where it was not. ``folder``: the authority's. Raises BadList."""
    return _read(folder).get(appliance_id)


def everyone(folder: Path) -> dict[str, float]:
    """Who was dismissed, and when (Unix seconds). Raises BadList."""
    return _read(folder)


def _read(folder: Path) -> dict[str, float]:
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=dict[str, float])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:  # who is out cannot be told, so nobody is let in
        raise BadList(f"{folder / FILE} cannot be read") from error


def check(folder: Path, appliance_id: str, given_at_s: float) -> None:
    """Raises Dismissed where what was given to the edge at ``given_at_s`` is worth nothing any more."""
    dismissed_at_s = since_s(folder, appliance_id)
    if dismissed_at_s is not None and given_at_s <= dismissed_at_s:
        raise Dismissed(f"the edge {appliance_id} was dismissed")
