"""What AWS sends: SNS messages over HTTPS, and EventBridge events by an API destination."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from tests.fakes.aws.protocols import Json
from tests.fakes.aws.signing import Signer
from tests.fakes.aws.state import Agreement

#: The header in which the connection of the API destination sends its secret.
KEY_HEADER = "X-Api-Key"


@dataclass(frozen=True)
class Message:
    """Exactly these bytes, under these headers. Posting it again is a retry: the same id."""

    source: Literal["aws_sns", "aws_events"]
    delivery_id: str
    #: The type of an SNS message, the detail-type of an event.
    event: str
    body: bytes
    headers: dict[str, str]

    @property
    def content_type(self) -> str:
        return self.headers["Content-Type"]

    def with_headers(self, **changes: str | None) -> "Message":
        """The same bytes under other headers; None leaves one out. Underscores stand for hyphens."""
        headers = dict(self.headers)
        for name, value in changes.items():
            named = name.replace("_", "-").lower()
            headers = {known: text for known, text in headers.items() if known.lower() != named}
            if value is not None:
                headers[named] = value
        return replace(self, headers=headers)

    def post(self, url: str, *, timeout: float = 10) -> int:
        """Posts it and returns the status. Only to this machine. OSError if nobody answers within `timeout` seconds."""
        if urllib.parse.urlsplit(url).hostname != "127.0.0.1":
            raise ValueError(f"The fake posts to 127.0.0.1 only, not to {url}")
        request = urllib.request.Request(url, data=self.body, headers=self.headers, method="POST")  # noqa: S310
        try:
            # A new opener each time: the process may have a proxy set.
            with urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect()).open(
                request, timeout=timeout
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            refusal.close()
            return refusal.code


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


@dataclass(frozen=True)
class SnsMessage(Message):
    fields: dict[str, str]
    signer: Signer

    def altered(
        self, alter: Callable[[dict[str, str]], object], *, signer: Signer | None = None, sign: bool = True
    ) -> "SnsMessage":
        """Another one whose fields `alter` has changed, signed anew unless told not to."""
        fields = dict(self.fields)
        alter(fields)
        return sns_message(fields, signer=signer or self.signer, sign=sign)


@dataclass(frozen=True)
class Event(Message):
    envelope: Json
    token: str

    def altered(self, alter: Callable[[Json], object]) -> "Event":
        """Another one whose envelope `alter` has changed."""
        envelope = json.loads(json.dumps(self.envelope))
        alter(envelope)
        return event(envelope, token=self.token)


@dataclass(frozen=True)
class Happened:
    """What a verb did: the agreement that it was about, and all that AWS would send, in the order of sending."""

    agreement: Agreement
    messages: list[Message] = field(default_factory=list)

    @property
    def sns(self) -> list[Message]:
        return [message for message in self.messages if message.source == "aws_sns"]

    @property
    def events(self) -> list[Message]:
        return [message for message in self.messages if message.source == "aws_events"]


def sns_message(fields: dict[str, str], *, signer: Signer, sign: bool = True) -> SnsMessage:
    """The message with these fields. Signature and certificate URL are added, or left as they are given."""
    fields = dict(fields)
    if sign:
        fields["SigningCertURL"] = signer.certificate_url
        fields["Signature"] = signer.sign(fields, version=fields["SignatureVersion"])
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
        "x-amz-sns-message-type": fields["Type"],
        "x-amz-sns-message-id": fields["MessageId"],
        "x-amz-sns-topic-arn": fields["TopicArn"],
    }
    if fields["Type"] != "SubscriptionConfirmation":
        headers["x-amz-sns-subscription-arn"] = f"{fields['TopicArn']}:1b2c3d4e-0000-4000-8000-000000000001"
    return SnsMessage(
        source="aws_sns",
        delivery_id=fields["MessageId"],
        event=fields["Type"],
        # SNS writes its JSON over several lines.
        body=json.dumps(fields, indent=2, ensure_ascii=False).encode(),
        headers=headers,
        fields=fields,
        signer=signer,
    )


def event(envelope: Json, *, token: str) -> Event:
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Amazon/EventBridge/ApiDestinations",
        KEY_HEADER: token,
    }
    return Event(
        source="aws_events",
        delivery_id=str(envelope["id"]),
        event=str(envelope["detail-type"]),
        body=json.dumps(envelope, ensure_ascii=False).encode(),
        headers=headers,
        envelope=envelope,
        token=token,
    )


def shuffled(messages: Iterable[Message], order: Callable[[list[Message]], object]) -> list[Message]:
    """In an order of the caller's choice, e.g. `random.Random(7).shuffle`."""
    mixed = list(messages)
    order(mixed)
    return mixed
