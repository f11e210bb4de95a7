"""docs/import.md: its samples are imported as they stand, and it knows every code."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from accounts.models import Account, Membership, User
from subscriptions.imports.refusals import TEXTS
from subscriptions.imports.shapes import COLUMNS
from subscriptions.models import Cancellation, Subscription
from tests.subscriptions.imports.importing import run

pytestmark = pytest.mark.django_db
DOCUMENT = (Path(settings.BASE_DIR) / "docs" / "import.md").read_text(encoding="utf-8")


def sample(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n((?:(?!```).*\n)*)```$", DOCUMENT, re.MULTILINE)
    return str(found)


def test_the_sample_in_json_lines_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "customers.jsonl"
    file.write_text(sample("json"), encoding="utf-8")
    looked = run(file, "--dry-run")
    assert (looked.code, Account.objects.count()) == (0, 0)
    printed = "\n".join(line for line in looked.printed.splitlines() if "renews" not in line and "rows" not in line)
    assert sample("text").strip() in printed
    assert run(file).outcomes == ["created"] * 4
    assert User.objects.get(email="olivia@octo.example").accounts.count() == 2
    assert Membership.objects.count() == 6
    assert Cancellation.objects.get().effective_at.isoformat() == "2025-02-28T00:00:00+00:00"


def test_the_sample_in_csv_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "customers.csv"
    file.write_text(sample("csv"), encoding="utf-8")
    assert run(file).outcomes == ["created", "created"]
    assert Account.objects.filter(name="Ferries, Octo & Co.", memberships__role="admin").exists()
    assert Subscription.objects.get().external_id == "sub_9"


def test_it_knows_every_code_and_every_field() -> None:
    named = set(re.findall(r"`\.?([a-z_]+)`", DOCUMENT))
    assert set(TEXTS) - named == set()
    assert {column.rpartition(".")[2] for column in COLUMNS} - named == set()
