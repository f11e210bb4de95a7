"""The Marketplace: the listing's plans, who has bought what, and the deliveries that tell of it."""

from dataclasses import replace
from datetime import datetime

from tests.fakes.github import payloads
from tests.fakes.github.payloads import Casing, ContentType, Delivery, Era, Json
from tests.fakes.github.state import (
    Account,
    BillingCycle,
    PendingChange,
    Plan,
    PriceModel,
    Purchase,
    Standing,
    World,
    midnight,
    one_cycle_after,
)


class Marketplace(World):
    """The verbs change what REST answers, at once, and return the delivery that tells of it; a test may lose it.

    `by` is the person who clicked: the account itself, or an organisation's first admin, unless told.
    """

    url: str
    webhook_secret: str
    # How payloads look where a verb isn't told: see `payloads`.
    era: Era = "2022"
    casing: Casing | None = None
    content_type: ContentType = "json"
    # If set, every delivery is posted there as it is made, as GitHub would; `posted` keeps what was answered.
    webhook_url: str | None = None

    def clear(self) -> None:
        super().clear()
        self.plans: dict[int, Plan] = {}
        self.deliveries: list[Delivery] = []
        self.posted: list[tuple[str, int | None]] = []
        # By account id, in the order of buying.
        self.standings: dict[int, Standing] = {}
        self._before: dict[int, Standing] = {}
        self._stale_reads: dict[int, int] = {}

    # The listing

    def listing_plan(
        self,
        *,
        name: str,
        id: int | None = None,
        number: int | None = None,
        price_model: PriceModel | None = None,
        monthly: int = 0,
        yearly: int | None = None,
        state: str = "published",
        description: str | None = None,
        bullets: tuple[str, ...] = (),
        has_free_trial: bool = False,
        unit_name: str | None = None,
    ) -> Plan:
        """A plan of the listing. Prices in US cents; a year costs ten months unless told; at no price it is free."""
        yearly = monthly * 10 if yearly is None else yearly
        with self.lock:
            plan = Plan(
                id=id or self.number(6_000),
                number=number or len(self.plans) + 1,
                name=name,
                price_model=price_model or ("FLAT_RATE" if monthly or yearly else "FREE"),
                monthly=monthly,
                yearly=yearly,
                description=name if description is None else description,
                bullets=bullets,
                has_free_trial=has_free_trial,
                unit_name=unit_name or ("seat" if price_model == "PER_UNIT" else None),
                state=state,
            )
            self.plans[plan.id] = plan
            return plan

    def retire(self, plan: Plan) -> None:
        """Takes a plan off the listing. Those who have it keep it."""
        plan.state = "retired"

    # Purchases

    def buy(
        self,
        account: Account,
        plan: Plan,
        *,
        billing_cycle: BillingCycle | None = "monthly",
        unit_count: int = 1,
        trial_ends: datetime | None = None,
        by: Account | None = None,
        era: Era | None = None,
    ) -> Delivery:
        with self.lock:
            if self.purchase_of(account):
                raise ValueError(f"{account.login} has a plan already: change() it")
            purchase = Purchase(
                plan=plan,
                billing_cycle=billing_cycle,
                unit_count=unit_count,
                free_trial_ends_on=midnight(trial_ends) if trial_ends else None,
                next_billing_date=one_cycle_after(self.now, billing_cycle) if plan.is_paid else None,
                updated_at=self.now,
            )
            self._stand(account, Standing(purchase))
            event = self._event("purchased", account, purchase, by=by, era=era)
        return self._send(event)

    def change(
        self,
        account: Account,
        plan: Plan | None = None,
        *,
        unit_count: int | None = None,
        billing_cycle: BillingCycle | None = None,
        by: Account | None = None,
        era: Era | None = None,
    ) -> Delivery:
        """A change that takes effect: upgrade, seats, cycle; with the plan it has, the end of a free trial.

        What a failed upgrade put back is a change to the plan before.
        """
        with self.lock:
            previous = self._bought(account)
            plan = plan or previous.plan
            cycle = billing_cycle or previous.billing_cycle
            stays = plan.is_paid and previous.next_billing_date and cycle == previous.billing_cycle
            purchase = Purchase(
                plan=plan,
                billing_cycle=cycle,
                unit_count=previous.unit_count if unit_count is None else unit_count,
                free_trial_ends_on=None,
                next_billing_date=(
                    previous.next_billing_date if stays else one_cycle_after(self.now, cycle) if plan.is_paid else None
                ),
                updated_at=self.now,
            )
            self._stand(account, Standing(purchase))
            event = self._event("changed", account, purchase, previous=previous, by=by, era=era)
        return self._send(event)

    def schedule_change(
        self,
        account: Account,
        plan: Plan | None,
        *,
        unit_count: int | None = None,
        billing_cycle: BillingCycle | None = None,
        by: Account | None = None,
        era: Era | None = None,
    ) -> Delivery:
        """A change for the end of the cycle; without a plan, the cancellation. `apply_pending` carries it out."""
        with self.lock:
            purchase = self._bought(account)
            pending = PendingChange(
                id=self.number(44_000),
                plan=plan,
                unit_count=0 if plan is None else purchase.unit_count if unit_count is None else unit_count,
                billing_cycle=billing_cycle or purchase.billing_cycle,
                effective_date=purchase.next_billing_date or midnight(self.now),
            )
            self._stand(account, Standing(purchase, pending))
            # As captured: both purchases are the current one, and the target is only in REST.
            event = self._event(
                "pending_change",
                account,
                purchase,
                previous=purchase,
                effective=pending.effective_date,
                by=by,
                era=era,
            )
        return self._send(event)

    def withdraw_change(self, account: Account, *, by: Account | None = None, era: Era | None = None) -> Delivery:
        with self.lock:
            purchase, pending = self._bought(account), self._scheduled(account)
            self._stand(account, Standing(purchase))
            event = self._event(
                "pending_change_cancelled",
                account,
                purchase,
                previous=purchase,
                effective=pending.effective_date,
                by=by,
                era=era,
            )
        return self._send(event)

    def apply_pending(self, account: Account, *, by: Account | None = None, era: Era | None = None) -> Delivery:
        """The cycle ends, today: the scheduled change takes effect."""
        pending = self._scheduled(account)
        if not pending.plan:
            return self.cancel(account, by=by, era=era)
        return self.change(
            account,
            pending.plan,
            unit_count=pending.unit_count,
            billing_cycle=pending.billing_cycle,
            by=by,
            era=era,
        )

    def cancel(self, account: Account, *, by: Account | None = None, era: Era | None = None) -> Delivery:
        """A cancellation takes effect: from now on REST answers 404."""
        with self.lock:
            purchase = self._bought(account)
            self._stand(account, Standing())
            event = self._event("cancelled", account, purchase, by=by, era=era)
        return self._send(event)

    def renew(self, account: Account) -> None:
        """The next cycle begins. GitHub sends nothing."""
        with self.lock:
            purchase = self._bought(account)
            begins = one_cycle_after(purchase.next_billing_date or self.now, purchase.billing_cycle)
            standing = self.standings[account.id]
            self._stand(
                account,
                replace(standing, purchase=replace(purchase, next_billing_date=begins, updated_at=self.now)),
            )

    # Reading

    def purchase_of(self, account: Account) -> Purchase | None:
        return self.standings.get(account.id, Standing()).purchase

    def pending_change_of(self, account: Account) -> PendingChange | None:
        return self.standings.get(account.id, Standing()).pending

    def stale(self, account: Account, *, reads: int = 1) -> None:
        """The next reads of this account answer with the state before its latest change."""
        self._stale_reads[account.id] = reads

    def standing_read(self, account_id: int) -> Standing:
        """What a read of one account sees."""
        if self._stale_reads.get(account_id, 0) > 0:
            self._stale_reads[account_id] -= 1
            return self._before.get(account_id, Standing())
        return self.standings.get(account_id, Standing())

    # Deliveries

    def ping(self, *, content_type: ContentType | None = None) -> Delivery:
        content_type = content_type or self.content_type
        event = payloads.ping_event(
            self.account("listing-owner"),
            created=self.now,
            url=self.webhook_url or "https://blueprints.example/marketplace/github/webhook/",
            content_type=content_type,
            api=self.url,
        )
        return self._send(event, event="ping", content_type=content_type)

    def delivery(
        self, payload: Json, *, event: str = "marketplace_purchase", content_type: ContentType | None = None
    ) -> Delivery:
        """Any payload, signed; not posted."""
        return payloads.delivery(
            payload, event=event, secret=self.webhook_secret, content_type=content_type or self.content_type
        )

    def post(self, delivery: Delivery) -> int | None:
        """Posts to `webhook_url`: the status, or None if nobody answered. Twice is a redelivery."""
        if not self.webhook_url:
            raise ValueError("There is no webhook_url to post to")
        try:
            status = delivery.post(self.webhook_url)
        except OSError:
            status = None
        self.posted.append((delivery.guid, status))
        return status

    def _send(
        self, payload: Json, *, event: str = "marketplace_purchase", content_type: ContentType | None = None
    ) -> Delivery:
        delivery = self.delivery(payload, event=event, content_type=content_type)
        self.deliveries.append(delivery)
        if self.webhook_url:
            # Without the lock: whoever receives it may ask at once.
            self.post(delivery)
        return delivery

    def _event(
        self,
        action: str,
        account: Account,
        purchase: Purchase,
        *,
        previous: Purchase | None = None,
        effective: datetime | None = None,
        by: Account | None,
        era: Era | None,
    ) -> Json:
        return payloads.purchase_event(
            action,
            account,
            purchase,
            effective=effective or self.now,
            sender=by or self._person_behind(account),
            previous=previous,
            era=era or self.era,
            casing=self.casing,
            api=self.url,
        )

    def _person_behind(self, account: Account) -> Account:
        if not account.is_organization:
            return account
        return account.admins[0] if account.admins else self.account(f"{account.login}-admin")

    def _stand(self, account: Account, standing: Standing) -> None:
        self._before[account.id] = self.standings.get(account.id, Standing())
        if standing.purchase:
            self.standings[account.id] = standing
        else:
            self.standings.pop(account.id, None)

    def _bought(self, account: Account) -> Purchase:
        if not (purchase := self.purchase_of(account)):
            raise ValueError(f"{account.login} has bought nothing")
        return purchase

    def _scheduled(self, account: Account) -> PendingChange:
        if not (pending := self.pending_change_of(account)):
            raise ValueError(f"{account.login} has no scheduled change")
        return pending
