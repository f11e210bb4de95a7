"""Bringing in customers that Stripe has already: whose account each is, and what it holds there (docs/stripe.md).

Stripe is only read, nobody gets mail, and what is not certain is listed, never guessed. A customer is an account's by
our own link, else by the account's id in its metadata, else by the mail address of one owner, without case: addresses
are not unique at Stripe. Again changes nothing, so a run that was cut off is simply run again.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.models import Account, Membership, Role
from subscriptions.billing.holding import HeldStatus, Holding
from subscriptions.billing.taking_over import take_over
from subscriptions.stripe.client import StripeApi
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.stripe.payloads import (
    CODE,
    NotOurs,
    Said,
    UnreadableAnswer,
    held,
    read_price,
    read_subscription,
    reference,
)
from subscriptions.stripe.price import StripePrice, Unmapped
from subscriptions.stripe.reconciliation import every_price
from subscriptions.subscription import Subscription

#: Under which a customer's metadata name its account, unless the command says otherwise.
ACCOUNT_KEY = "offboard_account"
#: Over: no subscription of today's.
OVER = (HeldStatus.ENDED, HeldStatus.NOT_BEGUN)


class Why(StrEnum):
    """What became of a subscription at Stripe."""

    LINKED = "linked"
    UNCHANGED = "unchanged"
    ENDED = "ended"
    NOBODY = "nobody"
    AMBIGUOUS = "ambiguous"
    TWO_LIVE = "two live"
    UNKNOWN_PRICE = "unknown price"
    INTERVAL = "unsupported interval"
    CURRENCY = "currency"
    METERED = "metered"
    ITEMS = "several items"
    UNREADABLE = "unreadable"
    TEST_CLOCK = "test clock"
    WRONG_MODE = "wrong mode"


#: What else staff should know of one that is linked.
PAST_DUE, UNPAID, CANCELLING, TRIAL, SCHEDULE = "past_due", "unpaid", "cancelling", "trial", "has schedule"

_BY_PRICE: dict[str, Why] = {
    Unmapped.INTERVAL: Why.INTERVAL,
    Unmapped.CURRENCY: Why.CURRENCY,
    Unmapped.METERED: Why.METERED,
    Unmapped.NO_AMOUNT: Why.METERED,
    "items": Why.ITEMS,
}


@dataclass(frozen=True)
class Imported:
    """One line of the report."""

    subscription: str
    customer: str
    why: Why
    account_id: uuid.UUID | None = None
    notes: tuple[str, ...] = ()


def import_all(api: StripeApi, *, at: datetime, apply: bool, account_key: str = ACCOUNT_KEY) -> Iterator[Imported]:
    """What becomes of each subscription there; with `apply` it has. Not inside a transaction. Raises `StripeError`."""
    prices = _prices(api, at, apply=apply)
    walked = api.every(
        lambda v1, page: v1.subscriptions.list({"status": "all", "expand": ["data.customer"], **page}),
        at=at,
    )
    # All of a customer's are looked at together: a second one that is live is listed, whichever comes first.
    by_customer: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for said in walked:
        by_customer[reference(said.get("customer"))].append(said)
    for customer, theirs in by_customer.items():
        yield from _import(customer, theirs, prices, at=at, apply=apply, account_key=account_key)


def _prices(api: StripeApi, at: datetime, *, apply: bool) -> dict[str, StripePrice]:
    found = {price.reference: price for price in StripePrice.objects.all()}
    for said in every_price(api, at):
        price = read_price(said, found.get(said["id"]), at=at)
        found[price.reference] = price
        if apply:
            price.save()
    return found


def _import(
    customer: str,
    theirs: Iterable[Mapping[str, Any]],
    prices: Mapping[str, StripePrice],
    *,
    at: datetime,
    apply: bool,
    account_key: str,
) -> Iterator[Imported]:
    fit = []
    for raw in theirs:
        number = reference(raw)
        try:
            said = read_subscription(raw)
            why = _unfit(said)
            found = None if why else held(said, prices, read_at=at)
        except UnreadableAnswer:
            why = Why.UNREADABLE
        except NotOurs as refused:
            why = _BY_PRICE.get(refused.why, Why.UNKNOWN_PRICE)
        if why is None and found is not None and found.status in OVER:
            why = Why.ENDED
        if why:
            yield Imported(number, customer, why)
        else:
            fit.append((raw, found))
    if not fit:
        return
    account, why = _account(customer, fit[0][0].get("customer"), account_key)
    for raw, found in fit:
        assert found is not None
        if account is None or why:
            yield Imported(found.reference, customer, why or Why.NOBODY)
        elif Holding.objects.filter(provider=CODE, reference=found.reference, subscription__account=account).exists():
            yield Imported(found.reference, customer, Why.UNCHANGED, account.pk)
        elif len(fit) > 1 or Subscription.objects.of(account).holding(at).exists():
            yield Imported(found.reference, customer, Why.TWO_LIVE, account.pk)
        else:
            if apply and not _link(account, customer, raw, found, at):
                yield Imported(found.reference, customer, Why.AMBIGUOUS, account.pk)
                continue
            yield Imported(found.reference, customer, Why.LINKED, account.pk, _notes(raw, at))


def _unfit(said: Said) -> Why | None:
    if said.livemode != settings.STRIPE_LIVEMODE:
        return Why.WRONG_MODE
    return Why.TEST_CLOCK if said.is_test_clock and said.livemode else None


def _notes(raw: Mapping[str, Any], at: datetime) -> tuple[str, ...]:
    said = read_subscription(raw)
    notes = {
        PAST_DUE: said.status == "past_due",
        UNPAID: said.status == "unpaid",
        CANCELLING: bool(said.cancel_at or said.cancels_with_period),
        TRIAL: bool(said.trial_ends_at and said.trial_ends_at > at),
        SCHEDULE: bool(raw.get("schedule")),
    }
    return tuple(note for note, holds in notes.items() if holds)


def _account(customer: str, there: object, account_key: str) -> tuple[Account | None, Why | None]:
    """Whose account this customer is, or why that is not certain."""
    open_ones = Account.objects.filter(purging_at=None)
    linked = StripeCustomer.objects.filter(reference=customer).select_related("account").first()
    if linked:
        return linked.account, None
    there = there if isinstance(there, Mapping) else {}
    told = str((there.get("metadata") or {}).get(account_key) or "")
    if told:
        try:
            found = open_ones.filter(pk=uuid.UUID(told)).first()
        except ValueError:
            found = open_ones.filter(external_id=told).first()
        return _free(found)
    email = str(there.get("email") or "").strip()
    if not email:
        return None, Why.NOBODY
    owned = Membership.objects.filter(role=Role.OWNER, user__email__iexact=email, account__purging_at=None)
    accounts = list(open_ones.filter(pk__in=owned.values("account_id"))[:2])
    if len(accounts) > 1:
        return None, Why.AMBIGUOUS
    return _free(accounts[0] if accounts else None)


def _free(account: Account | None) -> tuple[Account | None, Why | None]:
    """An account has one customer: who is another one's already is nobody's second."""
    if account is None:
        return None, Why.NOBODY
    return (None, Why.AMBIGUOUS) if StripeCustomer.objects.filter(account=account).exists() else (account, None)


def _link(account: Account, customer: str, raw: Mapping[str, Any], found: Any, at: datetime) -> bool:
    """Link the customer, and take over what it holds, without mail. Whether it did: somebody may have been quicker."""
    try:
        with transaction.atomic():
            StripeCustomer.objects.get_or_create(
                account=account, reference=customer, defaults={"livemode": raw.get("livemode") is True}
            )
            if take_over(account, found, at=at, mailed=False) is None:
                raise IntegrityError("held otherwise by now")
    except IntegrityError:
        return False
    # Its invoices are read by the next check.
    StripeCustomer.objects.filter(reference=customer).ask(at)
    return True
