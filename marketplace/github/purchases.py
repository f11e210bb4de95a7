"""What a purchase at GitHub means for the account here: its subscription, its offboarding, its owner's mail.

`hold`: the customer holds this purchase; `let_go`: they hold nothing any more. Called with what a webhook says
(`marketplace.github.messages`), with GitHub's own answer (`checks`) and when somebody who has bought
signs in (`linking`). A purchase touches only the subscription that it began (design, idea 12). All of it runs in the
caller's transaction, under `lock_customer`, and makes no calls to elsewhere.
"""

from datetime import date, datetime

from django.conf import settings

from accounts.core import locks
from accounts.core.locks import Lock
from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor, ActorKind
from accounts.erasure import scheduling
from accounts.mail import notices
from accounts.models import Account
from marketplace.event_kinds import MarketplaceEvent
from marketplace.github.customer import GitHubCustomer
from marketplace.github.listing import ListingPlan, learn
from marketplace.github.payloads import (
    ListedPurchase,
    PendingChange,
)
from marketplace.github.tokens import UserToken
from marketplace.offboarding import offboarding
from subscriptions.changes import change_locked, end_locked, end_now
from subscriptions.models import Channel, Interval, Subscription
from subscriptions.starting import start

GITHUB = Actor(ActorKind.MARKETPLACE)


def lock_customer(github_id: int, *, new: bool = False) -> GitHubCustomer | None:
    """This customer, ours alone until the transaction ends, after its account, as everywhere (`accounts.core.locks`).

    Also when there is none yet, so that none is made twice; `new`: that is probably so, and it is looked for once.
    """
    accounts = Account.objects.select_for_update(no_key=True, of=("self",)).filter(github_customer__github_id=github_id)
    account = None if new else accounts.first()
    if account is None:
        locks.take(Lock.GITHUB_CUSTOMER, github_id)
        account = accounts.first()
    if account is None:
        return None
    customer = GitHubCustomer.objects.locked().filter(github_id=github_id).first()
    if customer and customer.account_id == account.pk:
        # Already read, and as it is now.
        customer.account = account
    elif customer:
        # Given a fresh account while we waited: nobody erases that one, so nobody waits for us.
        customer.account = Account.objects.select_for_update(no_key=True).get(pk=customer.account_id)
    return customer


@history.written_together()
def hold(
    purchase: ListedPurchase,
    customer: GitHubCustomer | None,
    *,
    effective_on: date | None = None,
    pending: PendingChange | None = None,
    heard: bool,
    anew: bool = False,
    at: datetime,
) -> GitHubCustomer:
    """The customer holds this purchase: make or update account, customer and subscription; call an offboarding off.

    `heard`: by webhook, so that GitHub is asked afterwards. `anew`: it is another purchase than the one before; who
    had cancelled has bought anew in any case. Once a purge has begun the customer gets a fresh account.
    """
    listing_plan = learn(purchase.plan)
    known = customer.account_id if customer else None
    if customer is None:
        account = _open(purchase.buyer.login or f"GitHub {purchase.buyer.id}", at)
        customer = GitHubCustomer(github_id=purchase.buyer.id, account=account)
    elif customer.cancelled_at or anew:
        # What became of the purchase before says nothing about this one.
        customer.subscription = None
        customer.bought_again_on = effective_on or customer.bought_again_on or at.date()
        effective_on = customer.bought_again_on
        try:
            if offboarding.call_off(customer.account, because="purchased", at=at, by=GITHUB):
                customer.authorisation_needed_at = None if _is_authorised(customer) else at
        except scheduling.TooLate:
            customer.account = _open(purchase.buyer.login or "GitHub", at)
    customer.login, customer.kind = purchase.buyer.login or customer.login, purchase.buyer.kind[:20]
    customer.listing_plan, customer.yearly, customer.seats = listing_plan, purchase.yearly, purchase.seats
    customer.trial_ends_on = purchase.trial_ends_on if purchase.on_trial else None
    customer.next_billing_on = purchase.next_billing_on
    customer.effective_on = effective_on or customer.effective_on
    customer.cancelled_at = customer.absent_since = None
    customer.forget_pending()
    if pending:
        customer.pending_since, customer.pending_effective_on = at, pending.effective_on
        customer.pending_plan = learn(pending.plan) if pending.plan else None
        customer.pending_seats = pending.seats
    if customer.doubt_until and at >= customer.doubt_until:
        customer.forget_doubt()
    if heard:
        customer.heard_of(at)
    _subscribe(customer, listing_plan, new_account=customer.account_id != known, at=at)
    customer.save()
    return customer


def _open(name: str, at: datetime) -> Account:
    """An account of somebody who has bought, and has not come here yet."""
    account = Account.objects.create(name=name, created_at=at)
    history.record(account.pk, AccountEvent.ACCOUNT_OPENED, at=at, by=GITHUB)
    return account


def _is_authorised(customer: GitHubCustomer) -> bool:
    """Whether we still hold a token of somebody in the account."""
    return UserToken.objects.alive().filter(user__memberships__account=customer.account).exists()


def _subscribe(customer: GitHubCustomer, listing_plan: ListingPlan, *, new_account: bool, at: datetime) -> None:
    """Have the subscription of this purchase say what the customer holds: that one, and no other of the account.

    One that was ended here while GitHub goes on with the purchase stays ended: somebody at the desk decided so, and it
    holds until the customer buys again (`hold` begins a purchase anew then). Where another subscription holds the
    account, none begins: a double purchase, which the row says until it is sorted out.
    """
    interval = Interval.ANNUAL if customer.yearly else Interval.MONTHLY
    cents = listing_plan.yearly_cents if customer.yearly else listing_plan.monthly_cents
    current = subscription_of(customer)
    if current and current.ends_at is None:
        change_locked(
            current,
            plan_id=listing_plan.granted_plan_id,
            interval=interval,
            seats=customer.seats,
            cents=cents,
            at=at,
            by=GITHUB,
        )
        return
    if current:
        return
    if not new_account and Subscription.objects.of(customer.account).holding(at).exists():
        # Said by the row, shown to staff, and looked at again with GitHub's next answer.
        customer.conflict_since = customer.conflict_since or at
        return
    customer.conflict_since = None
    customer.subscription = start(
        customer.account,
        plan=listing_plan.granted_plan,
        channel=Channel.GITHUB_MARKETPLACE,
        interval=interval,
        seats=customer.seats,
        cents=cents,
        by=GITHUB,
        at=at,
    )


def subscription_of(customer: GitHubCustomer) -> Subscription | None:
    """The subscription that this purchase began, live or ended, locked."""
    if customer.subscription_id is None:
        return None
    return Subscription.objects.locked().filter(pk=customer.subscription_id).first()


def let_go(
    customer: GitHubCustomer, *, cause: offboarding.OffboardingCause, received_at: datetime, at: datetime
) -> None:
    """The customer holds nothing at GitHub any more: end the subscription of that purchase, and no other.

    The caller has locked both (`lock_customer`).
    If nothing else holds the account, now or ahead, its offboarding begins, and the owner is told so (design, idea 12).
    If something does, such as a contract entered meanwhile, the account stays with all that is in it.
    """
    customer.cancelled_at, customer.absent_since = at, None
    customer.forget_pending()
    customer.forget_doubt()
    customer.authorisation_needed_at = customer.conflict_since = None
    customer.save()
    account = customer.account
    found = {each.pk: each for each in Subscription.objects.of(account).holding(at).locked()}
    # None, where it has ended already: nothing is left to end.
    current = found.pop(customer.subscription_id, None) if customer.subscription_id else None
    if found:
        if current:
            end_now(current, at=at, by=GITHUB)
        history.record(account.pk, MarketplaceEvent.GITHUB_LEFT, at=at, by=GITHUB, cause=cause)
        return
    with history.written_together():
        if current:
            end_locked(current, at=max(at, current.started_at), by=GITHUB)
        begun, _new = offboarding.begin(account, cause=cause, received_at=received_at, at=at, by=GITHUB)
    # None, where somebody bought and left without ever coming here.
    if owner := account.owner():
        notices.queue(
            f"marketplace/github_{settings.GITHUB_CANCELLATION}",
            to=[owner],
            account=account,
            occasion=f"offboarding.begun:{begun.pk}",
            at=at,
            due_at=offboarding.erased_from(begun),
            upgrade_url=marketplace_url(),
        )


def marketplace_url() -> str:
    """Our page at GitHub Marketplace, where a customer can buy again."""
    return f"{settings.GITHUB_WEB_URL}/marketplace/{settings.GITHUB_LISTING_SLUG}"
