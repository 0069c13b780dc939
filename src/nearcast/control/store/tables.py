"""Tables of accounts, catalog and license. Times are Unix seconds; lengths are given because MariaDB wants them.

The migrations in ``migrations/`` make the same tables; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, Double, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text

ID = String(32)
_LONG_TEXT = Text(16_000_000)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", ID, primary_key=True),
    Column("email", String(320), nullable=False, unique=True),
    Column("password_hash", String(255), nullable=True),
    Column("role", String(16), nullable=False),
    Column("subscription", String(16), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
)

profiles = Table(
    "profiles",
    metadata,
    Column("id", ID, primary_key=True),
    Column("account_id", ID, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(64), nullable=False),
    Column("avatar", String(32), nullable=False),
    Column("audio_language", String(35), nullable=False),
    Column("text_language", String(35), nullable=False),
    Column("created_at", Double, nullable=False),
)

opinions = Table(
    "opinions",
    metadata,
    Column("profile_id", ID, ForeignKey("profiles.id", ondelete="CASCADE"), primary_key=True),
    Column("title_id", ID, primary_key=True),
    Column("listed_at", Double, nullable=True),
    Column("rating", Integer, nullable=False),
)

links = Table(
    "links",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("account_id", ID, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("expires_at", Double, nullable=False, index=True),
    Column("used_at", Double, nullable=True),
)

titles = Table(
    "titles",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("synopsis", Text(5000), nullable=False),
    Column("year", Integer, nullable=True),
    Column("genres", Text, nullable=False),
    Column("credit", Text(1000), nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False, index=True),
    Column("generation", Integer, nullable=False),
    Column("published_at", Double, nullable=False),
    Column("runtime_s", Double, nullable=False),
    Column("max_height", Integer, nullable=False),
    Column("audio_languages", Text, nullable=False),
    Column("text_languages", Text, nullable=False),
    Column("poster", Boolean, nullable=False),
    Column("clear", Boolean, nullable=False),
    Column("source_sha256", String(64), nullable=False),
    Column("submitted_metadata", Text, nullable=False),
    Column("manifest", _LONG_TEXT, nullable=True),
    Index(None, "published_at", "id", "state"),
)

title_genres = Table(
    "title_genres",
    metadata,
    Column("title_id", ID, ForeignKey("titles.id", ondelete="CASCADE"), primary_key=True),
    Column("genre", String(64), primary_key=True, index=True),
)

catalog_version = Table(
    "catalog_version",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    CheckConstraint("id = 1", name="single"),
)

content_keys = Table(
    "content_keys",
    metadata,
    Column("title_id", ID, primary_key=True),
    Column("label", String(8), primary_key=True),
    Column("key_id", LargeBinary(16), nullable=False, unique=True),
    Column("sealed_key", LargeBinary(64), nullable=False),
    Column("master_id", String(16), nullable=False),
)
