"""The vendor's own billing: the same wishes as signed requests that need an answer.

A wish becomes a request to `BILLING_ENDPOINT`, signed as Standard Webhooks 1.0 says, with an id that is the same in
each attempt. It is agreed when the answer says from when on nothing is charged (docs/billing.md); a 2xx without that is
none. No redirect is followed, and no address comes from anywhere but the settings.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.core import clock
from accounts.core.strict_json import BadJSON, parse
from accounts.models import Account
from accounts.outgoing.client import OutgoingError, call
from accounts.outgoing.signing import signed
from subscriptions.billing.provider import VENDOR, Agreement, Payable, RefundState, WishRequest
from subscriptions.billing.purchase import Purchase
from subscriptions.billing.wish import Outcome, Want, Wish
from subscriptions.refunds.refund import Refund
from subscriptions.subscription import Subscription

#: Seconds for all of a request: to connect, to wait for the answer, and to read it.
TIMEOUT = 10.0
#: An answer is a line.
MAX_ANSWER = 20_000
#: How soon one that charges beyond the end is asked again.
ASKED_AGAIN = timedelta(minutes=15)
#: What an answer says: the instant from which on nothing is charged; null where it goes on.
STOPPED_FROM = "stopped_from"


class BillingUnavailable(Exception):
    """No answer, or none that says what was done. It is asked again; the id tells that it is the same."""


class Vendor:
    """The vendor's billing, told by requests."""

    code: ClassVar[str] = VENDOR
    label: ClassVar[str | Promise] = _("your own billing system")
    stops_by_itself = True
    sells = False

    def agree(self, request: WishRequest) -> Agreement:
        answer = ask(request)
        if STOPPED_FROM not in answer:
            raise BillingUnavailable(f"the answer does not say {STOPPED_FROM!r}")
        stopped_from = _instant(answer[STOPPED_FROM])
        facts = {STOPPED_FROM: stopped_from.isoformat() if stopped_from else None}
        if request.want == Want.GO_ON:
            if stopped_from is not None:
                raise BillingUnavailable(f"it was to go on, and is stopped from {stopped_from:%Y-%m-%d %H:%M} UTC on")
            return Agreement(Outcome.AGREED, facts=facts)
        if stopped_from is None:
            raise BillingUnavailable("it was to be stopped, and the answer says that it goes on")
        # The paid period may go on, even of what ends at once: it is the charge after it that must not come.
        last = max(filter(None, [request.wanted_end_at, request.deadline_at]))
        if stopped_from > last:
            return Agreement(Outcome.ROLLED_OVER, facts=facts, again_at=request.at + ASKED_AGAIN)
        return Agreement(Outcome.AGREED, facts=facts)

    def refundable(self, subscription: Subscription) -> Sequence[Payable]:
        return []

    def refund(self, refund: Refund, *, at: datetime) -> RefundState:
        raise NotImplementedError("staff pay it themselves, and say so (subscriptions.refunds.paying.say_paid)")

    def refund_state(self, refund: Refund, *, at: datetime) -> RefundState:
        return RefundState("paid" if refund.paid_at else "accepted", reference=refund.payment_reference)

    def checkout(self, purchase: Purchase, *, at: datetime) -> str:
        raise NotImplementedError("the vendor's billing sells on pages of its own (BUY_URL)")

    def portal(self, account: Account, return_url: str, *, at: datetime) -> str:
        raise NotImplementedError("the vendor's billing has pages of its own")

    def holds_anything(self, account_id: uuid.UUID) -> bool:
        return Wish.objects.open().filter(subscription__account_id=account_id).exists()

    def forget(self, account_id: uuid.UUID, *, at: datetime) -> Mapping[str, Any]:
        return {}


def ask(request: WishRequest, *, timeout: float = TIMEOUT) -> dict[str, Any]:
    """Send one request and return what it answers within so many seconds. Raises `BillingUnavailable`."""
    body = json.dumps(_message(request), separators=(",", ":")).encode()
    message_id = f"wish_{request.subscription_id}_{request.version}"
    # Of this attempt, by the real clock, whatever instant the sweep is run for: the receiver compares it with its own.
    sent_at = clock.now()
    # Old and new secret both sign for a while, so that one can be changed.
    signatures = signed(message_id, body, keys=settings.BILLING_ENDPOINT_SECRETS, at=sent_at)
    headers = {"content-type": "application/json", **signatures}
    try:
        answer = call(
            "POST",
            settings.BILLING_ENDPOINT,
            body=body,
            headers=headers,
            timeout=timeout,
            limit=MAX_ANSWER,
            trusted=True,
        )
    except OutgoingError as error:
        raise BillingUnavailable(f"billing {error}") from error
    if not answer.is_success:
        raise BillingUnavailable(f"billing answered {answer.status}")
    if not answer.is_whole:
        raise BillingUnavailable("billing answered too much")
    try:
        found = parse(answer.body)
    except BadJSON as error:
        raise BillingUnavailable("billing answered no JSON") from error
    if not isinstance(found, dict):
        raise BillingUnavailable("billing answered no JSON object")
    return found


def _message(request: WishRequest) -> dict[str, Any]:
    ends = request.want == Want.END
    return {
        "type": "billing.stop_requested" if ends else "billing.go_on_requested",
        "timestamp": request.wished_at.astimezone(UTC).isoformat(),
        "data": {
            "account": str(request.account_id),
            "account_external_id": request.account_external_id or None,
            "subscription": request.subscription_id,
            "subscription_external_id": request.external_id or None,
            "order_reference": request.order_reference or None,
            "version": request.version,
            "ends_at": request.wanted_end_at.astimezone(UTC).isoformat() if request.wanted_end_at else None,
            "at_once": request.at_once,
            "next_charge_at": request.deadline_at.astimezone(UTC).isoformat(),
            "cause": request.cause,
            "reason": request.feedback or None,
            "cancellation": request.cancellation_reference or None,
        },
    }


def _instant(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise BillingUnavailable(f"{STOPPED_FROM!r} has to be an instant with its offset, or null")
    return found.astimezone(UTC)
