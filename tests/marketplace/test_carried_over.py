"""Migrations that carry existing data over: what they write for rows as older versions left them."""

from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

from accounts.models import Account, Purge, PurgeObligation
from marketplace.models import Offboarding
from tests.factories import NOW, AccountFactory

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
MONTH = timedelta(days=30)
LEAD = timedelta(hours=12)


def left(account: Account) -> Offboarding:
    Account.objects.filter(pk=account.pk).update(deactivated_at=NOW)
    return Offboarding.objects.create(
        account_id=account.pk, cause="cancelled", received_at=NOW, deadline_at=NOW + MONTH
    )


def old_purge(account: Account, **changes: object) -> Purge:
    """As it was when a purge had one cause."""
    dates = {"received_at": NOW, "due_at": NOW + 7 * DAY, "deadline_at": NOW + MONTH, "next_attempt_at": NOW + 7 * DAY}
    return Purge.objects.create(account_id=account.pk, cause="customer_request", **dates, **changes)


def test_what_an_open_offboarding_obliges_us_to_is_written_down_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_too, forgotten, finished = AccountFactory(), AccountFactory(), AccountFactory()
    for account in (asked_too, forgotten, finished):
        left(account)
    standing = old_purge(asked_too)
    old_purge(forgotten, called_off_at=NOW + DAY)
    old_purge(finished, started_at=NOW + 8 * DAY, finished_at=NOW + 8 * DAY, verified_at=NOW + 8 * DAY)
    migration = import_module("marketplace.migrations.0008_forgotten_obligations")
    # The table as it is today has another name for that column.
    as_today = vars(migration)["SCHEDULE_AGAIN"].replace(" failures,", " attempts,")
    monkeypatch.setattr(migration, "SCHEDULE_AGAIN", as_today)
    for _time in range(2):
        with connection.schema_editor() as editor:
            migration.write_down(apps, editor)
    found = {row.purge.account_id: row for row in PurgeObligation.objects.select_related("purge")}
    assert set(found) == {asked_too.pk, forgotten.pk}
    assert found[asked_too.pk].purge == standing
    for row in found.values():
        assert (row.cause, row.received_at) == ("marketplace_cancellation", NOW)
        assert (row.due_at, row.deadline_at) == (NOW + MONTH - LEAD, NOW + MONTH)
    again = Purge.objects.open().get(account_id=forgotten.pk)
    assert (again.cause, again.due_at, again.waiting_for) == ("marketplace_cancellation", NOW + MONTH - LEAD, "")
