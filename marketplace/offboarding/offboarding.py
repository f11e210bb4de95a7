"""Offboarding: what a marketplace cancellation obliges us to do, step by step, with a deadline.

One row a cancellation, one row a step, in this order (facts/github-marketplace, 3.1): deactivate the
account at once; confirm with the marketplace; delete the repository hooks that we made; revoke the tokens; purge.
Hooks come before tokens, because a dead token can't delete hooks. `marketplace.offboarding.runner` carries the steps
out.
"""

import uuid
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.errors import storable
from accounts.customers import history
from accounts.customers.history import Actor
from accounts.erasure import scheduling
from accounts.erasure.obligation import PurgeCause
from accounts.erasure.purge import Purge
from accounts.jobs.due_work import DueWork, DueWorkQuerySet
from accounts.mail import notices
from accounts.models import Account
from marketplace.event_kinds import MarketplaceEvent

#: facts/github-marketplace, 3.1: all customer data within 30 days of receiving the `cancelled` event.
DEADLINE = timedelta(days=30)
#: A confirmation that can't be had holds nothing up for longer: the legal deadline still stands.
CONFIRM_LIMIT = timedelta(days=7)
#: Hooks that resist don't keep tokens alive for longer than this after the confirmation's own limit.
HOOKS_LIMIT = timedelta(days=10)
TOKENS_LIMIT = timedelta(days=20)


class StepKind(models.TextChoices):
    DEACTIVATE = "deactivate", _("Deactivate the account")
    CONFIRM = "confirm", _("Confirm with the marketplace")
    HOOKS = "hooks", _("Delete repository hooks")
    TOKENS = "tokens", _("Revoke tokens")
    PURGE = "purge", _("Erase all data")


ORDER = list(StepKind)


class OffboardingCause(models.TextChoices):
    CANCELLED = "cancelled", _("the marketplace said so")
    ABSENT = "absent", _("missing from the marketplace's list")


class OffboardingQuerySet(models.QuerySet["Offboarding"]):
    def open(self) -> Self:
        """Neither called off nor finished."""
        return self.filter(called_off_at=None, finished_at=None)

    def next_deadline(self) -> datetime | None:
        """The nearest one that is still to be met, or missed already."""
        found: datetime | None = self.open().aggregate(first=models.Min("deadline_at"))["first"]
        return found

    def of(self, account_id: uuid.UUID) -> Self:
        return self.filter(account_id=account_id)

    def without_purge(self) -> Self:
        """Those whose data nothing erases: neither an open purge that they oblige us to, nor one that is proven."""
        purges = Purge.objects.filter(account_id=models.OuterRef("account_id"))
        obliged = purges.open().because_of(PurgeCause.MARKETPLACE_CANCELLATION)
        replayed = purges.open().filter(erased_before_at__isnull=False)
        proven = purges.filter(verified_at__gte=models.OuterRef("received_at"))
        return self.exclude(models.Exists(obliged) | models.Exists(replayed) | models.Exists(proven))


class Offboarding(models.Model):
    """A customer has left. The row outlives the account and holds no personal data."""

    account_id = models.UUIDField(_("account"), db_index=True)
    cause = models.CharField(_("cause"), max_length=20, choices=OffboardingCause.choices)
    #: The thirty days are counted from here: the instant at which the message was received.
    received_at = models.DateTimeField(_("received"))
    deadline_at = models.DateTimeField(_("deadline"))
    called_off_at = models.DateTimeField(_("called off"), null=True, blank=True)
    called_off_because = models.CharField(_("called off because"), max_length=40, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    objects = OffboardingQuerySet.as_manager()

    class Meta:
        verbose_name = _("offboarding")
        verbose_name_plural = _("offboardings")
        constraints = [
            models.UniqueConstraint(
                fields=["account_id"],
                condition=models.Q(called_off_at=None, finished_at=None),
                name="offboarding_one_open",
            ),
            models.CheckConstraint(
                condition=models.Q(called_off_at=None) | models.Q(finished_at=None),
                name="offboarding_called_off_or_finished",
            ),
            models.CheckConstraint(
                condition=models.Q(deadline_at__gt=models.F("received_at")), name="offboarding_deadline_later"
            ),
        ]
        indexes = [models.Index(fields=["received_at"], name="offboarding_by_receipt")]

    def __str__(self) -> str:
        return f"{self.account_id}, {self.received_at:%Y-%m-%d}"


class OffboardingStepQuerySet(DueWorkQuerySet["OffboardingStep"]):
    def undone(self) -> Self:
        return self.filter(done_at=None)

    def pending(self) -> Self:
        """Steps whose turn it is: of open offboardings, and with every earlier step done."""
        earlier = OffboardingStep.objects.undone().filter(
            offboarding=models.OuterRef("offboarding"), number__lt=models.OuterRef("number")
        )
        return self.undone().filter(
            ~models.Exists(earlier), offboarding__called_off_at=None, offboarding__finished_at=None
        )

    def overdue(self, at: datetime) -> Self:
        """Steps still not done so long after the customer left. The erasing has a date and invariants of its own."""
        return super().overdue(at).exclude(kind=StepKind.PURGE)


class OffboardingStep(DueWork):
    """One step of an offboarding."""

    FIRST_WAIT = timedelta(minutes=5)
    LONGEST_WAIT = timedelta(hours=6)
    WAITING_SINCE = "offboarding__received_at"
    OVERDUE = timedelta(hours=24)

    offboarding = models.ForeignKey(Offboarding, on_delete=models.PROTECT, related_name="steps", db_index=False)
    number = models.PositiveSmallIntegerField(_("number"))
    kind = models.CharField(_("step"), max_length=20, choices=StepKind.choices)
    #: After this the step gives up, says what is left, and lets the next one go on.
    limit_at = models.DateTimeField(_("limit"))
    done_at = models.DateTimeField(_("done"), null=True, blank=True)
    #: How it ended: empty for as it should, else why not, for staff.
    remark = models.TextField(_("remark"), blank=True)

    objects = OffboardingStepQuerySet.as_manager()

    class Meta:
        db_table = "marketplace_step"
        verbose_name = _("offboarding step")
        verbose_name_plural = _("offboarding steps")
        ordering = ["offboarding", "number"]
        constraints = [
            models.UniqueConstraint(fields=["offboarding", "number"], name="step_number_is_unique"),
            models.CheckConstraint(condition=models.Q(kind__in=StepKind.values), name="step_kind_is_known"),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at", "id"], condition=models.Q(done_at=None), name="step_due"),
            models.Index(fields=["offboarding"], condition=models.Q(done_at=None, attempts__gt=0), name="step_failing"),
            models.Index(fields=["kind", "done_at"], condition=models.Q(done_at__isnull=False), name="step_done"),
        ]

    def __str__(self) -> str:
        return f"{self.offboarding_id} {self.kind}"

    def put_off(
        self, why: str, at: datetime, *, until: datetime | None = None, counts: bool = True, **changes: object
    ) -> bool:
        """As all due work; but past its limit a step gives up, whatever is in its way, and the next one goes on."""
        if self.kind == StepKind.PURGE:
            return super().put_off(why, at, until=until, counts=counts, **changes)
        if at >= self.limit_at:
            return self.finish(storable(f"given up: {why}"), at=at, by=Actor.system())
        # The limit is looked at in time, however long the wait has grown.
        latest = max(self.limit_at, at + self.FIRST_WAIT)
        until = min(until or at + self.wait_after(self.attempts), latest)
        return super().put_off(why, at, until=until, counts=counts, **changes)

    def finish(self, remark: str, *, at: datetime, by: Actor) -> bool:
        """The step is over: as it should, or for the reason that `remark` says. Returns whether anything changed."""
        with transaction.atomic():
            if not OffboardingStep.objects.undone().filter(pk=self.pk).update(done_at=at, remark=remark, last_error=""):
                return False
            history.record(
                self.offboarding.account_id,
                MarketplaceEvent(f"offboarding.{self.kind}"),
                at=at,
                by=by,
                offboarding=self.offboarding_id,
                as_it_should=not remark,
            )
            if self.kind == StepKind.PURGE:
                Offboarding.objects.open().filter(pk=self.offboarding_id).update(finished_at=at)
        return True


def begin(
    account: Account, *, cause: OffboardingCause, received_at: datetime, at: datetime, by: Actor
) -> tuple[Offboarding, bool]:
    """Begin to offboard a customer: deactivate the account at once, schedule the rest.

    In the caller's transaction, which has locked the account.
    Returns the offboarding, and whether it is new; a second cancellation while one is open is the first one again.
    With `GITHUB_CANCELLATION=downgrade` the account stays active, on Free.
    """
    if existing := Offboarding.objects.open().of(account.pk).first():
        return existing, False
    offboarding = Offboarding.objects.create(
        account_id=account.pk, cause=cause, received_at=received_at, deadline_at=received_at + DEADLINE
    )
    purge_due_at = offboarding.deadline_at - timedelta(hours=settings.PURGE_LEAD_HOURS)
    limits = {
        StepKind.DEACTIVATE: received_at,
        StepKind.CONFIRM: received_at + CONFIRM_LIMIT,
        StepKind.HOOKS: received_at + HOOKS_LIMIT,
        StepKind.TOKENS: received_at + TOKENS_LIMIT,
        StepKind.PURGE: offboarding.deadline_at,
    }
    deactivates = settings.GITHUB_CANCELLATION == "offboard"
    OffboardingStep.objects.bulk_create(
        [
            OffboardingStep(
                offboarding=offboarding,
                number=number,
                kind=kind,
                next_attempt_at=purge_due_at if kind == StepKind.PURGE else at,
                limit_at=limits[kind],
                # Deactivating is part of this transaction: it is the one step that waits for nothing.
                done_at=at if kind == StepKind.DEACTIVATE else None,
                remark="" if deactivates or kind != StepKind.DEACTIVATE else "downgraded to Free instead",
            )
            for number, kind in enumerate(ORDER, start=1)
        ]
    )
    if deactivates:
        Account.objects.filter(pk=account.pk).update(deactivated_at=at, returnable_until=purge_due_at)
    purge = scheduling.schedule(
        account,
        cause=PurgeCause.MARKETPLACE_CANCELLATION,
        received_at=received_at,
        due_at=purge_due_at,
        deadline_at=offboarding.deadline_at,
        at=at,
        by=by,
    )
    history.record(
        account.pk,
        MarketplaceEvent.OFFBOARDING_BEGUN,
        at=at,
        by=by,
        subject=purge.due_at if deactivates else None,
        offboarding=offboarding.pk,
        cause=cause,
        deadline_at=offboarding.deadline_at.isoformat(),
    )
    return offboarding, True


def erased_from(offboarding: Offboarding) -> datetime:
    """From when on the data goes, and until when the customer can come back: the one date that pages and mails say."""
    due = Purge.objects.of(offboarding.account_id).open().values_list("due_at", flat=True).first()
    return due or offboarding.deadline_at - timedelta(hours=settings.PURGE_LEAD_HOURS)


def come_back(account: Account, at: datetime, by: Actor) -> bool:
    """A subscription of whatever channel begins: the customer is back (`subscriptions.channels.returning`)."""
    if not Offboarding.objects.open().of(account.pk).exists():
        return False
    return call_off(account, because="subscribed", at=at, by=by)


def call_off(account: Account, *, because: str, at: datetime, by: Actor) -> bool:
    """The customer is back: call off the purge, reactivate the account with its data, and tell the owner so.

    In the caller's transaction. If the customer's own request to delete everything stands, the mail says so. Returns
    whether there was anything to call off. Raises `scheduling.TooLate` once the purge has begun: under the
    account's lock exactly one of the two wins.
    """
    account = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    offboarding = Offboarding.objects.open().of(account.pk).first()
    if offboarding is None:
        return False
    was_deactivated = account.deactivated_at is not None
    scheduling.call_off(account, at=at, by=by, cause=PurgeCause.MARKETPLACE_CANCELLATION)
    offboarding.called_off_at, offboarding.called_off_because = at, because
    offboarding.save(update_fields=["called_off_at", "called_off_because"])
    Account.objects.filter(pk=account.pk).update(deactivated_at=None, returnable_until=None)
    history.record(
        account.pk,
        MarketplaceEvent.OFFBOARDING_CALLED_OFF,
        at=at,
        by=by,
        subject=was_deactivated,
        offboarding=offboarding.pk,
        because=because,
    )
    if was_deactivated:
        stands = Purge.objects.of(account.pk).open().first()
        notices.queue(
            "marketplace/account_back",
            to=[account.owner()],
            account=account,
            occasion=f"offboarding.called_off:{offboarding.pk}",
            at=at,
            **({"due_at": stands.due_at} if stands else {}),
        )
    return True
