"""The fake AWS's API, asked through boto3 as the product asks it."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, HTTPClientError

from tests.fakes.aws import Agreement, FakeAWS, protocols
from tests.fakes.aws.protocols import Failed
from tests.fakes.aws.state import TOKEN_LIFE


@pytest.fixture(scope="module")
def served() -> Iterator[FakeAWS]:
    with FakeAWS() as aws:
        yield aws


@pytest.fixture
def aws(served: FakeAWS) -> FakeAWS:
    served.clear()
    return served


@pytest.fixture
def agreement(aws: FakeAWS) -> Agreement:
    return aws.buy(aws.buyer(customer_identifier="cust-1"), entitlements={"pro_seats": 5, "live": True}).agreement


def entitlements(aws: FakeAWS, **filters: list[str]) -> list[dict[str, Any]]:
    client = aws.client("marketplace-entitlement")
    rows, token = [], None
    while True:
        more: dict[str, str] = {"NextToken": token} if token else {}
        page = client.get_entitlements(ProductCode=aws.product().code, Filter=filters, **more)
        rows += page["Entitlements"]
        token = page.get("NextToken")
        if not token:
            return rows


def refused(call: Any, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_registration_token_says_who_bought_what(aws: FakeAWS, agreement: Agreement) -> None:
    resolve = aws.client("meteringmarketplace").resolve_customer
    token = aws.registration_token(agreement)
    for _time in range(2):
        answer = resolve(RegistrationToken=token)
        assert answer["ProductCode"] == agreement.product.code
        assert answer["CustomerAWSAccountId"] == agreement.buyer.account_id
        assert answer["CustomerIdentifier"] == "cust-1"
        assert answer["LicenseArn"] == agreement.license_arn
        assert answer["Metadata"] == {"AgreementId": agreement.id}
    aws.now += TOKEN_LIFE
    assert refused(resolve, RegistrationToken=token) == ("ExpiredTokenException", 400)
    assert refused(resolve, RegistrationToken="unknown") == ("InvalidTokenException", 400)


def test_a_new_integrations_buyer_has_no_customer_identifier_and_no_sns_message(aws: FakeAWS) -> None:
    bought = aws.buy(aws.buyer())
    aws.names_agreements = False
    answer = aws.client("meteringmarketplace").resolve_customer(
        RegistrationToken=aws.registration_token(bought.agreement)
    )
    assert "CustomerIdentifier" not in answer
    assert "Metadata" not in answer
    assert bought.sns == []
    assert len(bought.events) == 2


def test_entitlements_are_of_one_product_by_dimension(aws: FakeAWS, agreement: Agreement) -> None:
    assert [(row["Dimension"], row["Value"]) for row in entitlements(aws)] == [
        ("pro_seats", {"IntegerValue": 5}),
        ("live", {"BooleanValue": True}),
    ]
    assert {row["ExpirationDate"] for row in entitlements(aws)} == {agreement.ends_at}


def test_values_of_a_filter_are_alternatives_and_filters_are_conditions(aws: FakeAWS, agreement: Agreement) -> None:
    other = aws.buy(aws.buyer(), entitlements={"pro_seats": 1}).agreement
    accounts = [agreement.buyer.account_id, other.buyer.account_id]
    assert len(entitlements(aws, CUSTOMER_AWS_ACCOUNT_ID=accounts)) == 3
    assert len(entitlements(aws, CUSTOMER_AWS_ACCOUNT_ID=accounts, DIMENSION=["pro_seats"])) == 2
    assert len(entitlements(aws, LICENSE_ARN=[other.license_arn], DIMENSION=["pro_seats", "live"])) == 1
    assert entitlements(aws, LICENSE_ARN=[other.license_arn], CUSTOMER_IDENTIFIER=["cust-1"]) == []


@pytest.mark.parametrize("empty_pages", [0, 2])
def test_pages_and_empty_pages_hold_every_row_once(aws: FakeAWS, empty_pages: int) -> None:
    for _number in range(5):
        aws.buy(aws.buyer())
    aws.page_size, aws.empty_pages = 2, empty_pages
    rows = entitlements(aws)
    assert len({row["LicenseArn"] for row in rows}) == len(rows) == 5
    assert aws.count("marketplace-entitlement.GetEntitlements") == 3 * (1 + empty_pages)


def test_entitlements_end_with_the_final_hour_and_not_with_the_cancellation(aws: FakeAWS, agreement: Agreement) -> None:
    aws.unsubscribe(agreement)
    assert len(entitlements(aws)) == 2
    aws.finish_unsubscribe(agreement)
    assert entitlements(aws) == []


def test_a_future_agreement_entitles_to_nothing_yet(aws: FakeAWS) -> None:
    aws.buy(aws.buyer(), starts_at=aws.now + timedelta(days=3))
    assert entitlements(aws) == []
    aws.now += timedelta(days=3)
    assert len(entitlements(aws)) == 1


def test_an_agreement_is_described_through_its_life(aws: FakeAWS, agreement: Agreement) -> None:
    def described(one: Agreement) -> dict[str, Any]:
        answer: dict[str, Any] = aws.client("marketplace-agreement").describe_agreement(agreementId=one.id)
        return answer

    assert described(agreement)["status"] == "ACTIVE"
    assert described(agreement)["endTimeBehavior"] == {"type": "RENEW"}
    aws.set_auto_renewal(agreement, False)
    assert described(agreement)["endTimeBehavior"] == {"type": "EXPIRE", "reasonCode": "ACCEPTOR_RENEW_OPTED_OUT"}
    renewed = aws.renew(agreement).agreement
    assert (described(agreement)["status"], described(renewed)["status"]) == ("RENEWED", "ACTIVE")
    assert described(renewed)["initialAgreementId"] == agreement.id
    replaced = aws.replace(renewed, entitlements={"pro_seats": 9}).agreement
    assert described(renewed)["status"] == "REPLACED"
    aws.unsubscribe(replaced)
    assert described(replaced)["status"] == "CANCELLED"
    assert described(replaced)["endTime"] == aws.now
    client = aws.client("marketplace-agreement")
    assert refused(client.describe_agreement, agreementId="agmt-unknown") == ("ResourceNotFoundException", 404)


def test_agreements_are_found_by_what_the_model_documents(aws: FakeAWS, agreement: Agreement) -> None:
    aws.unsubscribe(aws.buy(aws.buyer()).agreement)
    aws.buy(aws.buyer(), channel_partner="999988887777")
    client = aws.client("marketplace-agreement")

    def found(**filters: str) -> list[str]:
        chosen = {"PartyType": "Proposer", "AgreementType": "PurchaseAgreement", **filters}
        answer = client.search_agreements(
            catalog="AWSMarketplace", filters=[{"name": name, "values": [value]} for name, value in chosen.items()]
        )
        return [each["agreementId"] for each in answer["agreementViewSummaries"]]

    # A reseller's agreement is the reseller's.
    assert len(found()) == 2
    assert found(Status="ACTIVE") == [agreement.id]
    assert found(AcceptorAccountId=agreement.buyer.account_id) == [agreement.id]
    assert found(LicenseArn=agreement.license_arn) == [agreement.id]
    assert found(PartyType="Acceptor") == []
    assert refused(client.search_agreements, catalog="AWSMarketplace") == ("ValidationException", 400)


def test_a_topic_is_confirmed_with_its_own_token_for_two_days(aws: FakeAWS) -> None:
    client = aws.client("sns")
    topic = aws.product().subscription_topic
    asked = aws.subscription_confirmation(topic).fields
    arn = client.confirm_subscription(TopicArn=topic, Token=asked["Token"], AuthenticateOnUnsubscribe="true")[
        "SubscriptionArn"
    ]
    assert arn.startswith(f"{topic}:")
    assert aws.confirmations[0].authenticate_on_unsubscribe
    assert refused(client.confirm_subscription, TopicArn=topic, Token="other") == ("InvalidParameter", 400)
    assert refused(client.confirm_subscription, TopicArn="arn:aws:sns:us-east-1:1:x", Token="x") == ("NotFound", 404)
    late = aws.subscription_confirmation(topic).fields
    aws.now += timedelta(days=2)
    assert refused(client.confirm_subscription, TopicArn=topic, Token=late["Token"]) == ("InvalidParameter", 400)


@pytest.mark.parametrize(
    ("service", "call", "arguments", "code", "status"),
    [
        ("meteringmarketplace", "resolve_customer", {"RegistrationToken": "x"}, "ThrottlingException", 400),
        ("meteringmarketplace", "resolve_customer", {"RegistrationToken": "x"}, "DisabledApiException", 400),
        ("meteringmarketplace", "resolve_customer", {"RegistrationToken": "x"}, "InternalServiceErrorException", 500),
        ("marketplace-entitlement", "get_entitlements", {"ProductCode": "x"}, "InternalServiceErrorException", 500),
        ("marketplace-agreement", "describe_agreement", {"agreementId": "x"}, "AccessDeniedException", 403),
        ("marketplace-agreement", "describe_agreement", {"agreementId": "x"}, "ThrottlingException", 429),
    ],
)
def test_each_documented_error_comes_on_demand_with_its_status(
    aws: FakeAWS, service: str, call: str, arguments: dict[str, str], code: str, status: int
) -> None:
    aws.fail(f"{service}.*", code, times=None)
    assert refused(getattr(aws.client(service), call), **arguments) == (code, status)


def test_faults_end_as_told(aws: FakeAWS, agreement: Agreement) -> None:
    describe = aws.client("marketplace-agreement").describe_agreement
    aws.fail("marketplace-agreement.*", "AccessDeniedException", times=1, skip=1)
    describe(agreementId=agreement.id)
    assert refused(describe, agreementId=agreement.id) == ("AccessDeniedException", 403)
    describe(agreementId=agreement.id)
    fault = aws.fail("marketplace-agreement.*", "AccessDeniedException", times=None)
    aws.heal(fault)
    describe(agreementId=agreement.id)


def test_a_slow_answer_is_late_and_right(aws: FakeAWS, agreement: Agreement) -> None:
    aws.fail("marketplace-agreement.*", slow=0.2)
    begun = time.monotonic()
    answer = aws.client("marketplace-agreement").describe_agreement(agreementId=agreement.id)
    assert answer["agreementId"] == agreement.id
    assert time.monotonic() - begun >= 0.2


def test_garbage_and_hanging_up_are_no_answers(aws: FakeAWS, agreement: Agreement) -> None:
    describe = aws.client("marketplace-agreement").describe_agreement
    aws.fail("marketplace-agreement.*", garbled=True, times=None)
    # What botocore makes of it is none of its own errors.
    with pytest.raises(UnicodeDecodeError):
        describe(agreementId=agreement.id)
    aws.heal()
    aws.fail("marketplace-agreement.*", hang=0, times=None)
    with pytest.raises(HTTPClientError):
        describe(agreementId=agreement.id)


def test_a_call_that_the_model_forbids_is_noted(aws: FakeAWS) -> None:
    headers = {
        "X-Amz-Target": "AWSMPEntitlementService.GetEntitlements",
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIATEST/20260302/us-east-1/aws-marketplace/aws4_request",
    }
    for body in ({}, {"ProductCode": "x", "Surprise": 1}, {"ProductCode": "x", "Filter": {"COLOUR": ["red"]}}):
        assert httpx.post(aws.url, json=body, headers=headers).status_code == 400
    assert len(aws.malformed) == 3
    assert aws.count() == 0


def test_the_old_wire_is_understood_too(aws: FakeAWS, agreement: Agreement) -> None:
    headers = {
        "X-Amz-Target": "AWSMPEntitlementService.GetEntitlements",
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIATEST/20260302/us-east-1/aws-marketplace/aws4_request",
    }
    answer = httpx.post(aws.url, json={"ProductCode": agreement.product.code}, headers=headers)
    assert len(answer.json()["Entitlements"]) == 2
    unsigned = httpx.post(
        aws.url,
        json={"ProductCode": agreement.product.code},
        headers={"X-Amz-Target": "AWSMPEntitlementService.GetEntitlements"},
    )
    assert (unsigned.status_code, unsigned.json()["__type"].partition("#")[2]) == (
        403,
        "MissingAuthenticationTokenException",
    )


def test_an_answer_that_aws_could_not_give_is_a_mistake_of_the_fake() -> None:
    call = protocols.ApiCall("marketplace-agreement", "DescribeAgreement", "cbor", {"agreementId": "x"}, "AKIATEST")
    for answer in ({"status": "GONE"}, {"agreementId": "with space"}, {"surprise": 1}, {"startTime": "soon"}):
        with pytest.raises(AssertionError):
            protocols.answer(call, answer)
    assert protocols.failure(call, Failed("ResourceNotFoundException")).status == 404


def test_every_request_is_counted(aws: FakeAWS) -> None:
    assert aws.count() == 0
    httpx.get(f"{aws.url}/latest/meta-data/")
    assert [str(request) for request in aws.requests] == ["GET /latest/meta-data/ -> 404"]
