"""A Stripe for `bench.stripe_walk`, in a process of its own: `python -m bench.stand_ins.stripe_walk_stub COUNT START
END`.

It holds so many subscriptions, of as many customers, in the period from START to END; every hundredth has a seat more
than is known here. It lists them, a hundred to a page, newest first, as fast as it can, and says its port on standard
output. Each is as long as Stripe's are, of which most is nothing that is looked at.
"""

import asyncio
import json
import sys
from urllib.parse import parse_qs

#: One in so many has changed since it was read.
CHANGED_EVERY = 100
PER_PAGE = 100
#: What a subscription at Stripe has besides: about so many bytes.
PADDING = "x" * 1_500


def subscription(number: int, start: int, end: int) -> dict[str, object]:
    plan = "enterprise" if number % 5 == 0 else "pro"
    return {
        "id": f"sub_{number}",
        "object": "subscription",
        "customer": f"cus_{number}",
        "status": "active",
        "livemode": True,
        "created": start,
        "start_date": start,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "description": PADDING,
        "items": {
            "object": "list",
            "has_more": False,
            "data": [
                {
                    "id": f"si_{number}",
                    "object": "subscription_item",
                    "current_period_start": start,
                    "current_period_end": end,
                    "price": price(plan),
                    "quantity": 2 if number % CHANGED_EVERY == 0 else 1,
                }
            ],
        },
    }


def price(plan: str) -> dict[str, object]:
    return {
        "id": f"price_{plan}",
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "currency": "usd",
        "lookup_key": f"{plan}-monthly",
        "product": f"prod_{plan}",
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
        "unit_amount": 4900,
    }


def page(path: str, count: int, start: int, end: int) -> dict[str, object]:
    """What is answered to a list: everything else but subscriptions and prices is empty."""
    what, _mark, query = path.partition("?")
    asked = parse_qs(query)
    found: list[dict[str, object]] = []
    more = False
    if what == "/v1/subscriptions":
        newest = int(asked["starting_after"][0].removeprefix("sub_")) - 1 if "starting_after" in asked else count
        oldest = max(newest - PER_PAGE, 0)
        found = [subscription(number, start, end) for number in range(newest, oldest, -1)]
        more = oldest > 0
    elif what == "/v1/prices" and asked["active"] == ["true"]:
        found = [price("pro"), price("enterprise")]
    return {"object": "list", "url": what, "has_more": more, "data": found}


async def main(count: int, start: int, end: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                while await reader.readline() != b"\r\n":
                    pass
                raw = json.dumps(page(line.decode().split()[1], count, start, end)).encode()
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
                writer.write(head.encode() + raw)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*(int(given) for given in sys.argv[1:4])))
