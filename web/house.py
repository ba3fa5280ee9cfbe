"""What one process of the web application holds: settings, database, files, uploads, accounts, the service."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from sqlalchemy import select

from web.accounts.registry import Accounts
from web.calls.discards import Discards
from web.database import Database, User, connect
from web.files import FileStore
from web.orphans import delete_orphans
from web.service import Service
from web.settings import WebSettings, read_settings
from web.uploads.incoming import Limits
from web.uploads.register import Uploads


@dataclass(frozen=True)
class House:
    """Shared by routes and pages; every part may be used from several threads."""

    settings: WebSettings
    database: Database
    files: FileStore
    uploads: Uploads
    accounts: Accounts
    service: Service
    discards: Discards

    def close(self) -> None:
        """End what runs in the background, and drop the connections to the database."""
        self.discards.close()
        self.uploads.close()
        self.database.close()


def build(settings: WebSettings) -> House:
    """Open everything; the tables are brought up to date. Raises `DatabaseError`."""
    database = connect(settings.database_url)
    files = FileStore(settings.folder / "files", settings.max_upload_bytes, settings.max_user_bytes)
    # Folders first: whoever registers with another process meanwhile is a user by then, or has no folder yet.
    owners = files.owners()
    with database.read() as session:
        users = set(session.scalars(select(User.id)))
    for gone in owners - users:  # a deletion was cut short
        files.delete(gone)
    delete_orphans(database, files, datetime.now(UTC))
    limits = Limits(max(settings.max_upload_bytes, settings.max_archive_bytes), settings.min_free_bytes)
    uploads = Uploads(files, settings.folder / "processes", limits)
    key = settings.service_key.get_secret_value() if settings.service_key else None
    service = Service(settings.service, key, settings.service_seconds)
    accounts, discards = Accounts(settings, database, files), Discards(database, service)
    discards.sweep_soon()
    return House(settings, database, files, uploads, accounts, service, discards)


@cache
def house() -> House:
    """This process's house, by its environment variables."""
    return build(read_settings())
