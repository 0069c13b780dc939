"""An edge that joined has its certificate renewed by the main host, on a start, a while before it ends."""

from __future__ import annotations

import datetime

import structlog

from nearcast.base.errors import NearcastError
from nearcast.system import peers, secrets
from nearcast.system.admission import Renewal, RenewQuestion
from nearcast.system.part import System

_log = structlog.get_logger("edge")


async def renew(system: System, now: datetime.datetime | None = None) -> bool:
    """Whether a new certificate was needed and had. The edge runs on with the old one while the main host does not answer."""
    home = system.home
    if secrets.joined(home.secrets) is None:
        return False
    from cryptography.hazmat.primitives.asymmetric import ec

    from nearcast.system import issue, tls

    if not issue.ends_soon(peers.path(home), now or datetime.datetime.now(datetime.UTC)):
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        answer = await system.client_at(Renewal, "fleet").renew(RenewQuestion(request=issue.make_request(key)))
    except NearcastError as error:
        _log.warning("the certificate is not renewed; the old one stays", error=error.message, code=error.code)
        return False
    secrets.write(peers.path(home), answer.chain.encode() + tls.key_pem(key))
    await system.channels.close()  # what is dialled from now on shows the new one
    return True
