"""`accounts.database.prepared`: what is planned once, and for how long."""

import pytest
from django.db import connection

from accounts.database.prepared import statements_prepared
from accounts.models import Account
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db


def prepared() -> int:
    """How many statements the server holds for this connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%accounts_account%'")
        return int(cursor.fetchone()[0])


def test_within_the_block_a_statement_is_planned_once_and_afterwards_as_ever() -> None:
    first, second = AccountFactory(), AccountFactory()
    with statements_prepared():
        found = [Account.objects.get(pk=pk).name for pk in (first.pk, second.pk, first.pk)]
        within = prepared()
    Account.objects.filter(name=first.name).count()
    Account.objects.filter(name=second.name).count()

    assert found == [first.name, second.name, first.name]
    assert within == 1
    assert prepared() == 1


def test_behind_a_pooler_of_transactions_nothing_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    account = AccountFactory()
    before = prepared()

    with statements_prepared():
        for _time in range(3):
            Account.objects.get(pk=account.pk)

    assert prepared() == before
