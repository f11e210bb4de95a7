"""What each message means, however it is spelt, and which purchase it is about."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from accounts.models import Account, Delivery, User
from marketplace.aws.payload_shapes import licence_in
from marketplace.models import AwsAgreement as Row
from subscriptions.models import Channel
from tests.accounts.erasure.dumping import lines_with
from tests.accounts.erasure.purging import erase_all
from tests.factories import NOW, UserFactory, subscribe
from tests.fakes.aws import Agreement, FakeAWS
from tests.fakes.aws.messages import Event, SnsMessage
from tests.marketplace.aws.world import DAY, HOUR, MINUTE, AwsWorld

pytestmark = pytest.mark.django_db


@pytest.fixture
def bought(cloud: AwsWorld) -> Agreement:
    return cloud.aws.buy(cloud.buyer()).agreement


def sns(cloud: AwsWorld, agreement: Agreement, kind: str, /, **changes: Any) -> SnsMessage:
    """A notification with other values in its message; None leaves one out."""
    (message,) = cloud.aws.about(agreement, kind)

    def change(fields: dict[str, str]) -> None:
        content = {**json.loads(fields["Message"]), **changes}
        fields["Message"] = json.dumps({name: value for name, value in content.items() if value is not None})

    return message.altered(change)


def test_a_message_about_an_unknown_purchase_makes_a_row_without_an_account(cloud: AwsWorld, bought: Agreement) -> None:
    cloud.receives(cloud.aws.created(bought))
    row = Row.objects.get()
    assert (row.agreement_id, row.account, row.subscription) == (bought.id, None, None)
    assert (row.aws_account_id, row.offer_id) == (bought.buyer.account_id, bought.offer_id)
    assert not Account.objects.exists()


@pytest.mark.parametrize("spelling", ["new", "old"])
@pytest.mark.parametrize("spaced", [True, False])
def test_both_spellings_and_stray_spaces_are_read(cloud: AwsWorld, spelling: str, spaced: bool) -> None:
    cloud.aws.spelling, cloud.aws.spaced = spelling, spaced
    happened = cloud.aws.buy(cloud.buyer(), trial_ends_at=cloud.aws.now + 14 * DAY)
    cloud.receives(*happened.sns)
    row = Row.objects.get()
    assert row.customer_identifier == happened.agreement.buyer.customer_identifier
    assert (row.product_code, row.offer_id, row.on_trial) == (
        happened.agreement.product.code,
        happened.agreement.offer_id,
        True,
    )
    assert set(cloud.outcomes()) == {"applied"}


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("newer", [True, False])
def test_licences_and_agreements_are_joined_in_older_and_newer_copies_of_events(
    cloud: AwsWorld, bare: bool, newer: bool
) -> None:
    cloud.aws.bare_license_arns, cloud.aws.newer_events = bare, newer
    happened = cloud.aws.buy(cloud.buyer(old=False))
    cloud.receives(*happened.events)
    row = Row.objects.get()
    assert (row.agreement_id, row.licence_id) == (happened.agreement.id, happened.agreement.license_id)
    assert row.product_code == happened.agreement.product.code


@pytest.mark.parametrize(
    ("arn", "licence"),
    [
        ("arn:aws:license-manager::111122223333:license:l-0123abc", "l-0123abc"),
        ("aws:license-manager::111122223333:license/l-0123abc", "l-0123abc"),
        (" l-0123abc ", "l-0123abc"),
        ("arn:aws:license-manager::111122223333:license:", ""),
        ("special-0123", ""),
        ("l-" + "a" * 80, ""),
    ],
)
def test_a_licence_is_known_by_the_last_part_of_its_arn(arn: str, licence: str) -> None:
    assert licence_in(arn) == licence


def test_events_as_manufacturer_mean_the_same(cloud: AwsWorld, owner: User) -> None:
    bought, account = cloud.customer(owner)
    event = cloud.aws.unsubscribe(bought).events[0]
    assert isinstance(event, Event)
    cloud.receives(
        event.altered(lambda envelope: envelope.update({"detail-type": "Purchase Agreement Ended - Manufacturer"}))
    )
    assert cloud.mails(account) == ["marketplace/aws_leaving"]


def test_unknown_types_and_actions_are_stored_and_acknowledged(cloud: AwsWorld, bought: Agreement) -> None:
    cloud.receives(
        cloud.aws.event("Purchase Agreement Danced - Proposer", bought, {"agreement": 7}),
        sns(cloud, bought, "subscribe-success", action="subscribe-perhaps"),
    )
    assert cloud.outcomes() == ["unknown", "unknown"]
    assert not Row.objects.exists()


@pytest.mark.parametrize(
    "alter",
    [
        lambda event: event["detail"]["agreement"].pop("id"),
        lambda event: event["detail"]["agreement"].update(id="x" * 65),
        lambda event: event["detail"]["agreement"].update(endTime="soon"),
        lambda event: event["detail"]["agreement"].update(startTime=7),
        lambda event: event["detail"]["agreement"].update(autoRenewalEnabled="perhaps"),
        lambda event: event["detail"]["acceptor"].update(accountId="me"),
        lambda event: event.pop("time"),
        lambda event: event.update(time="2026-13-01T00:00:00Z"),
        lambda event: event.update(detail="nothing"),
        lambda event: event["detail"].update(acceptor=[]),
    ],
)
def test_an_event_that_cannot_be_read_is_parked_with_its_reason(
    cloud: AwsWorld, bought: Agreement, alter: Callable[[Any], object]
) -> None:
    cloud.receives(cloud.aws.created(bought).altered(alter))
    delivery = Delivery.objects.parked().get()
    assert delivery.last_error.startswith("`") or "is no" in delivery.last_error or "instant" in delivery.last_error
    assert delivery.action == "Purchase Agreement Created"
    assert not Row.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"customer-identifier": None},
        {"customer-identifier": "c" * 65},
        {"isFreeTrialTermPresent": "sometimes"},
    ],
)
def test_a_notification_that_cannot_be_read_is_parked(
    cloud: AwsWorld, bought: Agreement, changes: dict[str, str | None]
) -> None:
    cloud.receives(sns(cloud, bought, "subscribe-success", **changes))
    assert Delivery.objects.parked().count() == 1
    assert not Row.objects.exists()


def _update(changes: dict[str, str], fields: dict[str, str]) -> None:
    fields.update(changes)


def test_a_message_that_is_no_json_is_parked(cloud: AwsWorld, bought: Agreement) -> None:
    (message,) = cloud.aws.about(bought, "subscribe-success")
    for text in ("hello", "[]", '{"action": '):
        changes = {"Message": text, "MessageId": f"id-{text}"}
        cloud.receives(message.altered(partial(_update, changes)))
    assert Delivery.objects.parked().count() == 3


def test_optional_fields_may_be_absent(cloud: AwsWorld, bought: Agreement) -> None:
    cloud.receives(
        sns(cloud, bought, "subscribe-success", **{"offer-identifier": None, "isFreeTrialTermPresent": None}),
        cloud.aws.created(bought).altered(
            lambda event: [
                event["detail"]["agreement"].pop(name) for name in ("acceptanceTime", "startTime", "endTime")
            ]
        ),
    )
    assert cloud.outcomes() == ["applied", "applied"]


def test_a_message_of_a_product_that_is_not_ours_changes_nothing(cloud: AwsWorld, bought: Agreement) -> None:
    cloud.receives(sns(cloud, bought, "subscribe-success", **{"product-code": "foreign"}))
    assert cloud.outcomes() == ["no_change"]
    assert not Row.objects.exists()


def test_auto_renewal_off_and_on_again_is_shown_and_nothing_else_changes(cloud: AwsWorld, owner: User) -> None:
    bought, account = cloud.customer(owner)
    live = cloud.live(account)
    for on in (False, True, False):
        cloud.passes(HOUR)
        cloud.receives(*cloud.aws.set_auto_renewal(bought, on).events)
        assert cloud.row(bought).auto_renewal is on
    assert cloud.live(account) == live
    assert cloud.kinds(account)[-3:] == ["aws.renewal_off", "aws.renewal_on", "aws.renewal_off"]
    assert cloud.mails(account) == []


def test_an_older_amendment_does_not_undo_a_newer_one(cloud: AwsWorld, owner: User) -> None:
    bought, _account = cloud.customer(owner)
    off = cloud.aws.set_auto_renewal(bought, False)
    cloud.passes(MINUTE)
    cloud.hears(cloud.aws.set_auto_renewal(bought, True))
    cloud.hears(off)
    assert cloud.row(bought).auto_renewal is True


@pytest.mark.parametrize("status", ["CANCELLED", "EXPIRED", "TERMINATED"])
def test_an_agreement_that_ended_opens_the_final_hour_and_is_over_after_it(
    cloud: AwsWorld, owner: User, status: str
) -> None:
    bought, account = cloud.customer(owner)
    said_at = cloud.aws.now
    event = cloud.aws.ended(bought).altered(lambda each: each["detail"]["agreement"].update(status=status))
    cloud.receives(event)
    row = cloud.row(bought)
    assert (row.agreement_over_at, row.final_hour_until, row.runs) == (said_at, said_at + HOUR, True)
    end = {"CANCELLED": cloud.aws.unsubscribe, "EXPIRED": cloud.aws.expire, "TERMINATED": cloud.aws.terminate}[status]
    end(bought)
    cloud.run("aws-check")
    cloud.passes(59 * MINUTE)
    cloud.run("aws-check")
    assert cloud.plan(account) == "pro"
    # No further message comes: when the hour is over AWS is asked, and says so too.
    cloud.passes(11 * MINUTE)
    cloud.run("aws-check")
    assert cloud.plan(account) == "free"
    assert cloud.row(bought).end_reason == status.lower()


@pytest.mark.parametrize("status", ["RENEWED", "REPLACED", "SUPERSEDED"])
def test_an_agreement_that_goes_on_under_another_is_not_cancelled(cloud: AwsWorld, owner: User, status: str) -> None:
    bought, account = cloud.customer(owner)
    cloud.receives(cloud.aws.ended(bought).altered(lambda each: each["detail"]["agreement"].update(status=status)))
    cloud.passes(2 * HOUR)
    cloud.run("aws-check")
    assert cloud.plan(account) == "pro"
    assert cloud.row(bought).unsubscribe_pending_at is None
    assert cloud.mails(account) == []


@pytest.mark.parametrize("status", ["ARCHIVED", "ROLLED_BACK"])
def test_an_agreement_that_is_withdrawn_is_over_at_once(cloud: AwsWorld, owner: User, status: str) -> None:
    bought, account = cloud.customer(owner)
    cloud.receives(cloud.aws.ended(bought).altered(lambda each: each["detail"]["agreement"].update(status=status)))
    assert cloud.plan(account) == "free"
    assert cloud.row(bought).end_reason == "withdrawn"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_the_first_of_three_messages_opens_the_final_hour(cloud: AwsWorld, owner: User, order: tuple[int, ...]) -> None:
    bought, account = cloud.customer(owner)
    said_at = cloud.aws.now
    pending, ended = cloud.aws.unsubscribe(bought).messages
    cloud.passes(2 * MINUTE)
    deprovisioned = cloud.aws.license_deprovisioned(bought)
    messages = (pending, ended, deprovisioned)
    for place in order:
        cloud.receives(messages[place])
    assert cloud.row(bought).final_hour_until == said_at + HOUR
    cloud.passes(2 * HOUR)
    cloud.settles()
    assert cloud.plan(account) == "free"
    assert cloud.mails(account) == ["marketplace/aws_leaving", "marketplace/aws_ended"]


def test_a_licence_that_ends_with_a_renewal_ends_nothing(cloud: AwsWorld, owner: User) -> None:
    bought, account = cloud.customer(owner)
    happened = cloud.aws.renew(bought)
    gone = happened.events[-1]
    assert gone.event == "License Deprovisioned - Manufacturer"
    cloud.receives(gone)  # before anything that says why
    cloud.run("aws-check")
    cloud.receives(*happened.messages)
    cloud.settles()
    assert cloud.plan(account) == "pro"
    assert cloud.mails(account) == []
    assert cloud.row(happened.agreement).final_hour_until is None


#: Every documented event that changes nothing here, and whether staff should look at it.
NOTED: dict[str, tuple[Callable[[FakeAWS, Agreement], Event], bool]] = {
    "request pending": (lambda aws, bought: aws.cancellation_request(bought), True),
    "request approved": (lambda aws, bought: aws.cancellation_request(bought, "APPROVED"), False),
    "request rejected": (lambda aws, bought: aws.cancellation_request(bought, "REJECTED"), False),
    "request cancelled": (lambda aws, bought: aws.cancellation_request(bought, "CANCELLED"), False),
    "request invalid": (lambda aws, bought: aws.cancellation_request(bought, "VALIDATION_FAILED"), True),
    "adjustment completed": (lambda aws, bought: aws.billing_adjustment(bought), False),
    "adjustment failed": (lambda aws, bought: aws.billing_adjustment(bought, completed=False), True),
    "advisory issued": (lambda aws, bought: aws.advisory(bought), True),
    "advisory resolved": (lambda aws, bought: aws.advisory(bought, resolved=True), False),
    "ending": (lambda aws, bought: aws.ending(bought, days=60), False),
    "terms finalized": (lambda aws, bought: aws.renewal_terms_finalized(bought), False),
    "renewal upcoming": (lambda aws, bought: aws.renewal_upcoming(bought), False),
}


@pytest.mark.parametrize("which", sorted(NOTED))
def test_what_concerns_staff_alone_is_noted_and_changes_nothing(cloud: AwsWorld, owner: User, which: str) -> None:
    bought, account = cloud.customer(owner)
    make, is_alarming = NOTED[which]
    event = make(cloud.aws, bought)
    cloud.receives(event)
    note = account.events.get(kind="aws.noted")
    assert note.facts["about"] == event.event.rsplit(" - ", 1)[0]
    # Ids, codes and amounts; no texts that a person wrote.
    assert "The buyer asked for it." not in json.dumps(note.facts)
    delivery = Delivery.objects.order_by("id").last()
    assert delivery is not None
    assert (delivery.outcome, bool(delivery.alert)) == ("applied", is_alarming)
    cloud.settles()
    assert cloud.plan(account) == "pro"
    assert cloud.mails(account) == []


def test_a_note_about_an_invoice_alone_is_kept_for_staff(cloud: AwsWorld, bought: Agreement) -> None:
    detail = {"billingAdjustmentRequest": {"id": "bar-1"}, "invoice": {"originalInvoiceId": "inv-1"}}
    cloud.receives(cloud.aws.event("Purchase Agreement Billing Adjustment Completed - Proposer", bought, detail))
    assert cloud.outcomes() == ["no_change"]
    assert not Row.objects.exists()


def test_a_double_purchase_is_left_to_staff(cloud: AwsWorld, owner: User) -> None:
    starts_at = cloud.aws.now + 10 * DAY
    happened = cloud.aws.buy(cloud.buyer(), starts_at=starts_at)
    cloud.aws.fail("marketplace-*", "InternalServiceErrorException", times=None)
    account = cloud.registers(happened.agreement, owner)
    subscribe(account, at=NOW)
    cloud.hears(happened)
    parked = Delivery.objects.parked().get()
    assert "a double purchase" in parked.last_error
    assert account.subscriptions.get().channel == Channel.DIRECT


def test_a_message_about_several_purchases_is_left_to_aws(cloud: AwsWorld, owner: User) -> None:
    buyer = cloud.buyer()
    pair = [cloud.hears(cloud.aws.buy(buyer)) for _purchase in range(2)]
    accounts = [cloud.registers(agreement, owner) for agreement in pair]
    cloud.passes(DAY)
    over = cloud.aws.unsubscribe(pair[0])
    cloud.receives(*over.sns)
    assert [cloud.plan(account) for account in accounts] == ["pro", "pro"]
    cloud.passes(HOUR)
    cloud.receives(*cloud.aws.finish_unsubscribe(pair[0]).sns)
    assert [cloud.plan(account) for account in accounts] == ["pro", "pro"]
    cloud.settles()
    assert [cloud.plan(account) for account in accounts] == ["free", "pro"]


def test_purchases_of_two_buyers_are_never_one(cloud: AwsWorld) -> None:
    people = [UserFactory() for _buyer in range(2)]
    pairs = [cloud.customer(person) for person in people]
    cloud.hears(cloud.aws.unsubscribe(pairs[0][0]))
    cloud.passes(HOUR)
    cloud.hears(cloud.aws.finish_unsubscribe(pairs[0][0]))
    cloud.settles()
    assert [cloud.plan(account) for _bought, account in pairs] == ["free", "pro"]


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_erasing_one_account_leaves_the_traces_of_the_others_purchase(cloud: AwsWorld, owner: User) -> None:
    buyer = cloud.buyer()
    pair = [cloud.hears(cloud.aws.buy(buyer)) for _purchase in range(2)]
    first, second = (cloud.registers(agreement, owner) for agreement in pair)
    first.subscriptions.update(ends_at=cloud.aws.now, settled_at=cloud.aws.now)
    erase_all(first, cloud.aws.now)
    assert lines_with(pair[0].id, pair[0].license_id) == []
    assert lines_with(pair[1].id) != []
    assert Row.objects.get().account == second


def test_what_is_said_of_an_account_that_is_being_erased_changes_nothing(cloud: AwsWorld, owner: User) -> None:
    bought, account = cloud.customer(owner)
    Account.objects.filter(pk=account.pk).update(purging_at=cloud.aws.now)
    cloud.hears(cloud.aws.unsubscribe(bought))
    cloud.run("aws-check")
    assert cloud.mails(account) == []
    assert not Delivery.objects.unprocessed().exists()
