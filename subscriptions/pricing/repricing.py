"""Repricing: existing subscriptions that pay a new list price, with notice. The `reprice` sweep.

A price that was decided for existing subscriptions, too (`subscriptions.catalogue.set_price`), becomes one row for each
of them: from which cycle it is paid, when the owner is told, that they were told, that it is so. Dates decide: from the
first instant of that cycle on the new price is what pages and refunds count by (`price_at`), whether the sweep has come
or not; it only writes it down.

Left as they are: what another than us bills (marketplaces, the sales team's contracts), a price of one's own that was
never on the list, what ends (a cancellation, until it is withdrawn), and the first paid cycle, which costs what was
said when it was bought or tried. Where the telling comes late, so does the price: nobody pays more without the notice.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Self

from django.db import models, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.customers import history
from accounts.customers.history import Actor
from accounts.jobs import invariants, sweeps
from accounts.jobs.batches import run_batches
from accounts.mail import notices
from accounts.models import Account, Notice
from subscriptions.billing.invoice import paid_cents
from subscriptions.cycles import cycle_at
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.plan import Price
from subscriptions.subscription import Channel, Subscription

#: Done in one transaction.
BATCH = 500
#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=1)
#: Noted or told by then, or shown to staff.
OVERDUE = timedelta(hours=1)


class RepricingQuerySet(models.QuerySet["Repricing"]):
    def open(self) -> Self:
        """Neither carried out nor dropped."""
        return self.filter(carried_out_at=None, dropped_at=None)

    def standing(self) -> Self:
        """Open, and of a price that was not called off."""
        return self.open().filter(price__called_off_at=None)

    def coming(self) -> Self:
        """Of which the owner was told, and that nothing has come between since."""
        sold = {name: F(f"subscription__{name}") for name in ("plan_id", "interval", "currency")}
        same = {f"price__{name}": value for name, value in sold.items()}
        goes_on = Q(subscription__ends_at=None) | Q(subscription__ends_at__gt=F("from_at"))
        return self.standing().filter(goes_on, told_at__isnull=False, cents_before=F("subscription__cents"), **same)

    def called_off(self) -> Self:
        """Open, though the price does not come."""
        return self.open().exclude(price__called_off_at=None)

    def to_be_told(self, at: datetime) -> Self:
        """Whose owner should by now know of it."""
        return self.standing().filter(told_at=None, notice_at__lte=at)

    def due(self, at: datetime) -> Self:
        """Whose cycle has begun."""
        return self.standing().filter(told_at__isnull=False, from_at__lte=at)


class Repricing(models.Model):
    """One subscription and one new price: planned, told, carried out; or dropped, because something came between."""

    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="repricings", verbose_name=_("subscription")
    )
    price = models.ForeignKey(Price, on_delete=models.PROTECT, related_name="repricings", verbose_name=_("price"))
    #: Of one seat and cycle, before and from `from_at` on, the beginning of a cycle.
    cents_before = models.PositiveIntegerField(_("price before, in cents"))
    cents = models.PositiveIntegerField(_("price in cents"))
    from_at = models.DateTimeField(_("from"))
    notice_at = models.DateTimeField(_("owner to be told"))
    told_at = models.DateTimeField(_("owner told"), null=True, blank=True)
    carried_out_at = models.DateTimeField(_("carried out"), null=True, blank=True)
    dropped_at = models.DateTimeField(_("dropped"), null=True, blank=True)
    #: Why it could not be told or carried out with all the others; empty for as it should be.
    last_error = models.TextField(_("last error"), blank=True, default="", db_default="")

    objects = RepricingQuerySet.as_manager()

    class Meta:
        verbose_name = _("new price of a subscription")
        verbose_name_plural = _("new prices of subscriptions")
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"],
                condition=Q(carried_out_at=None, dropped_at=None),
                name="repricing_one_open_a_subscription",
            ),
            models.CheckConstraint(
                condition=Q(carried_out_at=None) | Q(dropped_at=None), name="repricing_carried_out_or_dropped"
            ),
            # Nobody pays what they were not told of.
            models.CheckConstraint(
                condition=Q(carried_out_at=None) | Q(told_at__isnull=False, carried_out_at__gte=F("from_at")),
                name="repricing_told_before_it_is_paid",
            ),
            models.CheckConstraint(
                condition=Q(told_at=None) | Q(told_at__lt=F("from_at")), name="repricing_told_ahead"
            ),
            models.CheckConstraint(condition=~Q(cents=F("cents_before")), name="repricing_changes_something"),
        ]
        indexes = [
            # As small as what is planned.
            models.Index(
                fields=["notice_at"],
                condition=Q(told_at=None, carried_out_at=None, dropped_at=None),
                name="repricing_to_be_told",
            ),
            models.Index(
                fields=["from_at"],
                condition=Q(told_at__isnull=False, carried_out_at=None, dropped_at=None),
                name="repricing_due",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cents_before} > {self.cents}, {self.from_at:%Y-%m-%d}"


def announced(subscription: Subscription) -> Repricing | None:
    """The new price that the owner was told of and that is not written down yet; None where there is none."""
    return Repricing.objects.coming().filter(subscription=subscription).first()


def price_at(subscription: Subscription, at: datetime) -> int:
    """What a seat and cycle costs at `at`, now or later, in cents: whatever the sweep has done."""
    if subscription.channel != Channel.DIRECT:
        return subscription.cents
    return price_with(subscription, announced(subscription), at)


def price_with(subscription: Subscription, new: Repricing | None, at: datetime) -> int:
    """The same, for who has asked already for the new price that is `announced`."""
    return new.cents if new and new.from_at <= at else subscription.cents


def paid_so_far(subscription: Subscription, at: datetime) -> int:
    """Cents: every cycle that has begun by `at`, and before the end, at its own price. Nothing during a trial.

    Of what a payment provider holds, it is what was really paid: its paid invoices, as read. Marketplaces and the sales
    team send bills of their own: there nothing was paid to us.
    """
    if subscription.channel != Channel.DIRECT:
        return 0
    if subscription.held_by:
        return paid_cents(subscription, at)
    written_down = Repricing.objects.filter(subscription=subscription, carried_out_at__isnull=False)
    coming = Repricing.objects.coming().filter(subscription=subscription)
    begun = subscription.cycles_begun(at)
    paid, counted = 0, 0
    for change in (written_down | coming).order_by("from_at"):
        # Cycles before the one that begins with the change.
        before = min(subscription.cycles_begun(change.from_at - timedelta(microseconds=1)), begun)
        paid += (before - counted) * change.cents_before
        counted = before
    return (paid + (begun - counted) * price_at(subscription, at)) * subscription.seats


def meant_by(price: Price) -> "QuerySet[Subscription]":
    """The running direct subscriptions that pay an earlier list price, and are to pay this one."""
    earlier = (
        Price.objects.standing()
        .exclude(pk=price.pk)
        .filter(plan_id=price.plan_id, interval=price.interval, currency=price.currency)
    )
    earlier = earlier.filter(Q(from_at=None) | Q(from_at__lt=price.from_at)).exclude(cents=price.cents)
    return Subscription.objects.filter(
        plan_id=price.plan_id,
        interval=price.interval,
        currency=price.currency,
        channel=Channel.DIRECT,
        cents__in=list(earlier.values_list("cents", flat=True)),
        ends_at=None,
        account__purging_at=None,
    )


def left_alone_by(price: Price) -> "QuerySet[Subscription]":
    """Running direct subscriptions of the same kind that stay as they are: they end, or have prices of their own."""
    same = {name: getattr(price, name) for name in ("plan_id", "interval", "currency")}
    running = Subscription.objects.filter(channel=Channel.DIRECT, settled_at=None, **same).exclude(cents=price.cents)
    return running.exclude(pk__in=meant_by(price).values("pk"))


def first_cycle(subscription: Subscription, not_before: datetime) -> datetime:
    """When the first cycle begins that is not the first one paid, at `not_before` or later."""
    anchor = subscription.anchor_at
    cycle = cycle_at(anchor, subscription.interval, max(anchor, not_before))
    return cycle.start if cycle.start >= not_before and cycle.start > anchor else cycle.end


def decided(at: datetime) -> list[Price]:
    """The prices that are for existing subscriptions, too: of each plan, interval and currency the one decided last."""
    found = Price.objects.standing().filter(notice_days__isnull=False).order_by("from_at")
    return list({(price.plan_id, price.interval, price.currency): price for price in found}.values())


def reprice_due(at: datetime) -> int:
    """Plan, tell and carry out whatever is due at `at`. Returns how many rows that were."""
    called_off = Repricing.objects.called_off().order_by("pk")
    done = run_batches(called_off, lambda rows, batch: _drop_called_off(rows, batch, at), batch=BATCH, run=RUN)
    for price in decided(at):
        run_batches(_older(price), lambda rows, batch: _drop_older(rows, batch, at), batch=BATCH, run=RUN)
        done += run_batches(
            _unplanned(price),
            lambda rows, batch, price=price: _plan(rows, batch, price, at),  # type: ignore[misc]  # as it is now
            batch=BATCH,
            run=RUN,
        )
    to_be_told = Repricing.objects.to_be_told(at).order_by("notice_at", "pk")
    done += run_batches(to_be_told, lambda rows, batch: _tell(rows, batch, at), batch=BATCH, run=RUN)
    due = Repricing.objects.due(at).order_by("from_at", "pk")
    return done + run_batches(due, lambda rows, batch: _carry_out(rows, batch, at), batch=BATCH, run=RUN)


def preview(at: datetime) -> Iterator[str]:
    """What `reprice_due` would do at `at`, a line each."""
    for price in decided(at):
        for subscription in _unplanned(price).select_related("account").iterator():
            yield f"{subscription.account_id} {subscription.account.name}: a new price of {price} is planned"
    for row in Repricing.objects.to_be_told(at).select_related("subscription__account").order_by("pk").iterator():
        yield f"{row.subscription.account_id} {row.subscription.account.name}: told of the new price {row}"
    for row in Repricing.objects.due(at).select_related("subscription__account").order_by("pk").iterator():
        yield f"{row.subscription.account_id} {row.subscription.account.name}: pays the new price {row}"


def _unplanned(price: Price) -> "QuerySet[Subscription]":
    """Without a row of this price, or an open one of another: that comes first, if its owner knows of it."""
    rows = Repricing.objects.filter(subscription=OuterRef("pk"), dropped_at=None)
    return meant_by(price).exclude(Exists(rows.filter(Q(price=price) | Q(carried_out_at=None)))).order_by("pk")


def _older(price: Price) -> "QuerySet[Repricing]":
    """What was planned under earlier prices, and nobody was told of: it is overtaken."""
    same = {f"price__{name}": getattr(price, name) for name in ("plan_id", "interval", "currency")}
    return Repricing.objects.open().filter(told_at=None, **same).exclude(price=price).order_by("pk")


def _drop_older(rows: "QuerySet[Repricing]", size: int, at: datetime) -> int:
    with transaction.atomic():
        batch = _taken(rows, size)
        return Repricing.objects.filter(pk__in=[row.pk for row in batch]).update(dropped_at=at, last_error="")


def _plan(unplanned: "QuerySet[Subscription]", size: int, price: Price, at: datetime) -> int:
    assert price.from_at is not None
    assert price.notice_days is not None
    notice = timedelta(days=price.notice_days)
    with transaction.atomic():
        batch = list(unplanned.select_for_update(skip_locked=True, no_key=True, of=("self",))[:size])
        rows = []
        for subscription in batch:
            from_at = first_cycle(subscription, max(price.from_at, at + notice))
            rows.append(
                Repricing(
                    subscription=subscription,
                    price=price,
                    cents_before=subscription.cents,
                    cents=price.cents,
                    from_at=from_at,
                    notice_at=from_at - notice,
                )
            )
        Repricing.objects.bulk_create(rows)
    return len(batch)


def _taken(rows: "QuerySet[Repricing]", size: int) -> list[Repricing]:
    """Rows with their subscriptions, both held: whoever cancels just now comes before or after, not between."""
    found = rows.select_related("subscription__account", "subscription__plan", "price")
    return list(found.select_for_update(skip_locked=True, no_key=True, of=("self", "subscription"))[:size])


def _stands(row: Repricing) -> bool:
    """Whether the subscription still is what the row was planned for."""
    found, price = row.subscription, row.price
    same = (found.plan_id, found.interval, found.currency) == (price.plan_id, price.interval, price.currency)
    goes_on = found.ends_at is None or found.ends_at > row.from_at
    return same and goes_on and found.cents == row.cents_before and found.account.purging_at is None


def _drop_called_off(rows: "QuerySet[Repricing]", size: int, at: datetime) -> int:
    with transaction.atomic():
        batch = _taken(rows, size)
        _mail("price_stays", [row for row in batch if row.told_at and row.subscription.account.purging_at is None], at)
        for row in batch:
            row.dropped_at = at
        Repricing.objects.bulk_update(batch, ["dropped_at"])
    return len(batch)


def _tell(rows: "QuerySet[Repricing]", size: int, at: datetime) -> int:
    with transaction.atomic():
        batch = _taken(rows, size)
        told = [row for row in batch if _stands(row) and row.subscription.ends_at is None]
        for row in batch:
            if row not in told:
                row.dropped_at = at
                continue
            assert row.price.notice_days is not None
            notice = timedelta(days=row.price.notice_days)
            if row.from_at < at + notice:
                # Nobody came in time: a later cycle, then.
                row.from_at = first_cycle(row.subscription, at + notice)
            row.told_at, row.last_error = at, ""
        Repricing.objects.bulk_update(batch, ["dropped_at", "from_at", "told_at", "last_error"])
        _mail("price_changes", told, at)
        with history.written_together():
            for row in told:
                _note(row, SubscriptionEvent.PRICE_ANNOUNCED, at)
    return len(batch)


def _carry_out(rows: "QuerySet[Repricing]", size: int, at: datetime) -> int:
    with transaction.atomic():
        batch = _taken(rows, size)
        paid = [row for row in batch if _stands(row)]
        for row in batch:
            if row in paid:
                row.subscription.cents, row.carried_out_at, row.last_error = row.cents, at, ""
            else:
                row.dropped_at = at
        Repricing.objects.bulk_update(batch, ["carried_out_at", "dropped_at", "last_error"])
        Subscription.objects.bulk_update([row.subscription for row in paid], ["cents"])
        with history.written_together():
            for row in paid:
                # As of the cycle, whenever the sweep comes: dates decide.
                _note(row, SubscriptionEvent.PRICE_CHANGED, row.from_at)
    return len(batch)


def _note(row: Repricing, kind: SubscriptionEvent, at: datetime) -> None:
    history.record(
        row.subscription.account_id,
        kind,
        at=at,
        by=Actor.system(),
        subscription=row.subscription_id,
        cents=row.cents,
        cents_before=row.cents_before,
        from_at=row.from_at.isoformat(),
    )


def _mail(kind: str, rows: list[Repricing], at: datetime) -> None:
    """Queue a mail to the owner of each, in the caller's transaction."""
    owners = Account.objects.filter(pk__in=[row.subscription.account_id for row in rows]).owners()
    drafts: list[Notice] = []
    for row in rows:
        found = row.subscription
        drafts += notices.draft(
            f"subscriptions/{kind}",
            to=[owners.get(found.account_id)],
            account=found.account,
            occasion=f"{kind}:{row.pk}",
            at=at,
            plan=found.plan.name,
            interval=found.interval,
            seats=found.seats,
            total_cents=row.cents * found.seats,
            total_cents_before=row.cents_before * found.seats,
            currency=found.currency,
            from_at=row.from_at,
        )
    notices.store(drafts)


SWEEP = sweeps.Sweep("reprice", run=reprice_due, preview=preview, late_after=timedelta(minutes=30), alone=True)

INVARIANTS = (
    invariants.Invariant(
        "repricing-overdue",
        _("new prices that owners should have been told of, or that should be written down, for more than an hour"),
        lambda at: Repricing.objects.to_be_told(at - OVERDUE) | Repricing.objects.due(at - OVERDUE),
    ),
)
