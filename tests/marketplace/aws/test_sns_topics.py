"""Topics: confirmed by a call of our own, while the switch is on; never by opening an address that a message names."""

from datetime import timedelta

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.inbox import inbox
from accounts.inbox.sources import SOURCES
from accounts.jobs import invariants, sweeps
from accounts.models import Delivery, User
from marketplace.aws import sns_topics
from marketplace.models import TopicSubscription
from tests.factories import NOW
from tests.fakes.aws import FakeAWS, Message, SnsMessage

pytestmark = pytest.mark.django_db
CONFIRM = "sns.ConfirmSubscription"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def topic(aws: FakeAWS) -> str:
    return aws.product().subscription_topic


@pytest.fixture
def switched_on(settings: Settings) -> None:
    settings.AWS_SNS_CONFIRM_SUBSCRIPTIONS = True


def hears(aws: FakeAWS, *messages: Message) -> None:
    for message in messages:
        inbox.accept(
            SOURCES.named("aws_sns"),
            delivery_id=message.delivery_id,
            event=message.event,
            content_type=message.content_type,
            body=message.body,
            at=aws.now,
        )
    inbox.process_due(aws.now)
    assert not Delivery.objects.unprocessed().exists()


def confirm(aws: FakeAWS) -> int:
    return sweeps.named("aws-confirm").run(aws.now)


def warned(aws: FakeAWS) -> set[str]:
    return {found.name for found in invariants.warnings(aws.now) if found.name.startswith("topic-")}


def test_a_topic_that_asks_is_confirmed_by_the_api_so_that_nobody_else_can_end_it(
    aws: FakeAWS, topic: str, switched_on: None
) -> None:
    asking = aws.subscription_confirmation(topic)
    hears(aws, asking)
    assert confirm(aws) == 1
    call = aws.requested(CONFIRM)
    assert [request.arguments for request in call] == [
        {"TopicArn": topic, "Token": asking.fields["Token"], "AuthenticateOnUnsubscribe": "true"}
    ]
    assert aws.count() == 1
    assert aws.confirmations[0].authenticate_on_unsubscribe
    row = TopicSubscription.objects.get()
    assert (row.topic, row.confirmed_at, row.token, row.last_error) == (topic, NOW, None, "")
    assert warned(aws) == set()
    assert aws.malformed == []


def test_while_the_switch_is_off_nothing_is_confirmed_and_staff_are_told_how(aws: FakeAWS, topic: str) -> None:
    hears(aws, aws.subscription_confirmation(topic))
    assert confirm(aws) == 0
    assert aws.count() == 0
    assert list(sns_topics.preview(aws.now)) == []
    assert warned(aws) == {"topic-unconfirmed"}
    message = next(found for found in invariants.warnings(aws.now) if found.name == "topic-unconfirmed")
    assert "AWS_SNS_CONFIRM_SUBSCRIPTIONS=1" in message.message
    assert message.examples == [topic]
    assert "topic-unconfirmed" not in {found.name for found in invariants.violations(aws.now)}


def test_a_waiting_topic_is_confirmed_once_the_switch_is_on(aws: FakeAWS, topic: str, settings: Settings) -> None:
    hears(aws, aws.subscription_confirmation(topic))
    confirm(aws)
    aws.now += timedelta(hours=47)
    settings.AWS_SNS_CONFIRM_SUBSCRIPTIONS = True
    assert list(sns_topics.preview(aws.now)) == [f"{topic}: confirm the subscription"]
    assert confirm(aws) == 1


def test_the_token_is_kept_encrypted_and_in_one_place_only(
    aws: FakeAWS, topic: str, staff: User, caplog: pytest.LogCaptureFixture
) -> None:
    asking = aws.subscription_confirmation(topic)
    token = asking.fields["Token"]
    hears(aws, asking, aws.unsubscribe_confirmation("arn:aws:sns:us-east-1:1:other"))
    assert set(Delivery.objects.values_list("body", flat=True)) == {None}
    row = TopicSubscription.objects.get(topic=topic)
    assert token.encode() not in bytes(row.token or b"")
    client = Client()
    client.force_login(staff, backend="allauth.account.auth_backends.AuthenticationBackend")
    for path in ("topicsubscription/", f"topicsubscription/{row.pk}/change/", "delivery/"):
        page = client.get(f"/admin/marketplace/{path}").content.decode()
        assert topic in page or path == "delivery/"
        assert token not in page
    assert token not in caplog.text


def test_a_token_is_of_no_use_after_two_days_and_is_forgotten(aws: FakeAWS, topic: str, switched_on: None) -> None:
    hears(aws, aws.subscription_confirmation(topic))
    aws.now += timedelta(days=2)
    assert list(sns_topics.preview(aws.now)) == [f"{topic}: forget the token, it has expired"]
    assert confirm(aws) == 1
    assert aws.count() == 0
    row = TopicSubscription.objects.get()
    assert (row.token, row.confirmed_at) == (None, None)
    assert warned(aws) == {"topic-silent"}


def test_a_token_is_forgotten_after_two_days_though_the_switch_is_off(aws: FakeAWS, topic: str) -> None:
    hears(aws, aws.subscription_confirmation(topic))
    aws.now += timedelta(days=2)
    assert confirm(aws) == 1
    assert TopicSubscription.objects.get().token is None


@pytest.mark.parametrize("code", ["InternalErrorException", "AuthorizationErrorException", "ThrottlingException"])
def test_a_confirmation_that_fails_is_tried_again_later(aws: FakeAWS, topic: str, switched_on: None, code: str) -> None:
    hears(aws, aws.subscription_confirmation(topic))
    aws.fail(CONFIRM, code, times=2)
    assert confirm(aws) == 0
    row = TopicSubscription.objects.get()
    assert (row.attempts, row.next_attempt_at) == (1, NOW + MINUTE)
    assert row.last_error != ""
    # Not before it is due.
    assert confirm(aws) == 0
    assert aws.count(CONFIRM) == 1
    aws.now += MINUTE
    assert confirm(aws) == 0
    assert TopicSubscription.objects.get().next_attempt_at == aws.now + 2 * MINUTE
    aws.now += 2 * MINUTE
    assert confirm(aws) == 1
    assert TopicSubscription.objects.get().last_error == ""


def test_a_poison_topic_holds_up_no_other_and_is_named(aws: FakeAWS, switched_on: None) -> None:
    poison, fine = aws.product().topics
    hears(aws, aws.subscription_confirmation(poison), aws.subscription_confirmation(fine))
    # A key was removed too early.
    TopicSubscription.objects.filter(topic=poison).update(token=b"")
    assert confirm(aws) == 1
    assert TopicSubscription.objects.get(topic=fine).confirmed_at == aws.now
    row = TopicSubscription.objects.get(topic=poison)
    assert (row.attempts, row.last_error) == (1, "no key of FIELD_ENCRYPTION_KEYS decrypts this")
    (shown,) = (found for found in invariants.warnings(aws.now) if found.name == "topic-unconfirmed")
    assert list(shown.examples) == [poison]


def test_a_failure_says_nothing_of_the_token(aws: FakeAWS, topic: str, switched_on: None) -> None:
    asking = aws.subscription_confirmation(topic).altered(lambda fields: fields.update(Token="unknown-token"))
    hears(aws, asking)
    assert confirm(aws) == 0
    assert "unknown-token" not in TopicSubscription.objects.get().last_error


def test_a_message_that_comes_twice_asks_once(aws: FakeAWS, topic: str, switched_on: None) -> None:
    asking = aws.subscription_confirmation(topic)
    again = asking.altered(lambda fields: fields.update(MessageId="another-id"))
    hears(aws, asking, again)
    assert confirm(aws) == 1
    hears(aws, asking.altered(lambda fields: fields.update(MessageId="a-third-id")))
    assert confirm(aws) == 0
    assert aws.count(CONFIRM) == 1
    assert TopicSubscription.objects.get().confirmed_at == NOW


def test_asking_anew_needs_a_new_answer(aws: FakeAWS, topic: str, switched_on: None) -> None:
    hears(aws, aws.subscription_confirmation(topic))
    confirm(aws)
    aws.now += MINUTE
    hears(aws, aws.subscription_confirmation(topic))
    assert confirm(aws) == 1
    assert aws.count(CONFIRM) == 2
    assert TopicSubscription.objects.get().confirmed_at == aws.now


def test_an_ended_subscription_is_told_to_staff_and_never_taken_up_again(
    aws: FakeAWS, topic: str, switched_on: None
) -> None:
    hears(aws, aws.subscription_confirmation(topic))
    confirm(aws)
    aws.now += MINUTE
    hears(aws, aws.unsubscribe_confirmation(topic))
    assert confirm(aws) == 0
    assert aws.count(CONFIRM) == 1
    row = TopicSubscription.objects.get()
    assert (row.ended_at, row.confirmed_at, row.token) == (aws.now, None, None)
    assert "Subscribe again" in Delivery.objects.get(event="UnsubscribeConfirmation").alert
    assert warned(aws) == {"topic-silent"}


def test_an_end_that_comes_before_its_beginning_is_still_the_end(aws: FakeAWS, topic: str, switched_on: None) -> None:
    asking = aws.subscription_confirmation(topic)
    aws.now += MINUTE
    hears(aws, aws.unsubscribe_confirmation(topic), asking)
    assert confirm(aws) == 0
    assert TopicSubscription.objects.get().ended_at == aws.now


def test_a_new_beginning_outlives_an_old_end(aws: FakeAWS, topic: str, switched_on: None) -> None:
    ended = aws.unsubscribe_confirmation(topic)
    aws.now += MINUTE
    hears(aws, aws.subscription_confirmation(topic), ended)
    assert confirm(aws) == 1
    row = TopicSubscription.objects.get()
    assert (row.confirmed_at, row.ended_at) == (aws.now, None)


def test_a_topic_that_was_taken_off_the_list_meanwhile_is_left_alone(
    aws: FakeAWS, topic: str, switched_on: None, settings: Settings
) -> None:
    asking: SnsMessage = aws.subscription_confirmation(topic)
    settings.AWS_SNS_TOPIC_ARNS = []
    hears(aws, asking)
    assert confirm(aws) == 0
    assert not TopicSubscription.objects.exists()
