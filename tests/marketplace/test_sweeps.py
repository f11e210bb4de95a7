"""A marketplace that can't be asked: one sweep fails, in its place, and the others go on."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.jobs import sweeps
from accounts.models import Account
from tests.factories import NOW, subscribe
from tests.fakes.github import FakeGitHub

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def test_a_preview_that_fails_is_told_in_its_place_and_the_others_below_it(
    account: Account, github: FakeGitHub
) -> None:
    subscribe(account, ends_at=NOW + DAY)
    github.fail("GET /marketplace_listing/*", status=503, times=None)
    out = StringIO()
    with pytest.raises(CommandError, match=r"^Failed: github-reconcile\.$"):
        call_command("sweep", "--dry-run", "--at", "2026-04-01", stdout=out)
    lines = out.getvalue().splitlines()
    failed = next(number for number, line in enumerate(lines) if line.startswith("github-reconcile: can't be told: "))
    assert [line for line in lines[:failed] if line.startswith("settle: ")][-1] == "settle: 1 due"
    told = {line.partition(": ")[0] for line in lines}
    assert told == {sweep.name for sweep in sweeps.registered()}


def test_a_sweep_that_fails_by_hand_is_told_in_its_place_and_the_others_run(
    account: Account, github: FakeGitHub
) -> None:
    subscribe(account, ends_at=NOW + DAY)
    github.fail("GET /marketplace_listing/*", status=503, times=None)
    out = StringIO()
    with pytest.raises(CommandError, match=r"^Failed: github-reconcile\.$"):
        call_command("sweep", "--at", "2026-04-01", stdout=out)
    assert "settle: 1 done" in out.getvalue()
    assert "github-reconcile: failed: GitHubUnavailable: " in out.getvalue()
    assert "purge: 0 done" in out.getvalue()
