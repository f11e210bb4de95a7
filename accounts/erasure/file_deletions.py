"""Files that are to be deleted: written down in the transaction that erases their rows, deleted after it.

So no file is forgotten when a worker dies in between, and none is deleted for a row that stayed. A file that is
missing already is fine.
"""

import uuid
from collections.abc import Iterable, Iterator
from typing import Self

from django.core.files.storage import default_storage
from django.db import models
from django.utils.translation import gettext_lazy as _


class FileDeletionQuerySet(models.QuerySet["FileDeletion"]):
    def of(self, account_id: uuid.UUID) -> Self:
        return self.filter(account_id=account_id).order_by("id")


class FileDeletion(models.Model):
    """One file of the default storage that a purge has to delete."""

    account_id = models.UUIDField(_("account"))
    name = models.CharField(_("file"), max_length=500)

    objects = FileDeletionQuerySet.as_manager()

    class Meta:
        db_table = "accounts_doomedfile"
        verbose_name = _("file to delete")
        verbose_name_plural = _("files to delete")
        constraints = [models.UniqueConstraint(fields=["account_id", "name"], name="doomed_file_once")]

    def __str__(self) -> str:
        return self.name


def insert_statement(source: str, columns: Iterable[str]) -> str:
    """SQL that writes down the files named in these columns of `source`. One parameter a column: the account's id."""
    names = " UNION ".join(
        f"SELECT %s::uuid AS account_id, {column} AS name FROM {source} WHERE {column} <> ''"  # noqa: S608  # our own names
        for column in columns
    )
    return f"INSERT INTO accounts_doomedfile (account_id, name) {names} ON CONFLICT DO NOTHING"


def delete_from_storage(files: Iterable[FileDeletion]) -> None:
    """Delete these files; one that is missing is fine."""
    for file in files:
        default_storage.delete(file.name)


def files_below(folder: str) -> Iterator[str]:
    """The names of the files in a folder of the storage and in the folders below it; none if there is no such."""
    try:
        folders, files = default_storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in files:
        yield f"{folder}/{name}"
    for name in folders:
        yield from files_below(f"{folder}/{name}")


def remove_folder(folder: str) -> None:
    """Remove a folder that holds no files any more, where the storage knows folders at all."""
    try:
        below = default_storage.listdir(folder)[0]
    except FileNotFoundError:
        return
    for name in below:
        remove_folder(f"{folder}/{name}")
    default_storage.delete(folder)
