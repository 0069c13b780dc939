"""Signed addresses: under which an appliance's nginx lets a session have the files of one title.

They are not kept: to sign one anew takes a microsecond, no more than to find it among as many as a large fleet's would be.
"""

from __future__ import annotations

from collections.abc import Iterable

from nearcast.model.health import ApplianceHealth
from nearcast.model.route import EdgeChoice
from nearcast.policy import capability

SIGNERS_MAX = 65_536


class _Signer(capability.PathSigner):
    """``appliance``: as it was last seen; ``before``: what stands before the MAC."""

    __slots__ = ("appliance", "before")

    def __init__(self, root: bytes, appliance: ApplianceHealth) -> None:
        super().__init__(capability.edge_key(root, appliance.id, appliance.key_generation), appliance.key_generation)
        self.appliance = appliance
        self.before = appliance.address.rstrip("/") + self.prefix

    def signs_for(self, appliance: ApplianceHealth) -> bool:
        """Whether one of the same id, as it is seen now, still has this key and this address."""
        known = self.appliance
        if known.address != appliance.address or known.key_generation != appliance.key_generation:
            return False
        self.appliance = appliance
        return True


class Paths:
    """``root`` is the system's root secret, from which each appliance's MAC key comes."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._signers: dict[str, _Signer] = {}

    def choices(self, appliances: Iterable[ApplianceHealth], title_id: str, expires_at: int) -> tuple[EdgeChoice, ...]:
        """The addresses at ``appliances`` that are good for the title until ``expires_at`` (Unix seconds)."""
        said, end = capability.path_said(title_id, expires_at), capability.path_end(title_id, expires_at)
        signers = self._signers
        found = []
        for appliance in appliances:
            name = appliance.id
            signer = signers.get(name)
            if signer is None or not (signer.appliance is appliance or signer.signs_for(appliance)):
                signer = self._signer(appliance)
            found.append(EdgeChoice(pathway=name, site=appliance.site, appliance=name, base_url=signer.before + signer.mac(said) + end))
        return tuple(found)

    def _signer(self, appliance: ApplianceHealth) -> _Signer:
        if len(self._signers) >= SIGNERS_MAX:
            self._signers.clear()
        found = self._signers[appliance.id] = _Signer(self._root, appliance)
        return found
