"""docs/first-steps.md, done as written: from an empty database to the first customer."""

import re
import shlex
import uuid
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from accounts.desk import staffing
from accounts.models import Account, User
from subscriptions.models import Plan

DOCUMENT = Path(settings.BASE_DIR) / "docs" / "first-steps.md"
COMMAND = ".venv/bin/python manage.py "


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert all(line.startswith(COMMAND) for line in lines)
    return [shlex.split(line.removeprefix(COMMAND)) for line in lines]


@pytest.mark.django_db
def test_every_command_does_what_the_document_says() -> None:
    printed: list[str] = []
    for name, *arguments in commands():
        out = StringIO()
        try:
            call_command(name, *arguments, stdout=out, stderr=StringIO())
        except SystemExit:
            # The sweeps of a test never ran, and `doctor` says so.
            assert name == "doctor"
        printed.append(out.getvalue())
    assert Plan.objects.filter(code="free").exists()
    assert "First sign-in, once and within three days: " in printed[1]
    assert {user.email: staffing.role_of(user) for user in User.objects.filter(email__endswith="@vendor.example")} == {
        "ada@vendor.example": "lead",
        "grace@vendor.example": "lead",
        "joan@vendor.example": "none",
    }
    account = Account.objects.get(external_id="crm-7")
    assert uuid.UUID(printed[-2].strip()) == account.pk
    assert str(account.owner()) == "olivia@customer.example"
