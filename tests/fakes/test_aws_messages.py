"""What the fake AWS sends: signed as AWS documents it, and the same fact in both styles."""

import base64
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.verification import PolicyBuilder, Store

from tests.fakes.aws import Event, FakeAWS, Happened, Message, SnsMessage
from tests.fakes.aws.messages import shuffled


@pytest.fixture
def aws() -> FakeAWS:
    """Not served: messages need no server."""
    return FakeAWS()


@pytest.fixture
def bought(aws: FakeAWS) -> Happened:
    return aws.buy(aws.buyer(customer_identifier="cust-1"))


def said(messages: list[Message]) -> list[dict[str, Any]]:
    return [json.loads(json.loads(message.body)["Message"]) for message in messages]


def details(messages: list[Message]) -> list[tuple[str, dict[str, Any]]]:
    return [(message.event, json.loads(message.body)["detail"]) for message in messages]


@pytest.mark.parametrize(("version", "algorithm"), [("1", hashes.SHA1()), ("2", hashes.SHA256())])  # noqa: S303
def test_each_type_is_signed_over_the_fields_that_aws_documents(
    aws: FakeAWS, version: str, algorithm: hashes.HashAlgorithm
) -> None:
    topic = aws.product().subscription_topic
    asking = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
    telling = ("Message", "MessageId", "Timestamp", "TopicArn", "Type")
    with_subject = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
    for message, names in (
        (aws.notification(topic, "two\nlines", version=version), telling),
        (aws.notification(topic, "hello", subject="hi", version=version), with_subject),
        (aws.subscription_confirmation(topic, version=version), asking),
        (aws.unsubscribe_confirmation(topic, version=version), asking),
    ):
        fields = json.loads(message.body)
        text = "".join(f"{name}\n{fields[name]}\n" for name in names)
        leaf = x509.load_pem_x509_certificates(next(iter(aws.certificates.values())))[0]
        key = leaf.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        key.verify(base64.b64decode(fields["Signature"]), text.encode(), padding.PKCS1v15(), algorithm)


def test_the_headers_say_what_the_body_says(aws: FakeAWS) -> None:
    topic = aws.product().subscription_topic
    for message in (aws.notification(topic, "hello"), aws.subscription_confirmation(topic)):
        assert message.headers["x-amz-sns-message-type"] == message.fields["Type"]
        assert message.headers["x-amz-sns-message-id"] == message.fields["MessageId"]
        assert message.headers["x-amz-sns-topic-arn"] == topic
        assert message.headers["Content-Type"] == "text/plain; charset=UTF-8"
        assert ("x-amz-sns-subscription-arn" in message.headers) == (message.event == "Notification")


def test_the_chain_leads_to_the_root_that_is_to_be_trusted(aws: FakeAWS) -> None:
    leaf, *between = x509.load_pem_x509_certificates(next(iter(aws.certificates.values())))
    store = Store(x509.load_pem_x509_certificates(aws.trust))
    verifier = PolicyBuilder().store(store).time(aws.now).build_server_verifier(x509.DNSName("sns.amazonaws.com"))
    assert len(verifier.verify(leaf, between)) == 3


def test_the_certificate_is_served_and_the_fetch_is_counted() -> None:
    with FakeAWS() as aws:
        path = next(iter(aws.certificates))
        assert aws.signer.certificate_url == f"https://sns.us-east-1.amazonaws.com{path}"
        assert httpx.get(aws.url + path).content == aws.certificates[path]
        assert aws.count("GET /SimpleNotificationService-*.pem") == 1


def test_a_purchase_is_told_in_both_styles(bought: Happened) -> None:
    agreement = bought.agreement
    assert said(bought.sns) == [
        {
            "action": "subscribe-success",
            "customer-identifier": "cust-1",
            "product-code": agreement.product.code,
            "offer-identifier": agreement.offer_id,
            "isFreeTrialTermPresent": "false",
        },
        {
            "action": "entitlement-updated",
            "customer-identifier": "cust-1",
            "product-code": agreement.product.code,
        },
    ]
    (created, detail), (updated, license_detail) = details(bought.events)
    assert (created, updated) == ("Purchase Agreement Created - Proposer", "License Updated - Manufacturer")
    assert detail["agreement"]["intent"] == "NEW"
    assert detail["resaleAuthorization"] is None
    assert license_detail["license"]["arn"] == agreement.license_arn


def test_the_twins_of_aws_are_there(aws: FakeAWS) -> None:
    aws.spelling, aws.spaced, aws.bare_license_arns = "old", True, True
    bought = aws.buy(aws.buyer(customer_identifier="cust-1"), trial_ends_at=aws.now + timedelta(days=14))
    first = said(bought.sns)[0]
    assert first["CustomerIdentifier"] == " cust-1 "
    assert first["isFreeTrialTermPresent"] == " true "
    assert details(bought.events)[1][1]["license"]["arn"].startswith("aws:license-manager:")
    aws.newer_events = False
    amended = aws.set_auto_renewal(bought.agreement, False)
    assert "autoRenewalEnabled" not in details(amended.events)[0][1]["agreement"]
    assert "product" not in details(amended.events)[0][1]


def test_auto_renewal_is_told_by_events_alone(aws: FakeAWS, bought: Happened) -> None:
    off = aws.set_auto_renewal(bought.agreement, False)
    assert off.sns == []
    detail = details(off.events)[0][1]
    assert detail["agreement"]["autoRenewalEnabled"] is False
    assert detail["renewalSummary"]["disabledBy"] == "ACCEPTOR"
    assert details(aws.set_auto_renewal(bought.agreement, True).events)[0][1]["renewalSummary"]["disabledBy"] is None


def test_a_renewal_ends_the_old_agreement_without_ending_the_use(aws: FakeAWS, bought: Happened) -> None:
    renewed = aws.renew(bought.agreement)
    created, ended, updated, deprovisioned = details(renewed.events)
    assert created[1]["agreement"]["previousAgreementId"] == bought.agreement.id
    assert ended[1]["agreement"] == {"id": bought.agreement.id, "status": "RENEWED"}
    assert updated[1]["license"]["arn"] == renewed.agreement.license_arn
    assert deprovisioned[1]["license"]["arn"] == bought.agreement.license_arn
    assert [body["action"] for body in said(renewed.sns)] == ["subscribe-success", "entitlement-updated"]


def test_an_unsubscription_is_told_in_two_parts(aws: FakeAWS, bought: Happened) -> None:
    pending = aws.unsubscribe(bought.agreement)
    assert [body["action"] for body in said(pending.sns)] == ["unsubscribe-pending"]
    assert [name for name, _detail in details(pending.events)] == ["Purchase Agreement Ended - Proposer"]
    over = aws.finish_unsubscribe(bought.agreement)
    assert [body["action"] for body in said(over.sns)] == ["entitlement-updated", "unsubscribe-success"]
    assert [name for name, _detail in details(over.events)] == ["License Deprovisioned - Manufacturer"]


def test_who_subscribes_again_in_the_final_hour_gets_no_success_message_of_the_old(
    aws: FakeAWS, bought: Happened
) -> None:
    aws.unsubscribe(bought.agreement)
    again = aws.resubscribe(bought.agreement)
    assert again.agreement is not bought.agreement
    assert [body["action"] for body in said(again.sns)] == ["subscribe-success", "entitlement-updated"]


def test_a_payment_that_fails_is_told_by_its_own_action(aws: FakeAWS, bought: Happened) -> None:
    failed = aws.fail_payment(bought.agreement)
    assert [body["action"] for body in said(failed.sns)] == ["subscribe-fail"]
    assert bought.agreement.status == "ROLLED_BACK"


def test_a_product_billed_by_usage_has_no_entitlements(aws: FakeAWS) -> None:
    usage = aws.product("usagecode", pricing="usage")
    bought = aws.buy(aws.buyer(customer_identifier="cust-2"), usage)
    assert [body["action"] for body in said(bought.sns)] == ["subscribe-success"]
    assert bought.agreement.ends_at is None


def test_a_resellers_sale_is_told_to_the_manufacturer(aws: FakeAWS) -> None:
    bought = aws.buy(aws.buyer(), channel_partner="999988887777")
    name, detail = details(bought.events)[0]
    assert name == "Purchase Agreement Created - Manufacturer"
    assert detail["proposer"]["accountId"] == "999988887777"
    assert detail["resaleAuthorization"] is not None


def test_every_documented_type_of_event_can_be_sent(aws: FakeAWS, bought: Happened) -> None:
    agreement = bought.agreement
    statuses = ("PENDING_APPROVAL", "APPROVED", "REJECTED", "CANCELLED", "VALIDATION_FAILED")
    events = [
        aws.created(agreement),
        aws.amended(agreement),
        aws.ended(agreement),
        aws.ending(agreement, days=30),
        aws.renewal_terms_finalized(agreement),
        aws.renewal_upcoming(agreement),
        aws.advisory(agreement),
        aws.advisory(agreement, resolved=True),
        aws.license_updated(agreement),
        aws.license_deprovisioned(agreement),
        *(aws.cancellation_request(agreement, status) for status in statuses),
        aws.billing_adjustment(agreement),
        aws.billing_adjustment(agreement, completed=False),
    ]
    assert [event.event for event in events] == [
        "Purchase Agreement Created - Proposer",
        "Purchase Agreement Amended - Proposer",
        "Purchase Agreement Ended - Proposer",
        "Purchase Agreement Ending - Proposer",
        "Purchase Agreement Renewal Terms Finalized - Proposer",
        "Purchase Agreement Renewal Upcoming - Proposer",
        "Purchase Agreement Advisory Issued - Manufacturer",
        "Purchase Agreement Advisory Resolved - Manufacturer",
        "License Updated - Manufacturer",
        "License Deprovisioned - Manufacturer",
        "Agreement Cancellation Request Pending Approval - Proposer",
        "Agreement Cancellation Request Approved - Proposer",
        "Agreement Cancellation Request Rejected - Proposer",
        "Agreement Cancellation Request Cancelled - Proposer",
        "Agreement Cancellation Request Validation Failed - Proposer",
        "Purchase Agreement Billing Adjustment Completed - Proposer",
        "Purchase Agreement Billing Adjustment Failed - Proposer",
    ]
    assert len({event.delivery_id for event in events}) == len(events)
    for event in events:
        assert event.envelope["source"] == "aws.agreement-marketplace"
        assert event.envelope["detail"]["agreement"]["id"] == agreement.id


def test_messages_can_be_altered_shuffled_and_given_other_headers(aws: FakeAWS, bought: Happened) -> None:
    first = bought.sns[0]
    assert isinstance(first, SnsMessage)
    changed = first.altered(lambda fields: fields.update(Message="other"))
    assert changed.fields["Signature"] != first.fields["Signature"]
    unsigned = first.altered(lambda fields: fields.update(Message="other"), sign=False)
    assert unsigned.fields["Signature"] == first.fields["Signature"]
    event = bought.events[0]
    assert isinstance(event, Event)
    assert event.altered(lambda envelope: envelope.update(id="other")).delivery_id == "other"
    assert "X-Api-Key" in event.headers
    assert "x-api-key" not in {name.lower() for name in event.with_headers(x_api_key=None).headers}
    assert shuffled(bought.messages, list.reverse) == bought.messages[::-1]


def test_nothing_is_posted_to_another_machine(bought: Happened) -> None:
    with pytest.raises(ValueError, match=r"127\.0\.0\.1 only"):
        bought.sns[0].post("http://169.254.169.254/")


def test_it_can_be_played_by_hand() -> None:
    with FakeAWS() as aws:
        aws.product()
        played = httpx.post(f"{aws.url}/_control/play", json={"style": "events", "hold": True}).json()
        assert (played["style"], played["hold"]) == ("events", True)
        bought = httpx.post(f"{aws.url}/_control/buy", json={"entitlements": {"pro_seats": 3}}).json()
        assert bought["agreement"]["entitlements"] == {"pro_seats": 3}
        assert "x-amzn-marketplace-token" in httpx.get(bought["register"]).text
        httpx.post(f"{aws.url}/_control/set_auto_renewal", json={"on": False})
        state = httpx.get(f"{aws.url}/_control/state").json()
        assert [event for _source, event in state["held"]] == [
            "Purchase Agreement Created - Proposer",
            "License Updated - Manufacturer",
            "Purchase Agreement Amended - Proposer",
        ]
        # Nobody to deliver to: it is said so.
        delivered = httpx.post(f"{aws.url}/_control/deliver", json={"seed": 7, "times": 2}).json()["delivered"]
        assert [answered for _source, _event, answered in delivered] == [None] * 6
        mistake = httpx.post(f"{aws.url}/_control/nonsense", json={})
        assert (mistake.status_code, "unsubscribe" in mistake.json()["error"]) == (400, True)
        assert aws.count() == 0
