"""A store elsewhere that is asked to erase one account: as a row, from the obligation to the answer.

One row a purge and store, written in the transaction that begins the erasing (`accounts.elsewhere.obliging`), sent and
asked after by the sweep (`accounts.elsewhere.runner`). *Accepted* is not erased, and *skipped* is no answer: a row is
open until the store has said that nothing is left, or two members of staff have (`accounts.elsewhere.by_hand`). What it
knows of people are ids, and those are emptied as soon as it is closed. The row outlives the account.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.core.foreign_input import MAX_EXTERNAL_ID
from accounts.customers.user import User
from accounts.elsewhere import store as stores
from accounts.elsewhere.store import RemoteStore
from accounts.erasure.obligation import PurgeCause
from accounts.erasure.purge import Purge
from accounts.jobs.due_work import DueWork, DueWorkQuerySet

MAX_PROOF = 500
MAX_TEXT = 300
MAX_CODE = 60
MAX_VERSION = 60
#: A store that is late is shown so long before its promised day, or a quarter of what it promised, if that is less.
MARGIN = timedelta(days=1)
#: A store that can't be asked as it is configured is shown after so long.
SHOWN_AFTER = timedelta(hours=1)
#: One that is stuck with a rest, after so long.
STUCK_AFTER = timedelta(days=1)


class Said(models.TextChoices):
    """What the store said last."""

    NOTHING = "", _("not asked yet")
    ACCEPTED = "accepted", _("accepted: it will be done later")
    IN_PROGRESS = "in_progress", _("at work")
    PARTLY = "partly", _("erased in part: something is left")
    REFUSED = "refused", _("refused")
    DONE = "done", _("done: nothing is left")


class How(models.TextChoices):
    """On whose word it is closed."""

    ANSWERED = "answered", _("the store has said so")
    BY_HAND = "by_hand", _("stated by two members of staff")


class RemoteErasureQuerySet(DueWorkQuerySet["RemoteErasure"]):
    def open(self) -> Self:
        """Those of which nobody has said yet that nothing is left."""
        return self.filter(done_at=None)

    def pending(self) -> Self:
        """Those to be asked, or asked after: not before the erasing has begun, and not once the store has refused."""
        begun = models.Q(purge=None) | models.Q(purge__started_at__isnull=False)
        return self.open().filter(begun).exclude(said=Said.REFUSED)

    def overdue(self, at: datetime) -> Self:
        return self.late(at)

    def late(self, at: datetime) -> Self:
        """Those that staff should look at: refused, stuck, not to be asked, or close to what was promised."""
        return self.open().filter(shown_from__lte=at)

    def of(self, account_id: uuid.UUID) -> Self:
        return self.filter(account_id=account_id)

    def holding_up(self, account_id: uuid.UUID) -> Self:
        """Those that go before ours, and may still answer."""
        return self.pending().filter(account_id=account_id, before_ours=True)

    def locked(self) -> Self:
        return self.select_for_update(no_key=True, of=("self",))

    def next_promised(self) -> datetime | None:
        """The nearest day on which one is to be done."""
        found: datetime | None = self.open().aggregate(first=models.Min("promised_at"))["first"]
        return found


class RemoteErasure(DueWork):
    """What one store is asked to erase, and how far that is. `attempts`: failures in a row."""

    WAITING_SINCE = "obliged_at"
    #: A call takes up to a quarter of a minute, and waits for its turn within the store's rate.
    LEASE = timedelta(minutes=5)

    #: None: nothing of the account was here any more when it was asked again, after a restore.
    purge = models.ForeignKey(
        Purge,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="remote_erasures",
        verbose_name=_("purge"),
        editable=False,
    )
    #: No foreign key: the row outlives the account.
    account_id = models.UUIDField(_("account"), editable=False)
    store = models.CharField(_("store elsewhere"), max_length=stores.MAX_NAME)
    #: The same in every attempt: by it the store knows that it is the same. Another one once it was recalled.
    request = models.UUIDField(_("request"), unique=True, default=uuid.uuid4, editable=False)
    #: After a restore: the request that this one repeats, if it is known.
    replay_of = models.UUIDField(_("repeats"), null=True, blank=True, editable=False)
    is_replay = models.BooleanField(_("after a restore"), default=False)
    cause = models.CharField(_("cause"), max_length=30, choices=PurgeCause.choices)
    #: As the store was configured when it was obliged.
    before_ours = models.BooleanField(_("before ours"), default=False)
    #: Emptied when it is closed, as is whoever goes with the account: ids alone.
    external_id = models.CharField(_("external id"), max_length=MAX_EXTERNAL_ID, blank=True)
    people: "models.JSONField[Any, Any]" = models.JSONField(_("people"), default=list, blank=True)

    obliged_at = models.DateTimeField(_("obliged"))
    deadline_at = models.DateTimeField(_("deadline"))
    #: By when it is to be done, as the store has promised; counted from when it was first asked.
    promised_days = models.PositiveSmallIntegerField(_("promised days"))
    promised_at = models.DateTimeField(_("promised"))
    #: From when on staff are shown it.
    shown_from = models.DateTimeField(_("shown to staff from"))

    said = models.CharField(_("said last"), max_length=20, choices=Said.choices, blank=True)
    asks = models.PositiveIntegerField(_("times asked"), default=0)
    polls = models.PositiveIntegerField(_("times asked after"), default=0)
    asked_at = models.DateTimeField(_("asked"), null=True, blank=True)
    accepted_at = models.DateTimeField(_("accepted"), null=True, blank=True)
    expected_by = models.DateTimeField(_("expected by"), null=True, blank=True)
    answered_at = models.DateTimeField(_("answered last"), null=True, blank=True)
    #: Since when its answers are those of a wrong configuration, or it is stuck with a rest.
    misconfigured_since = models.DateTimeField(_("not to be asked as configured since"), null=True, blank=True)
    stuck_since = models.DateTimeField(_("something left since"), null=True, blank=True)
    #: The store was asked to forget the request, once, because the data is held; whether it did stands on the hold.
    recall_tried_at = models.DateTimeField(_("recall tried"), null=True, blank=True)

    erased: "models.JSONField[Any, Any]" = models.JSONField(_("erased"), default=dict, blank=True)
    left = models.PositiveBigIntegerField(_("left"), null=True, blank=True)
    kept: "models.JSONField[Any, Any]" = models.JSONField(_("kept"), default=list, blank=True)
    proof = models.CharField(_("proof"), max_length=MAX_PROOF, blank=True)
    reason = models.CharField(_("reason"), max_length=MAX_CODE, blank=True)
    ground = models.CharField(_("ground"), max_length=MAX_TEXT, blank=True)
    version = models.CharField(_("version"), max_length=MAX_VERSION, blank=True)

    done_at = models.DateTimeField(_("done"), null=True, blank=True)
    how = models.CharField(_("on whose word"), max_length=20, choices=How.choices, blank=True)
    # Staff by their ids, here as elsewhere: what they did outlives them.
    proposed_by = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("stated by"),
    )
    proposed_at = models.DateTimeField(_("stated"), null=True, blank=True)
    case_number = models.CharField(_("the store’s own case number"), max_length=100, blank=True)
    approved_by = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("approved by"),
    )

    objects = RemoteErasureQuerySet.as_manager()

    class Meta:
        verbose_name = _("erasing elsewhere")
        verbose_name_plural = _("erasings elsewhere")
        constraints = [
            models.UniqueConstraint(fields=["purge", "store"], name="remote_erasure_one_a_purge_and_store"),
            models.UniqueConstraint(
                fields=["account_id", "store"],
                condition=models.Q(purge=None, done_at=None),
                name="remote_erasure_one_open_without_purge",
            ),
            models.CheckConstraint(condition=models.Q(said__in=Said.values), name="remote_erasure_said_is_known"),
            # The promise that a certificate stands on: closed by the store's word that nothing is left, or by two.
            models.CheckConstraint(
                condition=models.Q(done_at=None, how="", approved_by=None)
                | models.Q(done_at__isnull=False, how=How.ANSWERED, said=Said.DONE, left=0, approved_by=None)
                | models.Q(done_at__isnull=False, how=How.BY_HAND, proposed_by__isnull=False, approved_by__isnull=False)
                & ~models.Q(approved_by=models.F("proposed_by")),
                name="remote_erasure_done_on_somebodys_word",
            ),
            models.CheckConstraint(
                condition=models.Q(done_at=None) | models.Q(external_id="", people=[]),
                name="remote_erasure_done_knows_nobody",
            ),
            models.CheckConstraint(
                condition=models.Q(proposed_by=None, proposed_at=None, case_number="")
                | models.Q(proposed_by__isnull=False, proposed_at__isnull=False) & ~models.Q(case_number=""),
                name="remote_erasure_stated_by_somebody",
            ),
        ]
        indexes = [
            # As small as what is open, however many there were.
            models.Index(
                fields=["store", "next_attempt_at", "id"], condition=models.Q(done_at=None), name="remote_erasure_next"
            ),
            models.Index(fields=["shown_from"], condition=models.Q(done_at=None), name="remote_erasure_late"),
            models.Index(fields=["account_id"], name="remote_erasure_of_account"),
            models.Index(fields=["obliged_at", "id"], name="remote_erasure_obliged"),
        ]

    def __str__(self) -> str:
        return f"{self.store}: {self.account_id}"

    @property
    def remote_store(self) -> RemoteStore | None:
        """The store as it is configured now; None if it is no more."""
        return stores.named(self.store)

    @property
    def is_open(self) -> bool:
        return self.done_at is None

    @property
    def was_accepted(self) -> bool:
        """Whether it is asked after, not asked: the store has the request."""
        return self.said in (Said.ACCEPTED, Said.IN_PROGRESS, Said.PARTLY)

    @property
    def met_its_deadline(self) -> bool:
        """Done before the deadline; or asked and accepted before it, and done within what the store had promised."""
        assert self.done_at is not None
        # The purge's may have been brought forward since.
        deadline_at = self.purge.deadline_at if self.purge else self.deadline_at
        in_time = self.accepted_at is not None and self.accepted_at <= deadline_at
        return self.done_at <= deadline_at or (in_time and self.done_at <= self.promised_at)

    def promise_from(self, asked_at: datetime) -> None:
        """Count what the store has promised from when it was first asked."""
        self.promised_at = asked_at + timedelta(days=self.promised_days)

    def shown_by_promise(self) -> datetime:
        """When it comes close to what was promised; unaccepted, to our own deadline, if that is earlier."""
        margin = min(MARGIN, timedelta(days=self.promised_days) / 4)
        if self.accepted_at:
            return self.promised_at - margin
        return max(min(self.promised_at, self.deadline_at) - margin, self.obliged_at + SHOWN_AFTER)

    def follow(self) -> None:
        """Say from when on staff are shown it, by what is known now. Saved by the caller."""
        shown = [self.shown_by_promise()]
        if self.said == Said.REFUSED:
            shown.append(self.answered_at or self.obliged_at)
        if self.misconfigured_since:
            shown.append(self.misconfigured_since + SHOWN_AFTER)
        if self.stuck_since:
            shown.append(self.stuck_since + STUCK_AFTER)
        self.shown_from = min(shown)

    def close(self, how: How, at: datetime) -> None:
        """On whose word nothing is left there; from now on it knows nobody. Saved by the caller."""
        self.done_at, self.how = at, how
        self.external_id, self.people = "", []
        self.last_error, self.attempts = "", 0
        self.misconfigured_since = self.stuck_since = None
