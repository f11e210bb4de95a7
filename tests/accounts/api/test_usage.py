"""Counts that the product's own system sends, and the page that quotes them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from accounts.core import clock
from accounts.core.clock import rfc3339
from accounts.customers import losses
from accounts.customers.losses import Loss, Words
from accounts.models import Account, User
from subscriptions.plan import Plan
from tests.accounts.api.calling import Caller, pointers, problem
from tests.factories import subscribe

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def documents() -> Iterator[None]:
    """A loss of which another system holds the number."""
    words = Words("Your documents become read-only.", lambda count: "%(count)s documents become read-only.")
    with losses.REGISTRY.replaced(Loss("documents", "live", words)):
        yield


def sent(call: Caller, account: Account, count: int, **changes: Any) -> Any:
    body = {"as_of": rfc3339(clock.now()), "counts": {"documents": count}} | changes
    return call.put(f"accounts/{account.pk}/usage/", body)


def test_the_cancel_page_shows_the_number_that_was_sent(
    call: Caller, account: Account, owner: User, sign_in: Any
) -> None:
    subscribe(account, at=clock.now())
    assert sent(call, account, 1234).status_code == 200
    page = sign_in(owner).get("/user/subscription/cancellation/").content.decode()
    assert "<strong>1,234</strong> documents become read-only." in page


def test_a_number_of_two_days_ago_is_not_quoted_and_zero_is_no_loss(call: Caller, account: Account) -> None:
    at = clock.now()
    features = Plan.objects.get(code="pro").features
    sent(call, account, 7, as_of=rfc3339(at - 47 * HOUR))
    assert ("documents", 7) in [(lost.loss.code, lost.count) for lost in losses.of(account, features, at)]
    later = losses.of(account, features, at + 2 * HOUR)
    assert ("documents", None) in [(lost.loss.code, lost.count) for lost in later]
    sent(call, account, 0)
    assert "documents" not in [lost.loss.code for lost in losses.of(account, features, at)]


def test_the_last_count_wins_in_whichever_order_they_come(call: Caller, account: Account) -> None:
    at = clock.now()
    newer = sent(call, account, 8, as_of=rfc3339(at))
    older = sent(call, account, 5, as_of=rfc3339(at - HOUR))
    assert newer.json() == older.json() == {"counts": [{"code": "documents", "count": 8, "as_of": rfc3339(at)}]}
    assert call.get(f"accounts/{account.pk}/usage/").json() == newer.json()


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"counts": {"nothing": 1}}, "/counts"),
        ({"counts": {"documents": -1}}, "/counts/documents"),
        ({"counts": {"documents": 1.5}}, "/counts/documents"),
        ({"counts": {"documents": True}}, "/counts/documents"),
        ({"counts": {"documents": 2**53}}, "/counts/documents"),
        ({"as_of": "2026-01-01"}, "/as_of"),
        ({"as_of": "2099-01-01T00:00:00Z"}, "/as_of"),
        ({"as_of": "9999-01-01T00:00:00Z"}, "/as_of"),
    ],
)
def test_what_can_not_be_counted_is_not_kept(
    call: Caller, account: Account, changes: dict[str, Any], pointer: str
) -> None:
    refused = sent(call, account, 1, **changes)
    assert problem(refused) == (422, "invalid")
    assert pointers(refused) == [pointer]
    assert call.get(f"accounts/{account.pk}/usage/").json() == {"counts": []}
