"""Two stores elsewhere for `bench.elsewhere`, in a process of their own: `python -m bench.stand_ins.store_stub`.

Each answers after `LATENCY`, without using a core meanwhile, that nothing is left; and counts: requests in each second
that slides, how many at once, and each request's id. It says its port on standard output, and its counts to whoever
asks for `/counts`. Signatures are no part of the measurement.
"""

import asyncio
import json
import sys
import time
from collections import Counter, deque

LATENCY = 0.1
STORES = ("analytics", "mailing")
DONE = {"status": "done", "erased": {"documents": 1}, "left": 0, "proof": "bench"}
WHAT = {"version": "1", "takes_days": 1, "holds": ["documents"]}


class Stub:
    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.recent: deque[float] = deque()
        self.busiest = self.now = self.most_at_once = 0

    async def answer(self, method: str, body: bytes) -> dict[str, object]:
        came = time.monotonic()
        while self.recent and self.recent[0] <= came - 1:
            self.recent.popleft()
        self.recent.append(came)
        self.busiest = max(self.busiest, len(self.recent))
        if method != "POST":
            return WHAT
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        self.asked[json.loads(body)["data"]["request"]] += 1
        await asyncio.sleep(LATENCY)
        self.now -= 1
        return dict(DONE)

    def counts(self) -> dict[str, object]:
        return {
            "asked": len(self.asked),
            "most of one": max(self.asked.values(), default=0),
            "busiest second": self.busiest,
            "most at once": self.most_at_once,
        }


STUBS = {name: Stub() for name in STORES}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A connection, kept for as long as the client does."""
    try:
        while line := await reader.readline():
            method, path, _version = line.decode().split()
            length = 0
            while (header := await reader.readline()) != b"\r\n":
                name, _colon, value = header.decode().partition(":")
                if name.lower() == "content-length":
                    length = int(value)
            body = await reader.readexactly(length)
            said: object
            if path == "/counts":
                said = {name: stub.counts() for name, stub in STUBS.items()}
            else:
                said = await STUBS[path.split("/")[1]].answer(method, body)
            raw = json.dumps(said).encode()
            head = f"HTTP/1.1 200 .\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
            writer.write(head.encode() + raw)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
