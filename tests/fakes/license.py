"""Licences in memory."""

from __future__ import annotations

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import Denied
from nearcast.model.rendition import KeyLabel, video_key_label
from nearcast.model.services import (
    Grant,
    GrantQuestion,
    KeySet,
    KeySetQuestion,
    LicenseQuestion,
)
from nearcast.model.session import ClearKey, ClearKeyLicense, SessionCapability
from nearcast.policy import capability
from tests.fakes.fake import ROOT, Fake


class FakeLicense(Fake):
    """Grants what ``max_height`` allows; issues a key for every id that a session of this system and device asks for."""

    def __init__(self, root: bytes = ROOT, clock: Clock | None = None) -> None:
        super().__init__()
        self._key = capability.derive(root, "session")
        self._clock = clock or SystemClock()

    async def key_set(self, question: KeySetQuestion) -> KeySet:
        self.asked(question)
        raise Denied("only the fleet may ask")

    async def grant(self, question: GrantQuestion) -> Grant:
        self.asked(question)
        order: tuple[KeyLabel, ...] = ("SD", "HD", "UHD")
        top = order.index(video_key_label(question.max_height))
        return Grant(key_labels=("AUDIO", *order[: top + 1]))

    async def issue(self, question: LicenseQuestion) -> ClearKeyLicense:
        self.asked(question)
        session = capability.unseal(question.session_id, SessionCapability, self._key, self._clock.now_s())
        if session.device_id != question.device_id or session.account_id != question.account_id:
            raise Denied("this session belongs to another device")
        return ClearKeyLicense(keys=tuple(ClearKey(kty="oct", kid=each, k="AAAAAAAAAAAAAAAAAAAAAA") for each in question.key_ids))
