"""What has been paid back at Stripe, and what banks ask back, by whomever: read with each check of a customer.

So that a later proposal knows what is left of a payment, and nobody pays back what a bank has taken already. A refund
that staff made in Stripe's dashboard ends no subscription by itself: it is a finding, at which somebody looks
(docs.stripe.com/refunds). One list of charges tells whether anything has moved; only then more is asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from accounts.models import Account
from subscriptions.billing.finding import find_once
from subscriptions.billing.invoice import InvoicePayment
from subscriptions.stripe.client import StripeApi
from subscriptions.stripe.reading import reference
from subscriptions.stripe.refunds import has_failed, is_ours, open_disputes, refunds_of
from subscriptions.stripe.too_late import CODE


@dataclass(frozen=True)
class MoneyBack:
    """Of one charge that took money. Amounts in the currency's minor unit."""

    charge: str
    payment_intent: str
    captured: int
    refunded: int
    #: The disputes by which a bank has the money of it now, or holds it.
    disputes: tuple[str, ...] = ()
    #: Refunds that others made: their ids and amounts.
    by_others: Sequence[tuple[str, int]] = field(default=())


def read(api: StripeApi, customer: str, at: datetime) -> list[MoneyBack]:
    """What has become of a customer's payments. Not inside a transaction. Raises what the client raises."""
    listed = api.every(lambda v1, page: v1.charges.list({"customer": customer, **page}), at=at)
    taken = [said for said in listed if said.get("status") == "succeeded"]
    names = [name for said in taken for name in (str(said["id"]), reference(said.get("payment_intent"))) if name]
    known = dict(
        InvoicePayment.objects.filter(invoice__provider=CODE, reference__in=names).values_list(
            "reference", "refunded_cents"
        )
    )
    found = []
    for said in taken:
        charge, intent = str(said["id"]), reference(said.get("payment_intent"))
        refunded = _cents(said.get("amount_refunded"))
        has_moved = refunded != known.get(intent, known.get(charge, 0))
        found.append(
            MoneyBack(
                charge=charge,
                payment_intent=intent,
                captured=_cents(said.get("amount_captured")),
                refunded=refunded,
                disputes=tuple(str(one["id"]) for one in open_disputes(api, charge, at))
                if said.get("disputed")
                else (),
                by_others=_by_others(refunds_of(api, {"charge": charge}, at)) if refunded and has_moved else (),
            )
        )
    return found


def take_over(account: Account, read: Sequence[MoneyBack], *, at: datetime) -> int:
    """Write down what is left of each payment, and tell staff what they don't know yet. Returns how many have changed.

    In the caller's transaction, under the account's lock. A payment of several invoices is of each of them.
    """
    changed = 0
    for one in read:
        payments = InvoicePayment.objects.filter(
            invoice__provider=CODE,
            invoice__subscription__account=account,
            reference__in=[name for name in (one.payment_intent, one.charge) if name],
        )
        is_disputed = bool(one.disputes)
        for payment in payments:
            refunded = min(one.refunded, payment.cents)
            if (payment.refunded_cents, payment.disputed) != (refunded, is_disputed):
                payment.refunded_cents, payment.disputed = refunded, is_disputed
                payment.save(update_fields=["refunded_cents", "disputed"])
                changed += 1
        if payments:
            _tell(account, one, at)
    return changed


def _tell(account: Account, one: MoneyBack, at: datetime) -> None:
    for dispute in one.disputes:
        find_once(
            "payment-disputed",
            provider=CODE,
            reference=dispute,
            account=account,
            facts={"charge": one.charge},
            at=at,
        )
    for refund, cents in one.by_others:
        find_once(
            "refunded-elsewhere",
            provider=CODE,
            reference=refund,
            account=account,
            facts={"charge": one.charge, "cents": cents},
            at=at,
        )


def _by_others(refunds: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, int], ...]:
    theirs = (said for said in refunds if not is_ours(said) and not has_failed(said))
    return tuple((str(said["id"]), _cents(said.get("amount"))) for said in theirs)


def _cents(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
