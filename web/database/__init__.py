"""What the web application remembers: SQLAlchemy models, migrations that ship with them, SQLite or PostgreSQL."""

from web.database.engine import Database, DatabaseError, connect
from web.database.models import Attempt, Batch, DiscardedBatch, Session, SignInAttempts, User

__all__ = [
    "Attempt",
    "Batch",
    "Database",
    "DatabaseError",
    "DiscardedBatch",
    "Session",
    "SignInAttempts",
    "User",
    "connect",
]
