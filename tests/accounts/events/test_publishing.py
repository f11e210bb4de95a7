"""Messages: written with the change, published after its commit, numbered without a gap (`accounts.events`)."""

import json
import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.core.locks import OutsideOfTransaction
from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.events.message import EventMessage
from accounts.events.publishing import publish_due, publish_some
from accounts.models import Account

MAY = datetime(2026, 5, 1, 12, tzinfo=UTC)


def begun(account_id: uuid.UUID, purge: int = 7, at: datetime = MAY) -> None:
    history.record(account_id, AccountEvent.PURGE_STARTED, at=at, by=Actor.system(), purge=purge, cause="x")


@pytest.mark.django_db
def test_a_message_is_written_with_its_line_of_history_by_one_statement_more(account: Account) -> None:
    with CaptureQueriesContext(connection) as statements:
        history.record(account.pk, AccountEvent.HOLD_SET, at=MAY, by=Actor.system(), hold=1, until="")
    untold = len(statements)
    with CaptureQueriesContext(connection) as statements:
        begun(account.pk)
    assert (untold, len(statements)) == (1, 2)
    message = EventMessage.objects.get()
    assert (message.account_id, message.type, message.happened_at) == (account.pk, "account.erasing", MAY)
    assert (message.sequence, message.position) == (None, None)


@pytest.mark.django_db
def test_lines_that_are_written_together_are_told_by_one_statement(account: Account) -> None:
    with CaptureQueriesContext(connection) as statements, history.written_together():
        for purge in range(5):
            begun(account.pk, purge)
    assert len(statements) == 2
    assert EventMessage.objects.count() == 5


@pytest.mark.django_db
def test_a_published_message_says_who_what_and_when_in_an_envelope_that_never_changes_again(account: Account) -> None:
    Account.objects.filter(pk=account.pk).update(external_id='cust-"ü"')
    at = MAY + timedelta(microseconds=5)
    history.record(account.pk, AccountEvent.PURGE_CALLED_OFF, at=at, by=Actor.api(3), purge=7, cause="customer_request")
    assert publish_due(MAY) == 1
    message = EventMessage.objects.get()
    assert json.loads(message.payload) == {
        "type": "deletion.called_off",
        "timestamp": "2026-05-01T12:00:00.000005Z",
        "data": {
            "event": history.Event.objects.get().pk,
            "account": str(account.pk),
            "sequence": 1,
            "recorded_at": message.recorded_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "external_id": 'cust-"ü"',
            "version": "2026-12",
            "cause": "api",
            "deletion_cause": "customer_request",
        },
    }
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        EventMessage.objects.update(body="{}")


@pytest.mark.django_db
def test_each_account_has_a_sequence_of_its_own_and_the_feed_one_order(account: Account, stranger: object) -> None:
    other = Account.objects.exclude(pk=account.pk).get()
    for purge, whose in enumerate([account, other, account, account, other]):
        begun(whose.pk, purge)
    assert [publish_some(MAY, batch=2) for _time in range(3)] == [2, 2, 1]
    found = list(EventMessage.objects.published())
    assert [(message.account_id, message.sequence) for message in found] == [
        (account.pk, 1),
        (other.pk, 1),
        (account.pk, 2),
        (account.pk, 3),
        (other.pk, 2),
    ]
    assert [json.loads(message.body)["data"]["purge"] for message in found] == [0, 1, 2, 3, 4]
    assert publish_due(MAY) == 0


@pytest.mark.django_db
def test_positions_go_on_rising_when_all_that_was_published_is_gone(account: Account) -> None:
    begun(account.pk)
    publish_due(MAY)
    gone = EventMessage.objects.get()
    EventMessage.objects.all().delete()
    begun(account.pk)
    publish_due(MAY)
    message = EventMessage.objects.get()
    assert gone.position is not None
    assert message.position is not None
    assert message.position > gone.position
    assert message.sequence == 2


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_change_that_commits_late_comes_late_and_no_reader_misses_it(account: Account, stranger: object) -> None:
    other = Account.objects.exclude(pk=account.pk).get()
    may_commit, has_written = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with transaction.atomic():
            begun(account.pk)
            has_written.set()
            may_commit.wait(20)
        connection.close()

    slow = threading.Thread(target=write_slowly)
    slow.start()
    assert has_written.wait(20)
    with transaction.atomic():
        begun(other.pk)
    assert publish_due(MAY) == 1
    seen = EventMessage.objects.published().last()
    assert seen is not None
    assert seen.account_id == other.pk
    may_commit.set()
    slow.join()
    assert publish_due(MAY) == 1
    late = EventMessage.objects.published().filter(position__gt=seen.position).get()
    assert late.account_id == account.pk
    assert late.id < seen.id


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_change_that_is_told_of_needs_a_transaction(account: Account) -> None:
    with pytest.raises(OutsideOfTransaction):
        begun(account.pk)


@pytest.mark.django_db
def test_of_an_account_that_is_being_erased_only_its_last_words_are_told(account: Account) -> None:
    unknown = uuid.uuid4()
    Account.objects.filter(pk=account.pk).update(purging_at=MAY)
    begun(account.pk)
    begun(unknown)
    assert set(EventMessage.objects.values_list("account_id", "type")) == {
        (account.pk, "account.erasing"),
        (unknown, "account.erasing"),
    }
