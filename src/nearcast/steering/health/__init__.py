"""How the appliances do: their own reports, probes from outside and the votes of others, merged into one view of the host."""

from nearcast.steering.health.poll import FAILED_POLLS, KEPT_S, HealthView, aged, departed

__all__ = ["FAILED_POLLS", "KEPT_S", "HealthView", "aged", "departed"]
