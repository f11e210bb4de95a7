"""A Stripe for `bench.wishes`, in a process of its own: `python -m bench.stand_ins.stripe_stub PERIOD_START
PERIOD_END`.

It knows every subscription, answers after `LATENCY` without using a core meanwhile, and counts: calls in each second
that slides, reads and changes of each subscription. What comes too fast is answered with 429, as Stripe does. It says
its port on standard output, and its counts to whoever asks for `/counts`.
"""

import asyncio
import json
import sys
import time
from collections import Counter, deque

#: Seconds that an answer takes, and calls a second that are allowed.
LATENCY = 0.1
LIMIT = 100


class Stub:
    def __init__(self, period: tuple[int, int]) -> None:
        self.start, self.end = period
        self.ending: set[str] = set()
        self.read: Counter[str] = Counter()
        self.changed: Counter[str] = Counter()
        self.recent: deque[float] = deque()
        self.busiest = self.refused = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection, kept for as long as the client does."""
        try:
            while line := await reader.readline():
                method, path, _version = line.decode().split()
                length = 0
                while (header := await reader.readline()) != b"\r\n":
                    name, _colon, value = header.decode().partition(":")
                    if name.lower() == "content-length":
                        length = int(value)
                await reader.readexactly(length)
                status, body = self.counts() if path == "/counts" else await self.answer(method, path)
                raw = json.dumps(body).encode()
                head = f"HTTP/1.1 {status} .\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n"
                if status == 429:
                    head += "Stripe-Rate-Limited-Reason: global-rate\r\n"
                writer.write(head.encode() + b"\r\n" + raw)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def answer(self, method: str, path: str) -> tuple[int, dict[str, object]]:
        now = time.monotonic()
        while self.recent and self.recent[0] <= now - 1:
            self.recent.popleft()
        self.recent.append(now)
        self.busiest = max(self.busiest, len(self.recent))
        if len(self.recent) > LIMIT:
            self.refused += 1
            return 429, {"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Too fast"}}
        reference = path.partition("?")[0].rpartition("/")[2]
        (self.read if method == "GET" else self.changed)[reference] += 1
        if method == "POST":
            self.ending.add(reference)
        await asyncio.sleep(LATENCY)
        return 200, {
            "id": reference,
            "object": "subscription",
            "status": "active",
            "schedule": None,
            "cancel_at_period_end": reference in self.ending,
            "cancel_at": self.end if reference in self.ending else None,
            "items": {
                "object": "list",
                "data": [{"id": "si", "current_period_start": self.start, "current_period_end": self.end}],
            },
        }

    def counts(self) -> tuple[int, dict[str, object]]:
        return 200, {
            "ending": len(self.ending),
            "busiest second": self.busiest,
            "refused": self.refused,
            "most reads of one": max(self.read.values(), default=0),
            "most changes of one": max(self.changed.values(), default=0),
            "calls": self.read.total() + self.changed.total(),
        }


async def main(start: int, end: int) -> None:
    server = await asyncio.start_server(Stub((start, end)).serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
