"""SNS messages, verified: the order of checks is the point (facts/aws-marketplace, 2.11), and nothing is fetched for a
forgery.

Size (`marketplace.aws.views.sns`), JSON object, header and body agree, type, topic, signature version, the address of
the certificate, the certificate, the signature, the time. What a message asks to open (`SubscribeURL`) is never opened.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from django.conf import settings

from accounts.core import strict_json
from marketplace.aws import sns_certificates
from marketplace.aws.refusals import AwsRefusal

NOTIFICATION = "Notification"
SUBSCRIPTION = "SubscriptionConfirmation"
UNSUBSCRIPTION = "UnsubscribeConfirmation"

_ASKING = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
#: Which fields are signed, in this order (AWS, "Verifying the signatures of Amazon SNS messages").
SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: _ASKING,
    UNSUBSCRIPTION: _ASKING,
}
#: The one that may be missing: then it is no part of what is signed.
OPTIONAL = "Subject"
#: Version 1 is SHA1, which is weak; but topics have it unless set otherwise, and AWS's are AWS's to set.
HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303

#: SNS retries for at most an hour, in whatever policy.
LONGEST_RETRY = timedelta(seconds=3600)
#: That much their clock and ours may differ.
SLACK = timedelta(minutes=5)
#: What a message's id needs (it is a UUID), with room.
MAX_ID = 200

#: The names that Django gives to SNS's headers.
TYPE_HEADER = "HTTP_X_AMZ_SNS_MESSAGE_TYPE"
ID_HEADER = "HTTP_X_AMZ_SNS_MESSAGE_ID"
TOPIC_HEADER = "HTTP_X_AMZ_SNS_TOPIC_ARN"
RAW_HEADER = "HTTP_X_AMZ_SNS_RAWDELIVERY"


class RefusedSns(Exception):
    """The message is not accepted, now or later. The text says why, for the sender."""

    def __init__(self, reason: AwsRefusal, message: str, *, topic: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.topic = topic

    @property
    def status(self) -> int:
        return 400 if self.reason is AwsRefusal.MALFORMED else 403


@dataclass(frozen=True)
class Envelope:
    """What is known of a verified message."""

    type: str
    message_id: str
    topic: str


def verify(body: bytes, headers: Mapping[str, Any], *, at: datetime) -> Envelope:
    """The envelope of a message that AWS sent for a topic of ours. Raises `RefusedSns`, or
    `certificates.Unreachable`.
    """
    if str(headers.get(RAW_HEADER, "")).lower() not in ("", "false"):
        raise RefusedSns(AwsRefusal.RAW, "Raw message delivery is not signed. Switch it off for this subscription.")
    message = _object_in(body)
    envelope = _envelope_in(message, headers)
    topic = envelope.topic
    if topic not in settings.AWS_SNS_TOPIC_ARNS:
        raise RefusedSns(AwsRefusal.TOPIC, "This topic is not one of ours.", topic=topic)
    version = message.get("SignatureVersion")
    if not isinstance(version, str) or version not in HASHES:
        raise RefusedSns(AwsRefusal.VERSION, "SignatureVersion must be 1 or 2.", topic=topic)
    signed, signature = text_to_sign(message), _signature_in(message, topic)
    url = message.get("SigningCertURL")
    try:
        # The fourth part of a topic's ARN is its region; this topic is one of our settings.
        certificate = sns_certificates.certificate_at(
            url if isinstance(url, str) else "", region=topic.split(":")[3], at=at
        )
    except sns_certificates.Elsewhere as error:
        raise RefusedSns(AwsRefusal.CERTIFICATE_ADDRESS, str(error), topic=topic) from error
    except sns_certificates.Untrusted as error:
        raise RefusedSns(AwsRefusal.CERTIFICATE, str(error), topic=topic) from error
    try:
        certificate.key.verify(signature, signed, padding.PKCS1v15(), HASHES[version])
    except InvalidSignature as error:
        raise RefusedSns(AwsRefusal.SIGNATURE, "The signature does not match this message.", topic=topic) from error
    _check_time(message["Timestamp"], at, topic)
    return envelope


def text_to_sign(message: Mapping[str, Any]) -> bytes:
    """Name, line feed, value, line feed, for each signed field. Raises `RefusedSns` for one that is missing or no
    text.
    """
    lines = []
    for name in SIGNED[message["Type"]]:
        value = message.get(name)
        if value is None and name == OPTIONAL:
            continue
        if not isinstance(value, str):
            raise RefusedSns(AwsRefusal.MALFORMED, f"{name} is needed, as text.")
        lines.append(f"{name}\n{value}\n")
    return "".join(lines).encode()


def _object_in(body: bytes) -> dict[str, Any]:
    try:
        message = strict_json.parse(body)
    except strict_json.BadJSON as error:
        raise RefusedSns(AwsRefusal.MALFORMED, str(error)) from error
    if not isinstance(message, dict):
        raise RefusedSns(AwsRefusal.MALFORMED, "A message is a JSON object.")
    return message


def _envelope_in(message: Mapping[str, Any], headers: Mapping[str, Any]) -> Envelope:
    """Type, id and topic, of which header and body must say the same."""
    found = []
    for name, header in (("Type", TYPE_HEADER), ("MessageId", ID_HEADER), ("TopicArn", TOPIC_HEADER)):
        value, said = message.get(name), headers.get(header)
        if not isinstance(value, str) or not value:
            raise RefusedSns(AwsRefusal.MALFORMED, f"{name} is needed, as text.")
        if said is None:
            raise RefusedSns(
                AwsRefusal.MALFORMED, "The headers x-amz-sns-message-type, -message-id and -topic-arn are needed."
            )
        if said != value:
            raise RefusedSns(AwsRefusal.HEADERS, f"{name} and its header disagree.")
        found.append(value)
    envelope = Envelope(*found)
    if envelope.type not in SIGNED or len(envelope.message_id) > MAX_ID:
        raise RefusedSns(AwsRefusal.MALFORMED, f"Type must be one of {', '.join(SIGNED)}.", topic=envelope.topic)
    return envelope


def _signature_in(message: Mapping[str, Any], topic: str) -> bytes:
    try:
        return base64.b64decode(str(message.get("Signature", "")), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedSns(AwsRefusal.SIGNATURE, "The signature is not base64.", topic=topic) from error


def _check_time(timestamp: str, at: datetime, topic: str) -> None:
    try:
        sent = datetime.fromisoformat(timestamp)
    except ValueError as error:
        raise RefusedSns(AwsRefusal.MALFORMED, "Timestamp is not a date.", topic=topic) from error
    if sent.tzinfo is None:
        raise RefusedSns(AwsRefusal.MALFORMED, "Timestamp has no time zone.", topic=topic)
    if not at - LONGEST_RETRY - SLACK <= sent <= at + SLACK:
        raise RefusedSns(AwsRefusal.TIMESTAMP, "The message is too old, or from the future.", topic=topic)
