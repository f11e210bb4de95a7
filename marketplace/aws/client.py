"""AWS's APIs: the calls we make, and what each answer means (facts/aws-marketplace, 2.5 and 2.6).

boto3 signs and speaks; retrying is ours, because its own sleeps in the worker. Every call is made outside of
transactions. Answers are read into plain values here, so that nothing above knows the shape of AWS's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError
from django.conf import settings

from accounts.core import clock, foreign_input
from marketplace.aws.payload_shapes import licence_in
from marketplace.aws.vocabulary import Names

#: Seconds to reach AWS, and to wait for its answer.
CONNECT_TIMEOUT = 3
READ_TIMEOUT = 10
#: AWS says that we ask too often, but not until when.
LIMIT = timedelta(minutes=1)
#: More pages than any product has customers for; a loop of tokens ends here.
MAX_PAGES = 10_000
#: The most that these calls give at once.
ENTITLEMENTS_AT_ONCE, AGREEMENTS_AT_ONCE = 25, 50
#: Agreements are kept by this catalogue, and ours are of this type.
CATALOGUE, AGREEMENT_TYPE = "AWSMarketplace", "PurchaseAgreement"

DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "DisabledApiException",
        "ExpiredToken",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)


class AwsError(Exception):
    """A call to AWS did not give an answer that means anything."""


class AwsNotConfigured(AwsError):
    """There are no credentials."""


class AwsUnavailable(AwsError):
    """AWS did not answer, or not sensibly: try again later."""


class AwsDenied(AwsError):
    """Our credentials don't allow this call, now or in an hour."""


class AwsLimited(AwsError):
    """We ask too often: nothing should be asked before `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"throttled until {until:%Y-%m-%d %H:%M:%S} UTC")
        self.until = until


class InvalidToken(AwsError):
    """ResolveCustomer does not know this registration token."""


class ExpiredToken(AwsError):
    """The registration token was good, and is too old."""


@dataclass(frozen=True)
class ListedAgreement:
    """An agreement as AWS lists it."""

    agreement_id: str
    #: The first of its chain of renewals and replacements; its own id if there is none before.
    initial_id: str
    status: str
    aws_account_id: str
    product_ids: tuple[str, ...]
    offer_id: str
    licence_ids: tuple[str, ...]
    accepted_at: datetime | None
    starts_at: datetime | None
    ends_at: datetime | None
    auto_renewal: bool | None
    trial_ends_at: datetime | None


@dataclass(frozen=True)
class Entitled:
    """One entitlement: so much of a dimension, at least until `expires_at`."""

    product_code: str
    dimension: str
    aws_account_id: str
    customer_identifier: str
    licence_id: str
    #: None where the value is no whole number.
    quantity: int | None
    expires_at: datetime | None


def is_configured() -> bool:
    """Whether we sell at AWS Marketplace and can ask about it. The credentials themselves are never looked at."""
    return bool(settings.AWS_PRODUCT_CODES) and _has_credentials()


def resolve_customer(token: str, *, at: datetime) -> Names:
    """Who registers with this token. Raises `InvalidToken` and `ExpiredToken`, and the other kinds of `AwsError`."""
    answer = _call("meteringmarketplace", "resolve_customer", at, RegistrationToken=token)
    metadata = answer.get("Metadata") or {}
    return Names(
        agreement_id=str(metadata.get("AgreementId") or "").strip(),
        licence_id=licence_in(str(answer.get("LicenseArn") or "")),
        aws_account_id=str(answer.get("CustomerAWSAccountId") or "").strip(),
        customer_identifier=str(answer.get("CustomerIdentifier") or "").strip(),
        product_code=str(answer.get("ProductCode") or "").strip(),
    )


def entitlements(
    product_code: str,
    *,
    aws_account_id: str = "",
    customer_identifier: str = "",
    at: datetime,
    stop: datetime | None = None,
) -> list[Entitled]:
    """All entitlements to a product, of one customer or of all: every page, empty ones with a token too.

    Raises `AwsUnavailable` if they have not all been read by `stop`, by the clock.
    """
    asked: dict[str, Any] = {"ProductCode": product_code, "MaxResults": ENTITLEMENTS_AT_ONCE}
    # The two are mutually exclusive at AWS.
    if aws_account_id:
        asked["Filter"] = {"CUSTOMER_AWS_ACCOUNT_ID": [aws_account_id]}
    elif customer_identifier:
        asked["Filter"] = {"CUSTOMER_IDENTIFIER": [customer_identifier]}
    pages = _pages("marketplace-entitlement", "get_entitlements", "NextToken", asked, at, stop)
    return [_entitled(item) for page in pages for item in page.get("Entitlements") or []]


def agreements(*, aws_account_id: str = "", at: datetime, stop: datetime | None = None) -> list[ListedAgreement]:
    """All agreements that we proposed, with one buyer or with all, in every status.

    Raises `AwsUnavailable` at `stop`.
    """
    filters = {"PartyType": "Proposer", "AgreementType": AGREEMENT_TYPE}
    if aws_account_id:
        filters["AcceptorAccountId"] = aws_account_id
    asked = {
        "catalog": CATALOGUE,
        "filters": [{"name": name, "values": [value]} for name, value in filters.items()],
        "maxResults": AGREEMENTS_AT_ONCE,
    }
    pages = _pages("marketplace-agreement", "search_agreements", "nextToken", asked, at, stop)
    return [_held(item) for page in pages for item in page.get("agreementViewSummaries") or []]


def agreement(agreement_id: str, *, at: datetime) -> ListedAgreement | None:
    """One agreement, also one that another party proposed for our product. None: AWS knows of none."""
    try:
        return _held(_call("marketplace-agreement", "describe_agreement", at, agreementId=agreement_id))
    except _NotFound:
        return None


def confirm_subscription(topic: str, token: str, *, at: datetime) -> str:
    """Say to a topic, in its own region, that we want its messages. Returns the ARN of the subscription.

    From then on only we and the topic's owner can end it: the `UnsubscribeURL` in each message does nothing by itself.
    """
    answer = _call(
        "sns",
        "confirm_subscription",
        at,
        region=topic.split(":")[3],
        TopicArn=topic,
        Token=token,
        AuthenticateOnUnsubscribe="true",
    )
    return str(answer.get("SubscriptionArn") or "")


class _NotFound(AwsError):
    pass


def _entitled(item: Mapping[str, Any]) -> Entitled:
    value = item.get("Value") or {}
    quantity = value.get("IntegerValue")
    return Entitled(
        product_code=str(item.get("ProductCode") or ""),
        dimension=str(item.get("Dimension") or ""),
        aws_account_id=str(item.get("CustomerAWSAccountId") or ""),
        customer_identifier=str(item.get("CustomerIdentifier") or ""),
        licence_id=licence_in(str(item.get("LicenseArn") or "")),
        quantity=foreign_input.quantity(quantity, most=foreign_input.MAX_SEATS),
        expires_at=_instant(item.get("ExpirationDate")),
    )


def _held(item: Mapping[str, Any]) -> ListedAgreement:
    """SearchAgreements' summary or DescribeAgreement's answer: they differ in how they say what happens at the end."""
    proposal = item.get("proposalSummary") or {}
    behaviour = item.get("endTimeBehaviorType") or (item.get("endTimeBehavior") or {}).get("type")
    trial = item.get("freeTrialEndTime") or (item.get("freeTrialSummary") or {}).get("trialEndTime")
    licences = (licence_in(str(found.get("licenseArn") or "")) for found in item.get("entitlements") or [])
    agreement_id = str(item.get("agreementId") or "")
    return ListedAgreement(
        agreement_id=agreement_id,
        initial_id=str(item.get("initialAgreementId") or agreement_id),
        status=str(item.get("status") or "").upper(),
        aws_account_id=str((item.get("acceptor") or {}).get("accountId") or ""),
        product_ids=tuple(str(resource.get("id") or "") for resource in proposal.get("resources") or []),
        offer_id=str(proposal.get("offerId") or ""),
        licence_ids=tuple(licence for licence in licences if licence),
        accepted_at=_instant(item.get("acceptanceTime")),
        starts_at=_instant(item.get("startTime")),
        ends_at=_instant(item.get("endTime")),
        auto_renewal=None if behaviour is None else behaviour != "EXPIRE",
        trial_ends_at=_instant(trial),
    )


def _instant(value: object) -> datetime | None:
    """In UTC. A year that can't be meant, such as the end of a contract without one, counts as not told."""
    return value.astimezone(UTC) if isinstance(value, datetime) and foreign_input.is_within_years(value) else None


def _pages(
    service: str,
    operation: str,
    token_name: str,
    asked: Mapping[str, Any],
    at: datetime,
    stop: datetime | None,
) -> Iterator[dict[str, Any]]:
    """Every page. Raises rather than leave one out: a page that fails is no shorter list."""
    token: str | None = None
    for _page in range(MAX_PAGES):
        if stop and clock.now() >= stop:
            raise AwsUnavailable(f"{operation}: too slow to be read whole")
        answer = _call(service, operation, at, **asked, **({token_name: token} if token else {}))
        yield answer
        # An empty page may still have a successor: only the token tells (facts/aws-marketplace, 2.6).
        token = answer.get(token_name)
        if not token:
            return
    raise AwsUnavailable(f"{operation}: more than {MAX_PAGES} pages")


def _call(service: str, operation: str, at: datetime, *, region: str = "", **arguments: Any) -> dict[str, Any]:
    """One call. Raises one of `AwsError`'s kinds; no message of ours repeats what was sent."""
    try:
        client = _client(service, region or settings.AWS_REGION, settings.AWS_ENDPOINT_URL)
        answer = getattr(client, operation)(**arguments)
    except ClientError as error:
        raise _kind(operation, error, at) from error
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
        raise AwsNotConfigured(f"{operation}: {type(error).__name__}") from error
    except (BotoCoreError, ResponseParserError, ValueError) as error:
        # A body that is no JSON or no UTF-8 comes out of botocore as it is.
        raise AwsUnavailable(f"{operation}: {type(error).__name__}") from error
    if not isinstance(answer, dict):
        raise AwsUnavailable(f"{operation}: no object")
    return answer


def _kind(operation: str, error: ClientError, at: datetime) -> AwsError:
    described = error.response.get("Error", {})
    code, message = str(described.get("Code", "")), str(described.get("Message", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{operation}: {status} {code}"
    # The same code says that our own session has expired: that is nothing a buyer can help.
    if code == "ExpiredTokenException" and "security token" not in message.lower():
        return ExpiredToken(said)
    if code == "InvalidTokenException":
        return InvalidToken(said)
    if code in DENIED or code == "ExpiredTokenException":
        return AwsDenied(said)
    if code == "ResourceNotFoundException":
        return _NotFound(said)
    if "Throttl" in code or code in ("TooManyRequestsException", "LimitExceededException") or status == 429:
        return AwsLimited(at + LIMIT)
    return AwsUnavailable(said)


@cache
def _client(service: str, region: str, endpoint_url: str) -> Any:
    """One for each service: making it reads AWS's models, and it may be used by all threads."""
    return boto3.session.Session().client(
        service,
        region_name=region,
        endpoint_url=endpoint_url or None,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"total_max_attempts": 1, "mode": "standard"},
        ),
    )


@cache
def _has_credentials() -> bool:
    """Looked for once: where none are set, boto3 asks the machine's own address for them, which takes seconds."""
    return boto3.session.Session().get_credentials() is not None
