"""The demo beside both test marketplaces: an hour on, its customers are still what they were, and all is well."""

from datetime import timedelta

import pytest
import time_machine

from accounts.core import clock
from accounts.customers.entitlements import entitlements_of
from accounts.jobs import invariants, sweeps
from accounts.jobs.sweeps import SweepRun
from accounts.models import Account
from marketplace.management.commands.demo import Demo
from marketplace.models import AwsAgreement, GitHubCustomer
from subscriptions.models import Subscription
from tests.fakes.aws import FakeAWS
from tests.fakes.aws.demo import know_demo as known_at_aws
from tests.fakes.github import FakeGitHub
from tests.fakes.github.demo import know_demo as known_at_github

HOUR, STEP = timedelta(hours=1), timedelta(minutes=10)
#: What the demo shows on purpose, and `doctor` warns of.
SHOWN = {"request-due-soon", "wish-by-hand"}


def standing() -> dict[str, tuple[object, ...]]:
    """Each account with its plan, its seats, and whether it is active."""
    at = clock.now()
    found: dict[str, tuple[object, ...]] = {}
    for account in Account.objects.order_by("name"):
        live = Subscription.objects.of(account).live(at).first()
        found[account.name] = (entitlements_of(account, at).plan, live and live.seats, account.deactivated_at)
    return found


@pytest.mark.django_db
def test_an_hour_beside_both_marketplaces_leaves_the_demo_what_it_was(github: FakeGitHub, aws: FakeAWS) -> None:
    begin = clock.now()
    github.now = aws.now = begin
    known_at_github(github)
    known_at_aws(aws)
    Demo(begin).create()
    before = standing()
    assert before["Cloud Cranes"] == ("pro", 5, None)
    assert (before["Octo Ferries"][0], before["Tidal Tunnels"][0]) == ("pro", "pro")
    after = begin
    while after < begin + HOUR:
        after += STEP
        github.now = aws.now = after
        with time_machine.travel(after, tick=True):
            for sweep in sweeps.registered():
                sweeps.run_and_note(sweep, after)
    with time_machine.travel(after, tick=True):
        assert standing() == before
        assert [str(found) for found in invariants.violations(clock.now())] == []
        assert {found.name for found in invariants.warnings(clock.now())} <= SHOWN
    assert set(SweepRun.objects.filter(last_error="").values_list("name", flat=True)) == {
        sweep.name for sweep in sweeps.registered()
    }
    assert _agreements() == {"agmt-demo-cranes": (True, False, ""), "agmt-demo-tunnels": (True, True, "")}
    assert GitHubCustomer.objects.get(github_id=1001).cancelled_at is None
    # The cancellation that is in progress is taken back, and both stay what they are.
    after += 4 * HOUR
    github.now = aws.now = after
    with time_machine.travel(after, tick=True):
        for sweep in sweeps.registered():
            sweeps.run_and_note(sweep, after)
        assert standing() == before
    assert _agreements() == {"agmt-demo-cranes": (True, False, ""), "agmt-demo-tunnels": (True, False, "")}


def _agreements() -> dict[str | None, tuple[bool, bool, str]]:
    """Whether each runs, whether its cancellation is in progress, and what went wrong."""
    rows = AwsAgreement.objects.all()
    return {row.agreement_id: (row.runs, row.unsubscribe_pending_at is not None, row.check_error) for row in rows}
