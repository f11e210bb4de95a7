"""Stripe's own answer: the `stripe-check` sweep.

After a burst of events Stripe is asked once what the customer holds: all subscriptions, of all statuses, all pages,
their invoices, and what was paid back of them. What it says is taken over under the account's lock, never an older
answer over a newer one. The call is made outside of transactions; two workers that ask at the same time take over in
the order in which they asked.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.jobs import invariants, sweeps
from accounts.jobs.due_work import overdue, run_due
from accounts.models import Account
from subscriptions.billing import paid_after_end
from subscriptions.billing.bought import tell_bought
from subscriptions.billing.finding import Finding, find, in_words
from subscriptions.billing.holding import Held, HeldStatus, Holding
from subscriptions.billing.taking_over import take_over
from subscriptions.stripe import invoices as taken_invoices
from subscriptions.stripe import money_back
from subscriptions.stripe.client import StripeApi, StripeError, StripeRefused, is_configured, not_yet, stripe_api
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.stripe.messages import subscription_of
from subscriptions.stripe.money_back import MoneyBack
from subscriptions.stripe.payloads import (
    CODE,
    NotOurs,
    Said,
    UnreadableAnswer,
    held,
    read_price,
    read_subscription,
)
from subscriptions.stripe.price import StripePrice

#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=2)


def preview(at: datetime) -> Iterator[str]:
    """Which customers `check_due` would ask about at `at`, a line each."""
    for customer in StripeCustomer.objects.due(at).iterator():
        yield f"{customer.account_id} {customer}: ask Stripe"


def check_due(at: datetime) -> int:
    """Ask Stripe about every customer who is due at `at`. Returns how many answers were taken over."""
    if not is_configured():
        return 0
    began = time.monotonic()
    return run_due(StripeCustomer.objects.due, partial(_check, began=began), at=at, run=RUN)


def check(customer: StripeCustomer, at: datetime) -> bool:
    """Ask Stripe about one customer at `at` and take the answer over. Raises `NotYet` if there is none now.

    Not inside a transaction.
    """
    return _check(customer, at, began=time.monotonic())


def _check(customer: StripeCustomer, at: datetime, *, began: float) -> bool:
    sent_at = customer.stamped(at + timedelta(seconds=time.monotonic() - began))
    try:
        api = stripe_api()
        said = list(
            api.every(
                lambda v1, page: v1.subscriptions.list({"customer": customer.reference, "status": "all", **page}),
                at=at,
            )
        )
        invoices = list(
            api.every(
                lambda v1, page: v1.invoices.list(
                    {"customer": customer.reference, "expand": ["data.payments"], **page}
                ),
                at=at,
            )
        )
        subscriptions, unreadable = _read(said)
        is_deleted = _has_ended(customer, subscriptions) and _is_deleted(api, customer, at)
        learn(api, {item.price_reference for each in subscriptions for item in each.items}, at=at)
        # Where nothing was paid, nothing can have been paid back.
        is_paid = any(invoice.get("status") == "paid" for invoice in invoices)
        returned = money_back.read(api, customer.reference, at) if is_paid else []
    except StripeError as error:
        raise not_yet(error) from error
    with transaction.atomic():
        taken = take_over_customer(
            customer.pk,
            subscriptions,
            invoices,
            sent_at=sent_at,
            at=at,
            leased_until=customer.leased_until,
            unreadable=unreadable,
            returned=returned,
        )
        if taken and is_deleted:
            customer.deleted_there(at)
    if unreadable:
        # The others are taken over; the row shows this one to staff.
        raise UnreadableAnswer(unreadable[0])
    return taken


def _has_ended(customer: StripeCustomer, subscriptions: Sequence[Said]) -> bool:
    """Whether something of this customer's ran when it was last read, and has ended there since."""
    over = [said.reference for said in subscriptions if said.status == "canceled"]
    ours = Holding.objects.filter(provider=CODE, customer_reference=customer.reference, reference__in=over)
    return customer.deleted_at is None and ours.exclude(status=HeldStatus.ENDED).exists()


def _is_deleted(api: StripeApi, customer: StripeCustomer, at: datetime) -> bool:
    """Whether the customer itself is gone. Of one that is, Stripe still lists what it held, and says nothing else."""
    try:
        return api.ask(lambda v1: v1.customers.retrieve(customer.reference), at=at).get("deleted") is True
    except StripeRefused as refused:
        if refused.is_missing:
            # A key of another account, or of the other mode: nothing is known by that.
            return False
        raise


def _read(said: Sequence[Mapping[str, Any]]) -> tuple[list[Said], list[str]]:
    """The subscriptions in the order in which they began, and what could not be read of others."""
    found, unreadable = [], []
    for each in said:
        try:
            found.append(read_subscription(each))
        except UnreadableAnswer as error:
            unreadable.append(str(error))
    return sorted(found, key=lambda each: (each.created_at, each.reference)), unreadable


def learn(api: StripeApi, references: set[str], *, at: datetime) -> None:
    """Ask about the prices among these that we don't know yet, with their products. Not inside a transaction."""
    known = set(StripePrice.objects.filter(reference__in=references).values_list("reference", flat=True))
    for missing in sorted(references - known - {""}):
        read_price(_price(api, missing, at), None, at=at).save()


def _price(api: StripeApi, number: str, at: datetime) -> Mapping[str, Any]:
    return api.ask(lambda v1: v1.prices.retrieve(number, {"expand": ["product"]}), at=at)


def take_over_customer(
    customer_id: int,
    subscriptions: Sequence[Said],
    invoices: Sequence[Mapping[str, Any]],
    *,
    sent_at: datetime,
    at: datetime,
    leased_until: datetime | None = None,
    unreadable: list[str] | None = None,
    returned: Sequence[MoneyBack] = (),
) -> bool:
    """Take over what Stripe answered to a request sent at `sent_at`. Returns whether it counted: an older one does not.

    One that can't be read stops none of the others: what is wrong with it is added to `unreadable`. In the caller's
    transaction.
    """
    found = StripeCustomer.objects.filter(pk=customer_id).first()
    if found is None:
        return False
    account = Account.objects.select_for_update(no_key=True).get(pk=found.account_id)
    customer = StripeCustomer.objects.locked().get(pk=customer_id)
    if account.purging_at:
        # Erased: nothing may be written any more. That nothing runs there is the erasing's to ask.
        StripeCustomer.objects.filter(pk=customer.pk).update(
            check_at=None, check_since=None, check_attempts=0, check_error=""
        )
        return True
    if customer.read_at and sent_at < customer.read_at:
        # Somebody asked later, and was quicker.
        return False
    prices = StripePrice.objects.in_bulk(
        {item.price_reference for each in subscriptions for item in each.items}, field_name="reference"
    )
    first_paid = taken_invoices.first_paid(invoices)
    customer.read(sent_at=sent_at, at=at, leased_until=leased_until)
    references = [said.reference for said in subscriptions]
    known = set(Holding.objects.filter(provider=CODE, reference__in=references).values_list("reference", flat=True))
    for said in subscriptions:
        if said.livemode != settings.STRIPE_LIVEMODE or said.customer_reference != customer.reference:
            find("wrong-mode", provider=CODE, reference=said.reference, account=account, at=at)
            continue
        try:
            holding = _take_over_one(account, said, prices, first_paid.get(said.reference), sent_at=sent_at, at=at)
        except UnreadableAnswer as error:
            if unreadable is None:
                raise
            unreadable.append(str(error))
            continue
        if holding is None:
            continue
        if holding.read_at > sent_at:
            # What was noted in between is newer than this answer: asked again.
            customer.check_at = customer.check_since = at
        of_it = [invoice for invoice in invoices if subscription_of(invoice) == said.reference]
        taken_invoices.take_over(holding.subscription, of_it)
        if said.reference not in known:
            tell_bought(holding.subscription, at)
    _look_for_what_is_missing(customer, account, subscriptions, at)
    if unreadable and leased_until:
        # Its worker notes why, and it is tried again.
        customer.check_at, customer.check_since = leased_until, customer.check_since or at
    money_back.take_over(account, returned, at=at)
    paid_after_end.look(at, account)
    customer.save()
    return True


def _look_for_what_is_missing(
    customer: StripeCustomer, account: Account, subscriptions: Sequence[Said], at: datetime
) -> None:
    """What we hold of this customer and Stripe does not list: nothing ends for that, and staff look at it.

    Stripe lists what has ended, too, so a missing one means another Stripe account or another mode.
    """
    listed = [said.reference for said in subscriptions]
    ours = Holding.objects.filter(provider=CODE, customer_reference=customer.reference)
    for holding in ours.exclude(reference__in=listed).exclude(status=HeldStatus.ENDED):
        find("missing-there", provider=CODE, reference=holding.reference, account=account, at=at)


def _take_over_one(
    account: Account,
    said: Said,
    prices: Mapping[str, StripePrice],
    first_paid_at: datetime | None,
    *,
    sent_at: datetime,
    at: datetime,
) -> Holding | None:
    found: Held | None
    try:
        found = held(said, prices, read_at=sent_at, first_paid_at=first_paid_at)
    except NotOurs as not_ours:
        found = _as_known(said, prices, first_paid_at, sent_at)
        _tell_of_unmapped(account, said, not_ours, prices, is_held=found is not None, at=at)
        if found is None:
            return None
    return take_over(account, found, at=at)


def _as_known(
    said: Said, prices: Mapping[str, StripePrice], first_paid_at: datetime | None, sent_at: datetime
) -> Held | None:
    """What we hold already goes on by the terms that we know, when its price has become none of ours."""
    holding = Holding.objects.filter(provider=CODE, reference=said.reference).select_related("subscription").first()
    if holding is None or not said.items:
        return None
    ours = holding.subscription
    item = said.items[0]
    known = StripePrice(
        reference=item.price_reference,
        plan_id=ours.plan_id,
        interval=ours.interval,
        cents=ours.cents,
        currency=ours.currency,
    )
    as_known = replace(said, items=(replace(item, quantity=ours.seats),))
    return held(as_known, {item.price_reference: known}, read_at=sent_at, first_paid_at=first_paid_at)


def _tell_of_unmapped(
    account: Account,
    said: Said,
    not_ours: NotOurs,
    prices: Mapping[str, StripePrice],
    *,
    is_held: bool,
    at: datetime,
) -> None:
    """A customer of ours pays for what grants nothing here: staff map the price, or say that it is none of ours."""
    if said.status in ("canceled", "incomplete", "incomplete_expired") and not is_held:
        return
    decided = [prices[name].mapped_at for name in not_ours.prices if name in prices]
    if decided and all(decided) and not is_held:
        # Another product on the same Stripe account: staff have said so.
        return
    if not_ours.why == "quantity":
        find("no-seats", provider=CODE, reference=said.reference, account=account, at=at)
        return
    find(
        "price-changed" if is_held else "unmapped-price",
        provider=CODE,
        reference=said.reference,
        account=account,
        facts={"why": not_ours.why, "prices": list(not_ours.prices)},
        at=at,
    )


SWEEP = sweeps.Sweep("stripe-check", run=check_due, preview=preview, late_after=timedelta(minutes=10))

INVARIANTS = (
    overdue(StripeCustomer, "stripe-check", _("Stripe customers whose state could not be confirmed for hours")),
    invariants.Invariant(
        "billing-finding",
        _("findings of payment providers at which staff have not looked yet"),
        lambda at: Finding.objects.open(),
        warning=True,
        example="code",
        in_words=in_words,
    ),
    invariants.Invariant(
        "stripe-unmapped",
        _("prices on sale at Stripe of which nobody has said which plan they buy"),
        lambda at: StripePrice.objects.to_be_mapped(),
        warning=True,
    ),
)
