"""Lists, newest first, a page at a time; and `expand`."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from tests.fakes.stripe.refusals import invalid, missing
from tests.fakes.stripe.spec import Json
from tests.fakes.stripe.state import Collection, copied

if TYPE_CHECKING:
    from tests.fakes.stripe.fake import FakeStripe

#: What is only there when asked for: by object and name.
INCLUDED = {
    ("invoice", "payments"): "invoice_payments",
    ("charge", "refunds"): "refunds",
    ("customer", "subscriptions"): "subscriptions",
    ("checkout.session", "line_items"): None,
}
DEEPEST = 4


def page(
    collection: Collection, given: Json, url: str, *, among: list[Json] | None = None, keep: Callable[[Json], bool]
) -> Json:
    """`among`, oldest first, is an index's; else all of the collection."""
    limit = given.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid("This value must be between 1 and 100.", "limit", "parameter_invalid_integer")
    after, before = given.get("starting_after"), given.get("ending_before")
    if after and before:
        raise invalid("You cannot use both `starting_after` and `ending_before`.")
    for name, id in (("starting_after", after), ("ending_before", before)):
        if id and collection.place(id) is None:
            raise missing("object", id, name)
    kept: Iterable[Json]
    if among is not None:
        found: Iterable[Json] = reversed(among)
        if after and (place := collection.place(after)) is not None:
            found = [thing for thing in found if (collection.place(thing["id"]) or 0) < place]
    else:
        found = collection.newest_first(below=collection.place(after) if after else None)
    kept = (thing for thing in found if keep(thing))
    if before:
        newer = [thing for thing in kept if (collection.place(thing["id"]) or 0) > (collection.place(before) or 0)]
        data = newer[-limit:]
        more = len(newer) > limit
    else:
        data = list(islice(kept, limit + 1))
        data, more = data[:limit], len(data) > limit
    return {"object": "list", "data": [copied(thing) for thing in data], "has_more": more, "url": url}


def within(thing: int, wanted: Any) -> bool:
    """Whether an instant is in the interval, or is the one, that was asked for."""
    if isinstance(wanted, int):
        return thing == wanted
    tests = {"gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__}
    return all(tests[name](thing, int(limit)) for name, limit in wanted.items())


def expanded(stripe: "FakeStripe", thing: Json, paths: Iterable[str]) -> Json:
    """The answer with what `expand[]` names put in the place of its ids."""
    for path in paths:
        steps = path.split(".")
        if len(steps) > DEEPEST:
            raise invalid(f"You cannot expand more than {DEEPEST} levels of a property. Property: {path}", "expand")
        _expand(stripe, thing, steps, path)
    return thing


def _expand(stripe: "FakeStripe", thing: Any, steps: list[str], path: str) -> None:
    if isinstance(thing, list):
        for one in thing:
            _expand(stripe, one, steps, path)
        return
    if not steps or not isinstance(thing, dict):
        return
    name, *rest = steps
    if (thing.get("object"), name) in INCLUDED and name not in thing:
        thing[name] = included(stripe, thing, name)
    if name not in thing:
        # In a list some objects may lack what others have; at the top it is a mistake.
        if len(path.split(".")) == len(steps):
            raise invalid(
                f"This property cannot be expanded ({name}). You may want to try expanding 'data.{name}' instead.",
                "expand",
            )
        return
    value = thing[name]
    if isinstance(value, str) and (found := stripe.find(value)):
        thing[name] = copied(found)
    _expand(stripe, thing[name], rest, path)


def included(stripe: "FakeStripe", thing: Json, name: str) -> Json:
    id = thing["id"]
    if name == "payments":
        data, url = stripe.invoice_payments.of("invoice", id), "/v1/invoice_payments"
    elif name == "refunds":
        data, url = stripe.refunds.of("charge", id)[::-1], f"/v1/charges/{id}/refunds"
    elif name == "line_items":
        data, url = line_items(stripe, id), f"/v1/checkout/sessions/{id}/line_items"
    else:
        live = [one for one in stripe.subscriptions.of("customer", id) if one["status"] != "canceled"]
        data, url = live[::-1], f"/v1/customers/{id}/subscriptions"
    return {"object": "list", "data": [copied(one) for one in data], "has_more": False, "url": url}


def line_items(stripe: "FakeStripe", session: str) -> list[Json]:
    made = []
    for n, (id, quantity) in enumerate(stripe.bought[session]["items"]):
        price = stripe.the(id)
        cents = (price["unit_amount"] or 0) * quantity
        made.append(
            {
                "id": f"li_{session}_{n}",
                "object": "item",
                "adjustable_quantity": None,
                "amount_discount": 0,
                "amount_subtotal": cents,
                "amount_tax": 0,
                "amount_total": cents,
                "currency": price["currency"],
                "description": stripe.the(price["product"])["name"],
                "metadata": {},
                "price": copied(price),
                "quantity": quantity,
            }
        )
    return made
