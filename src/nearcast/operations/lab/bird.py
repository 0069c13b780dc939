"""Configurations for the BIRD 2 of each ISP's router, and words to a running one. The text is pure.

What viewers' networks are told to our collector stands in a table of its own, each prefix in a protocol of its own: an ISP can take one
back from us and still route it.
"""

from __future__ import annotations

from nearcast.operations.lab.plan import Router, Session

HOLD_S = 9
BFD_INTERVAL_MS, BFD_MULTIPLIER = 50, 3
"""A silent neighbour is noticed after 150 ms; 0.15 s was measured so, 0.24 s with 100 ms (RFC 5880, section 6.8.4)."""


def prefix_protocol(number: int) -> str:
    """The name under which the ``number``-th prefix of a router can be disabled and enabled."""
    return f"told_{number}"


def configuration(router: Router, *, bgp_port: int, with_bfd: bool = True) -> str:
    """The file for the router of one ISP. ``bgp_port``: where our collector listens."""
    routes = "\n".join(f"  route {prefix} blackhole;" for prefix in router.isp.prefixes)
    parts = [
        f"router id {router.id};\nlog stderr {{ warning, error, fatal, bug }};\nipv4 table told;",
        "protocol device { scan time 10; }",
        "protocol direct { ipv4; }",
        "protocol kernel { merge paths off; ipv4 { import none; export filter { if source = RTS_BGP then accept; reject; }; }; }",
        f"protocol static own {{\n  ipv4;\n{routes}\n}}",
    ]
    if with_bfd:
        timing = f"min rx interval {BFD_INTERVAL_MS} ms; min tx interval {BFD_INTERVAL_MS} ms; idle tx interval 200 ms;"
        parts.append(f'protocol bfd {{ interface "*" {{ {timing} multiplier {BFD_MULTIPLIER}; }}; }}')
    parts += [_session(router, each, with_bfd=with_bfd) for each in router.sessions]
    parts += [
        f"protocol static {prefix_protocol(number)} {{ ipv4 {{ table told; }}; route {prefix} blackhole; }}"
        for number, prefix in enumerate(router.isp.prefixes)
    ]
    parts.append(
        f"protocol bgp collector {{\n  local {router.local} as {router.isp.asn};\n"
        f"  neighbor {router.collector} port {bgp_port} as {router.collector_asn};\n  multihop 8; hold time {HOLD_S};\n"
        "  connect delay time 1; connect retry time 2; error wait time 1, 4;\n"
        "  ipv4 { table told; import none; export all; next hop self; };\n}"
    )
    return "\n".join(parts) + "\n"


def _session(router: Router, session: Session, *, with_bfd: bool) -> str:
    bfd = "  bfd on;\n" if with_bfd and session.ours else ""
    farther = f"import filter {{ if !defined(bgp_med) then bgp_med = 0; bgp_med = bgp_med + {session.cost}; accept; }}"
    accept = farther if session.ours else "import all"
    export = "export none" if session.ours else "export all"  # our sites route by fixed routes; what they announce is all they say
    security = "on" if session.ours else "off"  # our speakers are on the same link and say so (RFC 5082)
    return (
        f"protocol bgp {session.name.replace('-', '_')} {{\n  local {session.address} as {router.isp.asn};\n"
        f"  neighbor {session.neighbour} as {session.asn};\n  direct; ttl security {security}; hold time {HOLD_S};\n{bfd}"
        "  connect delay time 1; connect retry time 2; error wait time 1, 4;\n"
        f"  ipv4 {{ {accept}; {export}; next hop self; }};\n}}"
    )
