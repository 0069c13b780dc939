"""Accounts as a service: who gets in, who does not, and what is kept."""

from __future__ import annotations

import asyncio

import pytest

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import BadInput
from nearcast.control.accounts import AccountsService
from nearcast.control.accounts.attempts import TooManyAttempts
from nearcast.control.accounts.rules import BadOpinion, BadProfile
from nearcast.control.accounts.service import Full, LastOne
from nearcast.control.accounts.settings import AccountsSettings
from nearcast.control.accounts.signin import AccountExists, Revoked, UnknownAccount, UnknownProfile, UsedLink, WrongCredentials, WrongLink
from nearcast.control.store import Store
from nearcast.control.store.errors import StoreOutdated
from nearcast.model.account import Account, Entitlement, Identity
from nearcast.model.services import (
    AccountChange,
    AccountQuestion,
    LinkQuestion,
    LoginAnswer,
    LoginQuestion,
    NewAccount,
    Nothing,
    Opinion,
    ProfileChange,
    ProfileQuestion,
    SelectProfile,
)
from nearcast.policy.capability import derive, unseal
from tests.unit.control.helpers import CHEAP, ROOT

EMAIL = "ada@example.org"
PASSWORD = "correct horse battery"


def identity(answer: LoginAnswer, clock: VirtualClock) -> Identity:
    return unseal(answer.token, Identity, derive(ROOT, "token"), clock.now_s())


async def ada(accounts: AccountsService) -> Account:
    return await accounts.create(NewAccount(email=EMAIL, password=PASSWORD, profile_name="Ada"))


async def login(accounts: AccountsService, password: str = PASSWORD, *, email: str = EMAIL, address: str = "192.0.2.1") -> LoginAnswer:
    return await accounts.login(LoginQuestion(email=email, password=password, client_address=address))


async def test_a_password_signs_in_and_the_token_says_who(accounts: AccountsService, clock: VirtualClock) -> None:
    account = await ada(accounts)
    answer = await login(accounts, email="  ADA@Example.org ")
    assert answer.account == account
    assert answer.expires_at == clock.now_s() + CHEAP.token_ttl_s
    assert identity(answer, clock) == Identity(
        account_id=account.id, profile_id=account.profiles[0].id, role="viewer", generation=1, expires_at=answer.expires_at
    )


async def test_wrong_and_unknown_are_told_alike(accounts: AccountsService) -> None:
    await ada(accounts)
    await accounts.create(NewAccount(email="links@example.org"))
    problems = []
    for email, password in [(EMAIL, "wrong"), ("nobody@example.org", PASSWORD), ("links@example.org", PASSWORD), ("no email", PASSWORD)]:
        with pytest.raises(WrongCredentials) as caught:
            await login(accounts, password, email=email)
        problems.append(caught.value.problem())
    assert len(set(map(str, problems))) == 1
    assert problems[0].status == 401


@pytest.mark.parametrize("password", ["\ud800", "x" * 100_000, "a\x00b", "' OR 1=1 --"])
async def test_hostile_passwords_are_only_wrong(accounts: AccountsService, password: str) -> None:
    await ada(accounts)
    with pytest.raises(WrongCredentials):
        await login(accounts, password)


async def test_nothing_to_sign_in_with_is_bad_input(accounts: AccountsService) -> None:
    for question in (LoginQuestion(), LoginQuestion(email=EMAIL), LoginQuestion(password=PASSWORD)):
        with pytest.raises(BadInput):
            await accounts.login(question)


async def test_an_account_pauses_after_too_many_failures_and_a_link_still_opens_it(accounts: AccountsService, clock: VirtualClock) -> None:
    await ada(accounts)
    for number in range(CHEAP.attempts_per_account):
        with pytest.raises(WrongCredentials):
            await login(accounts, "wrong", address=f"198.51.100.{number}")
    with pytest.raises(TooManyAttempts) as caught:
        await login(accounts, address="203.0.113.9")
    assert caught.value.status == 429
    link = await accounts.link(LinkQuestion(email=EMAIL))
    assert (await accounts.login(LoginQuestion(link=link.link, client_address="203.0.113.9"))).account.email == EMAIL
    await clock.advance(CHEAP.attempts_window_s + 1)
    await login(accounts)


async def test_a_pause_does_not_tell_which_accounts_exist(accounts: AccountsService) -> None:
    for number in range(CHEAP.attempts_per_account):
        with pytest.raises(WrongCredentials):
            await login(accounts, email="nobody@example.org", address=f"198.51.100.{number}")
    with pytest.raises(TooManyAttempts):
        await login(accounts, email="nobody@example.org", address="203.0.113.9")


async def test_an_address_pauses_whatever_accounts_it_tries(accounts: AccountsService) -> None:
    await ada(accounts)
    for number in range(CHEAP.attempts_per_address):
        with pytest.raises(WrongCredentials):
            await login(accounts, email=f"guess{number}@example.org")
    with pytest.raises(TooManyAttempts):
        await login(accounts)
    await login(accounts, address="203.0.113.9")


async def test_a_hundred_guesses_at_once_are_a_hundred(accounts: AccountsService) -> None:
    await ada(accounts)
    guesses = [login(accounts, f"wrong {number}", address=f"198.51.100.{number}") for number in range(100)]
    answers = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(each, WrongCredentials) for each in answers) == CHEAP.attempts_per_account
    assert sum(isinstance(each, TooManyAttempts) for each in answers) == 100 - CHEAP.attempts_per_account


async def test_a_store_that_is_down_costs_nobody_an_attempt(accounts: AccountsService, store: Store) -> None:
    await ada(accounts)
    await store.write(lambda connection: connection.exec_driver_sql("ALTER TABLE accounts RENAME TO elsewhere"))
    for _ in range(2 * CHEAP.attempts_per_address):
        with pytest.raises(StoreOutdated):
            await login(accounts)
    await store.write(lambda connection: connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO accounts"))
    assert (await login(accounts)).account.email == EMAIL


async def test_hashes_are_brought_to_new_settings_at_the_next_sign_in(accounts: AccountsService, store: Store, clock: VirtualClock) -> None:
    await ada(accounts)
    dearer = AccountsSettings(argon2_time_cost=2, argon2_memory_kib=16, argon2_lanes=1)
    later = AccountsService(store, token_key=derive(ROOT, "token"), clock=clock, settings=dearer)
    await login(later)
    hashes = await store.read(lambda connection: connection.exec_driver_sql("SELECT password_hash FROM accounts").scalars().all())
    assert "m=16,t=2,p=1" in hashes[0]
    await login(later)
    later.close()


async def test_the_first_link_makes_the_first_admin_once(accounts: AccountsService) -> None:
    one, other = await asyncio.gather(accounts.link(LinkQuestion()), accounts.link(LinkQuestion()))
    assert one.email == other.email == "admin@localhost"
    assert one.link != other.link
    (account,) = (await accounts.accounts(Nothing())).accounts
    assert (account.role, account.profiles[0].name) == ("admin", "Admin")
    assert (await accounts.login(LoginQuestion(link=other.link))).account == account


async def test_of_two_who_use_a_link_at_once_one_gets_in(accounts: AccountsService) -> None:
    await ada(accounts)
    for _ in range(5):
        link = (await accounts.link(LinkQuestion(email=EMAIL))).link
        answers = await asyncio.gather(*(accounts.login(LoginQuestion(link=link)) for _ in range(8)), return_exceptions=True)
        assert sum(isinstance(each, LoginAnswer) for each in answers) == 1
        assert sum(isinstance(each, UsedLink) for each in answers) == 7


async def test_links_end(accounts: AccountsService, clock: VirtualClock) -> None:
    await ada(accounts)
    link = await accounts.link(LinkQuestion(email=EMAIL, ttl_s=60))
    assert link.expires_at == clock.now_s() + 60
    await clock.advance(61)
    with pytest.raises(UsedLink):
        await accounts.login(LoginQuestion(link=link.link))


@pytest.mark.parametrize("link", ["x", "../../etc/passwd", "\ud800", "a" * 100_000, "' OR '1'='1"])
async def test_a_link_never_given_is_no_link(accounts: AccountsService, link: str) -> None:
    with pytest.raises(WrongLink) as caught:
        await accounts.login(LoginQuestion(link=link))
    assert caught.value.code == "NC4107"


@pytest.mark.parametrize("ttl_s", [0.0, -1.0, 1e9, float("nan"), float("inf")])
async def test_a_links_time_is_bounded(accounts: AccountsService, ttl_s: float) -> None:
    with pytest.raises(BadInput):
        await accounts.link(LinkQuestion(ttl_s=ttl_s))


async def test_a_link_is_for_an_account_that_exists_and_is_not_kept_in_clear(accounts: AccountsService, store: Store) -> None:
    with pytest.raises(UnknownAccount):
        await accounts.link(LinkQuestion(email="nobody@example.org"))
    link = (await accounts.link(LinkQuestion())).link
    dump = await store.read(lambda connection: str(connection.exec_driver_sql("SELECT * FROM links").all()))
    assert link not in dump
    assert len(link) == 43  # 256 bits


async def test_entitlements(accounts: AccountsService) -> None:
    account = await ada(accounts)
    question = AccountQuestion(account_id=account.id, generation=1)
    assert await accounts.entitlement(question) == Entitlement(allowed=True, max_height=2160)
    await accounts.change(AccountChange(account_id=account.id, subscription="lapsed"))
    assert (await accounts.entitlement(question)).reason == "lapsed"
    await accounts.change(AccountChange(account_id=account.id, revoke_tokens=True))
    assert (await accounts.entitlement(question)).reason == "revoked"
    assert (await accounts.entitlement(AccountQuestion(account_id="a_nobody"))).reason == "unknown"
    with pytest.raises(Revoked):
        await accounts.account(question)


@pytest.mark.parametrize("change", [{"revoke_tokens": True}, {"password": "another good one"}])
async def test_what_ends_every_sign_in_ends_links_too(accounts: AccountsService, clock: VirtualClock, change: dict[str, object]) -> None:
    account = await ada(accounts)
    before = identity(await login(accounts), clock)
    link = (await accounts.link(LinkQuestion(email=EMAIL))).link
    await accounts.change(AccountChange(account_id=account.id, **change))  # type: ignore[arg-type]  # parametrized
    with pytest.raises(Revoked):
        await accounts.select(SelectProfile(identity=before, profile_id=before.profile_id))
    with pytest.raises(WrongLink):
        await accounts.login(LoginQuestion(link=link))


async def test_an_email_has_one_account(accounts: AccountsService) -> None:
    answers = await asyncio.gather(ada(accounts), ada(accounts), return_exceptions=True)
    assert [type(each) for each in answers if not isinstance(each, Account)] == [AccountExists]
    with pytest.raises(AccountExists):
        await accounts.create(NewAccount(email="ADA@example.ORG"))


async def test_the_last_admin_stays(accounts: AccountsService) -> None:
    await accounts.link(LinkQuestion())
    (admin,) = (await accounts.accounts(Nothing())).accounts
    with pytest.raises(LastOne):
        await accounts.change(AccountChange(account_id=admin.id, role="viewer"))
    other = await ada(accounts)
    await accounts.change(AccountChange(account_id=other.id, role="admin"))
    assert (await accounts.change(AccountChange(account_id=admin.id, role="viewer"))).role == "viewer"


async def test_profiles_come_change_and_go(accounts: AccountsService, clock: VirtualClock) -> None:
    account = await ada(accounts)
    for name in ("Bob", "Zoë", "🎬", "Кино"):
        await clock.advance(1)
        account = await accounts.profile(ProfileChange(account_id=account.id, name=name, avatar="tide", text_language="pt-BR"))
    assert [each.name for each in account.profiles] == ["Ada", "Bob", "Zoë", "🎬", "Кино"]
    with pytest.raises(Full):
        await accounts.profile(ProfileChange(account_id=account.id, name="Sixth"))
    bob = account.profiles[1].id
    account = await accounts.profile(ProfileChange(account_id=account.id, profile_id=bob, name="Robert"))
    assert (account.profiles[1].name, account.profiles[1].avatar) == ("Robert", "tide")
    with pytest.raises(BadProfile, match="another profile"):
        await accounts.profile(ProfileChange(account_id=account.id, profile_id=bob, name="ADA"))
    for profile in account.profiles[1:]:
        account = await accounts.profile(ProfileChange(account_id=account.id, profile_id=profile.id, remove=True))
    with pytest.raises(LastOne):
        await accounts.profile(ProfileChange(account_id=account.id, profile_id=account.profiles[0].id, remove=True))


async def test_a_profile_of_another_account_cannot_be_had(accounts: AccountsService, clock: VirtualClock) -> None:
    await ada(accounts)
    other = await accounts.create(NewAccount(email="eve@example.org"))
    me = identity(await login(accounts), clock)
    foreign = other.profiles[0].id
    with pytest.raises(UnknownProfile):
        await accounts.select(SelectProfile(identity=me, profile_id=foreign))
    for change in (ProfileChange(account_id=me.account_id, profile_id=foreign, name="Mine"),
                   ProfileChange(account_id=me.account_id, profile_id=foreign, remove=True)):  # fmt: skip
        with pytest.raises(UnknownProfile):
            await accounts.profile(change)


async def test_choosing_a_profile_does_not_prolong_the_sign_in(accounts: AccountsService, clock: VirtualClock) -> None:
    account = await ada(accounts)
    account = await accounts.profile(ProfileChange(account_id=account.id, name="Kids"))
    first = await login(accounts)
    await clock.advance(1000)
    kids = next(each for each in account.profiles if each.name == "Kids")
    answer = await accounts.select(SelectProfile(identity=identity(first, clock), profile_id=kids.id))
    assert (answer.profile, answer.expires_at) == (kids, first.expires_at)
    assert identity(answer, clock).profile_id == kids.id


async def test_my_list_is_newest_first_and_ratings_are_kept(accounts: AccountsService, clock: VirtualClock) -> None:
    profile_id = (await ada(accounts)).profiles[0].id
    for title_id in ("t_a", "t_b", "t_c"):
        await clock.advance(1)
        await accounts.opine(Opinion(profile_id=profile_id, title_id=title_id, in_my_list=True))
    await accounts.opine(Opinion(profile_id=profile_id, title_id="t_a", in_my_list=True, rating=2))
    await accounts.opine(Opinion(profile_id=profile_id, title_id="t_d", rating=-1))
    opinions = await accounts.opine(Opinion(profile_id=profile_id, title_id="t_b", in_my_list=False))
    assert (opinions.my_list, opinions.ratings) == (("t_c", "t_a"), {"t_a": 2, "t_d": -1})
    opinions = await accounts.opine(Opinion(profile_id=profile_id, title_id="t_d", rating=0))
    assert opinions.ratings == {"t_a": 2}
    assert await accounts.opinions(ProfileQuestion(profile_id=profile_id)) == opinions
    assert (await accounts.opinions(ProfileQuestion(profile_id="p_nobody"))).my_list == ()


async def test_opinions_of_a_removed_profile_are_gone(accounts: AccountsService) -> None:
    account = await accounts.profile(ProfileChange(account_id=(await ada(accounts)).id, name="Kids"))
    kids = next(each.id for each in account.profiles if each.name == "Kids")
    await accounts.opine(Opinion(profile_id=kids, title_id="t_a", in_my_list=True))
    await accounts.profile(ProfileChange(account_id=account.id, profile_id=kids, remove=True))
    assert (await accounts.opinions(ProfileQuestion(profile_id=kids))).my_list == ()
    with pytest.raises(UnknownProfile):
        await accounts.opine(Opinion(profile_id=kids, title_id="t_a", in_my_list=True))


@pytest.mark.parametrize(("title_id", "rating"), [("", 1), ("t a", 1), ("t_a", 5), ("x" * 33, 0), ("%", 1)])
async def test_an_opinion_that_cannot_be_is_refused(accounts: AccountsService, title_id: str, rating: int) -> None:
    profile_id = (await ada(accounts)).profiles[0].id
    with pytest.raises(BadOpinion):
        await accounts.opine(Opinion(profile_id=profile_id, title_id=title_id, rating=rating))
