"""The calls that the fake answers, each by what the world knows."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.fakes.aws.protocols import ApiCall, Failed, Json
from tests.fakes.aws.state import CONFIRMATION_LIFE, SELLER, TOKEN_LIFE, Agreement, Quantity

if TYPE_CHECKING:
    from tests.fakes.aws.fake import FakeAWS

#: What a page holds unless the caller asks for less.
PAGE = 25


def perform(aws: "FakeAWS", call: ApiCall) -> Json:
    """The answer. Raises `Failed`."""
    if not call.access_key:
        raise Failed("MissingAuthenticationTokenException", "Request is missing Authentication Token", 403)
    operation = _OPERATIONS.get(call.name)
    if operation is None:
        raise Failed("AccessDeniedException", f"The role of the seller may not call {call.name}", 403)
    return operation(aws, call.arguments)


def resolve_customer(aws: "FakeAWS", arguments: Json) -> Json:
    """The same answer for one token until it expires."""
    token = aws.tokens.get(arguments["RegistrationToken"])
    if token is None:
        raise Failed("InvalidTokenException", "Registration token is invalid.")
    if aws.now >= token.issued_at + TOKEN_LIFE:
        raise Failed("ExpiredTokenException", "The submitted registration token has expired.")
    agreement = token.agreement
    result: Json = {
        "ProductCode": agreement.product.code,
        "CustomerAWSAccountId": agreement.buyer.account_id,
        "LicenseArn": agreement.license_arn,
    }
    if agreement.buyer.customer_identifier:
        result["CustomerIdentifier"] = agreement.buyer.customer_identifier
    if aws.names_agreements:
        result["Metadata"] = {"AgreementId": agreement.id}
    return result


def get_entitlements(aws: "FakeAWS", arguments: Json) -> Json:
    """Values of one filter are alternatives, filters are conditions. A page may be empty and yet not the last."""
    if arguments["ProductCode"] not in aws.products:
        raise Failed("InvalidParameterException", "The product code is not one of the caller's.")
    rows = [
        _entitlement(agreement, dimension, value)
        for agreement in aws.agreements.values()
        if agreement.product.code == arguments["ProductCode"] and agreement.grants_at(aws.now)
        for dimension, value in agreement.entitlements.items()
    ]
    members = {
        "CUSTOMER_IDENTIFIER": "CustomerIdentifier",
        "DIMENSION": "Dimension",
        "CUSTOMER_AWS_ACCOUNT_ID": "CustomerAWSAccountId",
        "LICENSE_ARN": "LicenseArn",
    }
    for name, values in arguments.get("Filter", {}).items():
        rows = [row for row in rows if row.get(members[name]) in values]
    page, token = _page(aws, rows, arguments.get("NextToken"), arguments.get("MaxResults", PAGE))
    return {"Entitlements": page, **({"NextToken": token} if token else {})}


def describe_agreement(aws: "FakeAWS", arguments: Json) -> Json:
    agreement = _agreement(aws, arguments["agreementId"])
    behaviour = _end_time_behaviour(agreement)
    described: Json = {
        "agreementId": agreement.id,
        "acceptor": {"accountId": agreement.buyer.account_id},
        "proposer": {"accountId": agreement.proposer},
        "startTime": agreement.starts_at,
        "acceptanceTime": agreement.accepted_at,
        "agreementType": "PurchaseAgreement",
        "proposalSummary": _proposal(agreement),
        "status": agreement.status,
        "initialAgreementId": agreement.initial.id,
    }
    if agreement.ends_at:
        described |= {"endTime": agreement.ends_at, "endTimeBehavior": behaviour}
    if agreement.trial_ends_at:
        described["freeTrialSummary"] = {"trialEndTime": agreement.trial_ends_at}
    return described


def search_agreements(aws: "FakeAWS", arguments: Json) -> Json:
    filters = {each["name"]: each["values"][0] for each in arguments.get("filters", [])}
    if "AgreementType" not in filters or "PartyType" not in filters:
        raise Failed("ValidationException", "AgreementType and PartyType are required filters.")
    unknown = set(filters) - set(_SEARCHES) - {"AgreementType", "PartyType"}
    if unknown:
        raise Failed("ValidationException", f"Filters not supported: {', '.join(sorted(unknown))}")
    # The seller proposes direct offers only; a reseller's are the reseller's.
    found = [agreement for agreement in aws.agreements.values() if agreement.proposer == SELLER]
    if filters["PartyType"] != "Proposer" or filters["AgreementType"] != "PurchaseAgreement":
        found = []
    for name, value in filters.items():
        if name in _SEARCHES:
            found = [agreement for agreement in found if _SEARCHES[name](agreement, value)]
    page, token = _page(aws, found, arguments.get("nextToken"), arguments.get("maxResults", 50))
    return {"agreementViewSummaries": [_summary(each) for each in page], **({"nextToken": token} if token else {})}


def get_agreement_terms(aws: "FakeAWS", arguments: Json) -> Json:
    """The terms that matter here: what was bought, until when, and whether it renews."""
    agreement = _agreement(aws, arguments["agreementId"])
    terms: list[Json] = []
    if agreement.ends_at:
        terms.append(
            {"validityTerm": {"type": "ValidityTerm", "agreementEndDate": agreement.ends_at}},
        )
        terms.append(
            {"renewalTerm": {"type": "RenewalTerm", "configuration": {"enableAutoRenew": agreement.auto_renewal}}}
        )
        dimensions = [
            {"dimensionKey": name, "dimensionValue": value}
            for name, value in agreement.entitlements.items()
            if isinstance(value, int) and not isinstance(value, bool)
        ]
        if dimensions:
            terms.append(
                {
                    "configurableUpfrontPricingTerm": {
                        "type": "ConfigurableUpfrontPricingTerm",
                        "currencyCode": "USD",
                        "configuration": {"selectorValue": "P12M", "dimensions": dimensions},
                    }
                }
            )
    return {"acceptedTerms": terms}


def confirm_subscription(aws: "FakeAWS", arguments: Json) -> Json:
    """Confirmed twice with one token: the same answer. The flag of the first time stays."""
    for known in aws.confirmations:
        if known.topic != arguments["TopicArn"]:
            continue
        if known.token == arguments["Token"]:
            if aws.now >= known.asked_at + CONFIRMATION_LIFE:
                raise Failed("InvalidParameterException", "Invalid parameter: Token")
            if known.subscription_arn is None:
                known.subscription_arn = f"{known.topic}:{aws.uuid()}"
                known.authenticate_on_unsubscribe = arguments.get("AuthenticateOnUnsubscribe") == "true"
            return {"SubscriptionArn": known.subscription_arn}
    if not any(arguments["TopicArn"] in product.topics for product in aws.products.values()):
        raise Failed("NotFoundException", "Topic does not exist")
    raise Failed("InvalidParameterException", "Invalid parameter: Token")


def _agreement(aws: "FakeAWS", agreement_id: str) -> Agreement:
    agreement = aws.agreements.get(agreement_id)
    if agreement is None:
        raise Failed("ResourceNotFoundException", "Agreement not found.")
    return agreement


def _entitlement(agreement: Agreement, dimension: str, value: Quantity) -> Json:
    kind = {bool: "BooleanValue", int: "IntegerValue", float: "DoubleValue", str: "StringValue"}[type(value)]
    row: Json = {
        "ProductCode": agreement.product.code,
        "Dimension": dimension,
        "CustomerAWSAccountId": agreement.buyer.account_id,
        "Value": {kind: value},
        "LicenseArn": agreement.license_arn,
    }
    if agreement.buyer.customer_identifier:
        row["CustomerIdentifier"] = agreement.buyer.customer_identifier
    if agreement.ends_at:
        row["ExpirationDate"] = agreement.ends_at
    return row


def _summary(agreement: Agreement) -> Json:
    behaviour = _end_time_behaviour(agreement)
    summary: Json = {
        "agreementId": agreement.id,
        "acceptanceTime": agreement.accepted_at,
        "startTime": agreement.starts_at,
        "lastUpdateTime": agreement.updated_at,
        "agreementType": "PurchaseAgreement",
        "acceptor": {"accountId": agreement.buyer.account_id},
        "proposer": {"accountId": agreement.proposer},
        "proposalSummary": _proposal(agreement),
        "status": agreement.status,
        "entitlements": [{"licenseArn": agreement.license_arn}],
        "initialAgreementId": agreement.initial.id,
    }
    if agreement.ends_at:
        summary |= {"endTime": agreement.ends_at, "endTimeBehaviorType": behaviour["type"]}
        if "reasonCode" in behaviour:
            summary["endTimeBehaviorReasonCode"] = behaviour["reasonCode"]
    if agreement.trial_ends_at:
        summary["freeTrialEndTime"] = agreement.trial_ends_at
    return summary


def _proposal(agreement: Agreement) -> Json:
    return {
        "resources": [{"id": agreement.product.id, "type": "SaaSProduct"}],
        "offerId": agreement.offer_id,
    }


def _end_time_behaviour(agreement: Agreement) -> Json:
    if agreement.auto_renewal:
        return {"type": "RENEW"}
    return {"type": "EXPIRE", "reasonCode": f"{agreement.disabled_by or 'ACCEPTOR'}_RENEW_OPTED_OUT"}


def _page(aws: "FakeAWS", rows: list[Any], token: str | None, size: int) -> tuple[list[Any], str | None]:
    """A page and the token of the next. `aws.page_size` makes pages small; `aws.empty_pages` come before each."""
    size = min(size, aws.page_size)
    position, _, empties = (token or "page-0-0").removeprefix("page-").partition("-")
    start, served = int(position), int(empties)
    if served < aws.empty_pages:
        return [], f"page-{start}-{served + 1}"
    after = start + size
    return rows[start:after], f"page-{after}-0" if after < len(rows) else None


def _date(value: str) -> datetime:
    return datetime.fromisoformat(value.replace("Z", "+00:00"))


_FAR = timedelta(days=365_000)
_SEARCHES: dict[str, Callable[[Agreement, str], bool]] = {
    "ResourceIdentifier": lambda agreement, value: agreement.product.id == value,
    "ResourceType": lambda agreement, value: value == "SaaSProduct",
    "AcceptorAccountId": lambda agreement, value: agreement.buyer.account_id == value,
    "OfferId": lambda agreement, value: agreement.offer_id == value,
    "Status": lambda agreement, value: agreement.status == value,
    "InitialAgreementId": lambda agreement, value: agreement.initial.id == value,
    "LicenseArn": lambda agreement, value: agreement.license_arn == value,
    "EndTimeBehaviorType": lambda agreement, value: _end_time_behaviour(agreement)["type"] == value,
    "BeforeEndTime": lambda agreement, value: (agreement.ends_at or agreement.starts_at + _FAR) < _date(value),
    "AfterEndTime": lambda agreement, value: (agreement.ends_at or agreement.starts_at + _FAR) > _date(value),
    "BeforeStartTime": lambda agreement, value: agreement.starts_at < _date(value),
    "AfterStartTime": lambda agreement, value: agreement.starts_at > _date(value),
    "BeforeLastUpdateTime": lambda agreement, value: agreement.updated_at < _date(value),
    "AfterLastUpdateTime": lambda agreement, value: agreement.updated_at > _date(value),
}
_OPERATIONS: dict[str, Callable[["FakeAWS", Json], Json]] = {
    "meteringmarketplace.ResolveCustomer": resolve_customer,
    "marketplace-entitlement.GetEntitlements": get_entitlements,
    "marketplace-agreement.DescribeAgreement": describe_agreement,
    "marketplace-agreement.SearchAgreements": search_agreements,
    "marketplace-agreement.GetAgreementTerms": get_agreement_terms,
    "sns.ConfirmSubscription": confirm_subscription,
}
