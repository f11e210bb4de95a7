"""What has been imported, as keyed hashes: by them a row that is told again is known again, whatever came since.

A customer who was renamed, cancelled or gave the account to somebody else after the import is not put back to what the
old file says. And as the hashes stay when the account is erased, nobody who was erased comes back by an old file.
"""

import hashlib
import hmac
import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.erasure.certificates import System
from subscriptions.imports.shapes import Row


class ImportedRow(models.Model):
    """One row of a file, carried out. Of the row and of the account's external id only hashes are kept."""

    #: No foreign key: it outlives the account.
    account_id = models.UUIDField(_("account"))
    customer = models.BinaryField(_("hash of the account’s external id"), max_length=16)
    content = models.BinaryField(_("hash of the row"), max_length=16)
    imported_at = models.DateTimeField(_("imported"))

    class Meta:
        verbose_name = _("imported row")
        verbose_name_plural = _("imported rows")
        constraints = [models.UniqueConstraint(fields=["customer", "content"], name="imported_row_is_unique")]

    def __str__(self) -> str:
        return f"{self.account_id}, {self.imported_at:%Y-%m-%d}"


class Hashes:
    """Of rows, keyed by this installation's id: elsewhere they say nothing, and with it they can't be reversed."""

    def __init__(self) -> None:
        self._key = uuid.UUID(System.this()).bytes

    def customer(self, row: Row) -> bytes:
        return self._hash(row.external_id)

    def content(self, row: Row) -> bytes:
        """The same for the same row, however it was written and in whichever kind of file."""
        return self._hash(row.model_dump_json(exclude_defaults=True))

    def _hash(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode(), hashlib.sha256)[:16]
