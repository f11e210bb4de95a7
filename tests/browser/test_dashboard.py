"""The desk's first page and a bulk run, as staff see them: light, dark, on a phone, in French, and without script."""

from datetime import timedelta

import pytest
from axe_playwright_python.base import AXE_SCRIPT

from accounts.core import clock
from accounts.customers.history import Actor
from accounts.desk.actions.action import act_named
from accounts.desk.bulk import run as bulk
from accounts.desk.bulk.worker import work_through
from accounts.models import Purge, User
from marketplace.models import Offboarding, OffboardingStep, StepKind
from subscriptions.ending.cancellation import cancel
from subscriptions.models import Channel, Reason, Subscription
from tests.browser.conftest import OpenAs
from tests.browser.test_pages import visit
from tests.factories import AccountFactory, owner_of, subscribe

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]
DAY = timedelta(days=1)


def something_of_everything() -> None:
    """At least one of whatever the page draws."""
    now = clock.now()
    ending = subscribe(AccountFactory(name="Quay"), at=now - 40 * DAY)
    cancel(ending, by=owner_of(ending), at=now - 2 * DAY, reason=Reason.UNUSED, comment="<b>Why</b> not?")
    for number, channel in enumerate(Channel):
        subscribe(at=now - 90 * DAY, channel=channel, ends_at=now - (1 + 8 * number) * DAY)
    subscribe(AccountFactory(name="Today"), at=now - 90 * DAY, ends_at=now + timedelta(seconds=1))
    account = AccountFactory(name="Gone")
    offboarding = Offboarding.objects.create(
        account_id=account.pk, cause="cancelled", received_at=now - 9 * DAY, deadline_at=now + 21 * DAY
    )
    for kind, hours in ((StepKind.DEACTIVATE, 0), (StepKind.CONFIRM, 1), (StepKind.HOOKS, None)):
        OffboardingStep.objects.create(
            offboarding=offboarding,
            number=list(StepKind).index(kind) + 1,
            kind=kind,
            attempts=0 if hours is not None else 2,
            next_attempt_at=now,
            limit_at=now,
            last_error="" if hours is not None else "acme/site: 403",
            done_at=None if hours is None else now - 9 * DAY + timedelta(hours=hours),
        )
    for verified in (None, now - DAY):
        Purge.objects.create(
            account_id=account.pk,
            cause="marketplace_cancellation",
            received_at=now - 31 * DAY,
            due_at=now - 2 * DAY,
            deadline_at=now - DAY + timedelta(hours=5),
            next_attempt_at=now,
            started_at=now - 2 * DAY,
            finished_at=verified,
            verified_at=verified,
        )


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_first_page_is_readable_by_everybody(open_as: OpenAs, staff: User, language: str) -> None:
    something_of_everything()
    page = open_as(staff, locale=language)
    page.add_init_script(AXE_SCRIPT)
    visit(page, "/admin/")
    assert page.locator("svg.chart").count() == 6
    assert page.get_by_text("<b>Why</b> not?").count() == 1
    page.set_viewport_size({"width": 1300, "height": 900})
    page.locator("summary").first.click()
    assert page.locator("details[open] table").count() == 1


def test_the_pages_work_without_script(open_as: OpenAs, staff: User) -> None:
    page = open_as(staff, java_script_enabled=False)
    page.goto("/admin/")
    with page.expect_download() as download:
        page.locator("a[href='/admin/figures/ends.csv']").click()
    assert download.value.suggested_filename.startswith("ends-")
    assert download.value.path().read_text(encoding="utf-8-sig").startswith("week,direct,datadog_sales,")


def test_a_bulk_run_is_followed_from_its_preview_to_its_end(open_as: OpenAs, staff: User) -> None:
    now = clock.now()
    for number in range(3):
        subscribe(AccountFactory(name=f"Quay {number}"), at=now - DAY)
    values = {"reason": "The product ends", "why": "other", "identity": ["owner_email", "card_digits"]}
    rows = Subscription.objects.order_by("pk")
    run = bulk.begin(act_named("cancel"), rows, values, by=Actor.staff(staff), at=now)
    page = open_as(staff)
    page.add_init_script(AXE_SCRIPT)
    visit(page, f"/admin/bulk/{run.pk}/?still")
    work_through(clock.now())
    visit(page, f"/admin/bulk/{run.pk}/")
    page.get_by_role("button", name="Do it for 3 rows").click()
    work_through(clock.now())
    # The page asks again by itself.
    page.locator(".bulk-done").nth(2).wait_for()
    visit(page, f"/admin/bulk/{run.pk}/")
    visit(page, "/admin/bulk/")
