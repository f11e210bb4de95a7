"""Walking through a table: all of the account's rows, none of others', and only where it is worth it."""

from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from pytest_django import Settings

from accounts.blueprints.models import Blueprint
from accounts.erasure import inventory, runner, starting
from accounts.erasure.inventory import Erased
from accounts.erasure.runner import erase, take_turn
from accounts.erasure.table_scan import SAMPLE, Walk
from accounts.models import Account, Certificate, FileDeletion, Purge
from tests.accounts.erasure.purging import oblige
from tests.factories import NOW, AccountFactory

pytestmark = pytest.mark.django_db
#: Some twelve of these fill a page.
WIDE = [{"id": "web", "label": "x" * 500}]


def draw(account: Account, rows: int, picture: str = "") -> None:
    names = (f"thumbnails/{account.pk}/{picture}{number}.svg" if picture else "" for number in range(rows))
    Blueprint.objects.bulk_create(Blueprint(account=account, components=WIDE, thumbnail=name) for name in names)


def blueprints() -> Walk:
    store = next(store for store in inventory.stores() if store.name == "blueprints.Blueprint")
    assert isinstance(store, Erased)
    assert store.walk
    return store.walk


def test_a_walk_erases_all_of_the_account_and_nothing_of_others(
    account: Account, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MEDIA_ROOT = tmp_path
    other = AccountFactory()
    for part in ("a", "b", "c"):
        draw(account, 60, part)
        draw(other, 40, part)
    kept = set(Blueprint.objects.filter(account=other).values_list("pk", "thumbnail"))
    row = oblige(account)
    Purge.objects.filter(pk=row.pk).update(chunk=7)
    assert starting.start(row, at=NOW)
    monkeypatch.setattr(runner, "TURN", 0.0)
    pages = []
    while not erase(row, NOW):
        row.refresh_from_db()
        pages.append(row.page("blueprints.Blueprint"))
    walked = [page for page in pages if page is not None]
    assert walked == sorted(walked)
    assert len(set(walked)) >= 10
    row.refresh_from_db()
    assert (row.erased()["blueprints.Blueprint"], row.erased()["files"], row.attempts) == (180, 180, 0)
    assert set(Blueprint.objects.values_list("pk", "thumbnail")) == kept
    assert not FileDeletion.objects.exists()
    assert Certificate.objects.get().body["erased"]["blueprints.Blueprint"] == 180


def test_rows_that_the_walk_has_passed_by_are_found_by_the_index(account: Account) -> None:
    draw(account, 50)
    row = oblige(account)
    assert starting.start(row, at=NOW)
    # As if all had been moved to pages behind it: by an update, say, that found room there.
    row.refresh_from_db()
    row.note("blueprints.Blueprint", 0, done=False, page=blueprints().pages())
    row.save()
    assert take_turn(row, NOW)
    row.refresh_from_db()
    assert row.erased()["blueprints.Blueprint"] == 50
    assert not Blueprint.objects.exists()


def test_it_is_not_worth_it_for_an_account_that_is_thin_on_the_pages(account: Account) -> None:
    draw(AccountFactory(), 600)
    pages = blueprints().pages()
    assert 40 < pages < SAMPLE, "all pages are looked at"
    draw(account, pages - 1)
    assert not blueprints().is_worthwhile(account.pk)
    draw(account, 20)
    assert blueprints().is_worthwhile(account.pk)


def test_one_step_looks_at_a_limited_number_of_pages_and_rows(account: Account) -> None:
    draw(AccountFactory(), 600)
    draw(account, 100)
    walk = blueprints()
    assert walk.erase(account.pk, 0, 10) == (0, 10)
    assert walk.erase(account.pk, walk.pages(), 10) == (0, None)
    page: int | None = 0
    steps = []
    while page is not None:
        erased, page = walk.erase(account.pk, page, 10)
        steps.append(erased)
    assert sum(steps) == 100
    assert max(steps) == 10
    assert not default_storage.exists(f"thumbnails/{account.pk}")
