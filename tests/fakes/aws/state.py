"""What AWS knows: products, buyers, agreements with their licences, tokens and topics."""

import itertools
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

Status = Literal[
    "ACTIVE", "ARCHIVED", "CANCELLED", "EXPIRED", "RENEWED", "REPLACED", "ROLLED_BACK", "SUPERSEDED", "TERMINATED"
]
Intent = Literal["NEW", "RENEW", "REPLACE", "AMEND"]
Pricing = Literal["contract", "usage"]
Quantity = int | float | bool | str

#: The seller's account, to which agreement events and the product's API belong.
SELLER = "111122223333"
#: The account in which AWS keeps the topics of products.
TOPIC_OWNER = "287250355862"
REGION = "us-east-1"
#: For so long a registration token answers the same, says AWS's set-up page.
TOKEN_LIFE = timedelta(hours=4)
#: For so long a topic's confirmation token may be used.
CONFIRMATION_LIFE = timedelta(days=2)
#: Contracts of a year, unless told.
TERM = timedelta(days=365)


@dataclass(eq=False)
class Product:
    """A SaaS product. A contract has entitlements with an end; one billed by usage has neither."""

    code: str
    id: str
    title: str
    pricing: Pricing = "contract"

    @property
    def subscription_topic(self) -> str:
        return f"arn:aws:sns:{REGION}:{TOPIC_OWNER}:aws-mp-subscription-notification-{self.code}"

    @property
    def entitlement_topic(self) -> str:
        return f"arn:aws:sns:{REGION}:{TOPIC_OWNER}:aws-mp-entitlement-notification-{self.code}"

    @property
    def topics(self) -> list[str]:
        contract = [self.entitlement_topic] if self.pricing == "contract" else []
        return [self.subscription_topic, *contract]


@dataclass(eq=False)
class Buyer:
    """An AWS account. Only products integrated before June 2026 know it by a customer identifier, too."""

    account_id: str
    customer_identifier: str | None = None


@dataclass(eq=False)
class Agreement:
    """One purchase: with Concurrent Agreements a buyer has several of one product, each with a licence of its own."""

    id: str
    buyer: Buyer
    product: Product
    offer_id: str
    #: `l-…`: the part that every spelling of the licence's ARN has.
    license_id: str
    entitlements: dict[str, Quantity]
    accepted_at: datetime
    starts_at: datetime
    ends_at: datetime | None
    status: Status = "ACTIVE"
    intent: Intent = "NEW"
    previous: "Agreement | None" = None
    auto_renewal: bool = True
    #: Who turned the auto-renewal off.
    disabled_by: Literal["ACCEPTOR", "PROPOSER"] | None = None
    trial_ends_at: datetime | None = None
    #: The account of the reseller, who is then the proposer.
    channel_partner: str | None = None
    updated_at: datetime = field(default_factory=lambda: datetime.min.replace(tzinfo=UTC))
    #: No metering and no entitlement any more; the agreement itself had ended before.
    finished_at: datetime | None = None

    @property
    def license_arn(self) -> str:
        return f"arn:aws:license-manager::{SELLER}:license:{self.license_id}"

    @property
    def arn(self) -> str:
        return f"arn:aws:agreement-marketplace::{self.buyer.account_id}:agreement:{self.id}"

    @property
    def proposer(self) -> str:
        return self.channel_partner or SELLER

    @property
    def initial(self) -> "Agreement":
        return self.previous.initial if self.previous else self

    def grants_at(self, at: datetime) -> bool:
        """Whether `GetEntitlements` shows its entitlements: begun, and the final hour not over."""
        over = self.ends_at is not None and self.ends_at <= at and self.status != "CANCELLED"
        return self.starts_at <= at and not over and not self.finished_at and self.status in ("ACTIVE", "CANCELLED")


@dataclass(frozen=True)
class RegistrationToken:
    text: str
    agreement: Agreement
    issued_at: datetime


@dataclass(eq=False)
class Confirmation:
    """A topic's question whether we want its messages."""

    topic: str
    token: str
    asked_at: datetime
    subscription_arn: str | None = None
    authenticate_on_unsubscribe: bool = False


class World:
    """What the parts of the fake share. `now` is the date of everything: the fake never looks at the clock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Forgets everything that happened. Its address and its certificates stay."""
        self.now = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
        self._numbers = itertools.count(1)
        self.products: dict[str, Product] = {}
        self.buyers: dict[str, Buyer] = {}
        self.agreements: dict[str, Agreement] = {}
        self.tokens: dict[str, RegistrationToken] = {}
        self.confirmations: list[Confirmation] = []
        #: New products' `ResolveCustomer` has no customer identifier; whether it names the agreement in `Metadata`.
        self.names_agreements = True

    def product(
        self, code: str = "9p2x7q4kz1v8m3c5t6b0n", *, title: str = "Blueprints", pricing: Pricing = "contract"
    ) -> Product:
        """A new product, or the one of this code."""
        with self.lock:
            return self.products.setdefault(code, Product(code, f"prod-{self._text(13)}", title, pricing))

    def buyer(self, account_id: str | None = None, *, customer_identifier: str | None = None) -> Buyer:
        """A new buyer, or the one of this AWS account."""
        with self.lock:
            account_id = account_id or f"{440_000_000_000 + self.number()}"
            return self.buyers.setdefault(account_id, Buyer(account_id, customer_identifier))

    def number(self) -> int:
        return next(self._numbers)

    def _text(self, length: int) -> str:
        """Letters and digits as AWS's ids have them; the same in each run."""
        return uuid.uuid5(uuid.NAMESPACE_OID, f"fake aws {self.number()}").hex[:length]


def instant(moment: datetime) -> str:
    """As EventBridge writes dates."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def with_milliseconds(moment: datetime) -> str:
    """As SNS writes them."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
