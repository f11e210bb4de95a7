"""The import: Stripe is read, then each customer is taken over in a transaction."""

from collections.abc import Generator, Iterator, Sequence
from datetime import datetime

from django.db import IntegrityError, transaction

from accounts.customers import history
from accounts.customers.history import Actor
from accounts.models import Account
from accounts.support import deletion
from subscriptions.billing import past
from subscriptions.billing.holding import Holding
from subscriptions.billing.taking_over import take_over
from subscriptions.billing.wish import Wish
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.event_types import End
from subscriptions.refunds.refund import Refund
from subscriptions.stripe.client import StripeApi
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.stripe.importing.reading import put_aside
from subscriptions.stripe.importing.report import REPLACED, TO_BE_DELETED, Imported, Options, Why
from subscriptions.stripe.importing.spool import Noted, Spool
from subscriptions.stripe.importing.whose import whose
from subscriptions.stripe.payloads import CODE, read_price
from subscriptions.stripe.price import StripePrice
from subscriptions.stripe.reconciliation import every_price
from subscriptions.subscription import Channel, Subscription, locked_in_order


def import_all(api: StripeApi, options: Options) -> Generator[Imported, None, None]:
    """What becomes of each subscription there; with `apply` it has. Not inside a transaction. Raises `StripeError`.

    What nobody can have is reported while Stripe is read; nothing is taken over before all of it has been.
    """
    prices = _prices(api, options)
    with Spool() as spool:
        for raw in api.every(
            lambda v1, page: v1.subscriptions.list({"status": "all", "expand": ["data.customer"], **page}),
            at=options.at,
        ):
            if line := put_aside(raw, prices, spool, options):
                yield line
        for some in spool.told():
            for customer, (account_id, way) in whose(some).items():
                spool.note_whose(customer, account_id, way)
        for customer, theirs in spool.customers():
            yield from _import(customer, theirs, spool, options)


def _prices(api: StripeApi, options: Options) -> dict[str, StripePrice]:
    found = {price.reference: price for price in StripePrice.objects.all()}
    for said in every_price(api, options.at):
        price = read_price(said, found.get(said["id"]), at=options.at)
        found[price.reference] = price
        if options.apply:
            price.save()
    return found


# What becomes of it


def _import(customer: str, theirs: Sequence[Noted], spool: Spool, options: Options) -> Iterator[Imported]:
    """All that a customer has, the oldest first. One that runs is taken over; a second one is listed."""
    account, why = _account(customer, spool)
    if account is None:
        yield from (Imported(noted.held.reference, customer, why) for noted in theirs)
        return
    ours = _held_by(account, theirs)
    running = [noted for noted in theirs if not noted.over]
    taken = any(noted.held.reference in ours for noted in running)
    for noted in running:
        if noted.held.reference in ours:
            yield _line(noted, account, Why.UNCHANGED)
        elif taken:
            yield _line(noted, account, Why.TWO_LIVE)
        else:
            line = _begin(account, noted, options)
            taken = line.why == Why.LINKED
            yield line
    # Last: what runs keeps the dates that Stripe has for it.
    for noted in theirs:
        if noted.over:
            known = noted.held.reference in ours
            yield _line(noted, account, Why.UNCHANGED if known else _write_down(account, noted, options))


def _line(noted: Noted, account: Account, why: Why, *notes: str) -> Imported:
    shown = (*noted.notes, *notes) if why == Why.LINKED else ()
    return Imported(noted.held.reference, noted.held.customer_reference, why, account.pk, shown)


def _account(customer: str, spool: Spool) -> tuple[Account | None, Why]:
    """Whose account this customer is, or why that is not certain."""
    noted = spool.whose(customer)
    if noted is None:
        return None, Why.NOBODY
    account = Account.objects.filter(pk=noted.account_id).first() if noted.account_id else None
    if account is None:
        return None, Why.AMBIGUOUS
    # An account has one customer: who is another one's already is nobody's second.
    others = StripeCustomer.objects.filter(account=account).exclude(reference=customer)
    if others.exists() or spool.is_contested(customer):
        return None, Why.AMBIGUOUS
    return account, Why.LINKED


def _held_by(account: Account, theirs: Sequence[Noted]) -> set[str]:
    """Which of these the account has here already."""
    references = [noted.held.reference for noted in theirs]
    held_here = Holding.objects.filter(provider=CODE, reference__in=references, subscription__account=account)
    return set(held_here.values_list("reference", flat=True))


def _begin(account: Account, noted: Noted, options: Options) -> Imported:
    """Take over what runs, in place of what may be replaced. Nothing is written unless told so."""
    here = list(Subscription.objects.of(account).holding(options.at)[:2])
    replaced = here[0] if len(here) == 1 and options.replace and _may_be_replaced(here[0], options.at) else None
    if here and replaced is None:
        return _line(noted, account, Why.TWO_LIVE)
    if replaced and _is_leaving(account, replaced):
        return _line(noted, account, Why.LEAVING)
    if options.apply and (why := _link(account, noted, replaced, options.at)):
        return _line(noted, account, why)
    going = [TO_BE_DELETED] if deletion.scheduled(account) else []
    return _line(noted, account, Why.LINKED, *([REPLACED] if replaced else []), *going)


def _may_be_replaced(subscription: Subscription, at: datetime) -> bool:
    """Recorded by staff, by an import or for the demo, and running: what nobody else charges for."""
    return subscription.channel == Channel.DIRECT and not subscription.held_by and subscription.is_live(at)


def _is_leaving(account: Account, subscription: Subscription) -> bool:
    """Whether somebody was promised that it ends: taken over from Stripe, it would go on."""
    return (
        subscription.ends_at is not None
        or Refund.objects.standing().filter(subscription=subscription).exists()
        or deletion.scheduled(account) is not None
    )


def _link(account: Account, noted: Noted, replaced: Subscription | None, at: datetime) -> Why | None:
    """Link the customer, and take over what it holds, without mail. Or why not: somebody may have been quicker."""
    try:
        with transaction.atomic():
            _link_customer(account, noted)
            if replaced:
                _end(replaced, at)
            holding = take_over(account, noted.held, at=at, mailed=False)
            if holding is None:
                raise _HeldOtherwise
            if replaced:
                _succeeded(replaced, holding.subscription, at)
    except (IntegrityError, _HeldOtherwise):
        return Why.AMBIGUOUS
    # Its invoices are read by the next check.
    StripeCustomer.objects.filter(reference=noted.held.customer_reference).ask(at)
    return None


class _HeldOtherwise(Exception):
    """Since the account was looked at, something else has begun there."""


def _link_customer(account: Account, noted: Noted) -> None:
    StripeCustomer.objects.get_or_create(
        account=account, reference=noted.held.customer_reference, defaults={"livemode": noted.livemode}
    )


def _end(subscription: Subscription, at: datetime) -> None:
    """End what Stripe's takes the place of. Nobody is asked to stop a charge: Stripe is who charges."""
    subscription = locked_in_order(subscription)
    if subscription.ends_at is not None or subscription.settled_at:
        raise _HeldOtherwise
    Wish.objects.open().filter(pk=subscription.pk).delete()
    subscription.ends_at = subscription.settled_at = at
    subscription.save(update_fields=["ends_at", "settled_at"])


def _succeeded(subscription: Subscription, successor: Subscription, at: datetime) -> None:
    """For the history: nothing is over, as when settling finds a successor."""
    history.record(
        subscription.account_id,
        SubscriptionEvent.SUBSCRIPTION_RENEWED,
        at=at,
        by=Actor.system(),
        subject=End(subscription),
        subscription=subscription.pk,
        plan=subscription.plan_id,
        channel=subscription.channel,
        successor=successor.pk,
        cause=past.CAUSE,
    )


def _write_down(account: Account, noted: Noted, options: Options) -> Why:
    """Write down what has ended there, unless it fits in with nothing that is here."""
    found = noted.held
    if found.ended_at is None or found.ended_at <= found.started_at:
        return Why.NOT_BEGUN
    if Subscription.objects.of(account).overlapping(found.started_at, found.ended_at).exists():
        return Why.OVERLAPS
    if not options.apply:
        return Why.HISTORY
    try:
        with transaction.atomic():
            _link_customer(account, noted)
            if past.write_down(account, found, at=options.at) is None:
                raise _HeldOtherwise
    except (IntegrityError, _HeldOtherwise):
        return Why.OVERLAPS
    StripeCustomer.objects.filter(reference=found.customer_reference).ask(options.at)
    return Why.HISTORY
