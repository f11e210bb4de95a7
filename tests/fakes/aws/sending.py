"""What each happening looks like on the wire: SNS bodies in both spellings, EventBridge events of each type."""

import json
from typing import Any

from tests.fakes.aws import messages, signing
from tests.fakes.aws.messages import Event, SnsMessage
from tests.fakes.aws.protocols import Json
from tests.fakes.aws.signing import Certificate, Signer
from tests.fakes.aws.state import REGION, SELLER, Agreement, Confirmation, Product, World, instant, with_milliseconds

#: Agreement events go to the proposer of a direct offer; licence events to the manufacturer only.
PROPOSER, MANUFACTURER = "Proposer", "Manufacturer"


class Sending(World):
    url: str
    #: "1" is SHA1, which topics use unless set otherwise; "2" is SHA256.
    signature_version = "1"
    #: "old" names the keys CustomerIdentifier and ProductCode, as an older page of AWS's did.
    spelling: str = "new"
    #: Stray spaces around values, as in AWS's examples.
    spaced = False
    #: AWS's example of a licence event has no leading `arn:`.
    bare_license_arns = False
    #: The newer copy of AWS's page has more fields.
    newer_events = True
    events_token = "test-events-token"

    def __init__(self) -> None:
        self.authority = signing.authority()
        super().__init__()

    def clear(self) -> None:
        super().clear()
        #: What is served as a certificate, by path.
        self.certificates: dict[str, bytes] = {}
        leaf = self.authority.leaf()
        self.signer = self.serve(leaf, pem=leaf.pem + self.authority.intermediate.pem)

    def uuid(self) -> str:
        text = self._text(32)
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    # Certificates

    def serve(self, certificate: Certificate, *, pem: bytes | None = None, name: str = "") -> Signer:
        """Serve a certificate (or these bytes); what signs with it, under the address that SNS would give."""
        path = f"/SimpleNotificationService-{name or self._text(32)}.pem"
        self.certificates[path] = certificate.pem if pem is None else pem
        return Signer(f"https://sns.{REGION}.amazonaws.com{path}", certificate.key)

    @property
    def trust(self) -> bytes:
        """PEM of the root that is to be trusted."""
        return self.authority.root.pem

    # SNS

    def notification(
        self,
        topic: str,
        text: str,
        *,
        subject: str | None = None,
        version: str | None = None,
        signer: Signer | None = None,
    ) -> SnsMessage:
        fields = {
            "Type": "Notification",
            "MessageId": self.uuid(),
            "TopicArn": topic,
            **({"Subject": subject} if subject is not None else {}),
            "Message": text,
            "Timestamp": with_milliseconds(self.now),
            "SignatureVersion": version or self.signature_version,
            "UnsubscribeURL": f"https://sns.{REGION}.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={topic}:1",
        }
        return messages.sns_message(fields, signer=signer or self.signer)

    def subscription_confirmation(self, topic: str, *, version: str | None = None) -> SnsMessage:
        """The topic asks; its token can then be used with `ConfirmSubscription`, for two days."""
        with self.lock:
            asked = Confirmation(topic, "".join(self._text(32) for _part in range(8)), self.now)
            self.confirmations.append(asked)
        return self._asking("SubscriptionConfirmation", topic, asked.token, version, "subscribe to")

    def unsubscribe_confirmation(self, topic: str, *, version: str | None = None) -> SnsMessage:
        """The topic says that it sends no more; its address would subscribe again."""
        return self._asking("UnsubscribeConfirmation", topic, self._text(32) * 8, version, "deactivate subscription to")

    def about(self, agreement: Agreement, action: str, *, offer: bool = False) -> list[SnsMessage]:
        """Of a marketplace topic. New integrations' buyers have no customer identifier, and no SNS message."""
        identifier = agreement.buyer.customer_identifier
        if identifier is None:
            return []
        product = agreement.product
        entitlement = action == "entitlement-updated"
        old = self.spelling == "old"
        body: Json = {
            "action": action,
            "CustomerIdentifier" if old else "customer-identifier": identifier,
            "ProductCode" if old else "product-code": product.code,
        }
        if offer and not entitlement:
            body["offer-identifier"] = agreement.offer_id
        if not entitlement:
            body["isFreeTrialTermPresent"] = "true" if agreement.trial_ends_at else "false"
        if self.spaced:
            body = {name: f" {value} " for name, value in body.items()}
        topic = product.entitlement_topic if entitlement else product.subscription_topic
        return [self.notification(topic, json.dumps(body))]

    def _asking(self, kind: str, topic: str, token: str, version: str | None, what: str) -> SnsMessage:
        address = f"https://sns.{REGION}.amazonaws.com/?Action=ConfirmSubscription&TopicArn={topic}&Token={token}"
        fields = {
            "Type": kind,
            "MessageId": self.uuid(),
            "Token": token,
            "TopicArn": topic,
            "Message": f"You have chosen to {what} the topic {topic}.\nTo confirm, visit the SubscribeURL.",
            "SubscribeURL": address,
            "Timestamp": with_milliseconds(self.now),
            "SignatureVersion": version or self.signature_version,
        }
        return messages.sns_message(fields, signer=self.signer)

    # EventBridge

    def event(self, detail_type: str, agreement: Agreement, detail: Json) -> Event:
        """Any event, in the envelope of the seller's bus."""
        return messages.event(
            {
                "version": "0",
                "id": self.uuid(),
                "detail-type": detail_type,
                "source": "aws.agreement-marketplace",
                "account": SELLER,
                "time": instant(self.now),
                "region": REGION,
                "resources": [agreement.arn],
                "detail": detail,
            },
            token=self.events_token,
        )

    def created(self, agreement: Agreement) -> Event:
        detail = self._agreement_detail(agreement, self._terms(agreement) | {"intent": agreement.intent})
        if self.newer_events:
            if agreement.intent == "RENEW" and agreement.previous:
                detail["agreement"]["previousAgreementId"] = agreement.previous.id
            detail["proposer"]["name"] = "Blueprints Ltd"
        return self._agreement_event("Purchase Agreement Created", agreement, detail)

    def amended(self, agreement: Agreement) -> Event:
        detail = self._agreement_detail(agreement, self._terms(agreement) | {"intent": "AMEND"})
        if self.newer_events:
            detail["agreement"]["autoRenewalEnabled"] = agreement.auto_renewal
            detail["renewalSummary"] = self._renewal(agreement)
        return self._agreement_event("Purchase Agreement Amended", agreement, detail)

    def ended(self, agreement: Agreement) -> Event:
        detail = self._agreement_detail(agreement, {"id": agreement.id, "status": agreement.status})
        return self._agreement_event("Purchase Agreement Ended", agreement, detail)

    def ending(self, agreement: Agreement, *, days: int) -> Event:
        """180, 120, 90, 60 and 30 days before the end."""
        terms = self._terms(agreement)
        terms |= {"daysBeforeEndTime": days, "autoRenewalEnabled": agreement.auto_renewal}
        detail = self._agreement_detail(agreement, terms) | {"renewalSummary": self._renewal(agreement)}
        return self.event(f"Purchase Agreement Ending - {PROPOSER}", agreement, detail)

    def renewal_terms_finalized(self, agreement: Agreement) -> Event:
        return self._upcoming("Purchase Agreement Renewal Terms Finalized", agreement, lockout_reached=False)

    def renewal_upcoming(self, agreement: Agreement) -> Event:
        return self._upcoming("Purchase Agreement Renewal Upcoming", agreement, lockout_reached=True)

    def advisory(self, agreement: Agreement, *, resolved: bool = False) -> Event:
        detail = self._agreement_detail(agreement, {"id": agreement.id, "status": agreement.status})
        detail["advisory"] = {"resolvedAt" if resolved else "issuedAt": instant(self.now)}
        happened = "Resolved" if resolved else "Issued"
        return self.event(f"Purchase Agreement Advisory {happened} - {MANUFACTURER}", agreement, detail)

    def license_updated(self, agreement: Agreement) -> Event:
        return self._license_event("License Updated", agreement)

    def license_deprovisioned(self, agreement: Agreement) -> Event:
        return self._license_event("License Deprovisioned", agreement)

    def cancellation_request(self, agreement: Agreement, status: str = "PENDING_APPROVAL") -> Event:
        """Started by the seller: PENDING_APPROVAL, APPROVED, REJECTED, CANCELLED or VALIDATION_FAILED."""
        detail = {
            "requestId": self.uuid(),
            "catalog": "AWSMarketplace",
            "agreement": {
                "id": agreement.id,
                "acceptorId": agreement.buyer.account_id,
                "productId": agreement.product.id,
                "offerId": agreement.offer_id,
            },
            "agreementCancellationRequest": {
                "id": f"acr-{self._text(13)}",
                "reasonCode": "BUYER_DISSATISFACTION",
                "reasonMessage": "The buyer asked for it.",
                "statusCode": status,
                "statusMessage": "",
                "createdAt": instant(self.now),
                "updatedAt": instant(self.now),
            },
        }
        words = status.replace("_", " ").title()
        return self.event(f"Agreement Cancellation Request {words} - {PROPOSER}", agreement, detail)

    def billing_adjustment(self, agreement: Agreement, *, completed: bool = True) -> Event:
        detail = self._agreement_detail(agreement, {"id": agreement.id})
        detail["billingAdjustmentRequest"] = {
            "id": f"bar-{self._text(13)}",
            "adjustmentAmount": "99.00",
            "currencyCode": "USD",
            "adjustmentReasonCode": "CUSTOMER_DISSATISFACTION",
        }
        detail["invoice"] = {"originalInvoiceId": "1234567890"}
        happened = "Completed" if completed else "Failed"
        return self.event(f"Purchase Agreement Billing Adjustment {happened} - {PROPOSER}", agreement, detail)

    def _agreement_event(self, name: str, agreement: Agreement, detail: Json) -> Event:
        # Of a direct offer the seller is both, and gets only one of the twins.
        return self.event(f"{name} - {MANUFACTURER if agreement.channel_partner else PROPOSER}", agreement, detail)

    def _agreement_detail(self, agreement: Agreement, described: Json) -> Json:
        resold = {"id": f"resaleauthz-{agreement.id[-13:]}"} if agreement.channel_partner else None
        detail: Json = {
            "requestId": self.uuid(),
            "catalog": "AWSMarketplace",
            "agreement": described,
            "resaleAuthorization": resold,
            "acceptor": {"accountId": agreement.buyer.account_id},
            "proposer": {"accountId": agreement.proposer},
            "offer": {"id": agreement.offer_id},
        }
        if self.newer_events:
            detail["product"] = {"id": agreement.product.id, "title": agreement.product.title}
        return detail

    def _terms(self, agreement: Agreement) -> Json:
        return {
            "id": agreement.id,
            "status": agreement.status,
            "acceptanceTime": instant(agreement.accepted_at),
            "startTime": instant(agreement.starts_at),
            "endTime": instant(agreement.ends_at) if agreement.ends_at else None,
        }

    def _renewal(self, agreement: Agreement) -> dict[str, Any]:
        lockout = instant(agreement.ends_at) if agreement.ends_at and agreement.auto_renewal else None
        return {"lockoutStartTime": lockout, "disabledBy": agreement.disabled_by}

    def _upcoming(self, name: str, agreement: Agreement, *, lockout_reached: bool) -> Event:
        detail = self._agreement_detail(agreement, self._terms(agreement))
        detail["renewalSummary"] = self._renewal(agreement) | {
            "tcv": "1188.00",
            "currency": "USD",
            "lockoutReached": lockout_reached,
        }
        return self.event(f"{name} - {PROPOSER}", agreement, detail)

    def _license_event(self, name: str, agreement: Agreement) -> Event:
        arn = agreement.license_arn.removeprefix("arn:") if self.bare_license_arns else agreement.license_arn
        detail = {
            "requestId": self.uuid(),
            "catalog": "AWSMarketplace",
            "agreement": {"id": agreement.id},
            "product": {"code": agreement.product.code, "id": agreement.product.id},
            "license": {"arn": arn},
            "acceptor": {"accountId": agreement.buyer.account_id},
            "proposer": {"accountId": agreement.proposer},
            "offer": {"id": agreement.offer_id},
        }
        return self.event(f"{name} - {MANUFACTURER}", agreement, detail)


def all_topics(products: dict[str, Product]) -> list[str]:
    return [topic for product in products.values() for topic in product.topics]
