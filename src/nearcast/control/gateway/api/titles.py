"""Titles: lists, one of them, its pictures, its metadata, and what a profile thinks of it; the home page and My List."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from nearcast.control.gateway.bodies import MetadataPatch, MyList, OpinionAnswer, OpinionBody, ThumbnailsAnswer, TitlesQuery
from nearcast.control.gateway.call import Call
from nearcast.control.gateway.errors import NoPicture, NotAdmin
from nearcast.control.gateway.personal import personalised
from nearcast.control.gateway.routes import Route
from nearcast.control.gateway.wire import Answer
from nearcast.model.services import (
    HomeAnswer,
    HomeQuestion,
    MetadataChange,
    Opinion,
    ProfileQuestion,
    SearchQuestion,
    TitleList,
    TitleQuestion,
    TitlesQuestion,
)
from nearcast.model.title import Metadata, Title

SEARCH_MAX = 100


async def titles(call: Call, query: TitlesQuery) -> TitleList:
    if query.everything and call.identity.role != "admin":
        raise NotAdmin("only administrators see titles that cannot be played")
    if not query.q and not query.row:
        asked = TitlesQuestion(everything=query.everything, offset=query.offset, limit=query.limit)
        found = await call.clients.catalog.titles(asked)
        return TitleList(titles=await personalised(call, found.titles), total=found.total)
    chosen = await _row(call, query.row) if query.row else await _search(call, query)
    if query.q and query.row:
        among = {each.id for each in chosen}
        chosen = [each for each in await _search(call, query) if each.id in among]
    page = chosen[query.offset : query.offset + query.limit]
    return TitleList(titles=await personalised(call, page), total=len(chosen))


async def _row(call: Call, row_id: str) -> list[Title]:
    home_page = await call.clients.home.rows(HomeQuestion(identity=call.identity))
    return [title for row in home_page.rows if row.id == row_id for title in row.titles]


async def _search(call: Call, query: TitlesQuery) -> list[Title]:
    found = await call.clients.search.search(SearchQuestion(query=query.q, limit=SEARCH_MAX))
    return await _by_id(call, found.title_ids, everything=query.everything)


async def _by_id(call: Call, title_ids: tuple[str, ...], *, everything: bool = False) -> list[Title]:
    """The titles of ``title_ids`` that there still are, in that order."""
    if not title_ids:
        return []
    found = await call.clients.catalog.titles(TitlesQuestion(ids=title_ids, everything=everything, limit=len(title_ids)))
    known = {each.id: each for each in found.titles}
    return [known[each] for each in title_ids if each in known]


async def title(call: Call, title_id: str) -> Title:
    found = await call.clients.catalog.title(TitleQuestion(title_id=title_id))
    return (await personalised(call, [found]))[0]


async def edit(call: Call, title_id: str, body: MetadataPatch) -> Title:
    question = TitleQuestion(title_id=title_id)
    old = (await call.clients.catalog.publication(question)).metadata
    changes = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not UNSET}
    new: Metadata = msgspec.structs.replace(old, **changes)
    await call.clients.catalog.edit(MetadataChange(title_id=title_id, metadata=new))
    return await title(call, title_id)


async def unpublish(call: Call, title_id: str) -> None:
    await call.clients.catalog.unpublish(TitleQuestion(title_id=title_id))


async def poster(call: Call, title_id: str) -> Answer:
    manifest = await call.gateway.pictures.manifest(title_id)
    if manifest.poster is None:
        raise NoPicture(f"the title {title_id} has no poster")
    return await call.gateway.pictures.answer(title_id, manifest.poster, call.if_none_match)


async def thumbnails(call: Call, title_id: str) -> ThumbnailsAnswer:
    manifest = await call.gateway.pictures.manifest(title_id)
    found = manifest.thumbnails
    if found is None:
        raise NoPicture(f"the title {title_id} has no thumbnails")
    return ThumbnailsAnswer(
        url=f"/api/v1/titles/{title_id}/thumbnails.jpg",
        columns=found.columns,
        rows=found.rows,
        tile_width=found.tile_width,
        tile_height=found.tile_height,
        interval_s=found.interval_s,
        count=found.count,
    )


async def sprite(call: Call, title_id: str) -> Answer:
    manifest = await call.gateway.pictures.manifest(title_id)
    if manifest.thumbnails is None:
        raise NoPicture(f"the title {title_id} has no thumbnails")
    return await call.gateway.pictures.answer(title_id, manifest.thumbnails.file, call.if_none_match)


async def opine(call: Call, title_id: str, body: OpinionBody) -> OpinionAnswer:
    await call.clients.catalog.title(TitleQuestion(title_id=title_id))  # there must be such a title
    opinion = Opinion(profile_id=call.identity.profile_id, title_id=title_id, in_my_list=body.in_my_list, rating=body.rating)
    opinions = await call.clients.accounts.opine(opinion)
    return OpinionAnswer(in_my_list=title_id in opinions.my_list, rating=opinions.ratings.get(title_id, 0))


async def my_list(call: Call) -> MyList:
    opinions = await call.clients.accounts.opinions(ProfileQuestion(profile_id=call.identity.profile_id))
    return MyList(titles=await personalised(call, await _by_id(call, opinions.my_list)))


async def home(call: Call) -> HomeAnswer:
    return await call.clients.home.rows(HomeQuestion(identity=call.identity))


_TITLE = "/api/v1/titles/{title_id}"

ROUTES = (
    Route(method="GET", path="/api/v1/home", handler=home, summary="The rows of the home page", role="viewer", fresh=True),
    Route(
        method="GET",
        path="/api/v1/titles",
        handler=titles,
        summary="Titles: all, found, or of a row",
        role="viewer",
        fresh=True,
        errors=(403,),
    ),
    Route(method="GET", path=_TITLE, handler=title, summary="One title", role="viewer", fresh=True),
    Route(method="PATCH", path=_TITLE, handler=edit, summary="Change a title's metadata", role="admin", errors=(409,)),
    Route(method="DELETE", path=_TITLE, handler=unpublish, summary="Withdraw a title", role="admin", status=204, errors=(409,)),
    Route(
        method="GET",
        path=f"{_TITLE}/poster.jpg",
        handler=poster,
        summary="Its poster",
        role="viewer",
        fresh=True,
        media_type="image/jpeg",
        errors=(304,),
    ),
    Route(
        method="GET",
        path=f"{_TITLE}/thumbnails.json",
        handler=thumbnails,
        summary="How to cut its trick-play sprite",
        role="viewer",
        fresh=True,
    ),
    Route(
        method="GET",
        path=f"{_TITLE}/thumbnails.jpg",
        handler=sprite,
        summary="Its trick-play sprite",
        role="viewer",
        fresh=True,
        media_type="image/jpeg",
        errors=(304,),
    ),
    Route(
        method="PUT",
        path=f"{_TITLE}/opinion",
        handler=opine,
        summary="Put it on My List, or rate it",
        role="viewer",
        fresh=True,
        errors=(403,),
    ),
    Route(method="GET", path="/api/v1/my-list", handler=my_list, summary="My List, newest first", role="viewer", fresh=True),
)
