"""Limits: how often one person does something, so that nobody fills a table or a mailbox of ours.

What must hold whatever else is away is counted in rows, by the hour (`counted`, `limit`). What only keeps a client from
being busy with us all day is counted in the cache (`is_often`): Redis counts for all processes, and while it is away
each process counts for itself (`config.cache`).
"""

from datetime import datetime, timedelta
from typing import LiteralString

from django.core.cache import cache
from django.db import connection, models
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused

#: Rows are removed after so long: staff look at yesterday's.
KEPT = timedelta(days=7)

COUNT: LiteralString = """
INSERT INTO accounts_hourlycount (what, whom, hour, count, last_at)
VALUES (%s, %s, %s, 1, %s)
ON CONFLICT (what, whom, hour) DO UPDATE
   SET count = accounts_hourlycount.count + 1,
       last_at = greatest(accounts_hourlycount.last_at, excluded.last_at)
RETURNING count
"""


class TooOften(Refused):
    """Done so often that it is refused for a while. Nothing was changed."""

    text = _("That is more often than anybody needs. Please try again in an hour, or write to us by mail.")


class HourlyCount(models.Model):
    """How often somebody did something in one hour (UTC). Codes and ids alone."""

    what = models.CharField(_("what"), max_length=150)
    #: Whose doing it was: the id of a person or an account.
    whom = models.CharField(_("whose"), max_length=40)
    hour = models.DateTimeField(_("hour"))
    count = models.PositiveBigIntegerField(_("how often"), default=1)
    last_at = models.DateTimeField(_("last"))

    class Meta:
        verbose_name = _("hourly count")
        verbose_name_plural = _("hourly counts")
        constraints = [models.UniqueConstraint(fields=["what", "whom", "hour"], name="hourly_count_once")]
        indexes = [models.Index(fields=["last_at"], name="hourly_count_last_at")]

    def __str__(self) -> str:
        return f"{self.what} by {self.whom}, {self.hour:%Y-%m-%d %H}h"


def counted(what: str, whom: object, *, at: datetime) -> int:
    """Count it, by one statement, and say how often it was in this hour, this time included."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [what, str(whom), hour, at])
        (count,) = cursor.fetchone()
    return int(count)


def limit(what: str, whom: object, *, most: int, at: datetime) -> None:
    """Count it. Raises `TooOften` beyond `most` in this hour."""
    if counted(what, whom, at=at) > most:
        raise TooOften


def is_often(what: str, whom: object, *, most: int, seconds: int) -> bool:
    """Count it in the cache. Whether it was more than `most` within the `seconds` since the first."""
    key = f"limit:{what}:{whom}"
    try:
        return int(cache.incr(key)) > most
    except ValueError:
        # The first one; of two that are it at the same time one is not counted.
        cache.add(key, 1, seconds)
        return most < 1


def forget_old(at: datetime) -> int:
    """Remove the rows that nobody will ask about any more. Returns how many."""
    removed, _by_model = old(at).delete()
    return removed


def old(at: datetime) -> "models.QuerySet[HourlyCount]":
    return HourlyCount.objects.filter(last_at__lt=at - KEPT)
