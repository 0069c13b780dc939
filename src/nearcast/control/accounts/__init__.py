"""Accounts: who may sign in, with what, and what they may watch."""

from typing import TYPE_CHECKING

from nearcast.base.lazy import lazily

if TYPE_CHECKING:
    from nearcast.control.accounts.service import AccountsService
    from nearcast.control.accounts.settings import AccountsSettings

__all__ = ["AccountsService", "AccountsSettings"]

__getattr__ = lazily(__name__, AccountsService="service", AccountsSettings="settings")
