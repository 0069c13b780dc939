"""A query goes in as bytes, the answer comes out as bytes, or nothing where nobody is to be answered. No sockets, no clock.

``answer`` begins with what nearly all queries are: a question that was put before, by a client of whom we know the group. It is taken
apart by fixed offsets and looked up in dicts of finished answers. Whatever is different goes the careful way, which fills the dicts.
"""

from __future__ import annotations

import struct

from nearcast.steering.dns import cookies, ecs, edns, limit, wire
from nearcast.steering.dns.choose import SPREAD_BITS, Chooser, Client, Table, gist, spread_mask
from nearcast.steering.dns.compose import Body, Composer, whoami
from nearcast.steering.dns.finished import BY_RESOLVER, Counts, Heard, Kept, Steered, finished
from nearcast.steering.dns.known import Known, cell
from nearcast.steering.dns.query import Query, address, bits, parsed
from nearcast.steering.dns.wire import (
    BADVERS,
    EDNS_BYTES_MAX,
    FORMERR,
    HEADER_BYTES,
    IN,
    NOERROR,
    NOTAUTH,
    NOTIMP,
    REFUSED,
    STREAM_BYTES_MAX,
    UDP_BYTES,
    Malformed,
)
from nearcast.steering.dns.zone import ANY_TITLE, Zone
from nearcast.steering.view import View

KEPT_MAX = 600_000
FRESH_S = 30.0
"""Loads move slowly below the point where an appliance is full, which counts at once."""
LASTS_S = 600.0
_OPT = b"\0" + wire.OPT.to_bytes(2, "big")
_REPLY = _OPT + wire.EDNS_BYTES_MAX.to_bytes(2, "big") + bytes(2)
_SUBNET = edns.CLIENT_SUBNET.to_bytes(2, "big")
_ALONE = b"\0\1\0\0\0\0\0\0"
_WITH_EDNS = b"\0\1\0\0\0\0\0\1"
_TRUNCATED = 0x0200
_NEVER_ASKED = frozenset((0, wire.OPT, wire.NXNAME, 249, wire.TSIG))
_NEVER_GIVEN = frozenset((wire.IXFR, wire.AXFR, wire.MAILA, wire.MAILB))


PLAIN = wire.plain_flags()


class Answerer:
    """Answers for one zone. ``limiter`` None: without limit. ``use`` before the first query."""

    def __init__(
        self,
        zone: Zone,
        chooser: Chooser,
        composer: Composer,
        *,
        limiter: limit.Limiter | None = None,
        jar: cookies.Cookies | None = None,
        identity: str = "",
    ) -> None:
        self._zone = zone
        self._chooser = chooser
        self._composer = composer
        self._limiter = limiter
        self._jar = jar
        self._identity = edns.option(edns.NSID, identity.encode()) if identity else b""
        self._known = Known()
        self._heard, self._sources = self._known.heard, self._known.sources
        self._fixed: dict[bytes, dict[int, Kept]] = {}
        self._steered: dict[bytes, Steered] = {}
        self._tails: dict[tuple[bytes, ...], Kept] = {}
        """Of unsigned answers with such data: they are the same for every name."""
        self._kept = 0
        self._table: Table | None = None
        self._version = -1
        self._view: View | None = None
        self._gist: object = None
        self._outdated = False
        self._made_s = float("-inf")
        self.counts = Counts()

    def use(self, table: Table, view: View, now_s: float) -> None:
        """Answer from these; ``now_s`` on any clock that only grows. Costs nothing while they are the same.

        Who died, drains or filled up leaves the answers at once. Loads and holdings in between may be as old as FRESH_S, so that
        finished answers are of use while reports come in; and none is older than LASTS_S, in which its signatures are good.
        """
        found = gist(view) if view is not self._view else self._gist
        if found != self._gist:
            self._zone.with_appliances(view.snapshot.appliances)
        self._chooser.use(table, view, now_s)
        if table is not self._table or table.version != self._version:
            self._reroute(table)
        if view is not self._view:
            self._zone.with_holdings(view.holdings.values())
            self._view, self._outdated = view, True
        if found != self._gist:
            self._gist = found
            self._forget(now_s)
        age_s = now_s - self._made_s
        if age_s >= LASTS_S or self._kept >= KEPT_MAX or (self._outdated and age_s >= FRESH_S):
            self._chooser.renew()
            self._begin(now_s)
        if self._chooser.crowded:
            self._regroup(now_s)
        elif self._chooser.laden:
            self._forget(now_s)

    @property
    def unusable(self) -> dict[str, tuple[str, ...]]:
        """Addresses in the view that are none, by appliance."""
        return self._zone.unusable

    def _reroute(self, table: Table) -> None:
        """Forget of whom the routes have changed."""
        changed = table.changes_since(self._table) if self._table is not None and type(table) is type(self._table) else None
        if changed is None:
            self._known.clear()
        else:
            self._known.changed(changed)
        self._table, self._version = table, table.version

    def _regroup(self, now_s: float) -> None:
        self._chooser.regroup()
        self._known.clear()
        self._forget(now_s)

    def _forget(self, now_s: float) -> None:
        self._chooser.forget()
        self._begin(now_s)

    def _begin(self, now_s: float) -> None:
        """Finish all answers anew."""
        self._fixed.clear()
        self._steered.clear()
        self._tails.clear()
        self._kept, self._made_s, self._outdated = 0, now_s, False

    def answer(self, packet: bytes, source: bytes, now_s: float, *, stream: bool = False) -> bytes | None:
        """``source``: the sender's address, 4 or 16 bytes; ``now_s``: Unix time; ``stream``: over TCP. None: no answer is sent."""
        flags = PLAIN.get(packet[2:4])
        end = packet.find(b"\0", HEADER_BYTES) + 5
        rest = packet[end:]
        if flags is None or packet[4:12] != (_WITH_EDNS if rest else _ALONE):
            return self._carefully(packet, source, now_s, stream)
        heard = self._heard.get(rest) or self._hear(rest)
        if heard is None:
            return self._carefully(packet, source, now_s, stream)
        group, bytes_max, signed, plain, tailored = heard
        question = packet[HEADER_BYTES:end].lower()
        steered = self._steered.get(question)
        if steered is not None:
            _, _, mask, leads, made = steered
            if group < 0 and (group := self._sources.get(source, BY_RESOLVER)) < 0:
                return self._carefully(packet, source, now_s, stream)
            site = leads.get(group >> self._chooser.shift, -1)
            key = (site << SPREAD_BITS | group & mask) << 1 | signed
            plain = tailored
            kept = made.get(key)
        else:
            kept = self._fixed[question].get(signed) if question in self._fixed else None
            if kept is None:
                return self._carefully(packet, source, now_s, stream)
        if self._limiter is not None and not stream:
            verdict = self._limiter.verdict(source, question, now_s)
            if verdict:
                self.counts.limited_last = source
                return self._held_back(Query(packet, int.from_bytes(packet[2:4], "big"), end, None), verdict, plain)
        if kept is None and (steered is None or (kept := self._tailor(steered, group, signed, now_s)) is None):
            return self._carefully(packet, source, now_s, stream)
        alone, with_edns, tail = kept
        answer = packet[:2] + flags + (with_edns if rest else alone) + packet[HEADER_BYTES:end] + tail + plain
        if len(answer) > bytes_max and not stream:
            return self._carefully(packet, source, now_s, stream)
        return answer

    def _hear(self, rest: bytes) -> Heard | None:
        """What an EDNS record that has nothing but a subnet, or nothing at all, means; it means the same from everybody."""
        if rest[:3] != _OPT or len(rest) < 11 or rest[6] or rest[9] << 8 | rest[10] != len(rest) - 11:
            return None
        group, scope, at = BY_RESOLVER, b"", None
        if len(rest) > 11:
            if rest[11:13] != _SUBNET or rest[13] << 8 | rest[14] != len(rest) - 15:
                return None
            try:
                subnet = ecs.parse(rest[15:])
            except Malformed:
                return None
            if not subnet.length or ecs.unroutable(subnet.version, subnet.number):
                return None
            group, bits = self._chooser.client(subnet.version, subnet.number, subnet.length)
            scope, at = bytes((bits + subnet.shift,)), cell(subnet.version, subnet.number, subnet.length)
        # All but the payload size, the flags and the scope comes back as it was.
        head = _REPLY + bytes((rest[7] & 0xC0, 0)) + rest[9:18]
        plain = head + rest[18:]
        payload = min(max(rest[3] << 8 | rest[4], UDP_BYTES), EDNS_BYTES_MAX)
        heard = Heard(group, payload, rest[7] >> 7, plain, head + scope + rest[19:] if scope else plain)
        self._known.hear(rest, heard, at)
        return heard

    def _tailor(self, steered: Steered, group: int, signed: int, now_s: float) -> Kept | None:
        """The finished answer for a group, made now. None: it needs care."""
        asked, title, mask, _, made = steered
        site, chosen = self._chooser.given(title, group)
        if chosen is None:
            return None
        key = (site << SPREAD_BITS | group & mask) << 1 | signed
        kept = made.get(key)  # another class has the same site
        if kept is None:
            data = chosen.ipv4 if asked.type == wire.A else chosen.ipv6
            kept = None if signed else self._tails.get(data)
            if kept is None:
                node = self._zone.find(asked.name)
                kept = finished(self._composer.body(node, asked, chosen, signed=bool(signed), compact=False, now_s=now_s))
                if data and not signed:
                    self._tails[data] = kept
            made[key] = kept
            self._kept += 1
        return kept

    # --- the careful way ----------------------------------------------------------------------------------------------

    def _carefully(self, packet: bytes, source: bytes, now_s: float, stream: bool) -> bytes | None:
        if len(packet) < HEADER_BYTES or wire.is_response(flags := int.from_bytes(packet[2:4], "big")):
            self.counts.ignored += 1
            return None
        if wire.opcode(flags):
            return self._failed(Query(packet, flags, HEADER_BYTES, None), NOTIMP, source, now_s, stream)
        asked = None
        try:
            asked = wire.question(packet) if packet[4:6] == b"\0\1" else None
            query, foreign = parsed(packet, flags, asked)
        except Malformed as error:
            self.counts.malformed += 1
            self.counts.malformed_last = source, str(error)
            end = asked.end if asked else HEADER_BYTES
            return self._failed(Query(packet, flags, end, None), FORMERR, source, now_s, stream)
        assert asked is not None  # noqa: S101  (what has no question is malformed)
        if foreign:
            return self._failed(query, NOTAUTH, source, now_s, stream)
        if query.edns is not None and query.edns.version:
            return self._failed(query, BADVERS, source, now_s, stream)
        if asked.type in _NEVER_ASKED:
            return self._failed(query, FORMERR, source, now_s, stream)
        if asked.klass != IN or asked.type in _NEVER_GIVEN or not self._zone.inside(asked.name):
            return self._failed(query, REFUSED, source, now_s, stream)
        return self._within(query, asked, source, now_s, stream)

    def _within(self, query: Query, asked: wire.Question, source: bytes, now_s: float, stream: bool) -> bytes | None:
        """A good question about a name of ours. The rate limit judges before anything is signed."""
        node = self._zone.find(asked.name)
        client, by_subnet = self._client(query, source)
        told = node is not None and node.whoami and asked.type == wire.TXT
        title = node.title if node is not None and asked.type in (wire.A, wire.AAAA) else None
        chosen = self._chooser.chosen(title, client.group) if title is not None else None
        holds = client if title is not None else None
        if told and query.edns and (subnet := query.edns.subnet):
            holds = client._replace(scope=max(client.scope, subnet.length if by_subnet else ecs.WIDTH[subnet.version]))
        opt = self._opt(query.edns, holds, source, now_s)
        lasting = title != ANY_TITLE or not self._zone.is_title(asked.name)
        what = query.question if lasting else self._zone.any_title
        failing = node is None or (title is not None and chosen is None)
        if verdict := self._verdict(query, source, limit.FAILING if failing else what, now_s, stream):
            return self._held_back(query, verdict, opt)
        signed = bool(query.edns and query.edns.flags & edns.DO)
        if told:
            body = self._composer.text(asked, whoami(self._chooser, query.edns, source, client, by_subnet), signed, now_s)
            return self._whole(query, body, opt, stream)
        compact = signed and not (query.edns and query.edns.flags & edns.CO)
        body = self._composer.body(node, asked, chosen, signed=signed, compact=compact, now_s=now_s)
        if lasting and not failing:
            self._keep(query, asked, title, body)
        return self._whole(query, body, opt, stream)

    def _client(self, query: Query, source: bytes) -> tuple[Client, bool]:
        """Whose address the answer is for, and whether the resolver told it.

        Nobody on the internet has a private address, so such a subnet says nothing, unless the operator has a route for just these.
        """
        subnet = query.edns.subnet if query.edns else None
        if subnet is not None and subnet.length:
            block = ecs.unroutable(subnet.version, subnet.number)
            client = self._chooser.client(subnet.version, subnet.number, subnet.length)
            if not block or bits(self._chooser.match(subnet.version, subnet.number).prefix) >= block:
                return client, True
            by_resolver = self._chooser.client(*address(source))
            return by_resolver._replace(scope=max(client.scope, block)), False
        resolver = address(source)
        client = self._chooser.client(*resolver)
        if source not in self._sources:
            self._known.meet(source, client.group, cell(*resolver))
        if subnet is not None:  # told not to tell: never 0, with which a resolver would answer everybody
            client = client._replace(scope=ecs.SCOPE_MIN[subnet.version])
        return client, False

    def _keep(self, query: Query, asked: wire.Question, title: str | None, body: Body) -> None:
        """Remember the question for the fast way, and the answer if it is one for all."""
        question = query.question
        if title is not None:
            if question not in self._steered:
                self._steered[question] = Steered(asked, title, spread_mask(title), self._chooser.leads(title), {})
                self._kept += 1
            return
        signed = int(bool(query.edns and query.edns.flags & edns.DO))
        self._fixed.setdefault(question, {})[signed] = finished(body)
        self._kept += 1

    def _opt(self, found: edns.Edns | None, client: Client | None, source: bytes, now_s: float, extended: int = 0) -> bytes:
        """The OPT record of the answer; ``client`` None: the answer is the same for all."""
        if found is None:
            return b""
        options = b""
        if found.subnet is not None:
            options += edns.option(edns.CLIENT_SUBNET, ecs.answered(found.subnet, client.scope if client else 0))
        if found.cookie and self._jar is not None:
            options += edns.option(edns.COOKIE, self._jar.fresh(found.cookie, source, now_s))
        if found.nsid:
            options += self._identity
        return edns.reply(found.flags, options, extended)

    # --- what goes out ------------------------------------------------------------------------------------------------

    def _whole(self, query: Query, body: Body, opt: bytes, stream: bool) -> bytes:
        """The answer, or where it would be too large, one that asks for TCP (RFC 2181, 9)."""
        flags = wire.response_flags(query.flags, body.rcode)
        bytes_max = STREAM_BYTES_MAX if stream else query.edns.payload_bytes if query.edns else UDP_BYTES
        asked = query.packet[HEADER_BYTES : query.end]
        self.counts.by_rcode[body.rcode] += 1
        size = HEADER_BYTES + len(asked) + len(body.tail) + len(opt)
        if size > bytes_max and body.additional and size - len(body.extra) <= bytes_max:  # glue may be left out (RFC 2181, 9)
            body = body._replace(tail=body.tail[: len(body.tail) - len(body.extra)], additional=0)
        elif size > bytes_max:
            return self._truncated(query, opt, body.rcode)
        counts = struct.pack("!HHHHH", flags, 1, body.answers, body.authorities, body.additional + bool(opt))
        return query.packet[:2] + counts + asked + body.tail + opt

    def _truncated(self, query: Query, opt: bytes, rcode: int = NOERROR) -> bytes:
        self.counts.truncated += 1
        flags = wire.response_flags(query.flags, rcode) | _TRUNCATED
        counts = struct.pack("!HHHHH", flags, 1, 0, 0, bool(opt))
        return query.packet[:2] + counts + query.packet[HEADER_BYTES : query.end] + opt

    def _failed(self, query: Query, rcode: int, source: bytes, now_s: float, stream: bool) -> bytes | None:
        """An answer that has nothing but its code, and the question where it was understood."""
        verdict = self._verdict(query, source, limit.FAILING, now_s, stream)
        if verdict and not (verdict == limit.SLIP and query.end > HEADER_BYTES):
            self.counts.dropped += 1
            return None
        opt = self._opt(query.edns, None, source, now_s, rcode >> 4)
        if verdict:
            return self._held_back(query, verdict, opt)
        self.counts.by_rcode[rcode] += 1
        asked = query.packet[HEADER_BYTES : query.end]
        flags = wire.response_flags(query.flags, rcode, authoritative=False)
        return query.packet[:2] + struct.pack("!HHHHH", flags, bool(asked), 0, 0, bool(opt)) + asked + opt

    def _verdict(self, query: Query, source: bytes, what: bytes, now_s: float, stream: bool) -> limit.Verdict:
        """Senders that TCP or a cookie proves are not held back."""
        if stream or self._limiter is None:
            return limit.PASS
        cookie = query.edns.cookie if query.edns else b""
        if cookie and self._jar is not None and self._jar.good(cookie, source, now_s):
            return limit.PASS
        verdict = self._limiter.verdict(source, what, now_s)
        if verdict:
            self.counts.limited_last = source
        return verdict

    def _held_back(self, query: Query, verdict: limit.Verdict, opt: bytes) -> bytes | None:
        if verdict == limit.DROP:
            self.counts.dropped += 1
            return None
        self.counts.slipped += 1
        return self._truncated(query, opt)
