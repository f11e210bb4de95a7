"""Whole databases: what migrations make is made once, and copied by PostgreSQL for whoever needs one of their own.

To migrate from nothing takes ten seconds, a copy a fraction of one. Whoever asks first makes the original, the others
wait and copy. `tests.servers` asks first, so that it is made while pytest still collects.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

PROJECT = Path(__file__).resolve().parents[1]
#: The product of the demo, which is in place where PRODUCT_APPS names no other.
PRODUCT = "accounts.blueprints"
#: Tells this run's originals from those of others on the same server.
RUN = Path(os.environ["DATA_DIR"]).name
#: The advisory lock of whoever makes an original, beside its name.
LOCK = 0x6F726967


def beside(url: str, name: str) -> str:
    """The address of another database on the same server."""
    before, _slash, after = url.rpartition("/")
    _old, _mark, options = after.partition("?")
    return f"{before}/{name}" + (f"?{options}" if options else "")


def original(products: str = PRODUCT) -> str:
    """The name of the database that all migrations have made where these are the products, and nobody has used since.

    `products` is a PRODUCT_APPS. One of a product of one's own is what the migrations make of a bare one, which is how
    a product comes to Offboard.
    """
    url = os.environ["DATABASE_URL"]
    name = f"{RUN}_{products or 'bare'}"
    with psycopg.connect(beside(url, "postgres"), autocommit=True) as server:
        # Until the connection closes.
        server.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [LOCK, name])
        if server.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            # Under another name until it is whole.
            making = f"{name}_making"
            server.execute(_drop(making))
            server.execute(_create(making, None if products in ("", PRODUCT) else original("")))
            environment = {**os.environ, "DATABASE_URL": beside(url, making), "PRODUCT_APPS": products}
            subprocess.run(
                [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
                cwd=PROJECT,
                env={"DJANGO_SETTINGS_MODULE": "config.settings", **environment},
                check=True,
            )
            server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(*map(sql.Identifier, (making, name))))
    return name


@contextmanager
def copy(products: str | None) -> Iterator[str]:
    """The address of a database of one's own, gone afterwards: of these PRODUCT_APPS, or an empty one (None)."""
    url = os.environ["DATABASE_URL"]
    name = f"{RUN}_{uuid.uuid4().hex[:8]}"
    source = None if products is None else original(products)
    with psycopg.connect(beside(url, "postgres"), autocommit=True) as server:
        server.execute(_create(name, source))
        yield beside(url, name)
        server.execute(_drop(name))


def drop_originals() -> None:
    """For a server that goes on without us (DATABASE_URL)."""
    with psycopg.connect(beside(os.environ["DATABASE_URL"], "postgres"), autocommit=True) as server:
        for (name,) in server.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [RUN]
        ).fetchall():
            server.execute(_drop(name))


def _drop(name: str) -> sql.Composed:
    return sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))


def _create(name: str, source: str | None) -> sql.Composed:
    # PostgreSQL copies its files: several may do so at once, as long as nobody is connected to it.
    return sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(source or "template0"))


if __name__ == "__main__":
    original()
