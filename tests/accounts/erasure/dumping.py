"""The test's database as its administrators see it: whole dumps, restored databases; and a search that reads closely.

Only PostgreSQL's own `pg_dump` and `pg_restore` are used, in processes of their own: they see what is committed.
"""

import base64
import re
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import quote, urlencode

import redis
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection

from config.stack.servers import POSTGRES_PROGRAMS

#: What a text may be wrapped in: bytes as hexadecimal digits, or base64 of either alphabet, compressed after a dot.
HEXADECIMAL = re.compile(rb"\\x([0-9a-f]{8,})")
BASE64 = re.compile(rb"\.?[A-Za-z0-9+/_-]{12,}={0,2}")
#: A message in a message in a row; deeper than we ever wrap anything.
LAYERS = 3


def database_url(name: str = "") -> str:
    """DATABASE_URL of the test's database, or of another one beside it, for processes of their own."""
    database = connection.settings_dict
    options = {"host": database["OPTIONS"].get("host") or database["HOST"], "port": database["PORT"]}
    user = quote(database["USER"], safe="")
    if database["PASSWORD"]:
        user += f":{quote(database['PASSWORD'], safe='')}"
    asked = urlencode({key: value for key, value in options.items() if value})
    return f"postgresql://{user}@/{name or database['NAME']}?{asked}"


@cache
def program(name: str) -> str:
    """A program of PostgreSQL that is not older than the server: the one of the wheel, or the one on the PATH."""
    server = connection.pg_version // 10_000  # type: ignore[attr-defined]  # of the PostgreSQL backend
    for found in (str(POSTGRES_PROGRAMS / name), shutil.which(name)):
        if found and Path(found).exists():
            says = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
            version = re.search(r"\d+", says)
            if version and int(version.group()) >= server:
                return found
    raise LookupError(f"no {name} for PostgreSQL {server}: neither in the wheel nor on the PATH")


def dump(*options: str, url: str = "") -> bytes:
    """The whole database, the test's own unless `url` says otherwise, as `pg_dump` writes it: plain text by default."""
    command = [program("pg_dump"), *options, url or database_url()]
    return subprocess.run(command, check=True, capture_output=True).stdout


@contextmanager
def restored(archive: Path) -> Iterator[str]:
    """A fresh database into which `pg_restore` has put an archive made by `dump("-Fc")`: its DATABASE_URL."""
    name = f"{connection.settings_dict['NAME']}_restored"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        command = [program("pg_restore"), "--exit-on-error", "--dbname", database_url(name), str(archive)]
        subprocess.run(command, check=True, capture_output=True)
        yield database_url(name)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def lines_with(*needles: str, url: str = "") -> list[str]:
    """The lines of a dump of the whole database that hold any of these, each after the name of its table; sorted."""
    found, table = [], ""
    for line in dump(url=url).split(b"\n"):
        if begins := re.match(rb"COPY public\.(\w+) ", line):
            table = begins[1].decode()
        elif line == rb"\.":
            table = ""
        elif holds(line, *needles):
            found.append(f"{table}\t{line.decode()}")
    return sorted(found)


def files_with(*needles: str) -> list[str]:
    """The files of the storage, and the mails handed over to a folder, whose names or contents hold any of these."""
    folders = [Path(default_storage.path("")), Path(getattr(settings, "EMAIL_FILE_PATH", settings.DATA_DIR / "mail"))]
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sorted(str(path) for path in found if holds(str(path).encode() + b"\n" + path.read_bytes(), *needles))


def keys_with(*needles: str) -> list[str]:
    """The keys of cache and broker that hold any of these, or whose values do."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    readers: dict[object, Callable[[bytes], object]] = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"stream": client.xrange,
    }
    with client:
        entries = [(key, _flat(readers[client.type(key)](key))) for key in client.scan_iter("*")]
    return sorted(key.decode() for key, value in entries if holds(key + b"\n" + value, *needles))


def _flat(value: object) -> bytes:
    """All the bytes of an answer of Redis."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        return _flat([*value.keys(), *value.values()])
    if isinstance(value, list | tuple | set):
        return b"\n".join(_flat(part) for part in value)
    return b""


def holds(content: bytes, *needles: str) -> bool:
    """Whether any of these is in it, in any case, also where it is wrapped in other writing."""
    wanted = [needle.encode().lower() for needle in needles]
    return any(needle in layer.lower() for layer in _layers(content, LAYERS) for needle in wanted)


def _layers(content: bytes, depth: int) -> Iterator[bytes]:
    """The content itself, and what its hexadecimal and base64 runs say."""
    yield content
    if depth:
        for run in HEXADECIMAL.findall(content):
            yield from _layers(bytes.fromhex(run[: len(run) // 2 * 2].decode()), depth - 1)
        for run in BASE64.findall(content):
            for inner in _decoded(run):
                yield from _layers(inner, depth - 1)


def _decoded(run: bytes) -> Iterator[bytes]:
    """What a run of base64 says, if it is one, and what that says uncompressed, if it is compressed."""
    plain = run.strip(b".=").translate(bytes.maketrans(b"-_", b"+/"))
    if len(plain) % 4 == 1:
        return
    text = base64.b64decode(plain + b"=" * (-len(plain) % 4))
    yield text
    try:
        yield zlib.decompress(text)
    except zlib.error:
        return
