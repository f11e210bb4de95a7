"""History is written once and never changed."""

import pytest
from django.db import ProgrammingError, transaction
from pytest_django import DjangoAssertNumQueries

from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor, record
from accounts.models import Account, Event, User
from tests.factories import NOW

pytestmark = pytest.mark.django_db


def test_an_event_says_what_when_and_who(account: Account, owner: User) -> None:
    event = record(account.pk, AccountEvent.HOLD_SET, at=NOW, by=Actor.owner(owner), number=3)
    event.refresh_from_db()
    assert (event.kind, event.at, event.actor_kind, event.actor_id, event.facts) == (
        "hold.set",
        NOW,
        "owner",
        owner.pk,
        {"number": 3},
    )


def test_the_database_refuses_to_rewrite_history(account: Account) -> None:
    event = record(account.pk, AccountEvent.HOLD_SET, at=NOW, by=Actor.system())
    with pytest.raises(ProgrammingError, match="Cannot update or delete rows"), transaction.atomic():
        Event.objects.filter(pk=event.pk).update(kind="nothing.happened")
    with pytest.raises(ProgrammingError, match="Cannot update or delete rows"), transaction.atomic():
        Event.objects.filter(pk=event.pk).delete()
    assert Event.objects.get(pk=event.pk).kind == "hold.set"


def test_the_story_is_told_newest_first(account: Account) -> None:
    first, second = (
        record(account.pk, kind, at=NOW, by=Actor.system())
        for kind in (AccountEvent.HOLD_SET, AccountEvent.HOLD_RELEASED)
    )
    assert list(account.events.story()) == [second, first]


def test_what_is_recorded_together_is_one_statement_in_its_order(
    account: Account, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1), history.written_together():
        for kind in (AccountEvent.HOLD_SET, AccountEvent.HOLD_RELEASED, AccountEvent.HOLD_SET):
            record(account.pk, kind, at=NOW, by=Actor.system())
    kinds = account.events.order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["hold.set", "hold.released", "hold.set"]


def test_nothing_of_what_was_recorded_together_is_written_if_the_change_fails(account: Account) -> None:
    def change() -> None:
        with history.written_together():
            record(account.pk, AccountEvent.HOLD_SET, at=NOW, by=Actor.system())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    record(account.pk, AccountEvent.HOLD_RELEASED, at=NOW, by=Actor.system())
    assert [event.kind for event in account.events.all()] == ["hold.released"]
