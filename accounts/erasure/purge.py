"""The purge: erasing all of an account's data, as a row.

Scheduled when something obliges us to (a marketplace cancellation, the customer's own request), each cause a row of
its own (`accounts.erasure.obligation`); the purge's dates are those of the earliest. Started when due, carried out in
`accounts.erasure.runner`, proven in `accounts.erasure.certificates`. Until it starts it can be called off; from then on
nothing is written to the account and there is no way back. The row outlives the account, and holds no personal data.
Transitions lock the account first, then the purge.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.errors import describe
from accounts.core.refusal import Refused
from accounts.core.registry import Registry, function_name
from accounts.core.write_guard import BeingErased, refuse_if_purging
from accounts.customers import history
from accounts.customers.account import Account
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.erasure import inventory, people
from accounts.erasure.obligation import PurgeCause, PurgeObligation
from accounts.jobs.due_work import DueWork, DueWorkQuerySet

__all__ = [
    "BeingErased",
    "Purge",
    "PurgeCause",
    "TooLate",
    "call_off",
    "refuse_if_purging",
    "schedule",
    "start",
    "start_due",
]

#: Rows erased in one transaction at first, some 50 ms of work. One that times out makes no progress at all
#: (PostHog 67536), so it is halved then.
CHUNK = 5000
#: A purge that waits for something is looked at again after so long.
LOOK_AGAIN = timedelta(minutes=10)


class TooLate(Refused):
    """The erasing has begun, or is over: it can't be called off any more."""

    text = _("It is too late: the erasing of the data has begun.")


class LeftBehind(Exception):
    """Counting again found something that should have been gone."""


class PurgeQuerySet(DueWorkQuerySet["Purge"]):
    def open(self) -> Self:
        """Neither called off nor proven."""
        return self.filter(called_off_at=None, verified_at=None)

    def pending(self) -> Self:
        return self.open()

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
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
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
            changes: dict[str, Any] = {"left_behind_at": at} if isinstance(error, LeftBehind) else {}
            self.put_off(describe(error), at, progress=self.progress, **changes)


#: Answers why an account's data must not be erased at an instant, or None.
Reason = Callable[[uuid.UUID, datetime], str | None]


@dataclass(frozen=True)
class ReasonToWait:
    """Asked under the lock before a purge starts; with `while_erasing` before every chunk, too.

    Each app declares its own: a hold, a customer who has come back and pays.
    """

    name: str
    reason: Reason
    while_erasing: bool = False


REASONS_TO_WAIT: Registry[ReasonToWait] = Registry()


#: Does what has to be done before nothing can be written any more, in the transaction that begins the erasing.
BeforeErasing = Callable[[uuid.UUID, datetime], None]
BEFORE_ERASING: Registry[BeforeErasing] = Registry(key=function_name)


def reason_to_wait(purge: Purge, at: datetime, *, while_erasing: bool) -> str:
    """Why this purge must wait at `at`; empty if it need not. What is erased again after a restore never waits."""
    if purge.is_replay:
        return ""
    asked = (
        waiting.reason(purge.account_id, at)
        for waiting in REASONS_TO_WAIT.all()
        if waiting.while_erasing or not while_erasing
    )
    return next((answer for answer in asked if answer), "")


def schedule(
    account: Account,
    *,
    cause: PurgeCause,
    received_at: datetime,
    due_at: datetime,
    deadline_at: datetime,
    at: datetime,
    by: Actor,
) -> Purge:
    """Oblige us to erase the account's data from `due_at` on, before `deadline_at`. Returns the open purge.

    Each cause is an obligation of its own, whose dates are brought forward if it comes again, and never put off. The
    purge follows the earliest. The caller has locked the account.
    """
    with transaction.atomic():
        purge = Purge.objects.of(account.pk).open().locked().first()
        dates = {"cause": cause, "received_at": received_at, "due_at": due_at, "deadline_at": deadline_at}
        if purge is None:
            purge = Purge.objects.create(account_id=account.pk, next_attempt_at=due_at, **dates)
            PurgeObligation.objects.create(purge=purge, **dates)
            if account.deactivated_at and account.returnable_until != due_at:
                _return_until(purge)
        elif _oblige(purge, cause, received_at, due_at, deadline_at):
            _follow(purge)
        else:
            return purge
        history.record(
            account.pk,
            AccountEvent.PURGE_SCHEDULED,
            at=at,
            by=by,
            purge=purge.pk,
            cause=cause,
            due_at=purge.due_at.isoformat(),
            deadline_at=purge.deadline_at.isoformat(),
        )
    return purge


def _oblige(purge: Purge, cause: PurgeCause, received_at: datetime, due_at: datetime, deadline_at: datetime) -> bool:
    """Have the purge's obligation of this cause, made if there is none, say the earlier dates. Whether that differs."""
    obligation, new = PurgeObligation.objects.open().get_or_create(
        purge=purge,
        cause=cause,
        defaults={"received_at": received_at, "due_at": due_at, "deadline_at": deadline_at, "called_off_at": None},
    )
    if new:
        return True
    before = (obligation.due_at, obligation.deadline_at)
    obligation.due_at = max(min(due_at, obligation.due_at), obligation.received_at)
    obligation.deadline_at = max(min(deadline_at, obligation.deadline_at), obligation.due_at)
    obligation.save(update_fields=["due_at", "deadline_at"])
    return before != (obligation.due_at, obligation.deadline_at)


def _follow(purge: Purge) -> None:
    """Give a purge the dates of its earliest open obligation; once it has started, no more than its deadline."""
    if purge.is_replay:
        # What is erased again after a restore goes by its own dates.
        return
    obligations = list(purge.obligations.open().soonest_first())
    first = obligations[0]
    if not purge.started_at:
        postponed = first.due_at > purge.due_at
        purge.cause, purge.received_at, purge.due_at = PurgeCause(first.cause), first.received_at, first.due_at
        purge.next_attempt_at = purge.due_at if postponed else min(purge.next_attempt_at, purge.due_at)
    purge.deadline_at = max(min(obligation.deadline_at for obligation in obligations), purge.due_at)
    purge.save(update_fields=["cause", "received_at", "due_at", "deadline_at", "next_attempt_at"])
    _return_until(purge)


def _return_until(purge: Purge) -> None:
    """A deactivated account can come back until its purge is due, and not for longer."""
    leaving = Account.objects.filter(pk=purge.account_id, deactivated_at__isnull=False, purging_at=None)
    leaving.update(returnable_until=purge.due_at)


def call_off(account: Account, *, at: datetime, by: Actor, cause: PurgeCause | None = None) -> bool:
    """Call off what obliges us to erase the account's data; with `cause`, that one alone. Whether anything changed.

    The purge itself is off when no obligation is left; else it goes by the dates of those that stand. Raises `TooLate`
    once the erasing has begun: against a purge that starts just now, exactly one of the two wins.
    """
    with transaction.atomic():
        found = Account.objects.select_for_update(no_key=True).filter(pk=account.pk).first()
        if found is None or found.purging_at:
            raise TooLate
        purge = Purge.objects.of(account.pk).open().locked().first()
        if purge is None:
            return False
        ending = purge.obligations.open().filter(**({"cause": cause} if cause else {}))
        if not ending.exists():
            return False
        if purge.started_at or purge.is_replay:
            raise TooLate
        ending.update(called_off_at=at)
        if purge.obligations.open().exists():
            _follow(purge)
            history.record(
                account.pk,
                AccountEvent.PURGE_POSTPONED,
                at=at,
                by=by,
                purge=purge.pk,
                cause=purge.cause,
                due_at=purge.due_at.isoformat(),
                deadline_at=purge.deadline_at.isoformat(),
            )
        else:
            purge.called_off_at, purge.waiting_for = at, ""
            purge.save(update_fields=["called_off_at", "waiting_for"])
            history.record(account.pk, AccountEvent.PURGE_CALLED_OFF, at=at, by=by, purge=purge.pk, cause=purge.cause)
    return True


def start_due(at: datetime) -> int:
    """Start every purge that is due at `at` and need not wait. Returns how many were started."""
    started = 0
    for pk in list(Purge.objects.due(at).filter(started_at=None).values_list("pk", flat=True)):
        started += start(Purge.objects.get(pk=pk), at=at)
    return started


def start(purge: Purge, *, at: datetime, present: datetime | None = None) -> bool:
    """Begin the erasing, unless it was called off, is not due, or must wait. Returns whether this call began it.

    Dates are decided as of `at`; the beginning itself bears the instant `present`, in a run that has gone on since.

    In one transaction: everything is checked again, what was paid for until now ends, writing to the account stops, its
    people are signed out, and what the law wants kept is written down. From here there is no way back.
    """
    with transaction.atomic():
        # With its key: whoever is writing rows of the account is waited for, whoever comes later is refused.
        account = Account.objects.select_for_update().filter(pk=purge.account_id).first()
        purge = Purge.objects.locked().get(pk=purge.pk)
        if purge.called_off_at or purge.started_at or purge.due_at > at:
            return False
        if must_wait(purge, at, while_erasing=False):
            return False
        for act in BEFORE_ERASING.all():
            act(purge.account_id, at)
        if account:
            account.purging_at = present or at
            account.save(update_fields=["purging_at"])
            people.see_out(account.pk)
        purge.started_at = present or at
        purge.kept = {keeper.name: keeper.keep(purge.account_id, at) for keeper in inventory.keepers()}
        purge.save(update_fields=["started_at", "kept"])
        history.record(
            purge.account_id, AccountEvent.PURGE_STARTED, at=at, by=Actor.system(), purge=purge.pk, cause=purge.cause
        )
    return True


def must_wait(purge: Purge, at: datetime, *, while_erasing: bool) -> bool:
    """Whether this purge must wait at `at`; says why on its row, and when it is looked at again."""
    reason = reason_to_wait(purge, at, while_erasing=while_erasing)
    if reason:
        purge.next_attempt_at = at + LOOK_AGAIN
    if reason or purge.waiting_for:
        purge.waiting_for = reason
        purge.save(update_fields=["waiting_for", "next_attempt_at"])
    return bool(reason)
