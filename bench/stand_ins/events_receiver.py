"""Somebody who hears ten thousand events: checks each signature, and counts. A process of its own, for `bench.events`.

    python -m bench.stand_ins.events_receiver SECRET

Prints its port; answers GET with what it has heard so far.
"""

import base64
import hashlib
import hmac
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = base64.b64decode(sys.argv[1].removeprefix("whsec_"))
ids: set[str] = set()
last: dict[str, int] = {}
counts = {"calls": 0, "forged": 0, "out_of_order": 0}
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else each answer waits for the other side's acknowledgement of its headers.
    wbufsize = -1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        message = self.headers["webhook-id"]
        signed = f"{message}.{self.headers['webhook-timestamp']}.".encode() + body
        expected = "v1," + base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
        said = json.loads(body)["data"]
        with lock:
            counts["calls"] += 1
            counts["forged"] += expected not in self.headers["webhook-signature"].split(" ")
            counts["out_of_order"] += said["sequence"] <= last.get(said["account"], 0)
            last[said["account"]] = said["sequence"]
            ids.add(message)
        self._answer(b"")

    def do_GET(self) -> None:
        with lock:
            said = {**counts, "distinct": len(ids), "last": sorted(set(last.values())), "accounts": len(last)}
        self._answer(json.dumps(said).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
