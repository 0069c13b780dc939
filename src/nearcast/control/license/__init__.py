"""Licences: a key set for each title, and Clear Key answers for the sessions that may have them."""

from typing import TYPE_CHECKING

from nearcast.base.lazy import lazily

if TYPE_CHECKING:
    from nearcast.control.license.master import MasterKeys, load_master_keys, rotate
    from nearcast.control.license.service import LicenseService

__all__ = ["LicenseService", "MasterKeys", "load_master_keys", "rotate"]

__getattr__ = lazily(__name__, MasterKeys="master", load_master_keys="master", rotate="master", LicenseService="service")
