"""Whether this database is open for business: not after a restore, until what was erased has been erased again.

A row says that it is open. The migration that makes the table writes it, and a backup (`manage.py backup`) leaves it
out: so a database restored from one is closed from its first moment on, however it is restored. Closed, the web
server answers 503, and sweeps do nothing. `manage.py erasures --replay` opens it (docs/operating.md).
"""

import time
from datetime import datetime
from threading import Lock

from django.db import connection, models
from django.utils.translation import gettext_lazy as _

#: Seconds for which a process that has found it open does not ask again.
ASKED_EVERY = 5


class Closed(Exception):
    """The database was restored, and the log of erasures has not been replayed since."""

    def __init__(self) -> None:
        super().__init__("the database was restored: replay the log of erasures first (docs/operating.md)")


class OpeningCause(models.TextChoices):
    NEW = "new", _("new")
    REPLAYED = "replayed", _("restored, and the log of erasures replayed")


class Opening(models.Model):
    """Since when the database is open, and why. One row, or none: closed."""

    id = models.SmallIntegerField(primary_key=True, default=1, editable=False)
    opened_at = models.DateTimeField(_("opened"))
    cause = models.CharField(_("cause"), max_length=20, choices=OpeningCause)

    class Meta:
        verbose_name = _("opening")
        verbose_name_plural = _("openings")
        constraints = [models.CheckConstraint(name="opening_is_one", condition=models.Q(id=1))]

    def __str__(self) -> str:
        return f"{self.cause}, {self.opened_at:%Y-%m-%d %H:%M}"


def open_for_business(at: datetime) -> bool:
    """Open the database, restored and replayed; whether it was closed."""
    _row, was_closed = Opening.objects.get_or_create(id=1, defaults={"opened_at": at, "cause": OpeningCause.REPLAYED})
    known.forget()
    return was_closed


class KnownOpening:
    """What this process knows. That it is open is asked every few seconds; that it is closed, every time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.forget()

    def forget(self) -> None:
        self._open_until = 0.0

    def remember_open(self) -> None:
        self._open_until = time.monotonic() + ASKED_EVERY

    def is_open(self) -> bool:
        """Raises what the database raises while it is away."""
        if time.monotonic() < self._open_until:
            return True
        with self._lock:
            is_open = _is_open()
            if is_open:
                self.remember_open()
            return is_open


known = KnownOpening()


def _is_open() -> bool:
    """Asked of the connection itself: it is the clock that asks, not the page, whose statements are counted."""
    connection.ensure_connection()
    with connection.connection.cursor() as cursor:
        # The table's name is ours; nothing of anybody's is in the statement.
        row = cursor.execute(f'SELECT EXISTS (SELECT FROM "{Opening._meta.db_table}")').fetchone()  # noqa: S608
    return bool(row and row[0])
