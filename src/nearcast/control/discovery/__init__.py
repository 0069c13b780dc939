"""Discovery: which appliances and service instances are there now. What does not renew its lease is gone."""

from typing import TYPE_CHECKING

from nearcast.base.lazy import lazily

if TYPE_CHECKING:
    from nearcast.control.discovery.service import DiscoveryService
    from nearcast.control.discovery.settings import DiscoverySettings

__all__ = ["DiscoveryService", "DiscoverySettings"]

__getattr__ = lazily(__name__, DiscoveryService="service", DiscoverySettings="settings")
