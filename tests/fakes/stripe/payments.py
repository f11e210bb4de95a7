"""Invoices and what pays them: finalizing, charging, retrying; refunds, disputes and credit notes."""

from datetime import datetime
from typing import Any

from tests.fakes.stripe.refusals import Refused, invalid
from tests.fakes.stripe.spec import Json, blank
from tests.fakes.stripe.state import DAY, HOUR, World

#: Stripe's own test methods that are known here, and what paying with each does.
CARDS = {
    "pm_card_visa": "pays",
    "pm_card_mastercard": "pays",
    "pm_card_chargeCustomerFail": "declines",
    "pm_card_visa_chargeDeclined": "declines",
    "pm_card_authenticationRequired": "authenticates",
    "pm_usBankAccount": "debits",
}
REFUND_FAILURES = (
    "expired_or_canceled_card",
    "lost_or_stolen_card",
    "declined",
    "insufficient_funds",
    "charge_for_pending_refund_disputed",
    "merchant_request",
    "unknown",
)


class Payments(World):
    def clear(self) -> None:
        super().clear()
        #: Days after each failed attempt until the next; then `after_retries` happens.
        self.retry_days: tuple[float, ...] = (3, 5, 7)
        #: "canceled", "unpaid" or "past_due": the account's setting of what follows the last retry.
        self.after_retries = "canceled"
        #: How long a renewal stays a draft, in seconds, once our endpoint has accepted `invoice.created`.
        self.draft_seconds = HOUR
        #: ... and how long if it has not.
        self.undelivered_draft_seconds = 72 * HOUR
        #: Whether `invoice.created` counts as accepted, as long as no `webhook_url` is there to say.
        self.endpoint_accepts = True
        #: How long a bank debit is `processing`, and how it ends.
        self.debit_days: float = 4
        self.debit_succeeds = True
        #: What a new refund is: "succeeded", "pending" or "requires_action".
        self.refunds_are = "succeeded"
        #: Tax on top of each line, in percent.
        self.tax_percent: float = 0

    # Means of payment

    def pay_with(self, customer: Json | str, card: str = "pays") -> Json:
        """The customer's default method from now on: "pays", "declines", "authenticates" or "debits"."""
        found = self.the(customer)
        method = self.add_method(card, found["id"])
        with self.changing(found, "customer.updated"):
            found["invoice_settings"]["default_payment_method"] = method["id"]
        return method

    def add_method(self, behaviour: str, customer: str | None) -> Json:
        if behaviour not in set(CARDS.values()):
            raise ValueError(f"Nothing pays by {behaviour!r}: {sorted(set(CARDS.values()))}")
        debit = behaviour == "debits"
        card = {
            "brand": "visa",
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "US",
            "display_brand": "visa",
            "exp_month": 12,
            "exp_year": self.now.year + 3,
            "fingerprint": "F1ng3rpr1nt",
            "funding": "credit",
            "generated_from": None,
            "last4": "4242" if behaviour == "pays" else "0341",
            "networks": {"available": ["visa"], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        }
        bank = {
            "account_holder_type": "company",
            "account_type": "checking",
            "bank_name": "STRIPE TEST BANK",
            "financial_connections_account": None,
            "fingerprint": "F1ng3rpr1nt",
            "last4": "6789",
            "networks": {"preferred": "ach", "supported": ["ach"]},
            "routing_number": "110000000",
            "status_details": None,
        }
        method = blank(
            "payment_method",
            id=self.new_id("pm"),
            object="payment_method",
            allow_redisplay="always",
            billing_details=_nobody(),
            created=self._now,
            customer=customer,
            livemode=self.livemode,
            metadata={},
            type="us_bank_account" if debit else "card",
            **({"us_bank_account": bank} if debit else {"card": card}),
        )
        self.behaviour[method["id"]] = behaviour
        self.add(method)
        if customer:
            self.emit("payment_method.attached", method)
        return method

    # Invoices

    def make_invoice(
        self,
        *,
        customer: Json,
        lines: list[Json],
        reason: str,
        subscription: Json | None = None,
        period: tuple[int, int] | None = None,
        metadata: Json | None = None,
    ) -> Json:
        """A draft. Lines are `_line`s: amount, description, period, price, quantity, item, proration."""
        id = self.new_id("in")
        start, end = period or (self._now, self._now)
        currency = lines[0]["currency"] if lines else (subscription or {}).get("currency", "usd")
        made = [self._line_item(id, line, subscription) for line in lines]
        subtotal = sum(line["amount"] for line in made)
        tax = sum(rate["amount"] for line in made for rate in line["taxes"])
        total = subtotal + tax
        sends = subscription is not None and subscription["collection_method"] == "send_invoice"
        invoice = blank(
            "invoice",
            id=id,
            object="invoice",
            account_country="US",
            account_name="Blueprints",
            amount_due=max(0, total),
            amount_overpaid=0,
            amount_paid=0,
            amount_paid_off_stripe=0,
            amount_remaining=max(0, total),
            amount_shipping=0,
            attempt_count=0,
            attempted=False,
            auto_advance=True,
            automatic_tax={
                "enabled": False,
                "disabled_reason": None,
                "liability": None,
                "provider": None,
                "status": None,
            },
            billing_reason=reason,
            collection_method="send_invoice" if sends else "charge_automatically",
            created=self._now,
            currency=currency,
            customer=customer["id"],
            customer_email=customer["email"],
            customer_name=customer["name"],
            customer_address=customer["address"],
            customer_phone=customer["phone"],
            customer_tax_exempt="none",
            customer_tax_ids=[],
            default_tax_rates=[],
            discounts=[],
            issuer={"type": "self"},
            lines={"object": "list", "data": made, "has_more": False, "url": f"/v1/invoices/{id}/lines"},
            livemode=self.livemode,
            metadata=metadata or {},
            parent=subscription
            and {
                "quote_details": None,
                "subscription_details": {
                    "metadata": dict(subscription["metadata"]),
                    "subscription": subscription["id"],
                },
                "type": "subscription_details",
            },
            payment_settings={"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
            period_end=end,
            period_start=start,
            post_payment_credit_notes_amount=0,
            pre_payment_credit_notes_amount=0,
            starting_balance=customer["balance"],
            status="draft",
            status_transitions={
                "finalized_at": None,
                "marked_uncollectible_at": None,
                "paid_at": None,
                "voided_at": None,
            },
            subtotal=subtotal,
            subtotal_excluding_tax=subtotal,
            total=total,
            total_discount_amounts=[],
            total_excluding_tax=subtotal,
            total_pretax_credit_amounts=[],
            total_taxes=[_tax(subtotal, tax)] if tax else [],
        )
        self.add(invoice)
        if subscription:
            self.invoices.file(invoice, "subscription", subscription["id"])
        return invoice

    def _line_item(self, invoice: str, line: Json, subscription: Json | None) -> Json:
        tax = round(line["amount"] * self.tax_percent / 100)
        return blank(
            "line_item",
            id=self.new_id("il"),
            object="line_item",
            amount=line["amount"],
            currency=line["currency"],
            description=line["description"],
            discount_amounts=[],
            discountable=not line.get("proration"),
            discounts=[],
            invoice=invoice,
            livemode=self.livemode,
            metadata=dict(subscription["metadata"]) if subscription else {},
            parent=subscription
            and {
                "invoice_item_details": None,
                "subscription_item_details": {
                    "invoice_item": None,
                    "proration": bool(line.get("proration")),
                    "proration_details": {"credited_items": None},
                    "subscription": subscription["id"],
                    "subscription_item": line["item"],
                },
                "type": "subscription_item_details",
            },
            period={"start": line["period"][0], "end": line["period"][1]},
            pretax_credit_amounts=[],
            pricing={
                "price_details": {"price": line["price"]["id"], "product": line["price"]["product"]},
                "type": "price_details",
                "unit_amount_decimal": str(line["price"]["unit_amount"]),
            },
            quantity=line["quantity"],
            subscription=subscription and subscription["id"],
            subtotal=line["amount"],
            taxes=[_tax(line["amount"], tax)] if tax else [],
        )

    def subscription_of(self, invoice: Json) -> Json | None:
        if not invoice["parent"]:
            return None
        return self.subscriptions.get(invoice["parent"]["subscription_details"]["subscription"])

    def payments_of(self, invoice: Json) -> list[Json]:
        return self.invoice_payments.of("invoice", invoice["id"])

    def finalize(self, invoice: Json) -> None:
        if invoice["status"] != "draft":
            raise invalid("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
        customer = self.the(invoice["customer"])
        with self.changing(invoice, None):
            used = min(max(0, invoice["total"]), max(0, -customer["balance"]))
            if invoice["total"] < 0:
                used = invoice["total"]
            invoice["starting_balance"], invoice["ending_balance"] = customer["balance"], customer["balance"] + used
            customer["balance"] += used
            invoice["amount_due"] = invoice["amount_remaining"] = max(0, invoice["total"] - max(0, used))
            invoice["status"] = "open"
            invoice["number"] = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
            customer["next_invoice_sequence"] += 1
            invoice["status_transitions"]["finalized_at"] = invoice["effective_at"] = self._now
            invoice["automatically_finalizes_at"] = None
            invoice["hosted_invoice_url"] = f"{self.url}/i/{invoice['id']}"
            invoice["invoice_pdf"] = f"{self.url}/i/{invoice['id']}/pdf"
            invoice["next_payment_attempt"] = None
            if invoice["collection_method"] == "send_invoice":
                subscription = self.subscription_of(invoice)
                days = (subscription and subscription["days_until_due"]) or 30
                invoice["due_date"] = self._now + days * DAY
                self.at(invoice["due_date"], "invoice_due", invoice["id"])
        if invoice["amount_due"]:
            self._intend_for(invoice)
        self.emit("invoice.finalized", invoice)
        if not invoice["amount_due"]:
            self._paid(invoice, 0)

    def intend(self, customer: str | None, amount: int, currency: str, *, description: str | None = None) -> Json:
        """A payment that is begun, and that nothing pays yet."""
        intent = blank(
            "payment_intent",
            id=self.new_id("pi"),
            object="payment_intent",
            amount=amount,
            amount_capturable=0,
            amount_received=0,
            capture_method="automatic",
            client_secret=f"pi_secret_{self.run}",
            confirmation_method="automatic",
            created=self._now,
            currency=currency,
            customer=customer,
            description=description,
            livemode=self.livemode,
            metadata={},
            payment_method_types=["card", "us_bank_account"],
            status="requires_payment_method",
        )
        intent["payment_method_options"] = {}
        self.add(intent)
        self.emit("payment_intent.created", intent)
        return intent

    def _intend_for(self, invoice: Json) -> Json:
        described = "Subscription update" if invoice["parent"] else None
        intent = self.intend(invoice["customer"], invoice["amount_due"], invoice["currency"], description=described)
        payment = blank(
            "invoice_payment",
            id=self.new_id("inpay"),
            object="invoice_payment",
            amount_paid=None,
            amount_requested=invoice["amount_due"],
            created=self._now,
            currency=invoice["currency"],
            invoice=invoice["id"],
            is_default=True,
            livemode=self.livemode,
            payment={"payment_intent": intent["id"], "type": "payment_intent"},
            status="open",
            status_transitions={"canceled_at": None, "paid_at": None},
        )
        self.add(payment)
        self.invoice_payments.file(payment, "payment_intent", intent["id"])
        return intent

    def intent_of(self, invoice: Json) -> Json | None:
        for payment in self.payments_of(invoice):
            if payment["is_default"] and payment["payment"]["type"] == "payment_intent":
                return self.payment_intents.get(payment["payment"]["payment_intent"])
        return None

    def method_for(self, invoice: Json) -> Json | None:
        subscription, customer = self.subscription_of(invoice), self.the(invoice["customer"])
        id = (subscription and subscription["default_payment_method"]) or customer["invoice_settings"][
            "default_payment_method"
        ]
        return self.payment_methods.get(id) if id else None

    def attempt(self, invoice: Json, *, method: Json | None = None) -> str:
        """Charges an open invoice: "paid", "failed", "action" or "processing"."""
        intent = self.intent_of(invoice)
        if not intent:
            return "paid"
        method = method or self.method_for(invoice)
        behaviour = self.behaviour[method["id"]] if method else "none"
        invoice["attempted"] = True
        invoice["attempt_count"] += 1
        if behaviour == "pays":
            self._charge(intent, method, "succeeded")
            self._paid(invoice, invoice["amount_remaining"])
            return "paid"
        if behaviour == "debits":
            self._charge(intent, method, "pending")
            with self.changing(intent, "payment_intent.processing"):
                intent["status"] = "processing"
            self.at(self._now + int(self.debit_days * DAY), "debit_settles", invoice["id"])
            invoice["next_payment_attempt"] = None
            return "processing"
        if behaviour == "authenticates":
            with self.changing(intent, "payment_intent.requires_action"):
                intent["status"] = "requires_action"
                intent["payment_method"] = method and method["id"]
                intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
            self._retry_later(invoice)
            self.emit("invoice.payment_action_required", invoice)
            self.emit("invoice.payment_failed", invoice)
            return "action"
        if method:
            self._charge(intent, method, "failed")
        with self.changing(intent, "payment_intent.payment_failed"):
            intent["status"] = "requires_payment_method"
            intent["last_payment_error"] = {
                "type": "card_error",
                "code": "card_declined",
                "decline_code": "generic_decline",
                "message": "Your card was declined.",
            }
        self._retry_later(invoice)
        self.emit("invoice.payment_failed", invoice)
        return "failed"

    def _retry_later(self, invoice: Json) -> None:
        number = invoice["attempt_count"] - 1
        renewal = invoice["billing_reason"] != "subscription_create"
        retries = renewal and invoice["auto_advance"] and invoice["collection_method"] == "charge_automatically"
        if retries and number < len(self.retry_days):
            invoice["next_payment_attempt"] = self._now + int(self.retry_days[number] * DAY)
            self.at(invoice["next_payment_attempt"], "retry", invoice["id"])
        else:
            invoice["next_payment_attempt"] = None

    def _charge(self, intent: Json, method: Json | None, status: str) -> Json:
        good = status != "failed"
        charge = blank(
            "charge",
            id=self.new_id("ch"),
            object="charge",
            amount=intent["amount"],
            amount_captured=intent["amount"] if status == "succeeded" else 0,
            amount_refunded=0,
            billing_details=_nobody(),
            captured=status == "succeeded",
            created=self._now,
            currency=intent["currency"],
            customer=intent["customer"],
            description=intent["description"],
            disputed=False,
            failure_code=None if good else "card_declined",
            failure_message=None if good else "Your card was declined.",
            fraud_details={},
            livemode=self.livemode,
            metadata={},
            outcome={
                "network_status": "approved_by_network" if good else "declined_by_network",
                "reason": None if good else "generic_decline",
                "risk_level": "normal",
                "seller_message": "Payment complete." if good else "The bank did not return any further details.",
                "type": "authorized" if good else "issuer_declined",
                "advice_code": None,
                "network_advice_code": None,
                "network_decline_code": None,
            },
            paid=good,
            payment_intent=intent["id"],
            payment_method=method and method["id"],
            refunded=False,
            status=status,
        )
        # Present with `expand` only.
        charge.pop("refunds", None)
        self.add(charge)
        intent["latest_charge"] = charge["id"]
        intent["payment_method"] = method and method["id"]
        if status == "succeeded":
            with self.changing(intent, None):
                intent |= {"status": "succeeded", "amount_received": intent["amount"], "next_action": None}
            self.emit("charge.succeeded", charge)
            self.emit("payment_intent.succeeded", intent)
        else:
            self.emit("charge.pending" if good else "charge.failed", charge)
        return charge

    def _paid(self, invoice: Json, amount: int, *, off_stripe: bool = False) -> None:
        with self.changing(invoice, None):
            invoice["status"] = "paid"
            invoice["attempted"] = True
            invoice["amount_paid"] = amount
            invoice["amount_remaining"] = 0
            invoice["next_payment_attempt"] = None
            invoice["status_transitions"]["paid_at"] = self._now
        for payment in self.payments_of(invoice):
            if payment["status"] == "open" and not off_stripe:
                with self.changing(payment, None):
                    payment["status"], payment["amount_paid"] = "paid", amount
                    payment["status_transitions"]["paid_at"] = self._now
                self.emit("invoice_payment.paid", payment)
            elif payment["status"] == "open":
                self._cancel_payment(payment)
        self.emit("invoice.paid", invoice)
        if not off_stripe:
            self.emit("invoice.payment_succeeded", invoice)
        self.invoice_was_paid(invoice)

    def invoice_was_paid(self, invoice: Json) -> None:
        """For subscriptions."""

    def _cancel_payment(self, payment: Json) -> None:
        payment["status"] = "canceled"
        payment["status_transitions"]["canceled_at"] = self._now
        intent = self.payment_intents.get(payment["payment"].get("payment_intent", ""))
        if intent and intent["status"] not in ("succeeded", "canceled", "processing"):
            with self.changing(intent, "payment_intent.canceled"):
                intent |= {"status": "canceled", "canceled_at": self._now, "cancellation_reason": "void_invoice"}

    def pay(self, invoice: Json | str, *, card: str | None = None, off_stripe: bool = False) -> str:
        """Somebody pays it now: the owner on its page, or staff."""
        found = self.the(invoice)
        if found["status"] == "draft":
            self.finalize(found)
        if found["status"] == "paid":
            raise invalid("Invoice is already paid", code="invoice_already_paid")
        if found["status"] == "void":
            raise invalid("You cannot pay a void invoice.", code="invoice_not_editable")
        if off_stripe:
            self._paid(found, 0, off_stripe=True)
            found["amount_paid_off_stripe"] = found["amount_due"]
            return "paid"
        intent = self.intent_of(found)
        if intent and intent["status"] == "processing":
            raise invalid("This invoice has a payment that is processing.", code="invoice_payment_intent_processing")
        return self.attempt(found, method=self.add_method(card, found["customer"]) if card else None)

    def void(self, invoice: Json | str) -> Json:
        found = self.the(invoice)
        if found["status"] == "draft":
            raise invalid(
                "You can only void a finalized invoice. Draft invoices can be deleted instead, unless a subscription "
                "made them."
            )
        if found["status"] not in ("open", "uncollectible"):
            raise invalid(f"This invoice is {found['status']} and can't be voided.")
        intent = self.intent_of(found)
        if intent and intent["status"] == "processing":
            raise invalid("This invoice has a payment that is processing and can't be voided.")
        with self.changing(found, None):
            found["status"] = "void"
            found["status_transitions"]["voided_at"] = self._now
            found["next_payment_attempt"] = None
            found["auto_advance"] = False
        for payment in self.payments_of(found):
            if payment["status"] == "open":
                self._cancel_payment(payment)
        self.emit("invoice.voided", found)
        self.invoice_was_settled(found)
        return found

    def invoice_was_settled(self, invoice: Json) -> None:
        """For subscriptions: void or uncollectible."""

    def mark_uncollectible(self, invoice: Json | str) -> Json:
        found = self.the(invoice)
        if found["status"] == "draft":
            self.finalize(found)
        if found["status"] != "open":
            raise invalid("You can only mark an open invoice as uncollectible.")
        with self.changing(found, None):
            found["status"] = "uncollectible"
            found["status_transitions"]["marked_uncollectible_at"] = self._now
            found["next_payment_attempt"] = None
        self.emit("invoice.marked_uncollectible", found)
        self.invoice_was_settled(found)
        return found

    def debit_settles(self, id: str) -> None:
        invoice = self.the(id)
        intent = self.intent_of(invoice)
        if not intent or intent["status"] != "processing":
            return
        charge = self.the(intent["latest_charge"])
        if self.debit_succeeds:
            charge |= {"status": "succeeded", "captured": True, "amount_captured": charge["amount"]}
            intent |= {"status": "succeeded", "amount_received": intent["amount"]}
            self.emit("charge.succeeded", charge)
            self.emit("payment_intent.succeeded", intent)
            self._paid(invoice, invoice["amount_remaining"])
            self.debit_settled(invoice, True)
            return
        charge |= {"status": "failed", "paid": False, "failure_code": "debit_not_authorized"}
        intent |= {"status": "requires_payment_method"}
        self.emit("charge.failed", charge)
        self.emit("payment_intent.payment_failed", intent)
        self._retry_later(invoice)
        self.emit("invoice.payment_failed", invoice)
        self.debit_settled(invoice, False)

    def debit_settled(self, invoice: Json, succeeded: bool) -> None:
        """For subscriptions and sessions."""

    # Refunds

    def charge_of(self, payment: Json | str) -> Json:
        """The charge that took the money of an invoice, an intent or itself."""
        found = self.the(payment)
        if found["object"] == "invoice":
            intent = self.intent_of(found)
            if not intent:
                raise LookupError(f"Nothing was charged for {found['id']}")
            found = intent
        if found["object"] == "payment_intent":
            if not found["latest_charge"]:
                raise invalid(
                    f"This PaymentIntent ({found['id']}) does not have a successful charge to refund.",
                    "payment_intent",
                    "payment_intent_unexpected_state",
                )
            return self.the(found["latest_charge"])
        return found

    def refund(
        self, payment: Json | str, amount: int | None = None, *, reason: str | None = None, metadata: Json | None = None
    ) -> Json:
        """Pays back a charge, by anyone; all that is left unless an amount is told."""
        charge = self.charge_of(payment)
        left = charge["amount_captured"] - charge["amount_refunded"]
        if charge["status"] != "succeeded":
            raise invalid(f"The charge {charge['id']} has not succeeded and can't be refunded.", "charge")
        open_dispute = any(
            not dispute["is_charge_refundable"] and dispute["status"] not in ("won", "warning_closed")
            for dispute in self.disputes.of("charge", charge["id"])
        )
        if open_dispute:
            raise invalid(
                f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
            )
        if not left:
            raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
        amount = left if amount is None else amount
        if amount < 1:
            raise invalid("This value must be greater than or equal to 1.", "amount", "parameter_invalid_integer")
        if amount > left:
            raise invalid(
                f"Refund amount (${amount / 100:.2f}) is greater than unrefunded amount on charge (${left / 100:.2f})",
                "amount",
            )
        refund = blank(
            "refund",
            id=self.new_id("re"),
            object="refund",
            amount=amount,
            balance_transaction=None,
            charge=charge["id"],
            created=self._now,
            currency=charge["currency"],
            metadata=metadata or {},
            payment_intent=charge["payment_intent"],
            reason=reason,
            status=self.refunds_are,
        )
        if self.refunds_are == "pending":
            refund["pending_reason"] = "processing"
        if self.refunds_are == "requires_action":
            refund["instructions_email"] = "owner@example.org"
        self.add(refund)
        with self.changing(charge, None) as before:
            before["amount_refunded"] += amount
            before["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
        self.emit("refund.created", refund)
        self.emit("charge.refunded", charge)
        return refund

    def settle_refund(self, refund: Json | str, status: str = "succeeded", *, reason: str = "unknown") -> Json:
        """What the bank says later: "succeeded" or "failed", the latter also of one that had succeeded."""
        found = self.the(refund)
        charge = self.the(found["charge"])
        lost = status in ("failed", "canceled")
        if lost and found["status"] in ("failed", "canceled"):
            raise ValueError(f"{found['id']} is {found['status']} already")
        with self.changing(found, "refund.updated"):
            found["status"] = status
            found.pop("pending_reason", None)
            if status == "failed":
                found["failure_reason"] = reason
        if lost:
            charge["amount_refunded"] -= found["amount"]
            charge["refunded"] = False
        if status == "failed":
            self.emit("refund.failed", found)
        return found

    def cancel_refund(self, refund: Json) -> Json:
        if refund["status"] != "requires_action":
            raise invalid("You can only cancel a refund that requires action.")
        return self.settle_refund(refund, "canceled")

    # Disputes

    def dispute(self, payment: Json | str, *, status: str = "needs_response", reason: str = "fraudulent") -> Json:
        """The customer's bank takes the money back; `status="warning_needs_response"` only asks."""
        charge = self.charge_of(payment)
        inquiry = status.startswith("warning_")
        dispute = blank(
            "dispute",
            id=self.new_id("dp"),
            object="dispute",
            amount=charge["amount"],
            balance_transactions=[],
            charge=charge["id"],
            created=self._now,
            currency=charge["currency"],
            enhanced_eligibility_types=[],
            evidence={**blank("dispute_evidence"), "enhanced_evidence": {}},
            evidence_details={
                "due_by": self._now + 7 * DAY,
                "enhanced_eligibility": {},
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
            },
            is_charge_refundable=inquiry,
            livemode=self.livemode,
            metadata={},
            payment_intent=charge["payment_intent"],
            reason=reason,
            status=status,
        )
        self.add(dispute)
        charge["disputed"] = True
        self.emit("charge.dispute.created", dispute)
        if not inquiry:
            self.emit("charge.dispute.funds_withdrawn", dispute)
        return dispute

    def close_dispute(self, dispute: Json | str, status: str = "lost") -> Json:
        found = self.the(dispute)
        with self.changing(found, None):
            found["status"] = status
            found["is_charge_refundable"] = status in ("won", "warning_closed")
        if status == "won":
            self.emit("charge.dispute.funds_reinstated", found)
        self.emit("charge.dispute.closed", found)
        return found

    # Credit notes

    def credit(
        self,
        invoice: Json | str,
        *,
        amount: int | None = None,
        refund_amount: int | None = None,
        credit_amount: int = 0,
        out_of_band_amount: int = 0,
        refund: Json | None = None,
        reason: str | None = None,
        memo: str | None = None,
        metadata: Json | None = None,
        lines: list[Any] | None = None,
        refund_metadata: Json | None = None,
    ) -> Json:
        """A credit note: before payment it lowers what is due, after it pays back (`refund_amount`)."""
        found = self.the(invoice)
        if found["status"] not in ("open", "paid"):
            raise invalid(f"You can only create a credit note for an open or paid invoice; it is {found['status']}.")
        total = amount if amount is not None else (refund_amount or 0) + credit_amount + out_of_band_amount
        if not total:
            raise invalid("You must specify one of `amount`, `lines`, or `shipping_cost`.", "amount")
        so_far = sum(
            note["amount"] for note in self.credit_notes.of("invoice", found["id"]) if note["status"] == "issued"
        )
        if total + so_far > found["total"]:
            raise invalid(
                f"The credit note's total ({total}) is more than the invoice has left ({found['total'] - so_far}).",
                "amount",
            )
        paid = found["status"] == "paid"
        if paid and total != (refund_amount or 0) + credit_amount + out_of_band_amount + (refund or {}).get(
            "amount", 0
        ):
            raise invalid(
                "The sum of credit amount, refund amount and out of band amount must equal the credit note amount.",
                "amount",
            )
        if not refund and refund_amount:
            refund = self.refund(found, refund_amount, reason="requested_by_customer", metadata=refund_metadata)
        tax = sum(rate["amount"] for rate in found["total_taxes"])
        part = round(tax * total / found["total"]) if found["total"] else 0
        id = self.new_id("cn")
        line = blank(
            "credit_note_line_item",
            id=self.new_id("cnli"),
            object="credit_note_line_item",
            amount=total - part,
            discount_amount=0,
            discount_amounts=[],
            livemode=self.livemode,
            metadata={},
            pretax_credit_amounts=[],
            quantity=1,
            tax_rates=[],
            taxes=[_tax(total - part, part)] if part else [],
            type="custom_line_item",
        )
        note = blank(
            "credit_note",
            id=id,
            object="credit_note",
            amount=total,
            amount_shipping=0,
            created=self._now,
            currency=found["currency"],
            customer=found["customer"],
            discount_amount=0,
            discount_amounts=[],
            effective_at=self._now,
            invoice=found["id"],
            lines={"object": "list", "data": [line], "has_more": False, "url": f"/v1/credit_notes/{id}/lines"},
            livemode=self.livemode,
            memo=memo,
            metadata=metadata or {},
            number=f"{found['number']}-CN-{len(self.credit_notes.of('invoice', found['id'])) + 1:02d}",
            out_of_band_amount=out_of_band_amount or None,
            pdf=f"{self.url}/cn/{id}/pdf",
            post_payment_amount=total if paid else 0,
            pre_payment_amount=0 if paid else total,
            pretax_credit_amounts=[],
            reason=reason,
            refunds=[
                {
                    "amount_refunded": refund["amount"],
                    "payment_record_refund": None,
                    "refund": refund["id"],
                    "type": "refund",
                }
            ]
            if refund
            else [],
            status="issued",
            subtotal=total - part,
            subtotal_excluding_tax=total - part,
            total=total,
            total_excluding_tax=total - part,
            total_taxes=[_tax(total - part, part)] if part else [],
            type="post_payment" if paid else "pre_payment",
        )
        self.add(note)
        if paid:
            found["post_payment_credit_notes_amount"] += total
        else:
            found["pre_payment_credit_notes_amount"] += total
            found["amount_due"] -= total
            found["amount_remaining"] -= total
        self.emit("credit_note.created", note)
        if not paid and not found["amount_due"]:
            self._paid(found, 0)
        return note


def _nobody() -> Json:
    return {"address": None, "email": None, "name": None, "phone": None, "tax_id": None}


def _tax(taxable: int, amount: int) -> Json:
    return {
        "amount": amount,
        "tax_behavior": "exclusive",
        "tax_rate_details": {"tax_rate": "txr_1Fake"},
        "taxability_reason": "standard_rated",
        "taxable_amount": taxable,
        "type": "tax_rate_details",
    }


def in_seconds(moment: datetime | int | None) -> int | None:
    return int(moment.timestamp()) if isinstance(moment, datetime) else moment


__all__ = ["CARDS", "REFUND_FAILURES", "Payments", "Refused", "in_seconds"]
