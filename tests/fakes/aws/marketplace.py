"""The Marketplace: what buyers do, what the API answers from then on, and the messages that tell of it."""

from datetime import datetime
from typing import Literal

from tests.fakes.aws.messages import Happened, Message
from tests.fakes.aws.sending import Sending
from tests.fakes.aws.state import TERM, Agreement, Buyer, Intent, Product, Quantity, RegistrationToken, Status

SEATS = {"pro_seats": 1}


class Marketplace(Sending):
    """Verbs change what the API answers, at once, and return the messages of both styles: to deliver, drop, repeat."""

    # Buying

    def buy(
        self,
        buyer: Buyer,
        product: Product | None = None,
        *,
        entitlements: dict[str, Quantity] | None = None,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
        auto_renewal: bool = True,
        trial_ends_at: datetime | None = None,
        channel_partner: str | None = None,
    ) -> Happened:
        """A purchase. One that begins in the future is an agreement now; `begin` sends the rest on its date."""
        with self.lock:
            product = product or self.product()
            agreement = self._agree(
                buyer,
                product,
                entitlements=entitlements if entitlements is not None else dict(SEATS),
                starts_at=starts_at or self.now,
                ends_at=ends_at,
                auto_renewal=auto_renewal,
            )
            agreement.trial_ends_at = trial_ends_at
            agreement.channel_partner = channel_partner
            told: list[Message] = [self.created(agreement)]
            if agreement.starts_at <= self.now:
                told += self.begin(agreement).messages
            return Happened(agreement, told)

    def begin(self, agreement: Agreement) -> Happened:
        """On the start date: metering may begin, the licence is there."""
        with self.lock:
            told = self.about(agreement, "subscribe-success", offer=True) + self._entitlement_updated(agreement)
            return Happened(agreement, [*told, self.license_updated(agreement)])

    def fail_payment(self, agreement: Agreement) -> Happened:
        """The payment did not go through, though the buyer may have reached the landing page already."""
        with self.lock:
            self._end(agreement, "ROLLED_BACK")
            agreement.finished_at = self.now
            return Happened(agreement, [*self.about(agreement, "subscribe-fail", offer=True), self.ended(agreement)])

    def registration_token(self, agreement: Agreement) -> str:
        """What the buyer's browser brings to the registration page, as `x-amzn-marketplace-token`."""
        with self.lock:
            # With what a form must encode and a careless reader spoils.
            text = f"{self._text(32)}+{self._text(31)}/{self._text(30)}=="
            self.tokens[text] = RegistrationToken(text, agreement, self.now)
            return text

    def registration_form(self, agreement: Agreement) -> dict[str, str]:
        """All that the browser posts."""
        form = {"x-amzn-marketplace-token": self.registration_token(agreement)}
        return form | ({"x-amzn-marketplace-offer-type": "free-trial"} if agreement.trial_ends_at else {})

    # Changing

    def set_auto_renewal(
        self, agreement: Agreement, on: bool, *, by: Literal["ACCEPTOR", "PROPOSER"] = "ACCEPTOR"
    ) -> Happened:
        """SNS says nothing of it."""
        with self.lock:
            agreement.auto_renewal = on
            agreement.disabled_by = None if on else by
            agreement.updated_at = self.now
            return Happened(agreement, [self.amended(agreement)])

    def amend(
        self,
        agreement: Agreement,
        *,
        entitlements: dict[str, Quantity] | None = None,
        ends_at: datetime | None = None,
    ) -> Happened:
        """More, less or nothing; a later end."""
        with self.lock:
            if entitlements is not None:
                agreement.entitlements = dict(entitlements)
            agreement.ends_at = ends_at or agreement.ends_at
            agreement.updated_at = self.now
            told: list[Message] = [self.amended(agreement), *self._entitlement_updated(agreement)]
            return Happened(agreement, [*told, self.license_updated(agreement)])

    def renew(self, agreement: Agreement, *, same_license: bool = False) -> Happened:
        """A new agreement goes on where this one ends, which is no cancellation."""
        return self._succeed(agreement, "RENEW", "RENEWED", same_license=same_license)

    def replace(
        self,
        agreement: Agreement,
        *,
        entitlements: dict[str, Quantity] | None = None,
        ends_at: datetime | None = None,
        same_license: bool = False,
    ) -> Happened:
        """A new offer was accepted in place of this agreement, which is no cancellation either."""
        return self._succeed(
            agreement, "REPLACE", "REPLACED", entitlements=entitlements, ends_at=ends_at, same_license=same_license
        )

    # Ending

    def unsubscribe(self, agreement: Agreement) -> Happened:
        """The buyer has cancelled: the final hour begins, entitlements are still there."""
        with self.lock:
            self._end(agreement, "CANCELLED")
            return Happened(agreement, [*self.about(agreement, "unsubscribe-pending"), self.ended(agreement)])

    def terminate(self, agreement: Agreement) -> Happened:
        """AWS or the seller ended it; otherwise like `unsubscribe`."""
        with self.lock:
            self._end(agreement, "TERMINATED")
            return Happened(agreement, [*self.about(agreement, "unsubscribe-pending"), self.ended(agreement)])

    def finish_unsubscribe(self, agreement: Agreement) -> Happened:
        """The final hour is over."""
        with self.lock:
            agreement.finished_at = self.now
            told = self._entitlement_updated(agreement) + self.about(agreement, "unsubscribe-success")
            return Happened(agreement, [*told, self.license_deprovisioned(agreement)])

    def resubscribe(self, agreement: Agreement) -> Happened:
        """The buyer buys again within the final hour: of the old one SNS then never says `unsubscribe-success`."""
        with self.lock:
            agreement.finished_at = self.now
            bought = self.buy(agreement.buyer, agreement.product, entitlements=agreement.entitlements)
            return Happened(bought.agreement, [self.license_deprovisioned(agreement), *bought.messages])

    def expire(self, agreement: Agreement) -> Happened:
        """The end is reached and nothing renews; `finish_unsubscribe` comes after it."""
        with self.lock:
            agreement.status = "EXPIRED"
            agreement.ends_at = min(agreement.ends_at or self.now, self.now)
            agreement.updated_at = self.now
            told = [*self.about(agreement, "unsubscribe-pending"), *self._entitlement_updated(agreement)]
            return Happened(agreement, [*told, self.ended(agreement)])

    def _agree(
        self,
        buyer: Buyer,
        product: Product,
        *,
        entitlements: dict[str, Quantity],
        starts_at: datetime,
        ends_at: datetime | None,
        auto_renewal: bool,
        license_id: str = "",
    ) -> Agreement:
        agreement = Agreement(
            id=f"agmt-{self._text(25)}",
            buyer=buyer,
            product=product,
            offer_id=f"offer-{self._text(13)}",
            license_id=license_id or f"l-{self._text(32)}",
            entitlements=dict(entitlements),
            accepted_at=self.now,
            starts_at=starts_at,
            ends_at=ends_at or (starts_at + TERM if product.pricing == "contract" else None),
            auto_renewal=auto_renewal,
            updated_at=self.now,
        )
        self.agreements[agreement.id] = agreement
        return agreement

    def _succeed(
        self,
        old: Agreement,
        intent: Intent,
        status: Status,
        *,
        entitlements: dict[str, Quantity] | None = None,
        ends_at: datetime | None = None,
        same_license: bool,
    ) -> Happened:
        with self.lock:
            new = self._agree(
                old.buyer,
                old.product,
                entitlements=old.entitlements if entitlements is None else entitlements,
                starts_at=self.now,
                ends_at=ends_at,
                auto_renewal=old.auto_renewal,
                license_id=old.license_id if same_license else "",
            )
            new.intent, new.previous, new.channel_partner = intent, old, old.channel_partner
            self._end(old, status)
            old.finished_at = self.now
            told = [
                self.created(new),
                self.ended(old),
                *self.about(new, "subscribe-success", offer=True),
                *self._entitlement_updated(new),
                self.license_updated(new),
            ]
            # The licence of the old agreement goes with it: that is no end of the customer's use.
            return Happened(new, told if same_license else [*told, self.license_deprovisioned(old)])

    def _end(self, agreement: Agreement, status: Status) -> None:
        agreement.status = status
        agreement.ends_at = min(agreement.ends_at or self.now, self.now)
        agreement.updated_at = self.now

    def _entitlement_updated(self, agreement: Agreement) -> list[Message]:
        contract = agreement.product.pricing == "contract"
        return list(self.about(agreement, "entitlement-updated")) if contract else []
