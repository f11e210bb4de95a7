"""Checkout, the customer portal, and schedules."""

from datetime import datetime
from typing import Any

from tests.fakes.stripe.payments import in_seconds
from tests.fakes.stripe.redaction import Obstacle
from tests.fakes.stripe.refusals import invalid
from tests.fakes.stripe.spec import Json, blank
from tests.fakes.stripe.state import DAY, HOUR
from tests.fakes.stripe.subscriptions import OVER, Subscriptions


class Selling(Subscriptions):
    # Checkout

    def open_session(self, asked: Json) -> Json:
        """What `POST /v1/checkout/sessions` does."""
        if asked.get("mode") != "subscription":
            raise invalid("Here only sessions in `subscription` mode are known.", "mode")
        customer = self.customers.get(asked["customer"]) if "customer" in asked else None
        if "customer" in asked and (not customer or customer.get("deleted")):
            raise invalid(f"No such customer: '{asked['customer']}'", "customer", "resource_missing")
        if not asked.get("line_items"):
            raise invalid("Missing required param: line_items.", "line_items", "parameter_missing")
        items = []
        for n, line in enumerate(asked["line_items"]):
            price = self.prices.get(line.get("price", ""))
            if not price:
                raise invalid(f"No such price: '{line.get('price')}'", f"line_items[{n}][price]", "resource_missing")
            if not price["active"]:
                raise invalid(
                    "The price specified is inactive. This field only accepts active prices.",
                    f"line_items[{n}][price]",
                )
            if not price["recurring"]:
                raise invalid("You must provide at least one recurring price in `subscription` mode.", "line_items")
            if line.get("quantity", 1) < 1:
                raise invalid("This value must be greater than or equal to 1.", f"line_items[{n}][quantity]")
            items.append((price, line.get("quantity", 1)))
        expires = asked.get("expires_at", self._now + 24 * HOUR)
        # Some seconds of grace: the clock of who asks is not ours.
        if not self._now + 30 * 60 - 60 <= expires <= self._now + 24 * HOUR + 60:
            raise invalid(
                "The `expires_at` timestamp must be at least 30 minutes and at most 24 hours from Checkout Session "
                "creation.",
                "expires_at",
            )
        if "success_url" not in asked and asked.get("ui_mode", "hosted") in ("hosted", "hosted_page"):
            raise invalid("Missing required param: success_url.", "success_url", "parameter_missing")
        id = self.new_id("cs_live" if self.livemode else "cs_test")
        total = sum((price["unit_amount"] or 0) * seats for price, seats in items)
        tax = round(total * self.tax_percent / 100)
        data = asked.get("subscription_data") or {}
        session = blank(
            "checkout.session",
            id=id,
            object="checkout.session",
            allow_promotion_codes=asked.get("allow_promotion_codes"),
            amount_subtotal=total,
            amount_total=total + tax,
            automatic_tax={"enabled": False, "liability": None, "provider": None, "status": None},
            cancel_url=asked.get("cancel_url"),
            client_reference_id=asked.get("client_reference_id"),
            created=self._now,
            currency=items[0][0]["currency"],
            custom_fields=[],
            custom_text={
                "after_submit": None,
                "shipping_address": None,
                "submit": None,
                "terms_of_service_acceptance": None,
            },
            customer=customer and customer["id"],
            customer_email=asked.get("customer_email"),
            expires_at=expires,
            livemode=self.livemode,
            locale=asked.get("locale"),
            metadata=asked.get("metadata") or {},
            mode="subscription",
            payment_method_collection=asked.get("payment_method_collection", "always"),
            payment_method_types=["card"],
            payment_status="unpaid",
            shipping_options=[],
            status="open",
            success_url=asked.get("success_url"),
            total_details={"amount_discount": 0, "amount_shipping": 0, "amount_tax": tax},
            ui_mode=asked.get("ui_mode", "hosted_page"),
            url=f"{self.url}/c/pay/{id}",
        )
        session.pop("line_items", None)
        self.add(session)
        self.bought[id] = {"items": [(price["id"], seats) for price, seats in items], "data": data}
        self.at(expires, "session_expires", id)
        return session

    def complete(self, session: Json | str, *, card: str = "pays") -> Json:
        """The buyer pays on the hosted page. Returns the session; the new subscription's id is in it.

        A card that "declines" leaves the session open, as there. "debits" completes it unpaid: the money, and
        `checkout.session.async_payment_succeeded`, come days later.
        """
        found = self.the(session)
        if found["status"] != "open":
            raise ValueError(f"The session is {found['status']}")
        if card in ("declines", "authenticates"):
            return found
        sold = self.bought[found["id"]]
        customer = (
            self.the(found["customer"])
            if found["customer"]
            else self.customer(email=found["customer_email"], card=None)
        )
        method = self.add_method(card, customer["id"])
        data = sold["data"]
        trial = data.get("trial_end") or (
            self._now + data["trial_period_days"] * DAY if data.get("trial_period_days") else None
        )
        subscription = self.subscribe(
            customer,
            items=sold["items"],
            trial_end=trial,
            metadata=data.get("metadata"),
            mode=(data.get("billing_mode") or {}).get("type", "flexible"),
            default_payment_method=method["id"],
            description=data.get("description"),
            trial_settings=data.get("trial_settings"),
        )
        invoice = self.the(subscription["latest_invoice"])
        with self.changing(found, None):
            found |= {
                "status": "complete",
                "customer": customer["id"],
                "subscription": subscription["id"],
                "invoice": invoice["id"],
                "url": None,
                "payment_status": "no_payment_required"
                if not invoice["amount_due"]
                else ("paid" if invoice["status"] == "paid" else "unpaid"),
                "customer_details": {
                    "address": None,
                    "business_name": None,
                    "email": customer["email"],
                    "individual_name": None,
                    "name": customer["name"],
                    "phone": None,
                    "tax_exempt": "none",
                    "tax_ids": [],
                },
            }
        self.sessions.file(found, "subscription", subscription["id"])
        self.emit("checkout.session.completed", found)
        return found

    def debit_settled(self, invoice: Json, succeeded: bool) -> None:
        super().debit_settled(invoice, succeeded)
        subscription = self.subscription_of(invoice)
        for session in self.sessions.of("subscription", subscription["id"]) if subscription else []:
            if session["invoice"] == invoice["id"]:
                if succeeded:
                    session["payment_status"] = "paid"
                self.emit(f"checkout.session.async_payment_{'succeeded' if succeeded else 'failed'}", session)

    def expire_session(self, session: Json | str) -> Json:
        found = self.the(session)
        if found["status"] != "open":
            raise invalid(
                'Only Checkout Sessions with a status in ["open"] can be expired. '
                f"This Checkout Session has a status of `{found['status']}`."
            )
        found |= {"status": "expired", "url": None}
        self.emit("checkout.session.expired", found)
        return found

    def session_expires(self, id: str) -> None:
        session = self.sessions.get(id)
        if session and session["status"] == "open":
            self.expire_session(session)

    def success_address(self, session: Json | str) -> str:
        found = self.the(session)
        address: str = found["success_url"]
        return address.replace("{CHECKOUT_SESSION_ID}", found["id"])

    # Portal

    def open_portal(self, asked: Json) -> Json:
        customer = self.customers.get(asked["customer"]) if "customer" in asked else None
        if not customer or customer.get("deleted"):
            raise invalid(f"No such customer: '{asked.get('customer')}'", "customer", "resource_missing")
        id = self.new_id("bps")
        flow = asked.get("flow_data")
        session = blank(
            "billing_portal.session",
            id=id,
            object="billing_portal.session",
            configuration=asked.get("configuration") or "bpc_1Fake",
            created=self._now,
            customer=customer["id"],
            flow=flow
            and {
                "after_completion": {
                    "hosted_confirmation": None,
                    "redirect": None,
                    "type": "portal_homepage",
                },
                "subscription_cancel": None,
                "subscription_update": None,
                "subscription_update_confirm": None,
                **flow,
            },
            livemode=self.livemode,
            locale=asked.get("locale"),
            return_url=asked.get("return_url"),
            url=f"{self.url}/p/session/{id}",
        )
        return self.add(session)

    # Schedules

    def schedule_for(
        self,
        subscription: Json | str,
        *,
        end_behavior: str = "release",
        until: datetime | int | None = None,
        **more: Any,
    ) -> Json:
        """One phase, as the subscription is now, until its period ends or `until`."""
        found = self.the(subscription)
        if found["schedule"]:
            raise invalid("You cannot migrate a subscription that is already attached to a schedule.")
        end = in_seconds(until) or self.period_end(found)
        id = self.new_id("sub_sched")
        schedule = blank(
            "subscription_schedule",
            id=id,
            object="subscription_schedule",
            billing_mode=dict(found["billing_mode"]),
            created=self._now,
            current_phase={"start_date": found["items"]["data"][0]["current_period_start"], "end_date": end},
            customer=found["customer"],
            default_settings={
                "application_fee_percent": None,
                "automatic_tax": {"enabled": False, "disabled_reason": None, "liability": None},
                "billing_cycle_anchor": "automatic",
                "billing_thresholds": None,
                "collection_method": "charge_automatically",
                "default_payment_method": None,
                "description": None,
                "invoice_settings": {"account_tax_ids": None, "days_until_due": None, "issuer": {"type": "self"}},
                "on_behalf_of": None,
                "transfer_data": None,
            },
            end_behavior=end_behavior,
            livemode=self.livemode,
            metadata=more.get("metadata") or {},
            phases=[
                {
                    "add_invoice_items": [],
                    "application_fee_percent": None,
                    "billing_cycle_anchor": None,
                    "billing_thresholds": None,
                    "collection_method": None,
                    "currency": found["currency"],
                    "default_payment_method": None,
                    "default_tax_rates": [],
                    "description": None,
                    "discounts": [],
                    "end_date": end,
                    "invoice_settings": None,
                    "items": [
                        {
                            "billing_thresholds": None,
                            "discounts": [],
                            "metadata": {},
                            "plan": item["price"]["id"],
                            "price": item["price"]["id"],
                            "quantity": item.get("quantity", 1),
                            "tax_rates": [],
                        }
                        for item in found["items"]["data"]
                    ],
                    "metadata": {},
                    "on_behalf_of": None,
                    "proration_behavior": "create_prorations",
                    "start_date": found["items"]["data"][0]["current_period_start"],
                    "transfer_data": None,
                    "trial_end": None,
                }
            ],
            status="active",
            subscription=found["id"],
        )
        self.add(schedule)
        with self.changing(found, "customer.subscription.updated"):
            found["schedule"] = id
            if end_behavior == "cancel":
                found["cancel_at"] = end
                self._asked(found)
        self.at(end, "schedule_ends", id)
        self._watch(found)
        self.emit("subscription_schedule.created", schedule)
        return schedule

    def release(self, schedule: Json | str, *, preserve_cancel_date: bool = False) -> Json:
        """The subscription runs on without it, and without the end that it had set."""
        found = self.the(schedule)
        if found["status"] not in ("active", "not_started"):
            raise invalid(
                f"You cannot release a subscription schedule that is currently in the `{found['status']}` status. A "
                "subscription schedule can only be released from `not_started` or `active` status."
            )
        subscription = self.the(found["subscription"])
        with self.changing(found, None):
            found |= {
                "status": "released",
                "released_at": self._now,
                "released_subscription": subscription["id"],
                "subscription": None,
                "current_phase": None,
            }
        with self.changing(subscription, "customer.subscription.updated"):
            subscription["schedule"] = None
            if subscription["cancel_at"] and not preserve_cancel_date:
                self._go_on(subscription)
        self.emit("subscription_schedule.released", found)
        self._watch(subscription)
        return found

    def cancel_schedule(self, schedule: Json) -> Json:
        if schedule["status"] not in ("active", "not_started"):
            raise invalid(f"You cannot cancel a subscription schedule in the `{schedule['status']}` status.")
        subscription = self.subscriptions.get(schedule["subscription"] or "")
        if subscription and subscription["status"] not in OVER:
            self.end_now(subscription)
        return schedule

    def schedule_ends(self, id: str) -> None:
        schedule = self.schedules.get(id)
        if schedule and schedule["status"] == "active" and schedule["end_behavior"] == "release":
            self.release(schedule)

    def clear(self) -> None:
        super().clear()
        #: What an open session would sell.
        self.bought: dict[str, Json] = {}
        #: What was in the way of a redaction job, and since when one runs.
        self.obstacles: dict[str, list[Obstacle]] = {}
        self.running: dict[str, int] = {}
