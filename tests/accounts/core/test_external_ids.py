"""The vendor's own ids: kept in one form, each once, never empty; what is searched for takes the same form."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from accounts.desk.account_page.search import find
from accounts.exports.parts import account_document
from accounts.models import Account, User
from subscriptions.models import Subscription
from tests.factories import AccountFactory, UserFactory, subscribe

pytestmark = pytest.mark.django_db

MAKERS = [AccountFactory, UserFactory, lambda **ids: _subscription(**ids)]
Maker = Callable[..., Any]
made_by = pytest.mark.parametrize("make", MAKERS, ids=["account", "person", "subscription"])


def _subscription(**ids: str) -> Subscription:
    subscription = subscribe()
    for name, value in ids.items():
        setattr(subscription, name, value)
    subscription.save()
    return subscription


@made_by
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("cus_42", "cus_42"),
        ("  cus_42 ", "cus_42"),
        ("Cus_42", "Cus_42"),
        ("Jose\u0301", "José"),
        ("42\u200b", "42"),
        ("", None),
        ("   ", None),
        ("0", "0"),
        ("x" * 200, "x" * 200),
    ],
)
def test_an_id_is_kept_in_one_form_and_an_empty_one_is_none(make: Maker, given: str, kept: str | None) -> None:
    row = make(external_id=given)
    assert row.external_id == kept
    row.refresh_from_db()
    assert row.external_id == kept
    if kept is not None:
        assert type(row).objects.get(external_id=given) == row


@made_by
@pytest.mark.parametrize("given", ["x" * 201, "a\x00b", "a\x1bb"])
def test_what_can_be_no_id_is_refused(make: Maker, given: str) -> None:
    with pytest.raises(ValidationError):
        make(external_id=given)


@made_by
def test_two_rows_never_have_the_same_id_but_any_number_has_none(make: Maker) -> None:
    make(external_id="42")
    make(external_id="")
    make(external_id="")
    with pytest.raises(IntegrityError, match="external_id_is_unique"), transaction.atomic():
        make(external_id=" 42")


@made_by
def test_an_update_keeps_no_empty_id_either(make: Maker) -> None:
    row = make(external_id="42")
    type(row).objects.filter(pk=row.pk).update(external_id="  ")
    row.refresh_from_db()
    assert row.external_id is None
    with pytest.raises(IntegrityError, match="external_id_is_not_empty"), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {type(row)._meta.db_table} SET external_id = ''")  # noqa: S608  # our own names


def test_an_account_a_person_and_a_subscription_may_have_the_same_id(account: Account, owner: User) -> None:
    for row in (account, owner, subscription := subscribe(account)):
        row.external_id = "42"
        row.save()
    assert {account.external_id, owner.external_id, subscription.external_id} == {"42"}


def test_an_account_is_found_by_its_id_a_members_and_a_subscriptions(account: Account, owner: User) -> None:
    AccountFactory(name="Elsewhere")
    account.external_id, owner.external_id = "cus_1", "staff/2"
    account.save()
    owner.save()
    subscription = subscribe(account)
    subscription.external_id = "sub-3"
    subscription.save()
    for typed in ("cus_1", " cus_1 ", "staff/2", "sub-3"):
        assert find(typed) == [account.pk], typed
    assert find("staff/3") == find("CUS_1") == []


def test_the_owner_takes_the_ids_along(account: Account, owner: User) -> None:
    account.external_id, owner.external_id = "cus_1", None
    account.save()
    document = account_document(account)
    assert document["external_id"] == "cus_1"
    assert [member["external_id"] for member in document["members"]] == [None]
