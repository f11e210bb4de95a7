"""What must be so once a life of `tests.subscriptions.stripe.life` has come to rest, whatever has happened in it."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from accounts.models import Notice
from subscriptions.billing.finding import Finding
from subscriptions.billing.holding import Holding
from subscriptions.billing.purchase import Purchase
from subscriptions.billing.wish import Wish
from subscriptions.ending.cancellation import Reason
from subscriptions.models import Cancellation, Subscription
from subscriptions.refunds.refund import Ends, Refund, RefundCause
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.stripe.forgetting_step import ForgettingStep
from tests.fakes.stripe.spec import Json
from tests.subscriptions.stripe.life import OVER, Life


def all_kept(life: Life) -> None:
    """Raises `AssertionError` with the first that is not."""
    held = list(Subscription.objects.filter(account=life.account).select_related("plan", "account").order_by("pk"))
    _nothing_is_left_to_do(life)
    for here in held:
        holding = Holding.objects.get(pk=here.pk)
        there = life.stripe.the(holding.reference)
        _both_sides_agree(life, here, there)
        _nothing_is_paid_beyond_the_end(life, here, there)
        _nothing_is_voided_that_was_owed(life, here, there)
        _the_end_is_told_once(life, here)
    _staff_know_of_what_is_not_held(life)
    _nothing_is_paid_back_twice(life)
    _each_refund_is_told(life)
    _nothing_is_told_twice(life)


# What is to be done is done.


def _nothing_is_left_to_do(life: Life) -> None:
    for wish in Wish.objects.open():
        raise AssertionError(f"{wish}: {wish.last_error} {wish.outcome} {wish.answer}")
    assert not Purchase.objects.open().filter(expires_at__lt=life.at).exists()
    for customer in StripeCustomer.objects.exclude(check_error=""):
        raise AssertionError(f"{customer}: {customer.check_error}")


def _both_sides_agree(life: Life, here: Subscription, there: Json) -> None:
    if here.is_over(life.at):
        assert there["status"] in OVER, f"{here.pk} is over since {here.ends_at}, and goes on there"
        assert here.settled_at
        return
    assert there["status"] not in OVER, f"{here.pk} goes on, and is over there since {_at(there['ended_at'])}"
    assert here.ends_at == (_at(there["cancel_at"]) if there["cancel_at"] else None)
    item = there["items"]["data"][0]
    assert (here.cents, here.seats) == (item["price"]["unit_amount"], item["quantity"])
    assert (here.period_started_at, here.period_ends_at) == (
        _at(item["current_period_start"]),
        _at(item["current_period_end"]),
    )
    collects = there["pause_collection"] is None or there["pause_collection"]["behavior"] != "void"
    assert here.is_suspended(life.at) == (there["status"] in ("unpaid", "paused")) or not collects


def _staff_know_of_what_is_not_held(life: Life) -> None:
    """One that is paid for and grants nothing here is a finding; where all is to be erased, that waits for it."""
    known = set(Holding.objects.values_list("reference", flat=True))
    told = set(Finding.objects.open().values_list("reference", flat=True))
    if ForgettingStep.objects.before_erasing(life.account.pk).exists():
        return
    for there in life.stripe.subscriptions:
        if there["status"] not in (*OVER, "incomplete") and there["id"] not in known:
            assert there["id"] in told, f"{there['id']} runs, and nobody knows"


# Money.


def _invoices(life: Life, there: Json) -> Iterator[tuple[Json, datetime, datetime]]:
    """Of renewals: with the time that each is for."""
    for invoice in life.stripe.invoices.of("subscription", there["id"]):
        if invoice["billing_reason"] == "subscription_cycle":
            begins, ends = max((line["period"]["start"], line["period"]["end"]) for line in invoice["lines"]["data"])
            yield invoice, _at(begins), _at(ends)


def _nothing_is_paid_beyond_the_end(life: Life, here: Subscription, there: Json) -> None:
    """No time that begins with the promised end or later is paid for, when what was paid back is taken off."""
    if here.ends_at is None or not here.is_over(life.at):
        return
    for invoice, begins, _ends in _invoices(life, there):
        if begins < here.ends_at.replace(microsecond=0):
            continue
        assert invoice["status"] != "open", f"{invoice['id']} can still be paid, for after {here.ends_at}"
        assert not invoice["auto_advance"] or invoice["status"] != "draft", f"{invoice['id']} will be charged"
        charges = [life.stripe.charge_of(invoice)] if invoice["amount_paid"] else []
        for charge in charges:
            if charge["disputed"] or charge["amount_refunded"] == charge["amount_captured"]:
                continue
            # What can't be paid back by itself is shown to staff.
            assert Finding.objects.filter(reference=invoice["id"]).exists(), (
                f"{invoice['id']} is paid for a time after {here.ends_at}"
            )


def _nothing_is_voided_that_was_owed(life: Life, here: Subscription, there: Json) -> None:
    """By us: only renewals of a time after the end, or of the one in which somebody left who had not paid."""
    ours = {request.path.split("/")[3] for request in life.stripe.requested("POST /v1/invoices/*/void")}
    for invoice, _begins, ends in _invoices(life, there):
        if invoice["id"] in ours and invoice["status"] == "void":
            assert here.ends_at is not None, f"{invoice['id']} was voided of what goes on"
            assert ends > here.ends_at, f"{invoice['id']} was voided, and all of its time was had"


def _nothing_is_paid_back_twice(life: Life) -> None:
    by_us = [refund for refund in life.stripe.refunds if refund["metadata"]]
    for key in ("offboard_refund", "offboard_undo"):
        times = Counter((found["metadata"][key], found["charge"]) for found in by_us if key in found["metadata"])
        assert set(times.values()) <= {1}, f"paid back twice: {times}"
    for charge in life.stripe.charges:
        assert charge["amount_refunded"] <= (charge["amount_captured"] or 0)
    for dispute in life.stripe.disputes:
        after = [
            found
            for found in by_us
            if found["charge"] == dispute["charge"]
            and found["created"] > dispute["created"]
            and not dispute["status"].startswith("warning")
            and dispute["status"] != "won"
        ]
        assert not after, f"{dispute['charge']} was paid back beside its dispute"
    done = {found["metadata"]["offboard_refund"]: found for found in by_us if "offboard_refund" in found["metadata"]}
    for refund in Refund.objects.filter(cause=RefundCause.DECIDED, accepted_at__isnull=False, failed_at=None):
        found = done.get(refund.reference) or life.stripe.the(refund.provider_reference)
        assert (found["amount"], found["status"]) == (refund.cents, "succeeded")
    undone = {found["id"] for found in by_us if "offboard_undo" in found["metadata"] if found["status"] != "failed"}
    known = Refund.objects.filter(cause=RefundCause.CHARGED_AFTER_END).values_list("provider_reference", flat=True)
    if not life.erased():
        assert undone <= set(known), "paid back, and nobody has been told"


# What the owner was told.


def _mails(life: Life, *kinds: str) -> list[Notice]:
    mails = Notice.objects.filter(account=life.account).order_by("queued_at", "pk")
    return [mail for mail in mails if mail.kind.partition("/")[2] in kinds]


def _the_end_is_told_once(life: Life, here: Subscription) -> None:
    occasion = f"subscription.ended:{here.pk}"
    ended = [mail for mail in _mails(life, "subscription_ended") if mail.occasion == occasion]
    assert len(ended) <= 1
    cancellations = Cancellation.objects.filter(subscription=here)
    for cancellation in cancellations.exclude(reason=Reason.DELETION):
        confirmed = [
            mail for mail in _mails(life, "cancellation_confirmed") if mail.facts["reference"] == cancellation.reference
        ]
        withdrawn = [
            mail for mail in _mails(life, "cancellation_withdrawn") if mail.facts["reference"] == cancellation.reference
        ]
        assert confirmed, f"{cancellation} was confirmed to nobody"
        assert len(withdrawn) == bool(cancellation.withdrawn_at)
        if cancellation.withdrawn_at is None and not (ended or _was_paid_back(here) or life.erased()):
            moved = [mail.facts["ends_at"] for mail in _mails(life, "end_moved")]
            last = moved[-1] if moved else confirmed[-1].facts["effective_at"]
            assert here.ends_at is not None
            assert last == here.ends_at.isoformat(), "another end was told than came"
    if not here.is_over(life.at) or life.erased():
        assert not ended or life.erased()
        return
    if ended:
        assert here.ends_at is not None
        assert ended[0].facts["ended_at"] == here.ends_at.isoformat()
        return
    left = any(mail.facts.get("ended") for mail in _mails(life, "cancellation_confirmed"))
    assert left or _was_paid_back(here) or here.successor, f"the owner was not told that {here.pk} has ended"


def _was_paid_back(here: Subscription) -> bool:
    """Whether a refund ended it at once: its mails say when."""
    return here.refunds.filter(cause=RefundCause.DECIDED, ends=Ends.NOW, ended_at__isnull=False).exists()


def _each_refund_is_told(life: Life) -> None:
    if life.erased():
        return
    for refund in Refund.objects.all():
        told = Counter(
            mail.kind.partition("/")[2]
            for mail in Notice.objects.filter(account=life.account, facts__reference=refund.reference)
        )
        assert told["refund_paid"] == bool(refund.paid_at), f"{refund}: {told}"
        assert told["refund_failed"] == bool(refund.failed_at), f"{refund}: {told}"
        assert told["refund_accepted"] <= 1
        if refund.cause == RefundCause.CHARGED_AFTER_END:
            assert told["charge_undone"] == 1
        else:
            assert told["refund_approved"] == bool(refund.approved_at)


def _nothing_is_told_twice(life: Life) -> None:
    """No mail says what another one has said; suspended and resumed take turns."""
    turns: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for mail in Notice.objects.filter(account=life.account).order_by("queued_at", "occasion"):
        kind = mail.kind.partition("/")[2]
        if kind in ("subscription_suspended", "subscription_resumed"):
            about = mail.occasion.split(":")[1]
            assert turns.get(about) != kind, f"{kind} was told twice"
            turns[about] = kind
            continue
        if kind.startswith(("deletion_", "request_")):
            continue
        seen[f"{kind} {json.dumps(mail.facts, sort_keys=True)}"] += 1
    assert set(seen.values()) <= {1}, f"told twice: {[told for told, times in seen.items() if times > 1]}"


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
