"""What the tests of the HTTP API ask, and what every refusal must have."""

from __future__ import annotations

from typing import Any

import httpx

from nearcast.base.errors import Problem

FILM = "/api/v1/titles/t_film"


def problem(answer: httpx.Response, status: int, code: str = "NC4") -> dict[str, Any]:
    """The Problem of an answer, with all that it must have."""
    found: dict[str, Any] = answer.json()
    assert answer.status_code == found["status"] == status, answer.text
    assert set(found) == set(Problem.__struct_fields__)
    assert found["code"].startswith(code)
    assert found["request_id"] == answer.headers["x-request-id"] != ""
    return found


def wanted(title_id: str = "t_film") -> dict[str, Any]:
    """What a player sends when Play is pressed."""
    return {"title_id": title_id, "device": {"id": "d_1"}}


async def play(client: httpx.AsyncClient, title_id: str = "t_film") -> dict[str, Any]:
    answer = await client.post("/api/v1/play", json=wanted(title_id))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
