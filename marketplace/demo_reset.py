"""`manage.py demo --reset`: away with all that was played. For demonstrations only: never where a site is real."""

import shutil
from importlib import import_module
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.cache import cache
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import connection

#: What the migrations put there and nothing that is played changes: who may do what, and which installation this is.
#: And when each sweep ran: a daily one would count as never run until tomorrow, though beat and workers are well.
KEPT = frozenset(
    {
        "accounts.Opening",
        "accounts.SweepRun",
        "accounts.System",
        "auth.Group",
        "auth.Group_permissions",
        "auth.Permission",
        "contenttypes.ContentType",
    }
)


class NotADemo(Exception):
    """This installation may hold what somebody needs. The message says why."""


def refuse_where_real() -> None:
    """Raise `NotADemo` where customers may be: a site with https, or files that lie elsewhere than in a folder here."""
    if settings.SITE_URL.startswith("https://"):
        raise NotADemo(f"{settings.SITE_URL} is served by https: that is no demo. Nothing was changed.")
    if not isinstance(default_storage, FileSystemStorage):
        raise NotADemo("The files lie outside of this machine: that is no demo. Nothing was changed.")


def empty_tables() -> None:
    """Empty every table, in the caller's transaction, and put back the plans that the migrations made."""
    with connection.cursor() as cursor:
        # Whoever is at work on a row is waited for, but not for ever.
        cursor.execute("SET LOCAL lock_timeout = '20s'")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        models = [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]
        tables = sorted({model._meta.db_table for model in models if model._meta.label not in KEPT})
        names = ", ".join(connection.ops.quote_name(table) for table in tables)
        cursor.execute(f"TRUNCATE {names} RESTART IDENTITY")
    import_module("subscriptions.migrations.0002_catalogue").add(apps, None)


def remove_files() -> None:
    """The mails, and the files that the rows spoke of. Not undone with them: what is lost is of a demo."""
    folders = [Path(settings.MEDIA_ROOT)]
    if mails := getattr(settings, "EMAIL_FILE_PATH", None):
        folders.append(Path(mails))
    for folder in folders:
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


def forget_what_was_counted() -> None:
    """Limits and locks in the cache: whoever was refused for playing too fast may go on."""
    cache.clear()
