"""Which sites may serve an address: prefixes from BGP, the configuration and geography, compiled into one table of the host."""

from nearcast.steering.routes.prefix import BadRoute, Prefix, parse_address, parse_prefix
from nearcast.steering.routes.table import NO_MATCH, Match, Table

__all__ = ["NO_MATCH", "BadRoute", "Match", "Prefix", "Table", "parse_address", "parse_prefix"]
