"""What an AWS customer reads: the state, the date, the steps at AWS; never a button, a card form or a way around."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from accounts.core import clock
from accounts.mail.sending import write
from accounts.models import Account, Notice, SupportRequest, User
from marketplace.models import AwsAgreement as Row
from marketplace.models import Registration
from subscriptions.models import Cancellation, Channel
from tests.factories import subscribe
from tests.marketplace.aws.world import DAY, HOUR, MINUTE, AwsWorld
from tests.pages import press

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
SETTINGS, CANCELLATION, SUPPORT = "/user/subscription/", "/user/subscription/cancellation/", "/user/support/"
STEPS = "Under Agreement, choose Actions, then Cancel subscription."
CONSOLE = "https://console.aws.amazon.com/marketplace"
#: Words of a card form, of a button of ours, of an offer to pay elsewhere.
FORBIDDEN = re.compile(
    r"(?i)credit card|card number|cancel my account|upgrade|subscribe by card|payment info|Cancel subscription</a>"
)


@pytest.fixture(autouse=True)
def a_week_ago(cloud: AwsWorld) -> None:
    """Pages read the clock: what happened lies in the past."""
    cloud.aws.now = clock.now() - 7 * DAY


def page(client: Client, path: str = SETTINGS) -> str:
    text: str = " ".join(client.get(path).content.decode().split())
    return text


def day(at: datetime | None) -> str:
    assert at is not None
    return f'datetime="{at:%Y-%m-%d}'


def usage(cloud: AwsWorld, settings: Any) -> Any:
    product = cloud.aws.product("payasyougo000000000000000", pricing="usage")
    settings.AWS_PRODUCT_CODES = [product.code]
    settings.AWS_PRODUCT_IDS = [product.id]
    return {"product": product, "entitlements": {}}


def test_a_contract_shows_state_date_and_the_ways_at_aws(cloud: AwsWorld, owner: User, sign_in: SignIn) -> None:
    bought, _account = cloud.customer(owner, entitlements={"pro_seats": 5})
    text = page(sign_in(owner))
    for said in (
        "Pro",
        "5 seats",
        "AWS Marketplace",
        "as agreed at AWS Marketplace",
        "Renews on",
        day(bought.ends_at),
        "Choose Modify, then Cancel auto-renewal.",
        "we send a request to cancel, and you approve it in your AWS account",
        CONSOLE,
        "Nothing is deleted.",
    ):
        assert said in text
    assert not FORBIDDEN.search(text)
    # Two days have passed, and it is no purchase by use.
    assert "AWS Customer Service" not in text
    assert STEPS not in text


def test_within_48_hours_aws_cancels_a_contract_itself(cloud: AwsWorld, owner: User, sign_in: SignIn) -> None:
    cloud.aws.now = clock.now() - 47 * HOUR
    bought = cloud.hears(cloud.aws.buy(cloud.buyer()))
    account = cloud.registers(bought, owner)
    client = sign_in(owner)
    assert "Within 48 hours of the purchase AWS Customer Service cancels" in page(client)
    Row.objects.filter(account=account).update(accepted_at=clock.now() - 48 * HOUR - MINUTE)
    assert "Within 48 hours" not in page(client)


def test_without_auto_renewal_it_ends_on_a_day_and_not_before(cloud: AwsWorld, owner: User, sign_in: SignIn) -> None:
    bought, _account = cloud.customer(owner)
    cloud.hears(cloud.aws.set_auto_renewal(bought, False))
    text = page(sign_in(owner))
    assert "Ends on, not before" in text
    assert "It does not renew by itself any more" in text
    assert "Cancel auto-renewal" not in text
    Row.objects.update(auto_renewal=None)
    assert "Renews or ends on" in page(sign_in(owner))


def test_a_purchase_by_use_shows_the_steps_to_cancel(
    cloud: AwsWorld, owner: User, sign_in: SignIn, settings: Any
) -> None:
    cloud.customer(owner, **usage(cloud, settings))
    text = page(sign_in(owner))
    assert STEPS in text
    assert "Set Delivery method to SaaS" in text
    assert "Type confirm and choose Yes, cancel subscription." in text
    assert "Renews" not in text
    assert not FORBIDDEN.search(text.replace(STEPS, ""))


def test_a_cancellation_in_progress_is_a_banner_and_a_mail(cloud: AwsWorld, owner: User, sign_in: SignIn) -> None:
    bought, account = cloud.customer(owner)
    cloud.aws.now = clock.now() - 10 * MINUTE
    cloud.hears(cloud.aws.unsubscribe(bought))
    text = page(sign_in(owner))
    assert "A cancellation is in progress at AWS." in text
    assert "Everything works until AWS tells us that it is done" in text
    assert "Cancel auto-renewal" not in text
    assert "Renews on" not in text
    mail = write(Notice.objects.get(account=account))
    assert mail.subject == "A cancellation is in progress at AWS"
    assert "Everything works until AWS tells us" in str(mail.body)
    assert CONSOLE in str(mail.body)
    assert "Harbour" not in mail.subject


def test_after_the_end_the_page_and_the_mail_say_free_and_how_to_come_back(
    cloud: AwsWorld, owner: User, sign_in: SignIn
) -> None:
    bought, account = cloud.customer(owner)
    cloud.hears(cloud.aws.unsubscribe(bought))
    cloud.passes(HOUR)
    cloud.hears(cloud.aws.finish_unsubscribe(bought))
    cloud.run("aws-check")
    text = page(sign_in(owner))
    assert "The account is on Free; everything you made is still there." in text
    assert "If you subscribe there again, come back here from AWS by Set up your account." in text
    assert not FORBIDDEN.search(text)
    mail = write(Notice.objects.get(account=account, kind="marketplace/aws_ended"))
    assert mail.subject == "Your subscription has ended: you are on Free"
    assert "If you subscribe at AWS Marketplace again, everything is back." in str(mail.body)


def test_a_purchase_for_later_says_when_it_begins(cloud: AwsWorld, owner: User, sign_in: SignIn) -> None:
    starts_at = clock.now() + 10 * DAY
    agreement = cloud.hears(cloud.aws.buy(cloud.buyer(), starts_at=starts_at))
    cloud.registers(agreement, owner)
    cloud.settles()
    text = page(sign_in(owner))
    assert "Begins" in text
    assert day(starts_at) in text
    assert "Free" in text


def test_a_payment_that_failed_is_said(cloud: AwsWorld, owner: User, sign_in: SignIn) -> None:
    happened = cloud.aws.buy(cloud.buyer())
    cloud.receives(*cloud.aws.fail_payment(happened.agreement).sns)
    cloud.aws.fail("marketplace-*", "InternalServiceErrorException", times=None)
    cloud.registers(happened.agreement, owner)
    assert "AWS could not take the payment for your purchase yet." in page(sign_in(owner))


@pytest.mark.parametrize("by_use", [True, False])
def test_a_post_to_the_cancellation_is_refused_with_the_way_at_aws(
    cloud: AwsWorld, owner: User, sign_in: SignIn, settings: Any, by_use: bool
) -> None:
    _bought, account = cloud.customer(owner, **(usage(cloud, settings) if by_use else {}))
    client = sign_in(owner)
    before = cloud.kinds(account)
    for answer in (
        client.post(CANCELLATION, {"reason": "unused", "account": str(account.pk)}),
        client.get(CANCELLATION),
    ):
        assert answer.status_code == 409
        text = answer.content.decode()
        assert "It is changed and cancelled in your AWS account." in text
        assert (STEPS if by_use else "Choose Modify, then Cancel auto-renewal.") in text
        assert "Nothing was changed." in text
    assert not Cancellation.objects.exists()
    # Staff see that somebody tried; nothing else happened.
    assert sorted(cloud.kinds(account)) == sorted([*before, "attempt.refused"])
    assert cloud.plan(account) == "pro"


def test_a_subscription_without_an_agreement_still_shows_the_steps(
    account: Account, owner: User, sign_in: SignIn
) -> None:
    subscribe(account, at=clock.now() - DAY, channel=Channel.AWS_MARKETPLACE)
    assert STEPS in page(sign_in(owner))


def test_others_than_the_owner_see_the_same_state(
    cloud: AwsWorld, owner: User, account: Account, member: User, sign_in: SignIn
) -> None:
    bought = cloud.hears(cloud.aws.buy(cloud.buyer()))
    cloud.registers(bought, owner, account_id=account.pk)
    text = page(sign_in(member))
    assert "The owner of this account is Olga Owner." in text
    assert CONSOLE in text


def test_a_refund_takes_the_way_of_aws(cloud: AwsWorld, owner: User, sign_in: SignIn) -> None:
    _bought, account = cloud.customer(owner)
    client = sign_in(owner)
    assert "so a refund is paid by AWS" in page(client, f"{SUPPORT}?kind=refund")
    press(client, SUPPORT, kind="refund", message="It was a mistake.")
    made = SupportRequest.objects.get()
    assert made.kind == "refund"
    mail = write(Notice.objects.get(account=account, kind="accounts/request_received"))
    assert "so a refund is paid by AWS" in str(mail.body)
    assert "https://docs.aws.amazon.com/marketplace/latest/buyerguide/cancel-subscription.html" in str(mail.body)


def test_the_refund_of_others_takes_ours(account: Account, owner: User, sign_in: SignIn) -> None:
    subscribe(account, at=clock.now() - DAY)
    client = sign_in(owner)
    assert "paid by AWS" not in page(client, SUPPORT)
    press(client, SUPPORT, kind="refund")
    assert "AWS" not in str(write(Notice.objects.get()).body)


def test_deletion_waits_until_it_is_cancelled_at_aws(cloud: AwsWorld, owner: User, sign_in: SignIn) -> None:
    cloud.customer(owner)
    answer = press(sign_in(owner), SUPPORT, kind="deletion", follow=True)
    assert "Please cancel the subscription in your AWS account first" in answer.content.decode()


def test_staff_see_agreements_and_registrations_and_change_none(
    cloud: AwsWorld, owner: User, staff: User, sign_in: SignIn
) -> None:
    bought, _account = cloud.customer(owner)
    client = sign_in(staff)
    for model, pk in (("awsagreement", cloud.row(bought).pk), ("registration", 1)):
        assert client.get(f"/admin/marketplace/{model}/").status_code == 200
        found = client.get(f"/admin/marketplace/{model}/{pk}/change/", follow=True)
        assert found.status_code == 200
        assert 'name="_save"' not in found.content.decode()
    row = Registration.objects.get()
    assert row.key not in client.get(f"/admin/marketplace/registration/{row.pk}/change/").content.decode()
