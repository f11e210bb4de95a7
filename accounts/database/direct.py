"""PostgreSQL itself, past a PgBouncer (`DATABASE_DIRECT_URL`): for what needs a session that is its own.

Migrations set time limits for a session, `pg_dump` and `pg_restore` much more. Without a PgBouncer it is the same
database in the same way.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import environ
from django.conf import settings
from django.db import connection

#: What of a connection's settings another address replaces.
_ADDRESS = ("NAME", "USER", "PASSWORD", "HOST", "PORT")


def database() -> dict[str, Any]:
    """The settings of a connection to PostgreSQL itself."""
    now: dict[str, Any] = connection.settings_dict
    if not settings.DATABASE_DIRECT_URL:
        return now
    there = environ.Env.db_url_config(settings.DATABASE_DIRECT_URL)
    options = {**there.get("OPTIONS", {}), "connect_timeout": now["OPTIONS"].get("connect_timeout", 3)}
    return {**now, **{name: there[name] for name in _ADDRESS}, "OPTIONS": options}


@contextmanager
def connected() -> Iterator[None]:
    """Django's connection of this thread leads there until the block ends."""
    if not settings.DATABASE_DIRECT_URL:
        yield
        return
    before = connection.settings_dict
    connection.close()
    connection.settings_dict = database()
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = before


def libpq() -> dict[str, str]:
    """The same for PostgreSQL's own programs, as environment: a password in a command line is everybody's to read."""
    there = database()
    options: dict[str, Any] = there["OPTIONS"]
    named = {
        "PGDATABASE": there["NAME"],
        "PGUSER": there["USER"],
        "PGPASSWORD": there["PASSWORD"],
        "PGHOST": there["HOST"] or options.get("host"),
        "PGPORT": there["PORT"],
        "PGSSLMODE": options.get("sslmode"),
        "PGSSLROOTCERT": options.get("sslrootcert"),
        "PGCONNECT_TIMEOUT": options.get("connect_timeout"),
    }
    return {name: str(value) for name, value in named.items() if value}
