"""The life of a purchase at AWS: the same whichever style of messages tells of it."""

from datetime import timedelta

import pytest

from accounts.models import User
from marketplace.models import AwsAgreement
from tests.fakes.aws import FakeAWS
from tests.marketplace.aws.world import DAY, HOUR, MINUTE, AwsWorld

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["SNS", "EventBridge", "both"])
def cloud(aws: FakeAWS, request: pytest.FixtureRequest, db: None) -> AwsWorld:
    return AwsWorld(aws, style=request.param)


def test_a_purchase_is_granted_once_it_is_registered(cloud: AwsWorld, owner: User) -> None:
    bought = cloud.hears(cloud.aws.buy(cloud.buyer(), entitlements={"pro_seats": 5}))
    assert not AwsAgreement.objects.registered().exists()
    account = cloud.registers(bought, owner)
    cloud.run("aws-check")
    live = cloud.live(account)
    assert live is not None
    assert (live.plan_id, live.channel, live.seats, live.ends_at) == ("pro", "aws_marketplace", 5, None)
    row = cloud.row(bought)
    assert (row.licence_id, row.aws_account_id) == (bought.license_id, bought.buyer.account_id)
    assert row.renews_or_ends_at == bought.ends_at


def test_unsubscribing_is_announced_and_access_stays_until_aws_says_that_it_is_over(
    cloud: AwsWorld, owner: User
) -> None:
    bought, account = cloud.customer(owner)
    said_at = cloud.aws.now
    cloud.hears(cloud.aws.unsubscribe(bought))
    cloud.run("aws-check")
    row = cloud.row(bought)
    assert (row.unsubscribe_pending_at, row.final_hour_until) == (said_at, said_at + HOUR)
    assert cloud.plan(account) == "pro"
    assert cloud.mails(account) == ["marketplace/aws_leaving"]
    cloud.passes(50 * MINUTE)
    cloud.run("aws-check")
    assert cloud.plan(account) == "pro"
    cloud.passes(10 * MINUTE)
    cloud.hears(cloud.aws.finish_unsubscribe(bought))
    cloud.run("aws-check")
    assert cloud.plan(account) == "free"
    assert cloud.mails(account) == ["marketplace/aws_leaving", "marketplace/aws_ended"]
    assert cloud.kinds(account) == ["aws.registered", "subscription.started", "aws.leaving", "subscription.ended"]
    cloud.settles()
    assert cloud.plan(account) == "free"
    assert len(cloud.mails(account)) == 2


def test_success_before_pending_ends_it_once(cloud: AwsWorld, owner: User) -> None:
    bought, account = cloud.customer(owner)
    pending = cloud.aws.unsubscribe(bought)
    cloud.passes(HOUR)
    cloud.hears(cloud.aws.finish_unsubscribe(bought))
    cloud.run("aws-check")
    assert cloud.plan(account) == "free"
    cloud.hears(pending)
    cloud.settles()
    assert cloud.plan(account) == "free"
    assert cloud.mails(account) == ["marketplace/aws_ended"]


def test_subscribing_again_before_the_end_keeps_everything(cloud: AwsWorld, owner: User) -> None:
    bought, account = cloud.customer(owner)
    cloud.hears(cloud.aws.unsubscribe(bought))
    cloud.passes(20 * MINUTE)
    again = cloud.hears(cloud.aws.resubscribe(bought))
    cloud.settles()
    assert cloud.plan(account) == "pro"
    assert cloud.kinds(account) == ["aws.registered", "subscription.started", "aws.leaving", "aws.stays"]
    row = AwsAgreement.objects.get()
    assert (row.agreement_id, row.licence_id, row.unsubscribe_pending_at) == (again.id, again.license_id, None)


def test_buying_again_after_the_end_brings_the_account_back(cloud: AwsWorld, owner: User) -> None:
    bought, account = cloud.customer(owner)
    cloud.hears(cloud.aws.unsubscribe(bought))
    cloud.passes(HOUR)
    cloud.hears(cloud.aws.finish_unsubscribe(bought))
    cloud.settles()
    assert cloud.plan(account) == "free"
    again = cloud.hears(cloud.aws.buy(bought.buyer))
    cloud.settles()
    assert cloud.plan(account) == "pro"
    assert cloud.row(again).account == account
    assert account.subscriptions.count() == 2


@pytest.mark.parametrize("verb", ["renew", "replace"])
@pytest.mark.parametrize("same_license", [True, False])
def test_a_renewal_goes_on_without_gap_or_double_end(
    cloud: AwsWorld, owner: User, verb: str, same_license: bool
) -> None:
    bought, account = cloud.customer(owner)
    first = cloud.live(account)
    cloud.passes(timedelta(days=363))
    renewed = cloud.hears(getattr(cloud.aws, verb)(bought, same_license=same_license))
    assert cloud.live(account) == first
    cloud.settles()
    assert cloud.live(account) == first
    assert cloud.mails(account) == []
    row = AwsAgreement.objects.get()
    assert (row.agreement_id, row.licence_id) == (renewed.id, renewed.license_id)
    assert cloud.kinds(account) == ["aws.registered", "subscription.started", "aws.renewed"]


def test_an_expired_contract_ends(cloud: AwsWorld, owner: User) -> None:
    bought, account = cloud.customer(owner, auto_renewal=False)
    cloud.passes(timedelta(days=363))
    cloud.hears(cloud.aws.expire(bought))
    cloud.passes(HOUR)
    cloud.hears(cloud.aws.finish_unsubscribe(bought))
    cloud.settles()
    assert cloud.plan(account) == "free"
    assert cloud.mails(account) == ["marketplace/aws_leaving", "marketplace/aws_ended"]
    assert cloud.row(bought).end_reason in ("expired", "unsubscribed")


@pytest.mark.parametrize(("entitlements", "seats"), [({"pro_seats": 3}, 3), ({"pro_seats": 12}, 12)])
def test_entitlements_to_less_and_to_more_change_the_seats(
    cloud: AwsWorld, owner: User, entitlements: dict[str, int], seats: int
) -> None:
    bought, account = cloud.customer(owner, entitlements={"pro_seats": 5})
    cloud.hears(cloud.aws.amend(bought, entitlements=dict(entitlements)))
    cloud.settles()
    live = cloud.live(account)
    assert live is not None
    assert live.seats == seats
    assert cloud.kinds(account)[-1] == "subscription.changed"


def test_entitlements_to_nothing_end_it_once_nothing_is_heard_twice(cloud: AwsWorld, owner: User) -> None:
    bought, account = cloud.customer(owner)
    cloud.hears(cloud.aws.amend(bought, entitlements={}))
    cloud.run("aws-check")
    assert cloud.plan(account) == "pro"
    cloud.settles()
    assert cloud.plan(account) == "free"
    assert cloud.mails(account) == ["marketplace/aws_ended"]
    assert cloud.row(bought).end_reason == "absent"


def test_a_purchase_for_later_begins_on_its_date(cloud: AwsWorld, owner: User) -> None:
    starts_at = cloud.aws.now + 10 * DAY
    agreement = cloud.hears(cloud.aws.buy(cloud.buyer(), starts_at=starts_at))
    account = cloud.registers(agreement, owner)
    cloud.settles()
    assert cloud.plan(account) == "free"
    cloud.aws.now = starts_at - MINUTE
    assert cloud.plan(account) == "free"
    cloud.aws.now = starts_at
    assert cloud.plan(account) == "pro"
    cloud.hears(cloud.aws.begin(agreement))
    cloud.settles()
    assert account.subscriptions.get().started_at == starts_at


def test_what_was_bought_for_later_and_cancelled_never_begins(cloud: AwsWorld, owner: User) -> None:
    starts_at = cloud.aws.now + 10 * DAY
    agreement = cloud.hears(cloud.aws.buy(cloud.buyer(), starts_at=starts_at))
    account = cloud.registers(agreement, owner)
    cloud.settles()
    cloud.hears(cloud.aws.unsubscribe(agreement))
    cloud.passes(HOUR)
    cloud.hears(cloud.aws.finish_unsubscribe(agreement))
    cloud.settles()
    cloud.aws.now = starts_at + DAY
    cloud.settles()
    assert cloud.plan(account) == "free"
    assert cloud.kinds(account)[-1] == "subscription.called_off"


def test_a_payment_that_fails_grants_nothing(cloud: AwsWorld, owner: User) -> None:
    happened = cloud.aws.buy(cloud.buyer())
    cloud.hears(cloud.aws.fail_payment(happened.agreement))
    account = cloud.registers(happened.agreement, owner)
    cloud.settles()
    assert cloud.plan(account) == "free"
    assert not account.subscriptions.exists()


def test_a_usage_purchase_lives_and_ends_without_entitlements(cloud: AwsWorld, owner: User, settings: object) -> None:
    product = cloud.aws.product("payasyougo000000000000000", pricing="usage")
    settings.AWS_PRODUCT_CODES = [product.code]  # type: ignore[attr-defined]
    settings.AWS_PRODUCT_IDS = [product.id]  # type: ignore[attr-defined]
    bought, account = cloud.customer(owner, product=product, entitlements={})
    cloud.settles()
    assert cloud.plan(account) == "pro"
    cloud.hears(cloud.aws.unsubscribe(bought))
    cloud.run("aws-check")
    assert cloud.plan(account) == "pro"
    cloud.passes(HOUR)
    cloud.hears(cloud.aws.finish_unsubscribe(bought))
    cloud.settles()
    assert cloud.plan(account) == "free"


def test_every_message_twice_has_one_effect(cloud: AwsWorld, owner: User) -> None:
    bought, account = cloud.customer(owner)
    for happened in (cloud.aws.unsubscribe(bought), cloud.aws.finish_unsubscribe(bought)):
        for _time in range(2):
            for message in happened.messages:
                # Sent again under another id.
                cloud.receives(message)
    cloud.passes(HOUR)
    cloud.settles()
    assert cloud.mails(account).count("marketplace/aws_leaving") <= 1
    assert cloud.mails(account).count("marketplace/aws_ended") == 1
