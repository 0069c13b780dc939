"""What administrators do: accounts, sign-in links, edges, and ingest of new films."""

from __future__ import annotations

from msgspec import UNSET

from nearcast.control.gateway.bodies import AccountBody, AccountPatch, EventsQuery, LinkBody, LinkMade, UploadBody
from nearcast.control.gateway.call import Call
from nearcast.control.gateway.routes import for_admins
from nearcast.model.account import Account
from nearcast.model.ingest import IngestJob
from nearcast.model.services import (
    AccountChange,
    AccountList,
    ApplianceList,
    AppliancesQuestion,
    Events,
    EventsQuestion,
    JobList,
    JobQuestion,
    LinkQuestion,
    NewAccount,
    Nothing,
    UploadAnswer,
    UploadQuestion,
)
from nearcast.model.title import Metadata

LAST_EVENT = 2**53
"""Past every event there is: a job is asked for without its story."""


async def accounts(call: Call) -> AccountList:
    return await call.clients.accounts.accounts(Nothing())


async def create(call: Call, body: AccountBody) -> Account:
    new = NewAccount(email=body.email, password=body.password, role=body.role, profile_name=body.profile_name)
    return await call.clients.accounts.create(new)


async def change(call: Call, account_id: str, body: AccountPatch) -> Account:
    wanted = AccountChange(
        account_id=account_id,
        password=body.password,
        role=body.role,
        subscription=body.subscription,
        revoke_tokens=body.revoke_tokens,
    )
    return await call.clients.accounts.change(wanted)


async def link(call: Call, body: LinkBody) -> LinkMade:
    made = await call.clients.accounts.link(LinkQuestion(email=body.email))
    return LinkMade(url=f"{call.gateway_url}/#/link/{made.link}", email=made.email, expires_at=made.expires_at)


async def edges(call: Call) -> ApplianceList:
    return await call.clients.discovery.appliances(AppliancesQuestion())


async def upload(call: Call, body: UploadBody) -> UploadAnswer:
    given = body.metadata
    question = UploadQuestion(
        file_name=body.file_name,
        size_bytes=body.size_bytes,
        metadata=Metadata(
            name="" if given.name is UNSET else given.name,
            synopsis=given.synopsis,
            year=given.year,
            genres=given.genres,
            credit=given.credit,
        ),
        clear=body.clear,
        title_id=body.title_id,
    )
    return await call.clients.ingest.upload(question)


async def jobs(call: Call) -> JobList:
    return await call.clients.ingest.jobs(Nothing())


async def job(call: Call, job_id: str) -> IngestJob:
    return (await call.clients.ingest.events(EventsQuestion(job_id=job_id, after=LAST_EVENT))).job


async def events(call: Call, job_id: str, query: EventsQuery) -> Events:
    return await call.clients.ingest.events(EventsQuestion(job_id=job_id, after=query.after, wait_s=query.wait_s))


async def cancel(call: Call, job_id: str) -> IngestJob:
    return await call.clients.ingest.cancel(JobQuestion(job_id=job_id))


_JOBS = "/api/v1/ingest"
_JOB = f"{_JOBS}/{{job_id}}"

ROUTES = (
    for_admins("GET", "/api/v1/accounts", accounts, "All accounts"),
    for_admins("POST", "/api/v1/accounts", create, "Make an account", status=201, errors=(409,)),
    for_admins("PATCH", "/api/v1/accounts/{account_id}", change, "Change an account, or end all its sign-ins", errors=(409,)),
    for_admins("POST", "/api/v1/links", link, "Make a one-time sign-in link", status=201, errors=(404,)),
    for_admins("GET", "/api/v1/edges", edges, "The edges and how they are"),
    for_admins(
        "POST", _JOBS, upload, "Announce a film; its bytes go to the upload address answered (tus 1.0)", status=201, errors=(404, 409, 413)
    ),
    for_admins("GET", _JOBS, jobs, "All ingest jobs"),
    for_admins("GET", _JOB, job, "One ingest job"),
    for_admins("GET", f"{_JOB}/events", events, "What happened to a job; waits for news"),
    for_admins("DELETE", _JOB, cancel, "Cancel a job", errors=(409,)),
)
