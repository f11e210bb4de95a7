"""May this account do X at t?

The one place that answers; every door asks it, on the server. This app owns the question; features are codes that the
product registers (`accounts.customers.features`). Who knows the answer (`subscriptions`) registers it when it starts,
because imports point down only.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from accounts.core.registry import Registry
from accounts.customers.account import Account


@dataclass(frozen=True)
class Entitlements:
    """What an account may do at the instant asked about.

    `since` is when this answer began to hold and `until` the first instant at which it no longer will, as far as
    is known then; None: no end is known. Both are UTC.
    """

    plan: str
    plan_name: str
    features: frozenset[str]
    since: datetime
    until: datetime | None
    #: False while the account is deactivated or being erased: then nothing is allowed, not even what Free allows.
    active: bool = True

    def allow(self, feature: str) -> bool:
        return feature in self.features


class NotEntitled(Exception):
    """The account's plan does not include the feature. Carries what a page or an API answer must say."""

    def __init__(self, feature: str, entitlements: Entitlements) -> None:
        super().__init__(f"{feature} is not included in the plan {entitlements.plan}")
        self.feature = feature
        self.entitlements = entitlements


Answer = Callable[[Account, datetime], Entitlements]
#: Who answers: one app.
ANSWER: Registry[Answer] = Registry(key=lambda answer: "answer")


def entitlements_of(account: Account, at: datetime) -> Entitlements:
    """What `account` may do at `at`. Right whether or not any job has run (design, idea 1)."""
    answer = ANSWER.named("answer")(account, at)
    if over := [since for since in (account.deactivated_at, account.purging_at) if since and since <= at]:
        return replace(answer, features=frozenset(), since=min(over), active=False)
    return answer


def require(feature: str, account: Account, at: datetime) -> None:
    """Raise `NotEntitled` unless `account` may use `feature` at `at`."""
    entitlements = entitlements_of(account, at)
    if not entitlements.allow(feature):
        raise NotEntitled(feature, entitlements)
