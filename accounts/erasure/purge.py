"""The purge: erasing all of an account's data, as a row.

Scheduled when something obliges us to (a marketplace cancellation, the customer's own request), each cause a row of
its own (`accounts.erasure.obligation`); the purge's dates are those of the earliest. Until it starts it can be called
off (`accounts.erasure.scheduling`); from then on nothing is written to the account and there is no way back
(`accounts.erasure.starting`). Carried out in `accounts.erasure.runner`, proven in `accounts.erasure.certificates`. The
row outlives the account, and holds no personal data.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.errors import describe
from accounts.core.foreign_input import MAX_EXTERNAL_ID
from accounts.erasure.obligation import PurgeCause, PurgeObligation
from accounts.jobs.due_work import DueWork, DueWorkQuerySet

#: Rows erased in one transaction at first, some 50 ms of work. One that times out makes no progress at all
#: (PostHog 67536), so it is halved then.
CHUNK = 5000


class LeftBehind(Exception):
    """Counting again found something that should have been gone."""


class PurgeQuerySet(DueWorkQuerySet["Purge"]):
    def open(self) -> Self:
        """Neither called off nor proven."""
        return self.filter(called_off_at=None, verified_at=None)

    def unfinished(self) -> Self:
        """Those of which something here is still to be erased, or counted."""
        return self.open().filter(finished_at=None)

    def pending(self) -> Self:
        return self.open()

    def next_deadline(self) -> datetime | None:
        """The nearest one that is still to be met here, or missed already."""
        found: datetime | None = self.unfinished().aggregate(first=models.Min("deadline_at"))["first"]
        return found

    def overdue(self, at: datetime) -> Self:
        """Those that nothing keeps waiting. Of one that has begun, perhaps after a hold, the age counts from then."""
        recently = models.Q(started_at__gte=at - self.model.OVERDUE)
        return super().overdue(at).filter(~recently | models.Q(started_at=None), waiting_for="")

    def of(self, account_id: uuid.UUID) -> Self:
        return self.filter(account_id=account_id)

    def because_of(self, cause: PurgeCause) -> Self:
        """Those that this cause obliges us to, whatever else does."""
        found = PurgeObligation.objects.open().filter(purge=models.OuterRef("pk"), cause=cause)
        return self.filter(models.Exists(found))

    def locked(self) -> Self:
        return self.select_for_update(no_key=True)


class Purge(DueWork):
    """The obligation to erase one account's data, and how far that has come. `attempts`: failures in a row."""

    WAITING_SINCE = "due_at"
    OVERDUE = timedelta(hours=1)

    #: No foreign key: the row outlives the account.
    account_id = models.UUIDField(_("account"), editable=False)
    #: What the vendor's own systems call the account, written down when the erasing begins; kept only where the
    #: settings say that it names nobody (`ERASURE_LOG_EXTERNAL_IDS`).
    external_id = models.CharField(
        _("external id"), max_length=MAX_EXTERNAL_ID, blank=True, default="", db_default="", editable=False
    )
    #: Of the earliest open obligation, as are the dates; the deadline is the nearest of all.
    cause = models.CharField(_("cause"), max_length=30, choices=PurgeCause.choices)
    received_at = models.DateTimeField(_("received"))
    due_at = models.DateTimeField(_("due"))
    deadline_at = models.DateTimeField(_("deadline"))
    #: Why it does not go on just now; empty when nothing is in its way.
    waiting_for = models.TextField(_("waiting for"), blank=True)
    called_off_at = models.DateTimeField(_("called off"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    #: By store: how many were erased, whether none is left, and the page to go on with in a table walked through.
    progress: "models.JSONField[Any, Any]" = models.JSONField(_("progress"), default=dict)
    #: By record: how many facts were kept, because the law wants them.
    kept: "models.JSONField[Any, Any]" = models.JSONField(_("kept"), default=dict)
    #: Rows of one transaction; halved whenever one took too long, and never grown again.
    chunk = models.PositiveIntegerField(_("rows at once"), default=CHUNK)
    #: When counting again found something that should have been gone.
    left_behind_at = models.DateTimeField(_("something left behind"), null=True, blank=True)
    #: When everything here had been erased and counted again; others may still be at work.
    finished_at = models.DateTimeField(_("finished here"), null=True, blank=True)
    verified_at = models.DateTimeField(_("verified"), null=True, blank=True)
    #: Set on a purge that repeats one after a restore: when the account was first proven erased.
    erased_before_at = models.DateTimeField(_("first erased"), null=True, blank=True)

    objects = PurgeQuerySet.as_manager()

    class Meta:
        verbose_name = _("purge")
        verbose_name_plural = _("purges")
        constraints = [
            models.UniqueConstraint(
                fields=["account_id"],
                condition=models.Q(called_off_at=None, verified_at=None),
                name="purge_one_open_an_account",
            ),
            models.CheckConstraint(condition=models.Q(cause__in=PurgeCause.values), name="purge_cause_is_known"),
            models.CheckConstraint(
                condition=models.Q(due_at__gte=models.F("received_at"), deadline_at__gte=models.F("due_at")),
                name="purge_due_before_deadline",
            ),
            models.CheckConstraint(
                condition=models.Q(called_off_at=None) | models.Q(started_at=None),
                name="purge_called_off_or_started",
            ),
            models.CheckConstraint(
                condition=models.Q(started_at=None) | models.Q(started_at__gte=models.F("due_at")),
                name="purge_started_when_due",
            ),
            models.CheckConstraint(
                condition=models.Q(finished_at=None) | models.Q(finished_at__gte=models.F("started_at")),
                name="purge_finished_after_start",
            ),
            models.CheckConstraint(
                condition=models.Q(verified_at=None) | models.Q(verified_at__gte=models.F("finished_at")),
                name="purge_verified_after_finish",
            ),
            models.CheckConstraint(condition=models.Q(chunk__gte=1), name="purge_chunk_is_positive"),
        ]
        indexes = [
            # All as small as what is open: with nothing due they cost nothing, however many purges there were.
            models.Index(
                fields=["next_attempt_at", "id"],
                condition=models.Q(called_off_at=None, verified_at=None),
                name="purge_next",
            ),
            models.Index(
                fields=["deadline_at"], condition=models.Q(called_off_at=None, verified_at=None), name="purge_deadline"
            ),
            models.Index(fields=["account_id", "-received_at"], name="purge_of_account"),
            models.Index(fields=["verified_at"], condition=models.Q(verified_at__isnull=False), name="purge_proven"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id}, {self.deadline_at:%Y-%m-%d %H:%M}Z"

    @property
    def is_replay(self) -> bool:
        return self.erased_before_at is not None

    def reasons(self) -> "list[PurgeObligation]":
        """What obliges us, the earliest first; of one that was called off, what did."""
        obligations = self.obligations.all() if self.called_off_at else self.obligations.open()
        return list(obligations.soonest_first())

    def erased(self) -> dict[str, int]:
        """How many were erased, by store."""
        return {store: noted["erased"] for store, noted in self.progress.items()}

    def is_done(self, store: str) -> bool:
        return store in self.progress and bool(self.progress[store]["done"])

    def page(self, store: str) -> int | None:
        """The page to go on with, where a store's table is being walked through."""
        page: int | None = self.progress.get(store, {}).get("page")
        return page

    def note(self, store: str, erased: int, *, done: bool, page: int | None = None) -> None:
        """Add to a store's count. The caller holds the lock and saves, in the transaction of the erasing itself."""
        noted = {"erased": self.erased().get(store, 0) + erased, "done": done}
        self.progress[store] = noted if page is None else {**noted, "page": page}

    def fail(self, error: Exception, at: datetime) -> None:
        """As all due work; and look at every store again next time: something may have been written meanwhile."""
        with transaction.atomic():
            self.refresh_from_db(fields=["progress", "attempts"], from_queryset=Purge.objects.locked())
            for store in self.progress:
                self.note(store, 0, done=False)
            changes: dict[str, Any] = {}
            if isinstance(error, LeftBehind):
                changes = {"left_behind_at": at, "finished_at": None}
            self.put_off(describe(error), at, progress=self.progress, **changes)
