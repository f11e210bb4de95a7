"""A customer at Stripe, and the account that it has here: one each.

What Stripe tells by webhook is a hint about a customer: it makes the customer due for a check, and several hints within
seconds make one (`subscriptions.stripe.checks`).
"""

from datetime import datetime, timedelta
from typing import Self

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.checks.schedule import Checked, CheckedQuerySet
from accounts.core.write_guard import refused_while_erasing
from accounts.models import Account
from subscriptions.billing.finding import find_once
from subscriptions.billing.holding import MAX_REFERENCE

#: By what the port calls Stripe.
PROVIDER = "stripe"


class StripeCustomerQuerySet(CheckedQuerySet["StripeCustomer"]):
    def locked(self) -> Self:
        return self.select_for_update(no_key=True, of=("self",))

    def ask(self, at: datetime) -> int:
        """Have Stripe asked about these customers, now. Returns how many were not due already.

        Who is being asked about is asked about again: what was just heard may be newer than what is just read.
        """
        return self.filter(models.Q(check_at=None) | models.Q(check_at__gt=at)).update(
            check_at=at, check_since=models.functions.Coalesce("check_since", models.Value(at)), check_attempts=0
        )


class StripeCustomer(Checked):
    """Known by Stripe's id alone: names and addresses there are never looked at."""

    #: Longer than a run of the sweep, and the calls that end it.
    LEASE = timedelta(minutes=5)

    account = models.OneToOneField(
        Account, on_delete=models.PROTECT, related_name="stripe_customer", verbose_name=_("account")
    )
    reference = models.CharField(_("Stripe’s id"), max_length=MAX_REFERENCE, unique=True)
    livemode = models.BooleanField(_("real money"), default=True)
    #: As which the newest request was sent: each is later than any before it, whichever clock is ahead.
    asked_at = models.DateTimeField(_("asked"), null=True, blank=True)
    #: The same of the request whose answer was taken over last.
    read_at = models.DateTimeField(_("read"), null=True, blank=True)
    #: Deleted at Stripe: it is answered for still, and nothing can be bought with it.
    deleted_at = models.DateTimeField(_("deleted there"), null=True, blank=True)

    objects = StripeCustomerQuerySet.as_manager()

    class Meta:
        verbose_name = _("Stripe customer")
        verbose_name_plural = _("Stripe customers")
        indexes = [
            models.Index(
                fields=["check_at", "id"], condition=models.Q(check_at__isnull=False), name="stripe_customer_due"
            ),
        ]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return self.reference

    def stamped(self, at: datetime) -> datetime:
        """The instant as which a request about it is sent at `at`: later than that of every request sent before.

        Two requests of one run, or of two workers whose clocks differ, are told apart by it; the order in which they
        were sent is the order in which their answers count. In a transaction of its own.
        """
        after = models.F("asked_at") + models.Value(timedelta(microseconds=1))
        row = type(self).objects.filter(pk=self.pk)
        with transaction.atomic():
            row.update(asked_at=models.functions.Greatest(models.Value(at), after))
            return row.values_list("asked_at", flat=True).get() or at

    def deleted_there(self, at: datetime) -> bool:
        """Note that Stripe has it no more, and tell staff, unless it is gone because its account is. Whether new."""
        if not type(self).objects.filter(pk=self.pk, deleted_at=None).update(deleted_at=at):
            return False
        self.deleted_at = at
        account = Account.objects.filter(pk=self.account_id, purging_at=None).first()
        if account is not None:
            find_once("customer-deleted", provider=PROVIDER, reference=self.reference, account=account, at=at)
        return True

    def read(self, *, sent_at: datetime, at: datetime, leased_until: datetime | None = None) -> None:
        """An answer was taken over at `at` that was asked for as of `sent_at`, under the lease if any. Not saved yet.

        It is due no more if nothing was heard since it was claimed; who asks without having claimed it leaves it due.
        """
        self.read_at, self.checked_at = sent_at, at
        self.check_attempts, self.check_error = 0, ""
        if self.check_at is not None and self.check_at == leased_until:
            self.check_at = self.check_since = None
