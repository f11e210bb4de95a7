"""What staff see of marketplaces at the support desk, and what they can do about them."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from accounts.core.refusal import Refused
from accounts.customers.history import Actor
from accounts.desk.account_page.search import find
from accounts.desk.actions.action import act_named
from accounts.inbox.delivery import Delivery
from accounts.models import Account, Event, Purge, User
from marketplace.models import AwsAgreement, Offboarding, OffboardingStep, StepKind
from tests.factories import NOW
from tests.marketplace.conftest import World

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
VALUES = {"reason": "Case 81"}
DAY = timedelta(days=1)


@pytest.fixture
def left(world: World) -> Account:
    """A customer that has bought and cancelled at GitHub."""
    buyer = world.github.account(login="octo-ferries")
    world.hears(world.github.buy(buyer, world.github.listing_plan(name="Pro", monthly=900)))
    world.passes(DAY)
    world.hears(world.github.cancel(buyer))
    return world.account_of(buyer)


def test_a_customer_is_found_by_login_id_and_delivery(world: World) -> None:
    buyer = world.github.account(login="octo-ferries")
    delivery = world.github.buy(buyer, world.github.listing_plan(name="Pro", monthly=900))
    world.hears(delivery)
    account = world.account_of(buyer)
    for text in ("octo-ferries", "octo-f", str(buyer.id), delivery.guid):
        assert find(text) == [account.pk], text


def test_the_page_shows_the_offboarding_with_its_steps_and_the_deliveries(
    left: Account, lead: User, sign_in: SignIn
) -> None:
    page = sign_in(lead).get(f"/admin/accounts/account/{left.pk}/change/").content.decode()
    for text in (
        "octo-ferries",
        "deactivated",
        "1. Deactivate the account",
        "5. Erase all data",
        "GitHub marketplace_",
    ):
        assert text in page
    step = OffboardingStep.objects.get(kind=StepKind.CONFIRM)
    assert f"/admin/act/skip_step/{step.pk}/" in page
    purge_step = OffboardingStep.objects.get(kind=StepKind.PURGE)
    assert f"/admin/act/skip_step/{purge_step.pk}/" not in page


def test_a_customer_is_taken_back_within_the_window(left: Account, world: World, lead: User) -> None:
    act_named("reactivate").perform(left, VALUES, by=Actor.staff(lead), at=world.now + DAY)
    left.refresh_from_db()
    assert left.deactivated_at is None
    assert Offboarding.objects.get().called_off_because == "staff"
    assert Purge.objects.get().called_off_at == world.now + DAY
    said = act_named("reactivate").perform(left, VALUES, by=Actor.staff(lead), at=world.now + DAY)
    assert said.startswith("Nothing had to be changed")


def test_nobody_is_taken_back_once_the_erasing_has_begun(left: Account, world: World, lead: User) -> None:
    world.passes(30 * DAY)
    world.run("purge")
    events = Event.objects.count()
    gone = Account(pk=left.pk)
    with pytest.raises((Refused, Account.DoesNotExist)):
        act_named("reactivate").perform(gone, VALUES, by=Actor.staff(lead), at=world.now)
    assert Event.objects.count() == events


def test_a_step_is_skipped_with_a_reason_and_the_next_one_goes_on(left: Account, world: World, lead: User) -> None:
    confirm = OffboardingStep.objects.get(kind=StepKind.CONFIRM)
    act_named("skip_step").perform(confirm, VALUES, by=Actor.staff(lead), at=world.now)
    confirm.refresh_from_db()
    assert (confirm.done_at, confirm.remark) == (world.now, "skipped: Case 81")
    event = Event.objects.get(kind="offboarding.confirm")
    assert (event.actor_id, event.facts["as_it_should"]) == (lead.pk, False)
    assert [step.kind for step in OffboardingStep.objects.due(world.now)] == [StepKind.HOOKS]
    said = act_named("skip_step").perform(confirm, VALUES, by=Actor.staff(lead), at=world.now)
    assert said.startswith("Nothing had to be changed")
    with pytest.raises(Refused, match="can't be skipped"):
        act_named("skip_step").perform(
            OffboardingStep.objects.get(kind=StepKind.PURGE), VALUES, by=Actor.staff(lead), at=world.now
        )


def test_a_step_is_tried_again_at_once(left: Account, world: World, lead: User) -> None:
    OffboardingStep.objects.filter(kind=StepKind.CONFIRM).update(next_attempt_at=world.now + DAY)
    assert not OffboardingStep.objects.due(world.now).exists()
    confirm = OffboardingStep.objects.get(kind=StepKind.CONFIRM)
    act_named("retry_step").perform(confirm, VALUES, by=Actor.staff(lead), at=world.now)
    assert [step.kind for step in OffboardingStep.objects.due(world.now)] == [StepKind.CONFIRM]


def test_a_parked_delivery_is_processed_again_and_an_alert_acknowledged(lead: User) -> None:
    parked = Delivery.objects.create(
        source="github", delivery_id="d-1", event="ping", body=b"{}", digest=b"x" * 32, received_at=NOW
    )
    by = Actor.staff(lead)
    act_named("process_again").perform(parked, VALUES, by=by, at=NOW)
    assert [delivery.pk for delivery in Delivery.objects.due(NOW)] == [parked.pk]
    assert Event.objects.get(kind="desk.process_again").account_id is None

    Delivery.objects.filter(pk=parked.pk).update(alert="Look")
    act_named("acknowledge").perform(parked, VALUES, by=by, at=NOW)
    assert Delivery.objects.get().alert == ""
    assert act_named("acknowledge").perform(parked, VALUES, by=by, at=NOW).startswith("Nothing had to be changed")


def test_an_aws_customer_is_found_by_every_id_that_aws_has_for_it(
    account: Account, agent: User, sign_in: SignIn
) -> None:
    AwsAgreement.objects.create(
        account=account,
        agreement_id="agmt-1",
        licence_id="l-0a1b",
        former_ids=["agmt-0"],
        aws_account_id="123456789012",
        customer_identifier="cust-1",
        product_code="prod-1",
        first_heard_at=NOW,
        registered_at=NOW,
        subscribed_at=NOW,
    )
    licence = "arn:aws:license-manager::123456789012:license:l-0a1b"
    for text in ("agmt-1", "agmt-0", "l-0a1b", licence, "123456789012", "cust-1"):
        assert find(text) == [account.pk], text
    page = sign_in(agent).get(f"/admin/accounts/account/{account.pk}/change/").content.decode()
    for text in ("agmt-1", "l-0a1b", "123456789012", "cust-1", "running"):
        assert text in page
