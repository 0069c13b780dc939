"""Accounts in memory."""

from __future__ import annotations

import msgspec

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import BadInput, Conflict, NotFound, Unauthenticated
from nearcast.model.account import Account, Entitlement, Identity, Profile, Role
from nearcast.model.services import (
    AccountChange,
    AccountList,
    AccountQuestion,
    LinkAnswer,
    LinkQuestion,
    LoginAnswer,
    LoginQuestion,
    NewAccount,
    Nothing,
    Opinion,
    Opinions,
    ProfileChange,
    ProfileQuestion,
    SelectProfile,
)
from nearcast.policy import capability
from tests.fakes.fake import ROOT, Fake


class FakeAccounts(Fake):
    """``viewer@example.org`` and ``admin@example.org``, whose password is ``password``; the link ``link`` signs the admin in once."""

    def __init__(self, clock: Clock | None = None, root: bytes = ROOT) -> None:
        super().__init__()
        self._clock = clock or SystemClock()
        self._key = capability.derive(root, "token")
        self._nonce = 0
        self.held: dict[str, Account] = {}
        self.generations: dict[str, int] = {}
        self.links = {"link": "a_admin"}
        self.opinions_of: dict[str, Opinions] = {}
        self.max_height = 2160
        self.add("viewer")
        self.add("admin", "admin")

    def add(self, name: str, role: Role = "viewer") -> Account:
        account = Account(
            id=f"a_{name}",
            email=f"{name}@example.org",
            role=role,
            subscription="active",
            profiles=(Profile(id=f"p_{name}", name=name.title()),),
            created_at=self._clock.now_s(),
        )
        self.held[account.id] = account
        self.generations[account.id] = 0
        return account

    def signed_in(self, account: Account, profile_id: str = "") -> LoginAnswer:
        profile = next((each for each in account.profiles if each.id == profile_id), account.profiles[0])
        expires_at = self._clock.now_s() + 3600
        identity = Identity(
            account_id=account.id,
            profile_id=profile.id,
            role=account.role,
            generation=self.generations[account.id],
            expires_at=expires_at,
        )
        self._nonce += 1
        token = capability.seal(identity, self._key, self._nonce.to_bytes(12, "big"))
        return LoginAnswer(token=token, account=account, profile=profile, expires_at=expires_at)

    def token(self, name: str = "viewer") -> str:
        return self.signed_in(self.held[f"a_{name}"]).token

    def _of(self, account_id: str) -> Account:
        if account_id not in self.held:
            raise NotFound("there is no such account")
        return self.held[account_id]

    async def login(self, question: LoginQuestion) -> LoginAnswer:
        self.asked(question)
        if question.link:
            if question.link not in self.links:
                raise Unauthenticated("this link was used, or never made")
            return self.signed_in(self.held[self.links.pop(question.link)])
        found = [each for each in self.held.values() if each.email == question.email]
        if not found or question.password != "password":
            raise Unauthenticated("email and password do not fit")
        return self.signed_in(found[0])

    async def link(self, question: LinkQuestion) -> LinkAnswer:
        self.asked(question)
        found = [each for each in self.held.values() if each.email == (question.email or "admin@example.org")]
        if not found:
            raise NotFound("there is no such account")
        name = f"link-{len(self.links)}"
        self.links[name] = found[0].id
        return LinkAnswer(link=name, email=found[0].email, expires_at=self._clock.now_s() + question.ttl_s)

    async def entitlement(self, question: AccountQuestion) -> Entitlement:
        self.asked(question)
        account = self.held.get(question.account_id)
        if account is None:
            return Entitlement(allowed=False, reason="unknown")
        if question.generation is not None and question.generation != self.generations[account.id]:
            return Entitlement(allowed=False, reason="revoked")
        if account.subscription == "lapsed":
            return Entitlement(allowed=False, reason="lapsed")
        return Entitlement(allowed=True, max_height=self.max_height)

    async def account(self, question: AccountQuestion) -> Account:
        self.asked(question)
        account = self._of(question.account_id)
        if question.generation is not None and question.generation != self.generations[account.id]:
            raise Unauthenticated("this sign-in was ended")
        return account

    async def accounts(self, question: Nothing) -> AccountList:
        self.asked(question)
        return AccountList(accounts=tuple(self.held.values()))

    async def create(self, question: NewAccount) -> Account:
        self.asked(question)
        if "@" not in question.email:
            raise BadInput("this is no email address")
        if any(each.email == question.email for each in self.held.values()):
            raise Conflict("there is an account with this email")
        account = self.add(f"{len(self.held)}", question.role)
        self.held[account.id] = msgspec.structs.replace(account, email=question.email)
        return self.held[account.id]

    async def change(self, question: AccountChange) -> Account:
        self.asked(question)
        account = self._of(question.account_id)
        changes = {name: value for name in ("role", "subscription") if (value := getattr(question, name)) is not None}
        self.held[account.id] = msgspec.structs.replace(account, **changes)
        if question.revoke_tokens:
            self.generations[account.id] += 1
        return self.held[account.id]

    async def profile(self, question: ProfileChange) -> Account:
        self.asked(question)
        account = self._of(question.account_id)
        known = {each.id: each for each in account.profiles}
        if question.profile_id and question.profile_id not in known:
            raise NotFound("there is no such profile")
        old = known.get(question.profile_id) or Profile(id=f"p_{len(known)}{account.id}", name="New")
        fields = ("name", "avatar", "audio_language", "text_language")
        known[old.id] = msgspec.structs.replace(old, **{each: value for each in fields if (value := getattr(question, each)) is not None})
        if question.remove:
            if len(known) == 1 or not question.profile_id:
                raise Conflict("the last profile stays")
            del known[old.id]
        self.held[account.id] = msgspec.structs.replace(account, profiles=tuple(known.values()))
        return self.held[account.id]

    async def select(self, question: SelectProfile) -> LoginAnswer:
        self.asked(question)
        account = self._of(question.identity.account_id)
        if question.profile_id not in {each.id for each in account.profiles}:
            raise NotFound("there is no such profile")
        return self.signed_in(account, question.profile_id)

    async def opine(self, question: Opinion) -> Opinions:
        self.asked(question)
        old = self.opinions_of.get(question.profile_id, Opinions(my_list=(), ratings={}))
        listed = [each for each in old.my_list if each != question.title_id or question.in_my_list is None]
        if question.in_my_list:
            listed.insert(0, question.title_id)
        ratings = dict(old.ratings)
        if question.rating is not None:
            ratings[question.title_id] = question.rating
        self.opinions_of[question.profile_id] = Opinions(my_list=tuple(listed), ratings=ratings)
        return self.opinions_of[question.profile_id]

    async def opinions(self, question: ProfileQuestion) -> Opinions:
        self.asked(question)
        return self.opinions_of.get(question.profile_id, Opinions(my_list=(), ratings={}))
