"""Reading what GitHub says, leniently.

No fixed schema accepts what GitHub really sends (facts/github-marketplace, 1.6): fields are absent, null, or spelt
differently from year to year. Needed are the action, the account's id and, but for a cancellation, the plan's id.
Everything else is read if it makes sense, and left out if not. So the shapes below have lenient values: only an id, and
an object that must be there, can be wrong. GitHub's dates are midnights, or seven in the morning of the same day in
REST: they are read as what they mean, days (facts/github-marketplace, 1.5).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Self
from urllib.parse import parse_qs

from django.core.exceptions import ValidationError as InstantError
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from accounts.core import foreign_input, strict_json

ACTIONS = frozenset({"purchased", "changed", "pending_change", "pending_change_cancelled", "cancelled"})
#: What GitHub calls an account or a person in its messages; others are known by their login.
ACCOUNTS = frozenset({"account", "sender", "organization", "enterprise", "owner", "user", "requester", "target"})
#: A bigint of PostgreSQL holds it; anything else is no id of GitHub's.
MAX_ID = 2**63 - 1
#: An `integer` of PostgreSQL holds it.
MAX_NUMBER = 2**31 - 1
#: Longer than any name that GitHub lets people give.
MAX_TEXT = 200


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
class ListedPurchase:
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
    purchase: ListedPurchase | None
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


def read_instant(value: object) -> datetime | None:
    """An ISO 8601 instant with `Z`, an offset or fractions, in UTC; without an offset it counts as UTC. Else None.

    One in a year that can't be meant is none either.
    """
    if not isinstance(value, str):
        return None
    try:
        return foreign_input.instant_in(value)
    except InstantError:
        return None


def read_day(value: object) -> date | None:
    """The day that an instant of GitHub's means: the one in UTC, wherever the reader is."""
    at = read_instant(value)
    return at.date() if at else None


# Values


def _as_id(value: object) -> int:
    number = foreign_input.quantity(value, most=MAX_ID)
    if not number:
        raise PydanticCustomError("id", "is missing.")
    return number


def _as_number(value: object) -> int | None:
    return foreign_input.quantity(value, most=MAX_NUMBER)


def _as_text(value: object) -> str:
    return foreign_input.name_told(value, limit=MAX_TEXT)


def _as_day(value: object, info: ValidationInfo) -> date | None:
    """The day, or None. What was there and is no day is noted in the context, where there is one."""
    day = read_day(value)
    if day is None and value is not None and info.context is not None:
        info.context.append(info.field_name)
    return day


def _as_object(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


def _or_none(value: object, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


Id = Annotated[int, PlainValidator(_as_id)]
Number = Annotated[int | None, PlainValidator(_as_number)]
Text = Annotated[str, PlainValidator(_as_text)]
Day = Annotated[date | None, PlainValidator(_as_day)]
Flag = Annotated[bool, PlainValidator(lambda value: value is True)]


# Shapes


class GitHubShape(BaseModel):
    """An object of GitHub's, as far as it is needed here; what is not needed is left aside."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @classmethod
    def read(cls, value: object, where: str = "", unreadable: list[str] | None = None) -> Self:
        """The shape of this value, which stands at `where`. Raises `UnreadablePayload`, which names what is missing.

        The names of fields that could not be read, and may be left out, are added to `unreadable`.
        """
        try:
            return cls.model_validate(value, context=unreadable)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(str(part) for part in (where, *first["loc"]) if part != "")
            raise UnreadablePayload(f"`{place}` is missing." if place else "It is not an object.") from None


class _Account(GitHubShape):
    id: Id
    login: Text = ""
    type: Text = ""

    def buyer(self) -> Buyer:
        return Buyer(id=self.id, login=self.login, kind=self.type or "User")


class _Plan(GitHubShape):
    """A plan of a webhook or of REST; `number` and `state` come from REST only (facts/github-marketplace, 1.4)."""

    id: Id
    name: Text = ""
    monthly_price_in_cents: Number = None
    yearly_price_in_cents: Number = None
    price_model: Text = ""
    number: Number = None
    state: Text = ""

    def listed(self) -> ListedPlan:
        return ListedPlan(
            id=self.id,
            name=self.name or "?",
            monthly_cents=self.monthly_price_in_cents or 0,
            yearly_cents=self.yearly_price_in_cents or 0,
            # `FLAT_RATE` or `flat-rate`, depending on the year (facts/github-marketplace, 1.4).
            price_model=self.price_model.lower().replace("-", "_"),
            number=self.number,
            state=self.state,
        )


class _Terms(GitHubShape):
    """What was bought, but for the plan and by whom."""

    billing_cycle: Any = None
    unit_count: Number = None
    on_free_trial: Flag = False
    free_trial_ends_on: Day = None
    next_billing_date: Day = None

    def purchase(self, account: _Account, plan: _Plan) -> ListedPurchase:
        return ListedPurchase(
            buyer=account.buyer(),
            plan=plan.listed(),
            yearly=self.billing_cycle == "yearly",
            # 0 in every cancellation, null in old payloads, 1 for flat plans: a purchase is at least one seat.
            seats=max(1, min(self.unit_count or 1, foreign_input.MAX_SEATS)),
            on_trial=self.on_free_trial,
            trial_ends_on=self.free_trial_ends_on,
            next_billing_on=self.next_billing_date,
        )


class _Heard(_Terms):
    """A purchase as a webhook tells it. A cancellation may come without a plan."""

    account: _Account
    plan: Annotated[_Plan | None, WrapValidator(_or_none)] = None


class _Message(GitHubShape):
    """A `marketplace_purchase` webhook (facts/github-marketplace, 1.2 and 1.4)."""

    action: Annotated[str, PlainValidator(str)] = ""
    effective_date: Day = None
    marketplace_purchase: _Heard


class _Held(_Terms):
    """A purchase as REST tells it."""

    plan: _Plan


class _Pending(GitHubShape):
    effective_date: Day = None
    unit_count: Number = None
    plan: Annotated[_Plan | None, BeforeValidator(_as_object)] = None


class _Answer(GitHubShape):
    """An entry of list-accounts, get-account or the buyer's own purchases (facts/github-marketplace, 4.2)."""

    account: _Account
    marketplace_purchase: _Held
    marketplace_pending_change: Annotated[_Pending | None, BeforeValidator(_as_object)] = None

    @model_validator(mode="before")
    @classmethod
    def _nested(cls, value: object) -> object:
        """The buyer's own list nests the account and is the purchase; the other two are the account."""
        if not isinstance(value, Mapping):
            return value
        account, held = value.get("account"), value.get("marketplace_purchase")
        return {
            "account": account if isinstance(account, Mapping) else value,
            "marketplace_purchase": held if isinstance(held, Mapping) else value,
            "marketplace_pending_change": value.get("marketplace_pending_change"),
        }


# Reading


def read_message(message: Mapping[str, Any]) -> PurchaseMessage:
    """A `marketplace_purchase` webhook's content. Raises `UnreadablePayload` when its account is not named."""
    unreadable: list[str] = []
    told = _Message.read(message, unreadable=unreadable)
    heard = told.marketplace_purchase
    return PurchaseMessage(
        action=told.action,
        effective_on=told.effective_date,
        buyer=heard.account.buyer(),
        purchase=heard.purchase(heard.account, heard.plan) if heard.plan else None,
        unreadable=tuple(unreadable),
    )


def read_subscription(answer: Mapping[str, Any]) -> tuple[ListedPurchase, PendingChange | None]:
    """What REST says that an account holds, and what is scheduled. Raises `UnreadablePayload`."""
    told = _Answer.read(answer)
    purchase = told.marketplace_purchase.purchase(told.account, told.marketplace_purchase.plan)
    pending = told.marketplace_pending_change
    if pending is None:
        return purchase, None
    return purchase, PendingChange(
        effective_on=pending.effective_date,
        plan=pending.plan.listed() if pending.plan else None,
        seats=pending.unit_count,
    )


def read_plan(plan: Mapping[str, Any], where: str = "plan") -> ListedPlan:
    """A plan. Raises `UnreadablePayload` when it has no id."""
    return _Plan.read(plan, where).listed()
