"""Customers, prices and subscriptions: how they begin, roll on, fall behind, and end."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tests.fakes.stripe import calendar
from tests.fakes.stripe.payments import Payments, in_seconds
from tests.fakes.stripe.refusals import Refused, invalid
from tests.fakes.stripe.spec import Json, blank
from tests.fakes.stripe.state import DAY, HOUR

#: No more invoices, no more periods.
OVER = ("canceled", "incomplete_expired")


class Subscriptions(Payments):
    # Who, what for

    def customer(
        self, *, email: str | None = None, name: str | None = None, card: str | None = "pays", **more: Any
    ) -> Json:
        """Somebody with a card on file, unless `card` is None."""
        customer = blank(
            "customer",
            id=self.new_id("cus"),
            object="customer",
            balance=more.pop("balance", 0),
            created=self._now,
            delinquent=False,
            email=email,
            invoice_prefix=f"INV{len(self.customers) + 1:05d}",
            invoice_settings={
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            livemode=self.livemode,
            metadata=more.pop("metadata", None) or {},
            name=name,
            next_invoice_sequence=1,
            preferred_locales=[],
            tax_exempt="none",
        )
        # Present with `expand` only.
        for key in ("sources", "subscriptions", "tax_ids", "tax", "cash_balance", "invoice_credit_balance"):
            customer.pop(key, None)
        self.add(customer | more)
        customer = self.the(customer)
        self.emit("customer.created", customer)
        if card:
            self.pay_with(customer, card)
        return customer

    def product(self, name: str = "Pro", **more: Any) -> Json:
        product = blank(
            "product",
            id=more.pop("id", None) or self.new_id("prod"),
            object="product",
            active=True,
            created=self._now,
            images=[],
            livemode=self.livemode,
            marketing_features=[],
            metadata=more.pop("metadata", None) or {},
            name=name,
            updated=self._now,
        )
        product["type"] = "service"
        product |= more
        self.add(product)
        self.emit("product.created", product)
        return product

    def price(
        self,
        cents: int | None = 4900,
        *,
        interval: str | None = "month",
        interval_count: int = 1,
        currency: str = "usd",
        lookup_key: str | None = None,
        product: Json | str | None = None,
        usage_type: str = "licensed",
        tiers: bool = False,
        **more: Any,
    ) -> Json:
        """What is paid for one seat and one period; without an interval, once. `cents=None`: by tiers."""
        made = product if product is not None else self.product()
        transfer = more.pop("transfer_lookup_key", False)
        if lookup_key and (former := self.price_by_key(lookup_key)):
            if not transfer:
                raise invalid(f"A price (`{former['id']}`) already uses that lookup key.", "lookup_key")
            with self.changing(former, "price.updated"):
                former["lookup_key"] = None
        price = blank(
            "price",
            id=self.new_id("price"),
            object="price",
            active=True,
            billing_scheme="tiered" if tiers or cents is None else "per_unit",
            created=self._now,
            currency=currency,
            livemode=self.livemode,
            lookup_key=lookup_key,
            metadata=more.pop("metadata", None) or {},
            product=made if isinstance(made, str) else made["id"],
            recurring={
                "interval": interval,
                "interval_count": interval_count,
                "meter": None,
                "trial_period_days": None,
                "usage_type": usage_type,
            }
            if interval
            else None,
            tax_behavior="unspecified",
            tiers_mode="graduated" if tiers or cents is None else None,
            type="recurring" if interval else "one_time",
            unit_amount=cents,
            unit_amount_decimal=None if cents is None else str(cents),
        )
        for key in ("currency_options", "tiers"):
            price.pop(key, None)
        price |= more
        self.add(price)
        self.emit("price.created", price)
        return price

    def price_by_key(self, lookup_key: str) -> Json | None:
        found = [price for price in self.prices.of("lookup_key", lookup_key) if price["lookup_key"] == lookup_key]
        return found[-1] if found else None

    # Beginning

    def subscribe(
        self,
        customer: Json | str,
        price: Json | str | None = None,
        *,
        quantity: int = 1,
        items: Iterable[tuple[Json | str, int]] = (),
        trial_end: datetime | int | None = None,
        mode: str = "flexible",
        metadata: Json | None = None,
        collection_method: str = "charge_automatically",
        days_until_due: int | None = None,
        payment_behavior: str = "allow_incomplete",
        started: datetime | int | None = None,
        cancel_at_period_end: bool = False,
        **more: Any,
    ) -> Json:
        """A subscription and its first invoice. `started` earlier than now backdates it, unpaid for until now."""
        buyer = self.the(customer)
        bought = [(self.the(one), seats) for one, seats in items] or [(self.the(price or self.price()), quantity)]
        trial = in_seconds(trial_end)
        start = in_seconds(started) or self._now
        recurring = bought[0][0]["recurring"]
        if not recurring:
            raise invalid("The price specified is set to `type=one_time` but this field only accepts recurring prices.")
        in_trial = bool(trial and trial > self._now)
        anchor = trial if in_trial and trial else in_seconds(more.pop("billing_cycle_anchor", None)) or start
        first = _period(anchor, recurring, self._now)
        if in_trial and trial:
            first = (start, trial)
        id = self.new_id("sub")
        subscription = blank(
            "subscription",
            id=id,
            object="subscription",
            automatic_tax={"enabled": False, "disabled_reason": None, "liability": None},
            billing_cycle_anchor=anchor,
            billing_mode={
                "type": mode,
                "flexible": {"proration_discounts": "included"} if mode == "flexible" else None,
            },
            billing_schedules=[],
            cancel_at_period_end=False,
            cancellation_details={"comment": None, "feedback": None, "reason": None},
            collection_method=collection_method,
            created=self._now,
            currency=bought[0][0]["currency"],
            customer=buyer["id"],
            days_until_due=days_until_due if collection_method == "send_invoice" else None,
            default_payment_method=more.pop("default_payment_method", None),
            default_tax_rates=[],
            description=more.pop("description", None),
            discounts=[],
            invoice_settings={"account_tax_ids": None, "issuer": {"type": "self"}},
            items={"object": "list", "data": [], "has_more": False, "url": f"/v1/subscription_items?subscription={id}"},
            livemode=self.livemode,
            metadata=metadata or {},
            payment_settings={
                "payment_method_options": None,
                "payment_method_types": None,
                "save_default_payment_method": "off",
            },
            start_date=start,
            status="incomplete",
            trial_end=trial if in_trial else None,
            trial_settings=more.pop("trial_settings", None)
            or {"end_behavior": {"missing_payment_method": "create_invoice"}},
            trial_start=start if in_trial else None,
        )
        subscription["items"]["data"] = [self._item(subscription, one, seats, first) for one, seats in bought]
        if in_trial:
            subscription["status"] = "trialing"
        elif collection_method == "send_invoice":
            subscription["status"] = "active"
        if payment_behavior == "error_if_incomplete" and not in_trial:
            method = self.payment_methods.get(buyer["invoice_settings"]["default_payment_method"] or "")
            if not method or self.behaviour[method["id"]] not in ("pays", "debits"):
                raise Refused(402, "Your card was declined.", code="card_declined", type="card_error")
        self.add(subscription)
        invoice = self.make_invoice(
            customer=buyer,
            subscription=subscription,
            reason="subscription_create",
            lines=[] if start < self._now else self._lines(subscription, free=in_trial),
        )
        subscription["latest_invoice"] = invoice["id"]
        self.emit("customer.subscription.created", subscription)
        self.emit("invoice.created", invoice)
        with self.changing(subscription, "customer.subscription.updated"):
            self.finalize(invoice)
            if invoice["status"] == "open" and collection_method == "charge_automatically":
                if payment_behavior == "default_incomplete":
                    pass
                elif self.attempt(invoice) == "processing":
                    subscription["status"] = "active"
            if subscription["status"] == "incomplete":
                self.at(self._now + 23 * HOUR, "first_payment_due", id)
            if cancel_at_period_end:
                self._end_with_period(subscription)
            elif more.get("cancel_at"):
                self._end_at(subscription, in_seconds(more["cancel_at"]) or 0, more.get("proration_behavior", "none"))
        self._watch(subscription)
        return subscription

    def _item(self, subscription: Json, price: Json, quantity: int, period: tuple[int, int]) -> Json:
        item = blank(
            "subscription_item",
            id=self.new_id("si"),
            object="subscription_item",
            created=self._now,
            current_period_start=period[0],
            current_period_end=period[1],
            discounts=[],
            metadata={},
            price=price,
            subscription=subscription["id"],
            tax_rates=[],
        )
        if price["recurring"]["usage_type"] == "licensed":
            item["quantity"] = quantity
        # As API clients still get it beside the price.
        item["plan"] = {"id": price["id"], "object": "plan", **_plan(price)}
        return item

    def _lines(self, subscription: Json, *, free: bool = False) -> list[Json]:
        made = []
        for item in subscription["items"]["data"]:
            quantity = item.get("quantity", 0)
            cents = 0 if free else (item["price"]["unit_amount"] or 0) * quantity
            made.append(
                {
                    "amount": cents,
                    "currency": subscription["currency"],
                    "description": f"Trial period for {quantity} seats" if free else f"{quantity} × seat",
                    "item": item["id"],
                    "period": (item["current_period_start"], item["current_period_end"]),
                    "price": item["price"],
                    "quantity": quantity,
                }
            )
        return made

    def period_end(self, subscription: Json) -> int:
        """The earliest of its items'."""
        return min(int(item["current_period_end"]) for item in subscription["items"]["data"])

    def _last_period_end(self, subscription: Json) -> int:
        return max(int(item["current_period_end"]) for item in subscription["items"]["data"])

    def _watch(self, subscription: Json) -> None:
        if subscription["status"] in OVER:
            return
        if subscription["cancel_at"]:
            self.at(subscription["cancel_at"], "subscription_end", subscription["id"])
        if subscription["status"] != "paused":
            self.at(self.period_end(subscription), "period_ends", subscription["id"])
        if subscription["status"] == "trialing" and subscription["trial_end"] - 3 * DAY > self._now:
            self.at(subscription["trial_end"] - 3 * DAY, "trial_will_end", subscription["id"])
        pause = subscription["pause_collection"]
        if pause and pause["resumes_at"]:
            self.at(pause["resumes_at"], "collection_resumes", subscription["id"])

    # Time

    def period_ends(self, id: str) -> None:
        subscription = self.subscriptions.get(id)
        if not subscription or subscription["status"] in (*OVER, "paused", "incomplete"):
            return
        if self.period_end(subscription) > self._now:
            return
        if subscription["cancel_at"] and subscription["cancel_at"] <= self._now:
            self.subscription_end(id)
            return
        customer = self.the(subscription["customer"])
        if subscription["status"] == "trialing" and not self._has_method(subscription):
            missing = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
            if missing == "cancel":
                self.end_now(subscription, reason=None)
                return
            if missing == "pause":
                with self.changing(subscription, None):
                    subscription["status"] = "paused"
                self.emit("customer.subscription.paused", subscription)
                return
        with self.changing(subscription, "customer.subscription.updated"):
            if subscription["status"] == "trialing":
                subscription["status"] = "active"
            for item in subscription["items"]["data"]:
                item["current_period_start"] = item["current_period_end"]
                item["current_period_end"] = calendar.boundary(
                    subscription["billing_cycle_anchor"], item["price"]["recurring"], after=item["current_period_start"]
                )
            lines = self._lines(subscription) + self.pending.pop(id, [])
            start = subscription["items"]["data"][0]["current_period_start"]
            invoice = self.make_invoice(
                customer=customer,
                subscription=subscription,
                reason="subscription_cycle",
                lines=lines,
                period=(
                    calendar.before(subscription["billing_cycle_anchor"], self._recurring(subscription), end=start)
                    if start > subscription["billing_cycle_anchor"]
                    else subscription["start_date"],
                    start,
                ),
            )
            subscription["latest_invoice"] = invoice["id"]
            pause = subscription["pause_collection"]
            if subscription["status"] == "unpaid" or (pause and pause["behavior"] == "keep_as_draft"):
                invoice["auto_advance"] = False
            else:
                # With an endpoint to tell, it is the endpoint's answer that counts.
                accepted = self.endpoint_accepts and not self.webhook_url
                wait = self.draft_seconds if accepted else self.undelivered_draft_seconds
                if accepted:
                    invoice["webhooks_delivered_at"] = self._now
                invoice["automatically_finalizes_at"] = self._now + wait
                self.at(self._now + wait, "draft_finalizes", invoice["id"])
        self.emit("invoice.created", invoice)
        self._watch(subscription)

    def _recurring(self, subscription: Json) -> Json:
        found: Json = subscription["items"]["data"][0]["price"]["recurring"]
        return found

    def _has_method(self, subscription: Json) -> bool:
        customer = self.the(subscription["customer"])
        return bool(subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"])

    def invoice_created_accepted(self, id: str) -> None:
        """Our endpoint took `invoice.created`: an hour from now instead of the three days."""
        invoice = self.invoices.get(id)
        if invoice and invoice["status"] == "draft" and invoice["webhooks_delivered_at"] is None:
            invoice["webhooks_delivered_at"] = self._now
            if invoice["auto_advance"]:
                invoice["automatically_finalizes_at"] = self._now + self.draft_seconds
                self.at(invoice["automatically_finalizes_at"], "draft_finalizes", id)

    def draft_finalizes(self, id: str) -> None:
        invoice = self.invoices.get(id)
        due = invoice and invoice["automatically_finalizes_at"]
        if not invoice or invoice["status"] != "draft" or not invoice["auto_advance"] or not due or due > self._now:
            return
        subscription = self.subscription_of(invoice)
        pause = subscription and subscription["pause_collection"]
        self.finalize(invoice)
        if invoice["status"] != "open":
            return
        if pause and pause["behavior"] == "void":
            self.void(invoice)
        elif pause and pause["behavior"] == "mark_uncollectible":
            self.mark_uncollectible(invoice)
        elif invoice["collection_method"] == "charge_automatically":
            self._collect(invoice)

    def _collect(self, invoice: Json) -> None:
        subscription = self.subscription_of(invoice)
        answer = self.attempt(invoice)
        if not subscription or subscription["status"] in OVER or answer in ("paid", "processing"):
            return
        if subscription["status"] == "active":
            with self.changing(subscription, "customer.subscription.updated"):
                subscription["status"] = "past_due"
        if invoice["next_payment_attempt"] is None and invoice["billing_reason"] != "subscription_create":
            self._retries_are_over(subscription)

    def retry(self, id: str) -> None:
        invoice = self.invoices.get(id)
        if not invoice or invoice["status"] != "open" or not invoice["auto_advance"]:
            return
        if invoice["next_payment_attempt"] is None or invoice["next_payment_attempt"] > self._now:
            return
        self._collect(invoice)

    def _retries_are_over(self, subscription: Json) -> None:
        if self.after_retries == "canceled":
            self.end_now(subscription, reason="payment_failed")
        elif self.after_retries == "unpaid":
            with self.changing(subscription, "customer.subscription.updated"):
                subscription["status"] = "unpaid"

    def invoice_due(self, id: str) -> None:
        """A sent invoice that nobody paid in time."""
        invoice = self.invoices.get(id)
        subscription = invoice and self.subscription_of(invoice)
        if invoice and subscription and invoice["status"] == "open" and subscription["status"] == "active":
            with self.changing(subscription, "customer.subscription.updated"):
                subscription["status"] = "past_due"
            self.emit("invoice.overdue", invoice)

    def invoice_was_paid(self, invoice: Json) -> None:
        super().invoice_was_paid(invoice)
        subscription = self.subscription_of(invoice)
        if not subscription or subscription["status"] not in ("incomplete", "past_due", "unpaid"):
            return
        if subscription["latest_invoice"] != invoice["id"]:
            return
        told = subscription["status"] != "incomplete" or self._now > subscription["created"]
        with self.changing(subscription, "customer.subscription.updated" if told else None):
            subscription["status"] = "active"

    def invoice_was_settled(self, invoice: Json) -> None:
        super().invoice_was_settled(invoice)
        subscription = self.subscription_of(invoice)
        if not subscription or subscription["latest_invoice"] != invoice["id"]:
            return
        if subscription["status"] == "incomplete" and invoice["status"] == "void":
            self._expire_incomplete(subscription)
        elif subscription["status"] in ("past_due", "unpaid"):
            with self.changing(subscription, "customer.subscription.updated"):
                subscription["status"] = "active"

    def debit_settled(self, invoice: Json, succeeded: bool) -> None:
        super().debit_settled(invoice, succeeded)
        subscription = self.subscription_of(invoice)
        if subscription and not succeeded and subscription["status"] == "active":
            with self.changing(subscription, "customer.subscription.updated"):
                subscription["status"] = "past_due"

    def first_payment_due(self, id: str) -> None:
        subscription = self.subscriptions.get(id)
        if subscription and subscription["status"] == "incomplete":
            invoice = self.the(subscription["latest_invoice"])
            if invoice["status"] == "open":
                self.void(invoice)
            else:
                self._expire_incomplete(subscription)

    def _expire_incomplete(self, subscription: Json) -> None:
        with self.changing(subscription, "customer.subscription.updated"):
            subscription["status"] = "incomplete_expired"
            subscription["ended_at"] = self._now
        self.emit("customer.subscription.deleted", subscription)

    def trial_will_end(self, id: str) -> None:
        subscription = self.subscriptions.get(id)
        if subscription and subscription["status"] == "trialing" and subscription["trial_end"] - 3 * DAY <= self._now:
            self.emit("customer.subscription.trial_will_end", subscription)

    def collection_resumes(self, id: str) -> None:
        subscription = self.subscriptions.get(id)
        pause = subscription and subscription["pause_collection"]
        if subscription and pause and pause["resumes_at"] and pause["resumes_at"] <= self._now:
            with self.changing(subscription, "customer.subscription.updated"):
                subscription["pause_collection"] = None

    # Ending

    def subscription_end(self, id: str) -> None:
        """A date of ending has come."""
        subscription = self.subscriptions.get(id)
        if not subscription or subscription["status"] in OVER:
            return
        if not subscription["cancel_at"] or subscription["cancel_at"] > self._now:
            return
        self.end_now(subscription, reason=subscription["cancellation_details"]["reason"], asked=False)

    def end_now(
        self, subscription: Json | str, *, reason: str | None = "cancellation_requested", asked: bool = True
    ) -> Json:
        """Over, at once. What is open is no longer collected; what is a draft stays one."""
        found = self.the(subscription)
        for invoice in self.invoices.of("subscription", found["id"]):
            if invoice["status"] in ("draft", "open") and invoice["auto_advance"]:
                with self.changing(invoice, "invoice.updated"):
                    invoice |= {
                        "auto_advance": False,
                        "automatically_finalizes_at": None,
                        "next_payment_attempt": None,
                    }
        with self.changing(found, None):
            found["status"] = "canceled" if found["status"] != "incomplete" else "incomplete_expired"
            found["ended_at"] = self._now
            if asked or not found["canceled_at"]:
                found["canceled_at"] = self._now
            found["cancellation_details"]["reason"] = reason
            found["pause_collection"] = None
        schedule = self.schedules.get(found["schedule"] or "")
        self.emit("customer.subscription.deleted", found)
        if schedule and schedule["status"] in ("active", "not_started"):
            with self.changing(schedule, None):
                # At its own end it has done what it was for.
                done = not asked
                schedule["status"] = "completed" if done else "canceled"
                schedule["completed_at" if done else "canceled_at"] = self._now
                schedule["current_phase"] = None
            self.emit(f"subscription_schedule.{schedule['status']}", schedule)
        return found

    def _end_with_period(self, subscription: Json) -> None:
        subscription["cancel_at_period_end"] = True
        subscription["cancel_at"] = self.period_end(subscription)
        self._asked(subscription)

    def _end_at(self, subscription: Json, moment: int, proration: str) -> None:
        if moment <= self._now:
            raise invalid("The timestamp must be in the future.", "cancel_at")
        subscription["cancel_at_period_end"] = False
        subscription["cancel_at"] = moment
        self._asked(subscription)
        if moment < self.period_end(subscription):
            for item in subscription["items"]["data"]:
                if proration != "none":
                    self._prorate(subscription, item, item.get("quantity", 0), -1, since=moment)
                item["current_period_end"] = moment
            if subscription["billing_mode"]["type"] == "classic":
                subscription["billing_cycle_anchor"] = moment
                if subscription["trial_end"]:
                    subscription["trial_end"] = min(subscription["trial_end"], moment)

    def _asked(self, subscription: Json) -> None:
        subscription["canceled_at"] = self._now
        subscription["cancellation_details"]["reason"] = "cancellation_requested"

    def _go_on(self, subscription: Json) -> None:
        shortened = subscription["cancel_at"] and not subscription["cancel_at_period_end"]
        subscription |= {
            "cancel_at_period_end": False,
            "cancel_at": None,
            "canceled_at": None,
            "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        }
        if shortened and subscription["status"] != "trialing":
            # A date inside the period had cut it short.
            for item in subscription["items"]["data"]:
                item["current_period_end"] = calendar.boundary(
                    subscription["billing_cycle_anchor"], item["price"]["recurring"], after=item["current_period_start"]
                )

    def _prorate(self, subscription: Json, item: Json, quantity: int, sign: int, *, since: int) -> None:
        start, end = item["current_period_start"], item["current_period_end"]
        share = (end - since) / max(1, end - start)
        self.pending[subscription["id"]].append(
            {
                "amount": sign * round((item["price"]["unit_amount"] or 0) * quantity * share),
                "currency": subscription["currency"],
                "description": "Unused time" if sign < 0 else "Remaining time",
                "item": item["id"],
                "period": (since, end),
                "price": item["price"],
                "quantity": quantity,
                "proration": True,
            }
        )

    # Changing: what POST /v1/subscriptions/{id} does

    def update_subscription(self, subscription: Json, asked: Json) -> Json:
        if subscription["status"] in OVER:
            if set(asked) - {"metadata", "cancellation_details"}:
                raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
        elif subscription["status"] == "incomplete":
            allowed = {"metadata", "default_source", "default_payment_method", "cancellation_details"}
            if set(asked) - allowed:
                raise invalid("A subscription that is `incomplete` can only change its metadata and default_source.")
        ends = {"cancel_at", "cancel_at_period_end"} & set(asked)
        if len(ends) == 2:
            raise invalid("Received both cancel_at_period_end and cancel_at parameters. Please pass in only one.")
        if ends and subscription["schedule"]:
            raise invalid(
                f"The subscription is managed by the subscription schedule `{subscription['schedule']}`, and updating "
                "any cancelation behavior directly is not allowed. Please update the schedule instead."
            )
        was = subscription["status"]
        invoice_now = False
        with self.changing(subscription, "customer.subscription.updated"):
            if "metadata" in asked:
                merge_metadata(subscription, asked["metadata"])
            for key in (
                "default_payment_method",
                "description",
                "days_until_due",
                "collection_method",
                "trial_settings",
            ):
                if key in asked:
                    subscription[key] = asked[key] if asked[key] != "" else None
            if "items" in asked:
                invoice_now = self._change_items(subscription, asked)
            if "trial_end" in asked:
                invoice_now = self._move_trial(subscription, asked["trial_end"]) or invoice_now
            if asked.get("billing_cycle_anchor") == "now":
                self._restart_period(subscription)
                invoice_now = True
            if "pause_collection" in asked:
                pause = asked["pause_collection"]
                subscription["pause_collection"] = {"resumes_at": None, **pause} if pause else None
            if asked.get("cancel_at_period_end") is True:
                self._end_with_period(subscription)
            elif asked.get("cancel_at_period_end") is False and subscription["cancel_at_period_end"]:
                self._go_on(subscription)
            if "cancel_at" in asked:
                self._set_cancel_at(subscription, asked)
            details = asked.get("cancellation_details") or {}
            for key in ("feedback", "comment"):
                if key in details:
                    subscription["cancellation_details"][key] = details[key] or None
            if invoice_now and was not in OVER:
                self._invoice_now(subscription)
        self._watch(subscription)
        return subscription

    def _set_cancel_at(self, subscription: Json, asked: Json) -> None:
        wanted = asked["cancel_at"]
        if wanted == "" or wanted is None:
            if subscription["cancel_at"]:
                self._go_on(subscription)
            return
        if isinstance(wanted, str):
            if subscription["billing_mode"]["type"] == "classic":
                raise invalid(f"`{wanted}` is only for subscriptions with flexible billing mode.", "cancel_at")
            wanted = (
                self.period_end(subscription) if wanted == "min_period_end" else self._last_period_end(subscription)
            )
        self._end_at(subscription, wanted, asked.get("proration_behavior", "create_prorations"))

    def _change_items(self, subscription: Json, asked: Json) -> bool:
        behaviour = asked.get("proration_behavior", "create_prorations")
        restart = False
        for change in asked["items"]:
            item = next((one for one in subscription["items"]["data"] if one["id"] == change.get("id")), None)
            if "id" in change and not item:
                raise Refused(
                    404, f"No such subscription_item: '{change['id']}'", code="resource_missing", param="items[0][id]"
                )
            price = self.prices.get(change["price"]) if "price" in change else None
            if "price" in change and not price:
                raise invalid(f"No such price: '{change['price']}'", "items[0][price]", "resource_missing")
            if not item:
                if not price:
                    raise invalid("You must pass an `id` or a `price`.", "items")
                period = subscription["items"]["data"][0]
                span = (period["current_period_start"], period["current_period_end"])
                subscription["items"]["data"].append(self._item(subscription, price, change.get("quantity", 1), span))
                continue
            if behaviour != "none" and subscription["status"] != "trialing":
                self._prorate(subscription, item, item.get("quantity", 0), -1, since=self._now)
            if change.get("deleted"):
                subscription["items"]["data"].remove(item)
                continue
            former = item["price"]["recurring"]
            if price:
                item["price"] = dict(price)
                item["plan"] = {"id": price["id"], "object": "plan", **_plan(price)}
            if "quantity" in change:
                item["quantity"] = change["quantity"]
            now = item["price"]["recurring"]
            if (former["interval"], former["interval_count"]) != (now["interval"], now["interval_count"]):
                restart = True
            elif behaviour != "none" and subscription["status"] != "trialing":
                self._prorate(subscription, item, item.get("quantity", 0), 1, since=self._now)
        if restart and subscription["status"] != "trialing":
            self._restart_period(subscription)
            return True
        return bool(behaviour == "always_invoice")

    def _move_trial(self, subscription: Json, wanted: Any) -> bool:
        if wanted == "now":
            if subscription["status"] == "trialing":
                subscription |= {"status": "active", "trial_end": self._now}
            self._restart_period(subscription)
            return True
        subscription |= {"status": "trialing", "trial_end": wanted, "billing_cycle_anchor": wanted}
        subscription["trial_start"] = subscription["trial_start"] or self._now
        for item in subscription["items"]["data"]:
            item["current_period_end"] = wanted
        if subscription["cancel_at_period_end"]:
            subscription["cancel_at"] = wanted
        return False

    def _restart_period(self, subscription: Json) -> None:
        subscription["billing_cycle_anchor"] = self._now
        for item in subscription["items"]["data"]:
            item["current_period_start"] = self._now
            item["current_period_end"] = calendar.boundary(self._now, item["price"]["recurring"], after=self._now)
        if subscription["cancel_at_period_end"]:
            subscription["cancel_at"] = self.period_end(subscription)

    def _invoice_now(self, subscription: Json) -> None:
        pending = self.pending.pop(subscription["id"], [])
        fresh = subscription["billing_cycle_anchor"] == self._now
        lines = pending + (self._lines(subscription) if fresh else [])
        if not lines:
            return
        invoice = self.make_invoice(
            customer=self.the(subscription["customer"]),
            subscription=subscription,
            reason="subscription_update",
            lines=lines,
        )
        subscription["latest_invoice"] = invoice["id"]
        self.emit("invoice.created", invoice)
        self.finalize(invoice)
        if (
            invoice["status"] == "open"
            and subscription["collection_method"] == "charge_automatically"
            and self.attempt(invoice) in ("failed", "action")
        ):
            subscription["status"] = "past_due"

    # What people do in the portal and the dashboard

    def portal_cancel(
        self, subscription: Json | str, *, feedback: str | None = None, comment: str | None = None
    ) -> Json:
        """The owner cancels there, at the period's end: under flexible billing a date, and no flag."""
        found = self.the(subscription)
        with self.changing(found, "customer.subscription.updated"):
            if found["billing_mode"]["type"] == "flexible":
                found["cancel_at"] = self._last_period_end(found)
                self._asked(found)
            else:
                self._end_with_period(found)
            found["cancellation_details"] |= {"feedback": feedback, "comment": comment}
        self._watch(found)
        return found

    def portal_keep(self, subscription: Json | str) -> Json:
        """ "Don't cancel", in the portal or the dashboard."""
        found = self.the(subscription)
        with self.changing(found, "customer.subscription.updated"):
            self._go_on(found)
        self._watch(found)
        return found

    dashboard_keep = portal_keep

    def portal_cancel_now(self, subscription: Json | str, *, feedback: str | None = None) -> Json:
        found = self.the(subscription)
        found["cancellation_details"]["feedback"] = feedback
        return self.end_now(found)

    def dashboard_cancel(self, subscription: Json | str, at: datetime | int | str = "period_end") -> Json:
        """Staff cancel there: at "period_end", "now", or a date of theirs."""
        found = self.the(subscription)
        if at == "now":
            return self.end_now(found)
        with self.changing(found, "customer.subscription.updated"):
            if isinstance(at, str):
                self._end_with_period(found)
            else:
                self._end_at(found, in_seconds(at) or 0, "none")
        self._watch(found)
        return found

    def pause_collection(
        self, subscription: Json | str, behavior: str | None = "void", *, resumes_at: datetime | int | None = None
    ) -> Json:
        """Staff let it run unpaid; None ends that."""
        pause = behavior and {"behavior": behavior, "resumes_at": in_seconds(resumes_at)}
        return self.update_subscription(self.the(subscription), {"pause_collection": pause})

    def pause(self, subscription: Json | str) -> Json:
        """Status `paused`: no periods, no invoices, until `resume`."""
        found = self.the(subscription)
        with self.changing(found, None):
            found["status"] = "paused"
        self.emit("customer.subscription.paused", found)
        return found

    def resume(self, subscription: Json | str, *, billing_cycle_anchor: str = "now") -> Json:
        found = self.the(subscription)
        if found["status"] != "paused":
            raise invalid("Only subscriptions that are `paused` can be resumed.")
        with self.changing(found, None):
            found["status"] = "active"
            if billing_cycle_anchor == "now" or self.period_end(found) <= self._now:
                self._restart_period(found)
                self._invoice_now(found)
        self.emit("customer.subscription.resumed", found)
        self._watch(found)
        return found

    def change(self, subscription: Json | str, *, price: Json | str | None = None, quantity: int | None = None) -> Json:
        """Staff change plan or seats of the first item, without proration."""
        found = self.the(subscription)
        change: Json = {"id": found["items"]["data"][0]["id"]}
        if price:
            change["price"] = self.the(price)["id"]
        if quantity is not None:
            change["quantity"] = quantity
        return self.update_subscription(found, {"items": [change], "proration_behavior": "none"})

    def hurry(self, subscription: Json | str, to: datetime | int | None = None, *, seconds: int = 0) -> Json:
        """The period ends then instead, or so soon. Stripe has nothing like it; playing in real time needs it."""
        found, moment = self.the(subscription), in_seconds(to) or self._now + seconds
        with self.changing(found, "customer.subscription.updated"):
            found["billing_cycle_anchor"] = moment
            for item in found["items"]["data"]:
                item["current_period_end"] = moment
            if found["status"] == "trialing":
                found["trial_end"] = moment
            if found["cancel_at"]:
                found["cancel_at"] = moment
        self._watch(found)
        return found

    def delete_customer(self, customer: Json | str) -> Json:
        """For good: subscriptions end at once, the id answers `deleted`."""
        found = self.the(customer)
        for subscription in self.subscriptions.of("customer", found["id"]):
            if subscription["status"] not in OVER:
                self.end_now(subscription)
        for method in self.payment_methods.of("customer", found["id"]):
            method["customer"] = None
        gone = {"id": found["id"], "object": "customer", "deleted": True}
        self.emit("customer.deleted", found)
        self.former[found["id"]] = dict(found)
        found.clear()
        found |= gone
        return gone

    def clear(self) -> None:
        super().clear()
        #: Customers as they were when they were deleted; their invoices still show them.
        self.former: dict[str, Json] = {}


def merge_metadata(thing: Json, given: Any) -> None:
    """Keys are set one by one; an empty value unsets one, an empty text all."""
    if given == "":
        thing["metadata"] = {}
        return
    merged = {**thing["metadata"], **(given or {})}
    thing["metadata"] = {key: value for key, value in merged.items() if value != ""}


def _plan(price: Json) -> Json:
    return {
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": price["recurring"]["interval"],
        "interval_count": price["recurring"]["interval_count"],
        "livemode": price["livemode"],
        "metadata": {},
        "meter": None,
        "nickname": None,
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": price["recurring"]["usage_type"],
    }


def _period(anchor: int, recurring: Json, now: int) -> tuple[int, int]:
    end = calendar.boundary(anchor, recurring, after=now)
    if anchor > now:
        return now, anchor
    return calendar.before(anchor, recurring, end=end), end
