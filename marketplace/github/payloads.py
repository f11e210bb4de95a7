"""Reading what GitHub says, leniently.

No fixed schema accepts what GitHub really sends (facts/github-marketplace, 1.6): fields are absent, null, or spelt
differently from year to year. Needed are the action, the account's id and, but for a cancellation, the plan's id.
Everything else is read if it makes sense, and left out if not. GitHub's dates are midnights, or seven in the morning of
the same day in REST: they are read as what they mean, days (facts/github-marketplace, 1.5).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import parse_qs

from django.core.exceptions import ValidationError

from accounts.core import foreign_input, strict_json

ACTIONS = frozenset({"purchased", "changed", "pending_change", "pending_change_cancelled", "cancelled"})
#: What GitHub calls an account or a person in its messages; others are known by their login.
ACCOUNTS = frozenset({"account", "sender", "organization", "enterprise", "owner", "user", "requester", "target"})


class UnreadablePayload(ValueError):
    """What is needed is missing. The message names it."""


@dataclass(frozen=True)
class Buyer:
    """The marketplace account that buys: `id` is the only stable key, logins change."""

    id: int
    login: str
    kind: str


@dataclass(frozen=True)
class ListedPlan:
    """A plan of our listing as GitHub describes it. Prices are US cents."""

    id: int
    name: str
    monthly_cents: int
    yearly_cents: int
    price_model: str
    number: int | None = None
    state: str = ""

    @property
    def is_paid(self) -> bool:
        return self.monthly_cents > 0 or self.yearly_cents > 0


@dataclass(frozen=True)
class Purchase:
    """What a marketplace account holds: from a webhook's `marketplace_purchase` or from REST, the same thing."""

    buyer: Buyer
    plan: ListedPlan
    yearly: bool
    seats: int
    on_trial: bool
    trial_ends_on: date | None
    next_billing_on: date | None


@dataclass(frozen=True)
class PendingChange:
    """A change that GitHub has scheduled. `plan` is known from REST only (facts/github-marketplace, 1.2); no seats: a
    cancellation.
    """

    effective_on: date | None
    plan: ListedPlan | None
    seats: int | None


@dataclass(frozen=True)
class PurchaseMessage:
    """A `marketplace_purchase` webhook. `unreadable` names what was there and could not be read.

    `purchase` is None where no plan is named: enough for a cancellation, which says of one account that it has none.
    """

    action: str
    effective_on: date | None
    buyer: Buyer
    purchase: Purchase | None
    unreadable: tuple[str, ...]


def message_in(body: bytes, content_type: str) -> dict[str, Any]:
    """The JSON object of a webhook body, sent as JSON or as the form field `payload`. Raises `BadJSON`."""
    if content_type == "application/x-www-form-urlencoded":
        try:
            fields = parse_qs(body.decode(), strict_parsing=True, max_num_fields=20)
        except (UnicodeDecodeError, ValueError):
            raise strict_json.BadJSON("The body is not a form.") from None
        texts = fields.get("payload", [])
        if len(texts) != 1:
            raise strict_json.BadJSON("The form has no field `payload`.")
        value = strict_json.parse(texts[0])
    else:
        value = strict_json.parse(body)
    if not isinstance(value, dict):
        raise strict_json.BadJSON("The JSON is not an object.")
    return value


def accounts_in(message: dict[str, Any]) -> list[str]:
    """GitHub's ids of all accounts and people that a webhook of any kind names, wherever in it they stand."""
    found: set[str] = set()
    left: list[tuple[str, Any]] = [("", message)]
    while left:
        key, value = left.pop()
        if isinstance(value, list):
            left.extend((key, item) for item in value if isinstance(item, dict | list))
            continue
        number = value.get("id")
        if isinstance(number, int) and not isinstance(number, bool) and ("login" in value or key in ACCOUNTS):
            found.add(str(number)[:40])
        left.extend((name, item) for name, item in value.items() if isinstance(item, dict | list))
    return sorted(found)


def read_message(message: Mapping[str, Any]) -> PurchaseMessage:
    """A `marketplace_purchase` webhook's content. Raises `UnreadablePayload` when its account is not named."""
    unreadable: list[str] = []
    if message.get("effective_date") is not None and read_day(message["effective_date"]) is None:
        unreadable.append("effective_date")
    said = _mapping(message, "marketplace_purchase")
    buyer = _buyer(_mapping(said, "account"), "marketplace_purchase.account")
    try:
        purchase = _purchase(buyer, said, unreadable)
    except UnreadablePayload:
        purchase = None
    return PurchaseMessage(
        action=str(message.get("action", "")),
        effective_on=read_day(message.get("effective_date")),
        buyer=buyer,
        purchase=purchase,
        unreadable=tuple(unreadable),
    )


def read_subscription(answer: Mapping[str, Any]) -> tuple[Purchase, PendingChange | None]:
    """An entry of list-accounts, get-account or the buyer's own purchases (facts/github-marketplace, 4.2). Raises
    `UnreadablePayload`.
    """
    # The buyer's own list nests the account; the other two are the account.
    account = answer["account"] if isinstance(answer.get("account"), Mapping) else answer
    held = answer["marketplace_purchase"] if isinstance(answer.get("marketplace_purchase"), Mapping) else answer
    purchase = _purchase(_buyer(account, "account"), held, [])
    pending = answer.get("marketplace_pending_change")
    if not isinstance(pending, Mapping):
        return purchase, None
    plan = pending.get("plan")
    return purchase, PendingChange(
        effective_on=read_day(pending.get("effective_date")),
        plan=read_plan(plan, "marketplace_pending_change.plan") if isinstance(plan, Mapping) else None,
        seats=_number(pending.get("unit_count")),
    )


def read_plan(plan: Mapping[str, Any], where: str = "plan") -> ListedPlan:
    """A plan. Raises `UnreadablePayload` when it has no id."""
    return ListedPlan(
        id=_id(plan, where),
        name=_text(plan.get("name")) or "?",
        monthly_cents=_number(plan.get("monthly_price_in_cents")) or 0,
        yearly_cents=_number(plan.get("yearly_price_in_cents")) or 0,
        # `FLAT_RATE` or `flat-rate`, depending on the year (facts/github-marketplace, 1.4).
        price_model=_text(plan.get("price_model")).lower().replace("-", "_"),
        number=_number(plan.get("number")),
        state=_text(plan.get("state")),
    )


def read_instant(value: object) -> datetime | None:
    """An ISO 8601 instant with `Z`, an offset or fractions, in UTC; without an offset it counts as UTC. Else None.

    One in a year that can't be meant is none either.
    """
    if not isinstance(value, str):
        return None
    try:
        return foreign_input.instant_in(value)
    except ValidationError:
        return None


def read_day(value: object) -> date | None:
    """The day that an instant of GitHub's means: the one in UTC, wherever the reader is."""
    at = read_instant(value)
    return at.date() if at else None


def _purchase(buyer: Buyer, purchase: Mapping[str, Any], unreadable: list[str]) -> Purchase:
    days = {}
    for field in ("free_trial_ends_on", "next_billing_date"):
        days[field] = read_day(purchase.get(field))
        if purchase.get(field) is not None and days[field] is None:
            unreadable.append(field)
    return Purchase(
        buyer=buyer,
        plan=read_plan(_mapping(purchase, "plan"), "marketplace_purchase.plan"),
        yearly=purchase.get("billing_cycle") == "yearly",
        # 0 in every cancellation, null in old payloads, 1 for flat plans: a purchase is at least one seat.
        seats=max(1, min(_number(purchase.get("unit_count")) or 1, foreign_input.MAX_SEATS)),
        on_trial=purchase.get("on_free_trial") is True,
        trial_ends_on=days["free_trial_ends_on"],
        next_billing_on=days["next_billing_date"],
    )


def _buyer(account: Mapping[str, Any], where: str) -> Buyer:
    return Buyer(id=_id(account, where), login=_text(account.get("login")), kind=_text(account.get("type")) or "User")


def _mapping(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    if not isinstance(value, Mapping):
        raise UnreadablePayload(f"`{key}` is missing.")
    return value


def _id(parent: Mapping[str, Any], where: str) -> int:
    value = parent.get("id")
    # A bigint holds it; anything else is no id of GitHub's.
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**63:
        raise UnreadablePayload(f"`{where}.id` is missing.")
    return value


def _number(value: object) -> int | None:
    return foreign_input.quantity(value, most=2**31 - 1)


def _text(value: object) -> str:
    return foreign_input.name_told(value, limit=200)
