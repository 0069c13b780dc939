"""The License service of ``model.services``: W3C Clear Key (EME, section 9.1), bound to session, device and account."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterable, Sequence
from typing import get_args

from sqlalchemy import Connection, insert, select

from nearcast.base.clock import Clock
from nearcast.base.errors import BadInput, Denied
from nearcast.base.ids import RandomBytes
from nearcast.control.license import wrap
from nearcast.control.license.master import MasterKeys
from nearcast.control.store import Store
from nearcast.control.store.tables import content_keys
from nearcast.model.rendition import KeyLabel, video_key_label
from nearcast.model.services import ContentKey, Grant, GrantQuestion, KeySet, KeySetQuestion, LicenseQuestion
from nearcast.model.session import ClearKey, ClearKeyLicense, SessionCapability
from nearcast.policy import capability

LABELS: tuple[KeyLabel, ...] = get_args(KeyLabel)
KEY_IDS_MAX = 32


class BadLicenseRequest(BadInput):
    """A licence request that is no W3C Clear Key request, or asks for keys of another title."""

    code = "NC4303"
    cure = 'send {"kids": [...], "type": "temporary"} with the key ids of the title that plays, base64url without padding'


class WrongSession(Denied):
    """The session belongs to another account or another device."""

    code = "NC4304"
    cure = "press Play on this device"


class NotGranted(Denied):
    """The session may have none of the keys asked for."""

    code = "NC4305"
    cure = "choose a lower quality, or a subscription that has this one"


def granted(labels: Iterable[KeyLabel], max_height: int) -> tuple[KeyLabel, ...]:
    """Which of a title's keys a session limited to ``max_height`` lines may have: sound always, pictures up to that height."""
    best = LABELS.index(video_key_label(max_height))
    return tuple(each for each in labels if LABELS.index(each) <= best)


def decoded_key_ids(key_ids: Sequence[str]) -> list[bytes]:
    """Raises BadLicenseRequest unless there are some, each base64url of 16 bytes."""
    if not 0 < len(key_ids) <= KEY_IDS_MAX:
        raise BadLicenseRequest(f"the request names {len(key_ids)} key ids")
    found = []
    for each in key_ids:
        try:
            raw = base64.b64decode(each.rstrip("=") + "=" * (-len(each.rstrip("=")) % 4), altchars=b"-_", validate=True)
        except ValueError as error:
            raise BadLicenseRequest("a key id is not base64url") from error
        if len(raw) != wrap.KEY_BYTES:
            raise BadLicenseRequest(f"a key id has {len(raw)} bytes, not {wrap.KEY_BYTES}")
        found.append(raw)
    return found


def selected(keys: Sequence[ContentKey], asked: Sequence[bytes], labels: Sequence[KeyLabel]) -> list[ContentKey]:
    """All the session's keys, even when fewer are asked for, so that one request suffices for a whole film.

    Raises BadLicenseRequest for a key id that is not the title's, NotGranted when the session may have none of those asked for.
    """
    by_id = {each.key_id: each for each in keys}
    for key_id in asked:
        if key_id not in by_id:
            raise BadLicenseRequest(f"key id {key_id.hex()} is not one of this session's title")
    if not any(by_id[key_id].label in labels for key_id in asked):
        raise NotGranted("this session may not have the keys asked for")
    return [each for each in keys if each.label in labels]


def check_binding(session: SessionCapability, *, account_id: str, device_id: str) -> None:
    """Raises WrongSession unless account and device are those that pressed Play. No device at all is nobody's."""
    same_account = hmac.compare_digest(session.account_id.encode(), account_id.encode("utf-8", "replace"))
    same_device = hmac.compare_digest(session.device_id.encode(), device_id.encode("utf-8", "replace"))
    if not same_account:
        raise WrongSession("this session belongs to another account")
    if not same_device or not device_id:
        raise WrongSession("this session belongs to another device")


def text_of(raw: bytes) -> str:
    """base64url without padding, as Clear Key writes key ids and keys."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class LicenseService:
    """Fits ``model.services.License``. ``session_key``: ``capability.derive(root, "session")``; the store is the caller's to close."""

    def __init__(
        self,
        store: Store,
        *,
        session_key: bytes,
        master_keys: MasterKeys,
        clock: Clock,
        random_bytes: RandomBytes = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._session_key = session_key
        self._master_keys = master_keys
        self._clock = clock
        self._random_bytes = random_bytes

    async def key_set(self, question: KeySetQuestion, /) -> KeySet:
        """The title's keys, the same ones for ever; made on first asking, once, however many ask."""
        if not 0 < len(question.title_id) <= 32:
            raise BadInput(f"{question.title_id[:40]!r} is no title id", hint="take the id from the list of titles")
        keys = await self._store.read(lambda connection: self._stored(connection, question.title_id))
        if not keys:
            keys = await self._store.write(lambda connection: self._made(connection, question.title_id))
        return KeySet(title_id=question.title_id, keys=tuple(keys))

    async def grant(self, question: GrantQuestion, /) -> Grant:
        """Empty for a title without keys, which is clear."""
        labels = await self._store.read(lambda connection: _labels(connection, question.title_id))
        return Grant(key_labels=granted(labels, question.max_height))

    async def issue(self, question: LicenseQuestion, /) -> ClearKeyLicense:
        session = capability.unseal(question.session_id, SessionCapability, self._session_key, self._clock.now_s())
        check_binding(session, account_id=question.account_id, device_id=question.device_id)
        asked = decoded_key_ids(question.key_ids)
        keys = await self._store.read(lambda connection: self._stored(connection, session.title_id))
        given = selected(keys, asked, session.key_labels)
        return ClearKeyLicense(keys=tuple(ClearKey(kty="oct", kid=text_of(each.key_id), k=text_of(each.key)) for each in given))

    def _stored(self, connection: Connection, title_id: str) -> list[ContentKey]:
        found = []
        for row in connection.execute(select(content_keys).where(content_keys.c.title_id == title_id)):
            master = self._master_keys.by_id(row.master_id)
            key = wrap.unwrap(row.sealed_key, master, title_id=title_id, label=row.label, key_id=row.key_id)
            found.append(ContentKey(label=row.label, key_id=row.key_id, key=key))
        return sorted(found, key=lambda each: LABELS.index(each.label))

    def _made(self, connection: Connection, title_id: str) -> list[ContentKey]:
        if stored := self._stored(connection, title_id):
            return stored
        master = self._master_keys.current
        made = [
            ContentKey(label=label, key_id=self._random_bytes(wrap.KEY_BYTES), key=self._random_bytes(wrap.KEY_BYTES)) for label in LABELS
        ]
        for each in made:
            nonce = self._random_bytes(wrap.NONCE_BYTES)
            sealed = wrap.wrap(each.key, master, nonce, title_id=title_id, label=each.label, key_id=each.key_id)
            connection.execute(
                insert(content_keys).values(
                    title_id=title_id, label=each.label, key_id=each.key_id, sealed_key=sealed, master_id=wrap.master_id(master)
                )
            )
        return made


def _labels(connection: Connection, title_id: str) -> list[KeyLabel]:
    found = connection.execute(select(content_keys.c.label).where(content_keys.c.title_id == title_id)).scalars()
    return sorted(found, key=LABELS.index)
