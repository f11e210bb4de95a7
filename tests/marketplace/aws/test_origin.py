"""What is about another product of the same seller's, or about another seller's, never touches a purchase here."""

import json

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.jobs import invariants
from accounts.models import Account, Delivery, RefusedMessage, User
from marketplace.models import AwsAgreement as Row
from tests.factories import UserFactory
from tests.fakes.aws import Agreement
from tests.fakes.aws.messages import Event
from tests.fakes.aws.protocols import Json
from tests.fakes.aws.state import SELLER
from tests.marketplace.aws.world import DAY, HOUR, MINUTE, AwsWorld

pytestmark = pytest.mark.django_db
DOOR = "/marketplace/aws/events/"
FOREIGN_PRODUCT, FOREIGN_SELLER = "prod-anotherone12", "999988887777"


@pytest.fixture
def customer(cloud: AwsWorld, owner: User) -> tuple[Agreement, Account]:
    return cloud.customer(owner)


def ended(cloud: AwsWorld, bought: Agreement, **changes: object) -> Event:
    """The word that an agreement has ended, as somebody else's bus might send it."""

    def change(event: Json) -> None:
        event["account"] = changes.get("account", event["account"])
        detail = event["detail"]
        detail["agreement"] |= {"id": changes.get("agreement", bought.id), "status": "CANCELLED"}
        detail["proposer"]["accountId"] = changes.get("proposer", SELLER)
        if "product" in changes:
            detail["product"] = changes["product"]

    return cloud.aws.ended(bought).altered(change)


def posted(event: Event) -> tuple[int, str]:
    headers = {name: value for name, value in event.headers.items() if name != "Content-Type"}
    answer = Client().generic("POST", DOOR, event.body, content_type=event.content_type, headers=headers)
    return answer.status_code, json.loads(answer.content).get("error", "")


FOREIGN: dict[str, tuple[Json, str]] = {
    "envelope account": ({"account": FOREIGN_SELLER}, "seller"),
    "proposer": ({"proposer": FOREIGN_SELLER}, "seller"),
    "product": ({"product": {"id": FOREIGN_PRODUCT}}, "product"),
    "product code": ({"product": {"id": None, "code": "anothercode"}}, "product"),
}


@pytest.mark.parametrize("which", sorted(FOREIGN))
def test_an_event_that_says_it_is_not_about_us_is_refused_and_shown(
    cloud: AwsWorld, customer: tuple[Agreement, Account], which: str
) -> None:
    bought, account = customer
    changes, reason = FOREIGN[which]
    before = Delivery.objects.count()
    assert posted(ended(cloud, bought, **changes)) == (403, f"other_{reason}")
    assert Delivery.objects.count() == before
    assert list(RefusedMessage.objects.values_list("source", "reason", "count")) == [("aws_events", reason, 1)]
    assert cloud.row(bought).unsubscribe_pending_at is None
    assert cloud.mails(account) == []


def test_without_our_account_in_the_settings_what_contradicts_itself_is_refused(
    cloud: AwsWorld, customer: tuple[Agreement, Account], settings: Settings
) -> None:
    settings.AWS_SELLER_ACCOUNT_IDS = []
    assert posted(ended(cloud, customer[0], account=FOREIGN_SELLER)) == (403, "other_seller")
    assert posted(ended(cloud, customer[0], proposer=FOREIGN_SELLER)) == (403, "other_seller")
    assert posted(ended(cloud, customer[0])) == (202, "")


def test_a_channel_partner_proposes_in_its_own_name(cloud: AwsWorld, owner: User) -> None:
    bought, _account = cloud.customer(owner, channel_partner="555566667777")
    event = cloud.aws.ended(bought)
    assert event.event.endswith("Manufacturer")
    assert posted(event) == (202, "")


@pytest.mark.parametrize("change", [{"product": {"id": FOREIGN_PRODUCT}}, {"product": {}}], ids=["named", "not told"])
@pytest.mark.parametrize("agreement", ["agmt-ofanotherproduct"])
@pytest.mark.parametrize("forget", [True, False], ids=["known by buyer alone", "known by agreement"])
def test_the_end_of_an_unknown_agreement_is_nobodys_here(
    cloud: AwsWorld,
    customer: tuple[Agreement, Account],
    settings: Settings,
    change: Json,
    agreement: str,
    forget: bool,
) -> None:
    bought, account = customer
    # Nobody has told us our product's ids, and of the purchase we know but the buyer and the product's code.
    settings.AWS_PRODUCT_IDS = settings.AWS_SELLER_ACCOUNT_IDS = []
    if forget:
        Row.objects.update(agreement_id=None, licence_id=None, product_id="")
    cloud.receives(ended(cloud, bought, agreement=agreement, **change))
    row = Row.objects.get(account=account)
    assert (row.unsubscribe_pending_at, row.agreement_over_at, row.ended_at) == (None, None, None)
    for _time in range(12):
        cloud.passes(10 * MINUTE)
        cloud.run("aws-check")
    cloud.settles()
    assert cloud.plan(account) == "pro"
    assert cloud.mails(account) == []


def test_a_purchase_of_an_unknown_product_does_not_revive_one_that_ended(
    cloud: AwsWorld, customer: tuple[Agreement, Account], settings: Settings
) -> None:
    bought, account = customer
    settings.AWS_PRODUCT_IDS = settings.AWS_SELLER_ACCOUNT_IDS = []
    Row.objects.update(product_id="")
    cloud.hears(cloud.aws.unsubscribe(bought))
    cloud.passes(HOUR)
    cloud.hears(cloud.aws.finish_unsubscribe(bought))
    cloud.settles()
    assert cloud.plan(account) == "free"
    other = cloud.aws.buy(bought.buyer, cloud.aws.product("anothercode", title="Another"))
    cloud.receives(other.events[0])
    cloud.settles()
    assert cloud.plan(account) == "free"
    assert Row.objects.get(account=account).agreement_id == bought.id


def test_a_wrong_word_about_our_agreement_ends_nothing_once_aws_is_asked(
    cloud: AwsWorld, customer: tuple[Agreement, Account]
) -> None:
    bought, account = customer
    cloud.receives(ended(cloud, bought))
    assert cloud.mails(account) == ["marketplace/aws_leaving"]
    cloud.passes(70 * MINUTE)
    cloud.run("aws-check")
    cloud.settles()
    assert cloud.plan(account) == "pro"
    assert cloud.kinds(account)[-1] == "aws.stays"
    assert cloud.row(bought).final_hour_until is None


def test_who_may_see_entitlements_only_asks_them_before_the_final_hour_closes(
    cloud: AwsWorld, customer: tuple[Agreement, Account]
) -> None:
    bought, account = customer
    cloud.aws.fail("marketplace-agreement.*", "AccessDeniedException", times=None)
    cloud.receives(ended(cloud, bought))
    cloud.passes(75 * MINUTE)
    cloud.run("aws-check")
    cloud.settles()
    assert cloud.plan(account) == "pro"


def test_without_an_answer_for_a_day_the_event_stands(cloud: AwsWorld, customer: tuple[Agreement, Account]) -> None:
    bought, account = customer
    cloud.hears(cloud.aws.unsubscribe(bought))
    cloud.aws.fail("marketplace-*", "InternalServiceErrorException", times=None)
    cloud.passes(DAY + 69 * MINUTE)
    cloud.run("aws-check")
    assert cloud.plan(account) == "pro"
    cloud.passes(MINUTE)
    cloud.run("aws-check")
    assert cloud.plan(account) == "free"
    assert cloud.row(bought).end_reason == "cancelled"


def test_without_credentials_the_event_and_the_hour_are_enough(
    cloud: AwsWorld, customer: tuple[Agreement, Account], settings: Settings
) -> None:
    bought, account = customer
    cloud.hears(cloud.aws.unsubscribe(bought))
    settings.AWS_PRODUCT_CODES = []
    cloud.passes(70 * MINUTE)
    cloud.run("aws-check")
    assert cloud.plan(account) == "free"


@pytest.mark.parametrize("setting", ["AWS_PRODUCT_IDS", "AWS_SELLER_ACCOUNT_IDS"])
def test_without_our_own_ids_doctor_warns(
    cloud: AwsWorld, customer: tuple[Agreement, Account], settings: Settings, setting: str
) -> None:
    assert "aws-origin" not in [found.name for found in invariants.warnings(cloud.aws.now)]
    setattr(settings, setting, [])
    assert "aws-origin" in [found.name for found in invariants.warnings(cloud.aws.now)]


def test_the_end_of_a_purchase_known_by_its_buyer_alone_is_found_by_asking(
    cloud: AwsWorld, customer: tuple[Agreement, Account]
) -> None:
    """The cost of care: an older copy of the event names neither product nor an id that we know."""
    bought, account = customer
    Row.objects.update(agreement_id=None, licence_id=None)
    cloud.aws.newer_events = False
    cloud.receives(*cloud.aws.unsubscribe(bought).events)
    assert cloud.plan(account) == "pro"
    cloud.run("aws-check")
    cloud.settles()
    assert cloud.plan(account) == "free"


def test_the_final_hour_of_an_account_that_is_being_erased_ends_without_a_word(
    cloud: AwsWorld, customer: tuple[Agreement, Account], settings: Settings
) -> None:
    bought, account = customer
    other, there = cloud.customer(UserFactory(name="Somebody else"))
    for agreement in (bought, other):
        cloud.hears(cloud.aws.unsubscribe(agreement))
    Account.objects.filter(pk=account.pk).update(purging_at=cloud.aws.now)
    settings.AWS_PRODUCT_CODES = []
    cloud.passes(2 * HOUR)
    cloud.run("aws-check")
    assert cloud.plan(there) == "free"
    assert cloud.mails(account) == ["marketplace/aws_leaving"]
