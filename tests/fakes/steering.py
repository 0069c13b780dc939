"""Steering that gives the edges it is told."""

from __future__ import annotations

from nearcast.model.health import ViewSource
from nearcast.model.route import EdgeChoice
from nearcast.model.services import (
    SteerAnswer,
    SteerQuestion,
)
from nearcast.policy import capability
from tests.fakes.fake import ROOT, Fake

EDGES = ("fra-1", "dal-1", "sin-1", "bom-1")


class FakeSteering(Fake):
    """Names the first of ``up`` for everybody."""

    def __init__(self, root: bytes = ROOT) -> None:
        super().__init__()
        self._root = root
        self.up = list(EDGES)
        self.addresses = {name: f"http://127.0.0.1:{8101 + index}" for index, name in enumerate(EDGES)}
        self.stale = False

    async def choose(self, question: SteerQuestion) -> SteerAnswer:
        self.asked(question)
        named = []
        for name in self.up[: question.count + question.spare]:
            key = capability.edge_key(self._root, name)
            path = capability.edge_path(key, question.title_id, question.expires_at)
            named.append(EdgeChoice(pathway=name, site=name[:3], appliance=name, base_url=self.addresses[name] + path))
        edges, spare = tuple(named[: question.count]), tuple(named[question.count :])
        missing = len(edges) < min(question.count, len(self.addresses)) or (question.current and question.current not in self.up)
        source: ViewSource = "last-known" if self.stale else "live"
        return SteerAnswer(edges=edges, spare=spare, prefix="0.0.0.0/0", source=source, unsettled=bool(missing))
