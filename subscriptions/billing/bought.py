"""The mail about a purchase: what was bought, what was paid, when what is charged next, and how to cancel.

Whoever bought may have closed the browser, and whoever pays by debit never saw a page that said so. It is what they
keep. The law wants it on paper, or by mail, soon after the contract (directive 2011/83/EU, article 8, 7).
"""

from datetime import datetime

from accounts.mail import notices
from subscriptions.billing.invoice import Invoice
from subscriptions.subscription import Subscription


def tell_bought(subscription: Subscription, at: datetime) -> None:
    """Mail the owner about what has begun at a provider, once. In the transaction that has just taken it over."""
    owner = subscription.account.owner()
    if owner is None or not subscription.is_live(at):
        return
    paid = Invoice.objects.paid().filter(subscription=subscription, cents_paid__gt=0).order_by("paid_at", "pk").first()
    purchase = subscription.purchases.first()
    notices.queue(
        "subscriptions/subscription_bought",
        to=[owner],
        account=subscription.account,
        occasion=f"bought:{subscription.pk}",
        at=at,
        plan=subscription.plan.name,
        interval=subscription.interval,
        seats=subscription.seats,
        total_cents=subscription.total_cents,
        currency=subscription.currency,
        starts_at=subscription.started_at,
        **(
            {"ends_at": subscription.ends_at} if subscription.ends_at else {"charged_at": subscription.paid_through(at)}
        ),
        **({"on_trial": True} if subscription.on_trial(at) else {}),
        **({"paid_cents": paid.cents_paid, "paid_currency": paid.currency, "invoice": paid.number} if paid else {}),
        **({"reference": purchase.reference} if purchase else {}),
    )
