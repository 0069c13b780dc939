"""Which sites may serve an address: prefixes from BGP, the configuration and geography, compiled into one table of the host."""

from nearcast.steering.routes.table import NO_MATCH, BadRoute, Match, Table, parse_address

__all__ = ["NO_MATCH", "BadRoute", "Match", "Table", "parse_address"]
