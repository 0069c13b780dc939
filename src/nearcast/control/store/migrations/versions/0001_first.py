"""The first tables: accounts, catalog and license."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.String(32)


def upgrade() -> None:
    _accounts()
    _catalog()
    op.create_table(
        "content_keys",
        sa.Column("title_id", ID, primary_key=True),
        sa.Column("label", sa.String(8), primary_key=True),
        sa.Column("key_id", sa.LargeBinary(16), nullable=False, unique=True),
        sa.Column("sealed_key", sa.LargeBinary(64), nullable=False),
        sa.Column("master_id", sa.String(16), nullable=False),
    )


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", ID, primary_key=True),
        sa.Column("email", sa.String(320), nullable=False, unique=True),
        sa.Column("password_hash", sa.String(255), nullable=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("subscription", sa.String(16), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_table(
        "profiles",
        sa.Column("id", ID, primary_key=True),
        sa.Column("account_id", ID, sa.ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("avatar", sa.String(32), nullable=False),
        sa.Column("audio_language", sa.String(35), nullable=False),
        sa.Column("text_language", sa.String(35), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_table(
        "opinions",
        sa.Column("profile_id", ID, sa.ForeignKey("profiles.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("title_id", ID, primary_key=True),
        sa.Column("listed_at", sa.Double, nullable=True),
        sa.Column("rating", sa.Integer, nullable=False),
    )
    op.create_table(
        "links",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("account_id", ID, sa.ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("expires_at", sa.Double, nullable=False, index=True),
        sa.Column("used_at", sa.Double, nullable=True),
    )


def _catalog() -> None:
    op.create_table(
        "titles",
        sa.Column("id", ID, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("synopsis", sa.Text(5000), nullable=False),
        sa.Column("year", sa.Integer, nullable=True),
        sa.Column("genres", sa.Text, nullable=False),
        sa.Column("credit", sa.Text(1000), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False, index=True),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("published_at", sa.Double, nullable=False),
        sa.Column("runtime_s", sa.Double, nullable=False),
        sa.Column("max_height", sa.Integer, nullable=False),
        sa.Column("audio_languages", sa.Text, nullable=False),
        sa.Column("text_languages", sa.Text, nullable=False),
        sa.Column("poster", sa.Boolean, nullable=False),
        sa.Column("clear", sa.Boolean, nullable=False),
        sa.Column("source_sha256", sa.String(64), nullable=False),
        sa.Column("submitted_metadata", sa.Text, nullable=False),
        sa.Column("manifest", sa.Text(16_000_000), nullable=True),
    )
    op.create_index("ix_titles_published_at_id_state", "titles", ["published_at", "id", "state"])
    op.create_table(
        "title_genres",
        sa.Column("title_id", ID, sa.ForeignKey("titles.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("genre", sa.String(64), primary_key=True, index=True),
    )
    op.create_table(
        "catalog_version",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.CheckConstraint("id = 1", name="single"),
    )
    op.execute("INSERT INTO catalog_version (id, version) VALUES (1, 0)")


def downgrade() -> None:
    for table in ("content_keys", "opinions", "profiles", "links", "accounts", "title_genres", "titles", "catalog_version"):
        op.drop_table(table)
