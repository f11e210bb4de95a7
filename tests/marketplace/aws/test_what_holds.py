"""What holds an account at AWS, now and ahead; and what staff may decide against it, until the customer buys again."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.customers.history import Actor
from accounts.erasure.purge import Purge
from accounts.jobs import invariants, sweeps
from accounts.models import Account, User
from accounts.support import deletion
from accounts.support.requests import RequestKind, ask
from marketplace.models import AwsAgreement as Row
from marketplace.tombstone import Tombstone
from subscriptions import changes
from subscriptions.desk.actions import EndsAtAws, end_now
from subscriptions.ending.account_deletion import CANCEL_THERE_FIRST
from subscriptions.models import Channel
from tests.fakes.aws import Agreement
from tests.marketplace.aws.world import DAY, HOUR, AwsWorld

pytestmark = pytest.mark.django_db
FIRST = CANCEL_THERE_FIRST[Channel.AWS_MARKETPLACE]


@pytest.fixture
def customer(cloud: AwsWorld, owner: User) -> tuple[Agreement, Account]:
    return cloud.customer(owner)


def deleted_all_the_same(cloud: AwsWorld, account: Account, by: User, leads: tuple[User, User]) -> Purge:
    """Two leads delete the account, though AWS goes on."""
    asked, _new = ask(account, by=Actor.owner(by), kind=RequestKind.DELETION, message="All of it.", at=cloud.aws.now)
    first, second = (Actor.staff(lead) for lead in leads)
    deletion.propose(asked, by=first, at=cloud.aws.now, override="The AWS account is lost.")
    return deletion.approve(asked, by=second, at=cloud.aws.now, override="The AWS account is lost.")


def test_what_was_ended_here_is_not_started_again_by_the_next_walk(
    cloud: AwsWorld, customer: tuple[Agreement, Account]
) -> None:
    bought, account = customer
    live = cloud.live(account)
    assert live is not None
    changes.end_at_once(live, at=cloud.aws.now, by=Actor.system())
    for _day in range(3):
        cloud.settles()
        cloud.aws.amend(bought, entitlements={"pro_seats": 7})
        cloud.receives(cloud.aws.amended(bought))
        cloud.settles()
    assert cloud.plan(account) == "free"
    assert account.subscriptions.count() == 1
    assert "aws-billed-though-ended" in [found.name for found in invariants.warnings(cloud.aws.now)]


def test_who_buys_again_has_it_again(cloud: AwsWorld, customer: tuple[Agreement, Account]) -> None:
    bought, account = customer
    live = cloud.live(account)
    assert live is not None
    changes.end_at_once(live, at=cloud.aws.now, by=Actor.system())
    cloud.passes(HOUR)
    cloud.hears(cloud.aws.unsubscribe(bought))
    cloud.passes(HOUR)
    cloud.hears(cloud.aws.finish_unsubscribe(bought))
    cloud.settles()
    assert cloud.plan(account) == "free"
    cloud.hears(cloud.aws.buy(bought.buyer))
    cloud.settles()
    assert cloud.plan(account) == "pro"
    assert account.subscriptions.count() == 2
    assert "aws-billed-though-ended" not in [found.name for found in invariants.warnings(cloud.aws.now)]


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_deletion_that_leads_decided_on_is_carried_out_in_time_though_aws_goes_on(
    cloud: AwsWorld, customer: tuple[Agreement, Account], owner: User, lead: User, other_lead: User
) -> None:
    _bought, account = customer
    purge = deleted_all_the_same(cloud, account, owner, (lead, other_lead))
    while cloud.aws.now < purge.due_at:
        cloud.passes(8 * HOUR)
        cloud.run("deliveries", "aws-check", "settle", "aws-reconcile")
    for _turn in range(3):
        sweeps.named("purge").run(cloud.aws.now)
    purge.refresh_from_db()
    assert (purge.waiting_for, purge.verified_at is not None) == ("", True)
    assert not Account.objects.filter(pk=account.pk).exists()


def test_a_deletion_that_is_called_off_takes_nothing_away(
    cloud: AwsWorld, customer: tuple[Agreement, Account], owner: User, lead: User, other_lead: User
) -> None:
    _bought, account = customer
    deleted_all_the_same(cloud, account, owner, (lead, other_lead))
    cloud.passes(2 * DAY)
    cloud.settles()
    assert deletion.call_off(account, by=Actor.owner(owner), at=cloud.aws.now)
    cloud.settles()
    assert cloud.plan(account) == "pro"
    assert account.subscriptions.count() == 1


def test_who_buys_again_while_a_deletion_waits_is_not_erased(
    cloud: AwsWorld, customer: tuple[Agreement, Account], owner: User, lead: User, other_lead: User
) -> None:
    bought, account = customer
    purge = deleted_all_the_same(cloud, account, owner, (lead, other_lead))
    cloud.hears(cloud.aws.unsubscribe(bought))
    cloud.passes(HOUR)
    cloud.hears(cloud.aws.finish_unsubscribe(bought))
    cloud.settles()
    cloud.hears(cloud.aws.buy(bought.buyer))
    cloud.settles()
    assert cloud.plan(account) == "pro"
    cloud.passes(purge.due_at - cloud.aws.now + HOUR)
    sweeps.named("purge").run(cloud.aws.now)
    purge.refresh_from_db()
    assert (purge.started_at, "subscription" in purge.waiting_for) == (None, True)
    assert cloud.plan(account) == "pro"


def erased_all_the_same(cloud: AwsWorld, account: Account, by: User, leads: tuple[User, User]) -> None:
    purge = deleted_all_the_same(cloud, account, by, leads)
    cloud.passes(purge.due_at - cloud.aws.now)
    for _turn in range(3):
        sweeps.named("purge").run(cloud.aws.now)
    assert not Account.objects.filter(pk=account.pk).exists()


def shown(cloud: AwsWorld) -> list[str]:
    return [found.name for found in invariants.violations(cloud.aws.now) if found.name == "billed-after-erasure"]


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.parametrize("told", ["by a message", "by the walk"])
def test_what_aws_goes_on_with_after_the_erasing_becomes_a_task_for_staff(
    cloud: AwsWorld, customer: tuple[Agreement, Account], owner: User, lead: User, other_lead: User, told: str
) -> None:
    bought, account = customer
    erased_all_the_same(cloud, account, owner, (lead, other_lead))
    assert shown(cloud) == []
    cloud.passes(HOUR)
    if told == "by a message":
        cloud.receives(*cloud.aws.set_auto_renewal(bought, False).events)
    else:
        cloud.run("aws-reconcile")
    assert shown(cloud) == ["billed-after-erasure"]
    assert Tombstone.objects.get().number == bought.id
    assert not Row.objects.exists()
    # Renewed, it is under another agreement, and still a task.
    renewed = cloud.aws.renew(bought)
    cloud.receives(cloud.aws.created(renewed.agreement))
    assert Tombstone.objects.get().number == renewed.agreement.id
    # Ended at AWS, at last.
    cloud.aws.unsubscribe(renewed.agreement)
    cloud.aws.finish_unsubscribe(renewed.agreement)
    cloud.passes(HOUR)
    cloud.run("aws-reconcile")
    assert (shown(cloud), Tombstone.objects.count(), Row.objects.count()) == ([], 0, 0)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_word_that_an_erased_purchase_is_over_hides_its_task_no_longer_than_until_the_next_walk(
    cloud: AwsWorld, customer: tuple[Agreement, Account], owner: User, lead: User, other_lead: User
) -> None:
    bought, account = customer
    erased_all_the_same(cloud, account, owner, (lead, other_lead))
    cloud.run("aws-reconcile")
    assert shown(cloud) == ["billed-after-erasure"]
    cloud.receives(cloud.aws.ended(bought).altered(lambda each: each["detail"]["agreement"].update(status="CANCELLED")))
    assert shown(cloud) == []
    cloud.passes(HOUR)
    cloud.run("aws-reconcile")
    assert shown(cloud) == ["billed-after-erasure"]


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_who_comes_back_after_the_erasing_is_a_customer_again(
    cloud: AwsWorld, customer: tuple[Agreement, Account], owner: User, lead: User, other_lead: User, stranger: User
) -> None:
    bought, account = customer
    erased_all_the_same(cloud, account, owner, (lead, other_lead))
    cloud.run("aws-reconcile")
    assert shown(cloud) == ["billed-after-erasure"]
    again = cloud.registers(bought, stranger)
    assert (shown(cloud), cloud.plan(again)) == ([], "pro")


def test_an_agreement_that_begins_in_three_days_is_an_obstacle_to_deletion(cloud: AwsWorld, owner: User) -> None:
    happened = cloud.aws.buy(cloud.buyer(), starts_at=cloud.aws.now + 3 * DAY)
    cloud.hears(happened)
    account = cloud.registers(happened.agreement, owner)
    assert cloud.live(account) is None
    assert deletion.obstacle_to(account, cloud.aws.now) == FIRST


def test_a_purchase_that_aws_has_not_confirmed_is_an_obstacle_to_deletion(cloud: AwsWorld, owner: User) -> None:
    bought = cloud.aws.buy(cloud.buyer()).agreement
    found = cloud.aws.fail("marketplace-*", "InternalServiceErrorException", times=None)
    account = cloud.registers(bought, owner)
    assert found
    assert not account.subscriptions.exists()
    assert deletion.obstacle_to(account, cloud.aws.now) == FIRST


@pytest.mark.parametrize("end", ["over", "payment failed"])
def test_what_holds_nothing_is_no_obstacle(cloud: AwsWorld, owner: User, end: str) -> None:
    if end == "over":
        bought, account = cloud.customer(owner)
        cloud.hears(cloud.aws.unsubscribe(bought))
        cloud.passes(HOUR)
        cloud.hears(cloud.aws.finish_unsubscribe(bought))
    else:
        happened = cloud.aws.buy(cloud.buyer())
        cloud.hears(cloud.aws.fail_payment(happened.agreement))
        account = cloud.registers(happened.agreement, owner)
    cloud.settles()
    assert deletion.obstacle_to(account, cloud.aws.now) is None


def test_at_the_desk_nobody_ends_what_aws_bills(
    cloud: AwsWorld, customer: tuple[Agreement, Account], lead: User, sign_in: Callable[[User | None], Client]
) -> None:
    _bought, account = customer
    live = cloud.live(account)
    assert live is not None
    page = sign_in(lead).get(f"/admin/accounts/account/{account.pk}/change/").content.decode()
    assert "/admin/" in page
    assert "end_now" not in page
    with pytest.raises(EndsAtAws):
        end_now(live, {}, Actor.staff(lead), cloud.aws.now)
    assert cloud.plan(account) == "pro"
    assert Row.objects.get().runs


@pytest.mark.parametrize(
    ("renewal", "words"), [(True, "Renews on"), (False, "Ends on, not before"), (None, "Renews or ends on")]
)
def test_the_desk_says_of_a_contract_at_aws_what_aws_has_said_and_no_more(
    cloud: AwsWorld, owner: User, lead: User, sign_in: Callable[[User | None], Client], renewal: bool | None, words: str
) -> None:
    _bought, account = cloud.customer(owner, entitlements={"pro_seats": 5})
    Row.objects.update(auto_renewal=renewal)
    page = sign_in(lead).get(f"/admin/accounts/account/{account.pk}/change/").content.decode()
    assert f"<dt>{words}</dt>" in page
    assert "5, as agreed at AWS Marketplace" in " ".join(page.split())
    assert "goes on until AWS Marketplace says otherwise" in page
    for wrong in ("$0.00", "(monthly)", "renews by itself", "<dt>Cycle</dt>"):
        assert wrong not in page


def test_the_desk_says_who_pays_back_what_aws_billed(
    cloud: AwsWorld, customer: tuple[Agreement, Account], lead: User, sign_in: Callable[[User | None], Client]
) -> None:
    _bought, account = customer
    page = sign_in(lead).get(f"/admin/accounts/account/{account.pk}/change/").content.decode()
    assert "AWS Marketplace bills this account and pays back" in page
    assert "propose_refund" in page
