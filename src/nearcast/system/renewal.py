"""An edge that joined has its certificate renewed by the main host, while it runs, when a third of the certificate's time is left."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable

import structlog

from nearcast.base.errors import NearcastError
from nearcast.base.paths import Home
from nearcast.system import peers, secrets
from nearcast.system.admission import Renewal, RenewQuestion
from nearcast.system.part import System

LOOK_S = 900.0
"""How often an edge looks at its certificate: soon again after the main host was away, and soon after a new join."""
GRACE_S = 30.0
"""Longer than the longest question that is under way when the channels are dialled anew."""
_log = structlog.get_logger("edge")


def invite_anew(joined: secrets.Joined) -> str:
    """What to do where a certificate has lapsed: nobody renews it then."""
    invite = f"nearcast edge invite {joined.appliance} --site {joined.site}"
    return f"on the main host `{invite}` (with --public where it has a public name), then here `nearcast edge join TOKEN`"


async def keep(system: System, take: Callable[[], None]) -> None:
    """Until cancelled: renew when it is time, and have this process take whatever new certificate lies there, a new join's too.

    ``take`` is for what dials by itself; the channels of calls are dialled anew here.
    """
    if await asyncio.to_thread(secrets.joined, system.home.secrets) is None:
        return
    taken = _stamp(system.home)
    while True:
        await system.clock.sleep(LOOK_S)
        try:
            await renew(system)
            if (found := _stamp(system.home)) != taken:
                take()
                taken = found
                await system.channels.renew(GRACE_S)
                _log.info("a new certificate is in use")
        except (NearcastError, OSError) as error:
            _log.error("the new certificate cannot be used", error=str(error))


def _stamp(home: Home) -> int:
    path = peers.path(home)
    return path.stat().st_mtime_ns if path.exists() else 0


async def renew(system: System) -> bool:
    """Whether a new certificate was needed and had. The edge runs on with the old one while the main host does not answer."""
    home = system.home
    given = secrets.joined(home.secrets)
    if given is None:
        return False
    from cryptography.hazmat.primitives.asymmetric import ec

    from nearcast.system import issue, tls

    now = datetime.datetime.fromtimestamp(system.clock.now_s(), datetime.UTC)
    try:
        ends = issue.ends_at(peers.path(home))
        if not issue.ends_soon(peers.path(home), now):
            return False
    except (OSError, ValueError) as error:
        _log.error("the certificate cannot be read", error=str(error), hint=invite_anew(given))
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        answer = await system.client_at(Renewal, "fleet").renew(RenewQuestion(request=issue.make_request(key)))
        secrets.write(peers.path(home), answer.chain.encode() + tls.key_pem(key))
    except (NearcastError, OSError) as error:
        if ends <= now:
            _log.error("the certificate has lapsed", ended=f"{ends:%Y-%m-%d}", error=str(error), hint=invite_anew(given))
        else:
            _log.warning("the certificate is not renewed yet; the old one stays", ends=f"{ends:%Y-%m-%d}", error=str(error))
        return False
    return True
