"""The door for SNS: what AWS signed for our topics is stored once; a forgery costs no connection and is counted."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.core import clock
from accounts.inbox import inbox
from accounts.jobs import invariants
from accounts.models import Delivery, RefusedMessage
from marketplace.aws import sns, sns_certificates
from tests.fakes.aws import FakeAWS, Message, SnsMessage, signing
from tests.fakes.aws.signing import Signer

pytestmark = pytest.mark.django_db
DOOR = "/marketplace/aws/sns/"
CERTIFICATE = "GET /SimpleNotificationService-*.pem"


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """No certificate is known from another test."""
    sns_certificates.forget()
    yield
    sns_certificates.forget()


@pytest.fixture(autouse=True)
def present(aws: FakeAWS) -> None:
    """AWS's clock and ours agree: the door looks at the real one."""
    aws.now = clock.now()


@pytest.fixture
def message(aws: FakeAWS) -> SnsMessage:
    return hello(aws)


def hello(aws: FakeAWS, text: str = "hello", **options: Any) -> SnsMessage:
    return aws.notification(aws.product().subscription_topic, text, **options)


def post(message: Message) -> tuple[int, dict[str, str]]:
    headers = {name: value for name, value in message.headers.items() if name != "Content-Type"}
    response = Client().generic("POST", DOOR, message.body, content_type=message.content_type, headers=headers)
    return response.status_code, json.loads(response.content)


def assert_refused(message: Message, reason: str, *, status: int = 403, fetched: int = 0, aws: FakeAWS) -> None:
    """Refused, counted once, with nothing stored, and with so many requests to wherever it pointed."""
    answered, said = post(message)
    assert (answered, said["error"]) == (status, f"refused_{reason}")
    assert not Delivery.objects.exists()
    assert aws.count() == fetched
    assert RefusedMessage.objects.values_list("source", "reason", "count").get() == ("aws_sns", reason, 1)


# What is accepted


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "Greetings", ""])
def test_a_message_of_either_version_with_and_without_a_subject_is_stored(
    aws: FakeAWS, version: str, subject: str | None
) -> None:
    message = hello(aws, 'two\nlines, "quoted", Ünïcode 🚢', version=version, subject=subject)
    assert post(message) == (202, {"status": "accepted"})
    stored = Delivery.objects.get()
    assert (stored.source, stored.delivery_id, stored.event) == ("aws_sns", message.delivery_id, "Notification")
    assert bytes(stored.body or b"") == message.body
    assert stored.content_type == "text/plain"
    assert not RefusedMessage.objects.exists()


@pytest.mark.parametrize("version", ["1", "2"])
def test_the_messages_about_subscriptions_are_stored_and_their_addresses_never_opened(
    aws: FakeAWS, version: str
) -> None:
    topic = aws.product().subscription_topic
    for asking in (
        aws.subscription_confirmation(topic, version=version),
        aws.unsubscribe_confirmation(topic, version=version),
    ):
        # As if AWS had signed an address of ours: only then could the fake see that it is opened.
        trap = asking.altered(lambda fields: fields.update(SubscribeURL=f"{aws.url}/trap"))
        assert post(trap)[0] == 202
    inbox.process_due(clock.now())
    assert {delivery.event for delivery in Delivery.objects.all()} == {
        "SubscriptionConfirmation",
        "UnsubscribeConfirmation",
    }
    assert not Delivery.objects.unprocessed().exists()
    assert aws.count("*trap*") == 0
    assert aws.count() == aws.count(CERTIFICATE) == 1


def test_a_message_that_is_sent_again_is_acknowledged_and_stored_once(aws: FakeAWS, message: SnsMessage) -> None:
    assert [post(message)[0] for _time in range(3)] == [202, 202, 202]
    assert Delivery.objects.count() == 1


def test_the_certificate_is_fetched_once_for_many_messages(aws: FakeAWS) -> None:
    assert [post(hello(aws))[0] for _message in range(4)] == [202] * 4
    assert aws.count() == aws.count(CERTIFICATE) == 1


def test_a_certificate_that_changes_is_fetched_under_its_new_address(aws: FakeAWS) -> None:
    new = aws.serve(
        aws.authority.leaf(key="next leaf"),
        pem=aws.authority.leaf(key="next leaf").pem + aws.authority.intermediate.pem,
    )
    assert post(hello(aws))[0] == 202
    assert post(hello(aws, signer=new))[0] == 202
    assert aws.count(CERTIFICATE) == 2


def test_a_message_retried_for_an_hour_is_still_taken(aws: FakeAWS) -> None:
    aws.now = clock.now() - timedelta(minutes=60)
    assert post(hello(aws))[0] == 202


def test_accepting_costs_one_statement(
    aws: FakeAWS, message: SnsMessage, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        post(message)


def test_the_signed_text_is_the_one_that_aws_documents() -> None:
    message = {
        "Type": "Notification",
        "MessageId": "4d4dc071-ddbf-465d-bba8-08f81c89da64",
        "TopicArn": "arn:aws:sns:us-east-2:123456789012:My-Topic",
        "Subject": "My subject",
        "Message": "My Test Message",
        "Timestamp": "2019-01-31T04:37:04.321Z",
    }
    expected = (
        "Message\nMy Test Message\nMessageId\n4d4dc071-ddbf-465d-bba8-08f81c89da64\nSubject\nMy subject\n"
        "Timestamp\n2019-01-31T04:37:04.321Z\nTopicArn\narn:aws:sns:us-east-2:123456789012:My-Topic\n"
        "Type\nNotification\n"
    )
    assert sns.text_to_sign(message) == expected.encode()
    del message["Subject"]
    assert b"Subject" not in sns.text_to_sign(message)


# What is refused without a fetch


@pytest.mark.parametrize(
    "address",
    [
        # A bucket that anybody may have: what django-ses accepted before 3.5.0.
        "https://attacker.s3.amazonaws.com/SimpleNotificationService-0a1b.pem",
        "https://s3.amazonaws.com/attacker/SimpleNotificationService-0a1b.pem",
        "https://sns.us-east-1.amazonaws.com.evil.example/SimpleNotificationService-0a1b.pem",
        "https://sns.us-east-1.amazonaws.com@evil.example/SimpleNotificationService-0a1b.pem",
        "https://user:secret@sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
        "https://evil.example/sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
        "https://evil.example#sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
        "https://evil.example\\@sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
        "https://xsns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
        "https://a.sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
        "https://snsxus-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
        "https://sns.us-east-1xamazonaws.com/SimpleNotificationService-0a1b.pem",
        "https://sns.us-east-1.amazonaws.com:8443/SimpleNotificationService-0a1b.pem",
        "https://sns.us-east-1.amazonaws.com:443/SimpleNotificationService-0a1b.pem",
        "https://sns.us-east-1.amazonaws.com./SimpleNotificationService-0a1b.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem?x=1",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem?",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem#x",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem\n",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem ",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem/x",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-../evil.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-%2e.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-éa.pem",
        "https://sns.us-east-1.amazonaws.com//SimpleNotificationService-0a1b.pem",
        "https://sns.us-east-1.amazonaws.com/bucket/SimpleNotificationService-0a1b.pem",
        "https://sns.us-east-1.amazonaws.com/evil.pem",
        "https://sns.us-east-1.amazonaws.com/?Action=Publish&x=.pem",
        "http://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
        "HTTPS://SNS.US-EAST-1.AMAZONAWS.COM/SimpleNotificationService-0a1b.pem",
        "ftp://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
        "file:///etc/passwd",
        # Another region than the topic's.
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
        # Machines that only we can reach.
        "https://169.254.169.254/latest/meta-data/iam/security-credentials/",
        "http://169.254.169.254/SimpleNotificationService-0a1b.pem",
        "https://127.0.0.1/SimpleNotificationService-0a1b.pem",
        "https://localhost/SimpleNotificationService-0a1b.pem",
        "",
    ],
)
def test_a_certificate_from_elsewhere_is_not_fetched(aws: FakeAWS, message: SnsMessage, address: str) -> None:
    forged = message.altered(lambda fields: None, signer=Signer(address, message.signer.key))
    assert_refused(forged, "certificate_address", aws=aws)


def test_a_certificate_from_this_very_server_is_not_fetched(aws: FakeAWS, message: SnsMessage) -> None:
    inside = Signer(f"{aws.url}{message.signer.certificate_url[-60:]}", message.signer.key)
    assert_refused(message.altered(lambda fields: None, signer=inside), "certificate_address", aws=aws)


@pytest.mark.parametrize("value", [None, 1, ["https://sns.us-east-1.amazonaws.com"], {}])
def test_a_certificate_address_that_is_no_text_is_refused(aws: FakeAWS, message: SnsMessage, value: Any) -> None:
    def spoil(fields: dict[str, Any]) -> None:
        fields["SigningCertURL"] = value

    assert_refused(message.altered(spoil, sign=False), "certificate_address", aws=aws)


@pytest.mark.parametrize(
    "topic",
    [
        "arn:aws:sns:us-east-1:666666666666:aws-mp-subscription-notification-9p2x7q4kz1v8m3c5t6b0n",
        "arn:aws:sns:eu-west-1:287250355862:aws-mp-subscription-notification-9p2x7q4kz1v8m3c5t6b0n",
        "arn:aws:sns:us-east-1:287250355862:aws-mp-subscription-notification-9p2x7q4kz1v8m3c5t6b0nX",
        "arn:aws:sns:us-east-1:287250355862:AWS-MP-subscription-notification-9p2x7q4kz1v8m3c5t6b0n",
        "*",
    ],
)
def test_a_foreign_topic_is_refused_though_aws_itself_signed_it(aws: FakeAWS, topic: str) -> None:
    assert_refused(aws.notification(topic, "forged"), "topic", aws=aws)
    assert RefusedMessage.objects.get().claimed == topic


def test_a_foreign_topic_that_asks_to_be_confirmed_is_refused(aws: FakeAWS, settings: Settings) -> None:
    settings.AWS_SNS_CONFIRM_SUBSCRIPTIONS = True
    asking = aws.subscription_confirmation("arn:aws:sns:us-east-1:666666666666:mine")
    assert_refused(asking.altered(lambda fields: fields.update(SubscribeURL=f"{aws.url}/trap")), "topic", aws=aws)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x_amz_sns_message_type", "SubscriptionConfirmation"),
        ("x_amz_sns_message_id", "another-id"),
        ("x_amz_sns_topic_arn", "arn:aws:sns:us-east-1:666666666666:mine"),
    ],
)
def test_a_header_that_disagrees_with_the_body_is_refused(
    aws: FakeAWS, message: SnsMessage, header: str, value: str
) -> None:
    assert_refused(message.with_headers(**{header: value}), "headers", aws=aws)


@pytest.mark.parametrize("header", ["x_amz_sns_message_type", "x_amz_sns_message_id", "x_amz_sns_topic_arn"])
def test_a_message_without_its_headers_is_refused(aws: FakeAWS, message: SnsMessage, header: str) -> None:
    assert_refused(message.with_headers(**{header: None}), "malformed", status=400, aws=aws)


def test_raw_delivery_is_refused(aws: FakeAWS, message: SnsMessage) -> None:
    assert_refused(message.with_headers(x_amz_sns_rawdelivery="true"), "raw", aws=aws)


@pytest.mark.parametrize("version", ["", "0", "3", "01", "2 ", "1.0"])
def test_an_unknown_signature_version_is_refused(aws: FakeAWS, message: SnsMessage, version: str) -> None:
    assert_refused(message.altered(lambda fields: fields.update(SignatureVersion=version)), "version", aws=aws)


@pytest.mark.parametrize("version", [None, 2, True, ["1"]])
def test_a_signature_version_that_is_no_text_is_refused(aws: FakeAWS, message: SnsMessage, version: Any) -> None:
    assert_refused(message.altered(lambda f: f.update(SignatureVersion=version), sign=False), "version", aws=aws)


def alter_type(fields: dict[str, str]) -> None:
    fields["Type"] = "Surprise"


def drop_timestamp(fields: dict[str, str]) -> None:
    del fields["Timestamp"]


def number_for_message(fields: dict[str, Any]) -> None:
    fields["Message"] = 7


@pytest.mark.parametrize("alter", [alter_type, drop_timestamp, number_for_message])
def test_a_message_that_makes_no_sense_is_refused(
    aws: FakeAWS, message: SnsMessage, alter: Callable[[dict[str, Any]], None]
) -> None:
    assert_refused(message.altered(alter, sign=False), "malformed", status=400, aws=aws)


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"[]", b"null", b"\xff", b'{"a":' * 50 + b"1" + b"}" * 50, b"[" * 100_000]
)
def test_a_body_that_is_no_object_is_refused(aws: FakeAWS, message: SnsMessage, body: bytes) -> None:
    broken = Message("aws_sns", message.delivery_id, message.event, body, message.headers)
    assert_refused(broken, "malformed", status=400, aws=aws)


def test_five_megabytes_are_refused_unread(aws: FakeAWS, message: SnsMessage) -> None:
    large = message.altered(lambda fields: fields.update(Message="x" * 5_000_000))
    answered, said = post(large)
    assert (answered, said["error"]) == (413, "too_large")
    assert not Delivery.objects.exists()
    assert aws.count() == 0
    assert RefusedMessage.objects.values_list("reason", "count").get() == ("too_large", 1)


def test_a_signature_that_is_not_base64_is_refused(aws: FakeAWS, message: SnsMessage) -> None:
    assert_refused(message.altered(lambda f: f.update(Signature="***"), sign=False), "signature", aws=aws)


# What is refused once the certificate is known


def test_a_body_that_was_changed_on_the_way_is_refused(aws: FakeAWS, message: SnsMessage) -> None:
    changed = message.altered(lambda fields: fields.update(Message="unsubscribe everybody"), sign=False)
    assert_refused(changed, "signature", fetched=1, aws=aws)


def test_a_subject_that_was_added_on_the_way_is_refused(aws: FakeAWS, message: SnsMessage) -> None:
    assert_refused(
        message.altered(lambda fields: fields.update(Subject="added"), sign=False), "signature", fetched=1, aws=aws
    )


@pytest.mark.parametrize(("signed", "claimed"), [("1", "2"), ("2", "1")])
def test_a_signature_of_one_version_given_as_the_other_is_refused(aws: FakeAWS, signed: str, claimed: str) -> None:
    message = hello(aws, version=signed)
    assert_refused(
        message.altered(lambda f: f.update(SignatureVersion=claimed), sign=False), "signature", fetched=1, aws=aws
    )


def test_somebody_elses_key_under_the_right_address_is_refused(aws: FakeAWS, message: SnsMessage) -> None:
    thief = Signer(message.signer.certificate_url, signing.private_key("thief"))
    assert_refused(message.altered(lambda fields: None, signer=thief), "signature", fetched=1, aws=aws)


@pytest.mark.parametrize("age", [timedelta(minutes=66), timedelta(days=30), timedelta(minutes=-6)])
def test_a_well_signed_message_from_another_time_is_refused(aws: FakeAWS, age: timedelta) -> None:
    aws.now = clock.now() - age
    assert_refused(hello(aws), "timestamp", fetched=1, aws=aws)


@pytest.mark.parametrize("timestamp", ["yesterday", "2026-03-17T09:30:00"])
def test_a_timestamp_that_is_no_instant_is_refused(aws: FakeAWS, message: SnsMessage, timestamp: str) -> None:
    odd = message.altered(lambda fields: fields.update(Timestamp=timestamp))
    assert_refused(odd, "malformed", status=400, fetched=1, aws=aws)


# Certificates that are not to be trusted


def signed_with(aws: FakeAWS, certificate: signing.Certificate, *, pem: bytes | None = None) -> SnsMessage:
    chain = certificate.pem + aws.authority.intermediate.pem
    return hello(aws, signer=aws.serve(certificate, pem=chain if pem is None else pem))


def test_an_expired_certificate_is_refused(aws: FakeAWS) -> None:
    leaf = aws.authority.leaf(until=clock.now() - timedelta(minutes=1))
    assert_refused(signed_with(aws, leaf), "certificate", fetched=1, aws=aws)


def test_a_certificate_of_the_future_is_refused(aws: FakeAWS) -> None:
    leaf = aws.authority.leaf(since=clock.now() + timedelta(minutes=1))
    assert_refused(signed_with(aws, leaf), "certificate", fetched=1, aws=aws)


def test_a_certificate_that_expires_while_it_is_kept_is_refused_from_then_on(aws: FakeAWS) -> None:
    until = (clock.now() + timedelta(hours=1)).replace(microsecond=0)
    signer = signed_with(aws, aws.authority.leaf(until=until)).signer
    kept = {"url": signer.certificate_url, "region": "us-east-1"}
    sns_certificates.certificate_at(**kept, at=until)
    with pytest.raises(sns_certificates.Untrusted):
        sns_certificates.certificate_at(**kept, at=until + timedelta(seconds=1))
    assert aws.count() == 1


def test_a_certificate_of_another_authority_is_refused(aws: FakeAWS) -> None:
    other = signing.authority("Another Authority")
    leaf = other.leaf()
    whole = leaf.pem + other.intermediate.pem + other.root.pem
    assert_refused(signed_with(aws, leaf, pem=whole), "certificate", fetched=1, aws=aws)


def test_a_certificate_for_another_name_is_refused(aws: FakeAWS) -> None:
    assert_refused(signed_with(aws, aws.authority.leaf("sqs.amazonaws.com")), "certificate", fetched=1, aws=aws)


def test_a_certificate_whose_chain_has_a_gap_is_refused_where_the_chain_must_be_whole(aws: FakeAWS) -> None:
    leaf = aws.authority.leaf()
    assert_refused(signed_with(aws, leaf, pem=leaf.pem), "certificate", fetched=1, aws=aws)


def test_the_gap_may_be_closed_by_the_trust_file(aws: FakeAWS, settings: Settings, tmp_path: Any) -> None:
    trust = tmp_path / "whole.pem"
    trust.write_bytes(aws.trust + aws.authority.intermediate.pem)
    settings.AWS_SNS_TRUST_FILE = str(trust)
    leaf = aws.authority.leaf()
    assert post(signed_with(aws, leaf, pem=leaf.pem))[0] == 202


def test_public_roots_do_not_vouch_for_a_certificate_that_came_from_another_address(
    aws: FakeAWS, settings: Settings, message: SnsMessage
) -> None:
    """With the address overridden TLS proves nothing, and the chain must be whole: here it leads to no public root."""
    settings.AWS_SNS_TRUST_FILE = ""
    assert_refused(message, "certificate", fetched=1, aws=aws)


def test_a_leaf_alone_is_believed_only_from_snss_own_host(aws: FakeAWS, settings: Settings) -> None:
    settings.AWS_SNS_TRUST_FILE = settings.AWS_SNS_CERTIFICATE_URL = ""
    leaf, at, host = aws.authority.leaf(), clock.now(), "sns.us-east-1.amazonaws.com"
    # As `_fetched` would have brought it over TLS, which needs the real host.
    assert sns_certificates._checked(leaf.pem, host, at).key == leaf.key.public_key()
    for pem in (
        # Its issuer is at hand, and leads nowhere.
        leaf.pem + aws.authority.intermediate.pem,
        aws.authority.leaf("evil.example").pem,
        aws.authority.leaf(until=at - timedelta(days=1)).pem,
        # Its own issuer.
        aws.authority.root.pem,
    ):
        with pytest.raises(sns_certificates.Untrusted):
            sns_certificates._checked(pem, host, at)


def test_a_redirect_at_the_certificates_host_is_not_followed(aws: FakeAWS, message: SnsMessage) -> None:
    aws.fail(CERTIFICATE, status=302, location=f"{aws.url}/elsewhere.pem")
    assert_refused(message, "certificate", fetched=1, aws=aws)


def test_a_huge_certificate_is_not_read_to_its_end(aws: FakeAWS, message: SnsMessage) -> None:
    aws.fail(CERTIFICATE, body=message.signer.certificate_url.encode() * 200_000)
    assert_refused(message, "certificate", fetched=1, aws=aws)


@pytest.mark.parametrize("pem", [b"garbage", b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_certificate_that_is_none_is_refused(aws: FakeAWS, message: SnsMessage, pem: bytes) -> None:
    aws.fail(CERTIFICATE, body=pem)
    assert_refused(message, "certificate", fetched=1, aws=aws)


def test_a_certificate_that_is_not_there_is_refused(aws: FakeAWS, message: SnsMessage) -> None:
    aws.certificates.clear()
    assert_refused(message, "certificate", fetched=1, aws=aws)


# What may pass


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_certificates_host_in_trouble_is_503_and_asked_again_a_little_later(
    aws: FakeAWS, message: SnsMessage, status: int
) -> None:
    aws.fail(CERTIFICATE, status=status)
    assert post(message)[0] == 503
    assert not Delivery.objects.exists()
    assert not RefusedMessage.objects.exists()
    assert post(message)[0] == 503
    assert aws.count(CERTIFICATE) == 1
    # SNS comes again after 20 seconds.
    assert sns_certificates.UNREACHABLE_FOR < 20
    sns_certificates.forget()
    assert post(message)[0] == 202
    assert aws.count(CERTIFICATE) == 2


def test_a_certificates_host_that_hangs_up_is_503(aws: FakeAWS, message: SnsMessage) -> None:
    aws.fail(CERTIFICATE, hang=0)
    assert post(message)[0] == 503
    sns_certificates.forget()
    assert post(message)[0] == 202


def test_a_certificates_host_that_is_away_is_503(aws: FakeAWS, message: SnsMessage, settings: Settings) -> None:
    settings.AWS_SNS_CERTIFICATE_URL = "http://127.0.0.1:9"
    assert post(message)[0] == 503
    settings.AWS_SNS_CERTIFICATE_URL = aws.url
    sns_certificates.forget()
    assert post(message)[0] == 202


def test_what_is_no_certificate_is_not_fetched_again_for_a_while(aws: FakeAWS, message: SnsMessage) -> None:
    aws.fail(CERTIFICATE, body=b"garbage")
    assert [post(message)[0] for _time in range(3)] == [403, 403, 403]
    assert aws.count(CERTIFICATE) == 1
    sns_certificates.forget()
    assert post(message)[0] == 202


def test_a_missing_certificate_is_asked_for_once(aws: FakeAWS, message: SnsMessage) -> None:
    missing = message.altered(
        lambda fields: fields.update(
            SigningCertURL=f"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-{'0' * 32}.pem"
        ),
        sign=False,
    )
    assert {post(missing)[0] for _time in range(10)} == {403}
    assert aws.count(CERTIFICATE) == 1


def test_while_certificates_are_fetched_two_threads_wait_and_no_more(aws: FakeAWS) -> None:
    """Ten unsigned messages, each with a certificate of its own that never comes."""
    aws.fail(CERTIFICATE, hang=2.0, times=None)
    urls = [f"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-{each:032}.pem" for each in range(10)]

    def waited(url: str) -> float:
        began = time.monotonic()
        with pytest.raises(sns_certificates.Unreachable):
            sns_certificates.certificate_at(url, region="us-east-1", at=aws.now)
        return time.monotonic() - began

    with ThreadPoolExecutor(10) as pool:
        times = sorted(pool.map(waited, urls))
    assert aws.count(CERTIFICATE) == 2
    # Eight are told at once to come again.
    assert times[7] < 1.0


def test_without_a_database_the_answer_is_503(
    aws: FakeAWS, message: SnsMessage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> bool:
        raise OperationalError("couldn't get a connection after 3.00 sec")

    monkeypatch.setattr(inbox, "accept", refuse)
    assert post(message)[0] == 503


def test_without_topics_the_door_is_closed(aws: FakeAWS, message: SnsMessage, settings: Settings) -> None:
    settings.AWS_SNS_TOPIC_ARNS = []
    answered, said = post(message)
    assert (answered, said["error"]) == (503, "not_configured")
    assert not Delivery.objects.exists()
    assert aws.count() == 0


def test_another_method_is_405_in_json() -> None:
    response = Client().get(DOOR)
    assert (response.status_code, response["Allow"], response["Content-Type"]) == (405, "POST", "application/json")


# Other clouds


@pytest.mark.parametrize(
    ("topic", "host"),
    [
        ("arn:aws-cn:sns:cn-north-1:123456789012:t", "sns.cn-north-1.amazonaws.com.cn"),
        ("arn:aws-eusc:sns:eusc-de-east-1:123456789012:t", "sns.eusc-de-east-1.amazonaws.eu"),
    ],
)
def test_china_and_a_sovereign_cloud_have_hosts_of_their_own(
    aws: FakeAWS, settings: Settings, topic: str, host: str
) -> None:
    settings.AWS_SNS_TOPIC_ARNS = [topic]
    settings.AWS_SNS_HOSTS = [*settings.AWS_SNS_HOSTS, "sns.{region}.amazonaws.eu"]
    leaf = aws.authority.leaf(host)
    served = aws.serve(leaf, pem=leaf.pem + aws.authority.intermediate.pem)
    own = Signer(served.certificate_url.replace("sns.us-east-1.amazonaws.com", host), served.key)
    assert post(aws.notification(topic, "hello", signer=own))[0] == 202


# What is counted


def test_a_flood_of_forgeries_fills_no_table_and_staff_are_warned(aws: FakeAWS) -> None:
    for number in range(20):
        post(aws.notification(f"arn:aws:sns:us-east-1:666666666666:topic-{number}", "forged"))
    rows = RefusedMessage.objects.values_list("reason", "count", "claimed")
    # Twenty within one hour, or on both sides of a full one.
    assert len(rows) <= 2
    assert sum(count for _reason, count, _topic in rows) == 20
    assert rows[0][2].startswith("arn:aws:sns:us-east-1:666666666666:topic-")
    warned = [found for found in invariants.warnings(clock.now()) if found.name == "refused-messages"]
    assert [found.examples for found in warned] == [["topic"] * len(rows)]
    assert "refused-messages" not in {found.name for found in invariants.violations(clock.now())}
    assert not [
        found
        for found in invariants.warnings(clock.now() + timedelta(days=1, minutes=1))
        if found.name == "refused-messages"
    ]
