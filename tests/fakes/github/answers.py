"""REST's objects, complete as GitHub's OpenAPI description has them."""

from datetime import datetime, timedelta

from tests.fakes.github.applications import Applications
from tests.fakes.github.payloads import Json, instant, person
from tests.fakes.github.state import Account, Hook, PendingChange, Plan, Purchase, Standing, Token

# Captured: REST dates a pending change at 07:00 UTC of the day that the webhook dates at midnight.
PENDING_HOUR = timedelta(hours=7)


def listing_plan(plan: Plan, *, api: str) -> Json:
    url = f"{api}/marketplace_listing/plans/{plan.id}"
    return {
        "url": url,
        "accounts_url": f"{url}/accounts",
        "id": plan.id,
        "number": plan.number,
        "name": plan.name,
        "description": plan.description,
        "monthly_price_in_cents": plan.monthly,
        "yearly_price_in_cents": plan.yearly,
        "price_model": plan.price_model,
        "has_free_trial": plan.has_free_trial,
        "unit_name": plan.unit_name,
        "state": plan.state,
        "bullets": list(plan.bullets),
    }


def account_with_purchase(account: Account, standing: Standing, *, installed: bool, api: str) -> Json:
    """Of `/marketplace_listing/accounts/{id}` and the lists of a plan's accounts."""
    purchase = standing.purchase
    if not purchase:
        raise ValueError(f"{account.login} has bought nothing")
    body: Json = {
        "url": account_url(account, api=api),
        "type": account.type,
        "id": account.id,
        "login": account.login,
        "marketplace_pending_change": _pending(standing.pending, purchase, api=api) if standing.pending else None,
        "marketplace_purchase": {
            **_terms(purchase),
            "is_installed": installed,
            "plan": listing_plan(purchase.plan, api=api),
        },
    }
    if account.is_organization:
        return body | {"organization_billing_email": account.email}
    return body | {"email": account.email or None}


def users_purchase(account: Account, purchase: Purchase, *, api: str) -> Json:
    """Of `/user/marketplace_purchases`."""
    return {
        **_terms(purchase),
        "account": {
            "url": account_url(account, api=api),
            "type": account.type,
            "id": account.id,
            "login": account.login,
            "node_id": account.node_id,
            "email": None if account.is_organization else account.email or None,
            "organization_billing_email": account.email if account.is_organization else None,
        },
        "plan": listing_plan(purchase.plan, api=api),
    }


def hook(hook: Hook, *, api: str) -> Json:
    url = f"{api}/repos/{hook.repository.full_name}/hooks/{hook.id}"
    return {
        "type": "Repository",
        "id": hook.id,
        "name": "web",
        "active": True,
        "events": list(hook.events),
        "config": {"content_type": "json", "insecure_ssl": "0", "secret": "********", "url": hook.url},
        "updated_at": instant(hook.created_at),
        "created_at": instant(hook.created_at),
        "url": url,
        "test_url": f"{url}/test",
        "ping_url": f"{url}/pings",
        "deliveries_url": f"{url}/deliveries",
        "last_response": {"code": None, "status": "unused", "message": None},
    }


def authorization(token: Token, github: Applications, *, api: str) -> Json:
    """What the check of a living token answers."""
    return {
        "id": token.id,
        "url": f"{api}/authorizations/{token.id}",
        "app": {"name": "Blueprints", "url": "https://blueprints.example", "client_id": github.client_id},
        "token": token.value,
        "hashed_token": None,
        "token_last_eight": token.value[-8:],
        "note": None,
        "note_url": None,
        "created_at": instant(token.created_at),
        "updated_at": instant(token.created_at),
        "scopes": list(token.scopes),
        "fingerprint": None,
        "expires_at": instant(token.expires_at) if token.expires_at else None,
        "user": person(token.user, api=api),
    }


def user(account: Account, *, api: str) -> Json:
    """Of `/user`, as seen without the scope `user`."""
    return person(account, api=api) | {
        "name": account.name or None,
        "company": None,
        "blog": "",
        "location": None,
        "email": None,
        "hireable": None,
        "bio": None,
        "twitter_username": None,
        "notification_email": None,
        "user_view_type": "public",
        "public_repos": 2,
        "public_gists": 0,
        "followers": 0,
        "following": 0,
        "created_at": "2014-05-06T07:08:09Z",
        "updated_at": "2026-01-02T03:04:05Z",
    }


def account_url(account: Account, *, api: str) -> str:
    return f"{api}/{'orgs' if account.is_organization else 'users'}/{account.login}"


def _terms(purchase: Purchase) -> Json:
    return {
        "billing_cycle": purchase.billing_cycle,
        "next_billing_date": instant(purchase.next_billing_date) if purchase.next_billing_date else None,
        "unit_count": purchase.unit_count,
        "on_free_trial": purchase.on_free_trial,
        "free_trial_ends_on": _with_fraction(purchase.free_trial_ends_on),
        "updated_at": instant(purchase.updated_at),
    }


def _pending(pending: PendingChange, purchase: Purchase, *, api: str) -> Json:
    # How REST shows a scheduled cancellation is not known from any public source. Here: no units of the plan it has.
    return {
        "id": pending.id,
        "unit_count": pending.unit_count,
        "plan": listing_plan(pending.plan or purchase.plan, api=api),
        "effective_date": instant(pending.effective_date + PENDING_HOUR),
    }


def _with_fraction(moment: datetime | None) -> str | None:
    # Captured: this one date has milliseconds.
    return instant(moment).replace("Z", ".000Z") if moment else None
