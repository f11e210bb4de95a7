"""What GitHub knows: accounts, plans, purchases, tokens, repositories and their hooks."""

import base64
import itertools
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

AccountType = Literal["User", "Organization"]
BillingCycle = Literal["monthly", "yearly"]
PriceModel = Literal["FREE", "FLAT_RATE", "PER_UNIT"]


@dataclass(eq=False)
class Account:
    """A person or an organisation. The id stays; the login changes with a rename."""

    id: int
    login: str
    type: AccountType = "User"
    email: str = ""
    #: Whether the person has confirmed the address to GitHub.
    email_is_verified: bool = True
    name: str = ""
    # Of an organisation: the people who may buy, cancel, and see its purchases.
    admins: list["Account"] = field(default_factory=list)

    @property
    def is_organization(self) -> bool:
        return self.type == "Organization"

    @property
    def node_id(self) -> str:
        return base64.b64encode(f"0{len(self.type)}:{self.type}{self.id}".encode()).decode()


@dataclass(eq=False)
class Plan:
    """A plan of the listing. `id` is unique at GitHub, `number` within the listing (upgrade addresses use it)."""

    id: int
    number: int
    name: str
    price_model: PriceModel
    monthly: int  # US cents
    yearly: int  # US cents
    description: str
    bullets: tuple[str, ...] = ()
    has_free_trial: bool = False
    unit_name: str | None = None
    state: str = "published"  # or "draft", "retired"

    @property
    def is_paid(self) -> bool:
        return bool(self.monthly or self.yearly)


@dataclass(frozen=True)
class Purchase:
    """What an account has now."""

    plan: Plan
    billing_cycle: BillingCycle | None
    unit_count: int
    free_trial_ends_on: datetime | None
    next_billing_date: datetime | None
    updated_at: datetime

    @property
    def on_free_trial(self) -> bool:
        return self.free_trial_ends_on is not None


@dataclass(frozen=True)
class PendingChange:
    """What happens at the end of the cycle. A plan of None is a cancellation."""

    id: int
    plan: Plan | None
    unit_count: int
    billing_cycle: BillingCycle | None
    effective_date: datetime


@dataclass(frozen=True)
class Standing:
    """The whole answer to "what has this account bought?" at one time."""

    purchase: Purchase | None = None
    pending: PendingChange | None = None


@dataclass(eq=False)
class Token:
    """A user access token: `gho_` of an OAuth app, or the pair `ghu_` and `ghr_` of a GitHub App."""

    id: int
    value: str
    user: Account
    scopes: tuple[str, ...]
    created_at: datetime
    refresh_token: str | None = None
    expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None

    def __str__(self) -> str:
        return self.value

    def may(self, *scopes: str) -> bool:
        """Whether one of these scopes was granted. A GitHub App has permissions instead: it may."""
        return self.value.startswith("ghu_") or any(scope in self.scopes for scope in scopes)


@dataclass(eq=False)
class Repository:
    id: int
    owner: Account
    name: str
    admins: list[Account]

    @property
    def full_name(self) -> str:
        return f"{self.owner.login}/{self.name}"

    def administered_by(self, person: Account) -> bool:
        return person in (self.owner, *self.admins, *self.owner.admins)


@dataclass(eq=False)
class Hook:
    """A webhook of a repository. It outlives the token that made it."""

    id: int
    repository: Repository
    url: str
    events: tuple[str, ...]
    created_at: datetime


class World:
    """What the parts of the fake share. `now` is the date of everything: the fake never looks at the clock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Forgets everything that happened. Its address, and what it was told about styles and kinds, stay."""
        self.now = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
        self.accounts: dict[int, Account] = {}
        self._numbers = itertools.count(1)

    def account(
        self,
        login: str,
        *,
        type: AccountType = "User",
        id: int | None = None,
        email: str | None = None,
        email_is_verified: bool = True,
        name: str | None = None,
        admins: tuple[Account, ...] | list[Account] = (),
    ) -> Account:
        """A new account, or the one that has this login."""
        with self.lock:
            if known := self.account_named(login):
                return known
            account = Account(
                id=id or 9_100_000 + next(self._numbers),
                login=login,
                type=type,
                email=f"{login}@mail.example" if email is None else email,
                email_is_verified=email_is_verified,
                name=login.title() if name is None else name,
                admins=list(admins),
            )
            self.accounts[account.id] = account
            return account

    def account_named(self, login: str) -> Account | None:
        return next((known for known in self.accounts.values() if known.login.lower() == login.lower()), None)

    def number(self, start: int) -> int:
        """A new id, above `start`."""
        return start + next(self._numbers)


def midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def one_cycle_after(moment: datetime, cycle: BillingCycle | None) -> datetime:
    """Midnight of the day on which the next cycle begins. Months of 30 days are near enough for a fake."""
    return midnight(moment) + timedelta(days=365 if cycle == "yearly" else 30)
