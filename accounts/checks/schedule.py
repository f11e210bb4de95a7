"""Questions to another system, asked again and again until its answer agrees with what we hold.

What others tell us is a hint; their answer decides (design, idea 7). After each event the other side is asked at
once, and again when a stale answer is no longer likely. The row that the question is about carries it: when to ask
next, how often more, and what went wrong the last time.
"""

from datetime import datetime, timedelta
from typing import Any, ClassVar, Self, TypeVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.jobs.due_work import DueWorkQuerySet, Retried

#: A read just after an event may still show the old state (facts/github-marketplace, 2.4): what contradicts it is asked
#: again later.
SETTLING_TIME = timedelta(minutes=10)

Row = TypeVar("Row", bound="Checked")


class CheckedQuerySet(DueWorkQuerySet[Row]):
    def pending(self) -> Self:
        """Those that the other side is to be asked about, now or later."""
        return self.filter(check_at__isnull=False)

    def overdue(self, at: datetime) -> Self:
        """Those of which an answer has been wanted for too long; not what is to be asked at a later date anyway."""
        return super().overdue(at).filter(check_at__lte=at + self.model.LONGEST_WAIT)


class Checked(Retried):
    """A row that another system is asked about. None of its methods saves."""

    DUE_AT = "check_at"
    ATTEMPTS = "check_attempts"
    LAST_ERROR = "check_error"
    WAITING_SINCE = "check_since"
    OVERDUE: ClassVar[timedelta] = timedelta(hours=2)

    #: When the last message about it was processed: answers soon after it may be stale.
    event_at = models.DateTimeField(_("last event"), null=True, blank=True)
    #: When to ask next, how often more after that, and since when an answer is wanted.
    check_at = models.DateTimeField(_("next check"), null=True, blank=True)
    checks_left = models.PositiveSmallIntegerField(_("checks left"), default=0)
    check_since = models.DateTimeField(_("answer wanted since"), null=True, blank=True)
    checked_at = models.DateTimeField(_("checked"), null=True, blank=True)
    check_attempts = models.PositiveIntegerField(_("failed checks"), default=0)
    check_error = models.TextField(_("last error"), blank=True)
    #: The first answer without it while we hold it; a second one, later, ends it.
    absent_since = models.DateTimeField(_("absent since"), null=True, blank=True)

    class Meta:
        abstract = True

    def heard_of(self, at: datetime) -> None:
        """Note an event, and ask now and again when a stale answer is no longer likely."""
        self.event_at = at
        self.ask(at)

    def ask(self, at: datetime) -> None:
        """Ask at `at`, and once more when what was answered then can no longer be stale."""
        self.check_at = self.check_since = at
        self.checks_left, self.check_attempts = 2, 0

    def answered(self, at: datetime) -> None:
        """There is an answer; ask again if that was planned."""
        self.checked_at = self.check_since = at
        self.check_attempts, self.check_error = 0, ""
        self.checks_left = max(0, self.checks_left - 1)
        self.check_at = at + SETTLING_TIME if self.checks_left else None


def ask_once(rows: "models.QuerySet[Any]", at: datetime) -> int:
    """Have the other side asked about these rows, unless that is planned anyway. Returns how many."""
    return rows.filter(check_at=None).update(check_at=at, check_since=at, checks_left=1)
