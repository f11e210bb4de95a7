"""What a browser sees: Checkout, the portal, an invoice's page. Plain: they are for clicking.

`/c/pay/{session}`, `/p/session/{portal session}`, `/i/{invoice}`; their buttons post to the same address.
"""

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from tests.fakes.stripe.calls import Answer, Call
from tests.fakes.stripe.refusals import Refused
from tests.fakes.stripe.spec import Json

if TYPE_CHECKING:
    from tests.fakes.stripe.fake import FakeStripe

CARDS = {
    "pays": "a card that pays",
    "declines": "a card that is declined",
    "authenticates": "a card that asks the owner",
    "debits": "a bank debit, days later",
}
FEEDBACK = (
    "",
    "too_expensive",
    "missing_features",
    "switched_service",
    "unused",
    "too_complex",
    "low_quality",
    "customer_service",
    "other",
)
HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; color: #1a1f36 }}
section {{ border: 1px solid #d5dbe1; border-radius: 8px; padding: 1rem; margin: 1rem 0 }}
button {{ font: inherit; padding: .4rem .8rem; margin: .2rem .2rem .2rem 0 }}
small {{ color: #4f566b }}
</style><p><small>The test Stripe: nothing here is real.</small></p><h1>{title}</h1>
"""


def respond(stripe: "FakeStripe", call: Call) -> Answer:
    steps = call.path.strip("/").split("/")
    with stripe.lock:
        answer = _respond(stripe, call, steps)
    stripe.tell()
    return answer


def _respond(stripe: "FakeStripe", call: Call, steps: list[str]) -> Answer:
    act = call.given.get("act", "")
    try:
        match steps:
            case ["c", "pay", id] if session := stripe.sessions.get(id):
                return _pay(stripe, session, call) if call.method == "POST" else Answer(200, checkout(stripe, session))
            case ["p", "session", id] if session := stripe.portal_sessions.get(id):
                if call.method == "POST":
                    _act(stripe, session, act, call.given)
                    return Answer(303, "", {"Location": call.path})
                return Answer(200, portal(stripe, session))
            case ["i", id] if invoice := stripe.invoices.get(id):
                if call.method == "POST":
                    stripe.pay(invoice, card=call.given.get("card", "pays"))
                    return Answer(303, "", {"Location": call.path})
                return Answer(200, invoice_page(invoice))
            case ["i", id, "pdf"] if invoice := stripe.invoices.get(id):
                return Answer(200, invoice_page(invoice))
    except (Refused, ValueError, LookupError) as refused:
        return Answer(400, HEAD.format(title="Not done") + f"<p>{escape(str(refused))}")
    return Answer(404, HEAD.format(title="Nothing here"))


def _pay(stripe: "FakeStripe", session: Json, call: Call) -> Answer:
    if session["status"] != "open":
        return Answer(200, checkout(stripe, session))
    if call.given.get("act") == "expire":
        stripe.expire_session(session)
        return Answer(200, checkout(stripe, session))
    stripe.complete(session, card=call.given.get("card", "pays"))
    if session["status"] == "open":
        return Answer(200, checkout(stripe, session, told="Your card was declined. Try another."))
    return Answer(303, "", {"Location": stripe.success_address(session)})


def checkout(stripe: "FakeStripe", session: Json, told: str = "") -> str:
    page = HEAD.format(title="Pay")
    if told:
        page += f'<p role="alert"><strong>{escape(told)}</strong></p>'
    if session["status"] != "open":
        return page + f"<p>This page is {escape(session['status'])}: there is nothing to pay any more."
    lines = "".join(
        f"<li>{seats} × {escape(stripe.the(stripe.the(price)['product'])['name'])}, "
        f"{_money(stripe.the(price)['unit_amount'], stripe.the(price)['currency'])} "
        f"each {escape(stripe.the(price)['recurring']['interval'])}"
        for price, seats in stripe.bought[session["id"]]["items"]
    )
    buttons = "".join(f"<button name=card value={card}>Pay with {words}</button>" for card, words in CARDS.items())
    back = f"<p><a href='{escape(session['cancel_url'])}'>Back</a>" if session["cancel_url"] else ""
    return (
        f"{page}<ul>{lines}</ul><p>Total: {_money(session['amount_total'], session['currency'])}"
        f"<form method=post>{buttons}</form>"
        f"<form method=post><button name=act value=expire>Let this page expire</button></form>{back}"
    )


def portal(stripe: "FakeStripe", session: Json) -> str:
    page = HEAD.format(title="Billing")
    customer = stripe.the(session["customer"])
    for subscription in reversed(stripe.subscriptions.of("customer", customer["id"])):
        page += _subscription(stripe, subscription)
    invoices = "".join(
        f"<li><a href='/i/{invoice['id']}'>{escape(invoice['number'] or 'Draft')}</a>: "
        f"{_money(invoice['total'], invoice['currency'])}, {invoice['status']}"
        for invoice in reversed(stripe.invoices.of("customer", customer["id"]))
    )
    page += f"<h2>Invoices</h2><ul>{invoices}</ul>"
    cards = "".join(f"<button name=card value={card}>{escape(words)}</button>" for card, words in CARDS.items())
    page += f"<form method=post><p>Pay from now on with: <input type=hidden name=act value=card>{cards}</form>"
    if session["return_url"]:
        page += f"<p><a href='{escape(session['return_url'])}'>Return</a>"
    return page


def _subscription(stripe: "FakeStripe", subscription: Json) -> str:
    item = subscription["items"]["data"][0]
    name = stripe.the(item["price"]["product"])["name"]
    ends = f", ends {_when(subscription['cancel_at'])}" if subscription["cancel_at"] else ""
    part = (
        f"<section><h2>{escape(name)}</h2><p>{item.get('quantity', 0)} seats, {subscription['status']}; paid until "
        f"{_when(item['current_period_end'])}{ends}<br><small>{subscription['id']}</small>"
    )
    if subscription["status"] in ("canceled", "incomplete_expired"):
        return part + "</section>"
    options = "".join(f"<option value='{word}'>{word or 'No reason'}" for word in FEEDBACK)
    part += f"<form method=post><input type=hidden name=subscription value={subscription['id']}>"
    if subscription["cancel_at"]:
        part += "<button name=act value=keep>Don’t cancel</button>"
    else:
        part += (
            f"<select name=feedback aria-label=Reason>{options}</select> "
            "<button name=act value=cancel>Cancel plan</button>"
            "<button name=act value=cancel_now>Cancel at once</button>"
        )
    return part + "</form></section>"


def _act(stripe: "FakeStripe", session: Json, act: str, given: Json) -> None:
    if act == "card":
        stripe.pay_with(session["customer"], given["card"])
        return
    subscription = stripe.the(given["subscription"])
    if subscription["customer"] != session["customer"]:
        raise ValueError("Another customer's")
    feedback = given.get("feedback") or None
    if act == "cancel":
        stripe.portal_cancel(subscription, feedback=feedback, comment=given.get("comment") or None)
    elif act == "keep":
        stripe.portal_keep(subscription)
    elif act == "cancel_now":
        stripe.portal_cancel_now(subscription, feedback=feedback)


def invoice_page(invoice: Json) -> str:
    page = HEAD.format(title=f"Invoice {escape(invoice['number'] or '(draft)')}")
    page += f"<p>{_money(invoice['total'], invoice['currency'])}, {invoice['status']}"
    if invoice["status"] in ("open", "uncollectible"):
        buttons = "".join(f"<button name=card value={card}>Pay with {words}</button>" for card, words in CARDS.items())
        page += f"<form method=post>{buttons}</form>"
    return page


def _money(cents: int | None, currency: str) -> str:
    return f"{currency.upper()} {(cents or 0) / 100:,.2f}"


def _when(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
