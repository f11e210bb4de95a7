"""A receiver of Offboard's events in Python, without anything installed: verify, remember, answer, then work.

SECRET=whsec_… PORT=9001 python3 receiver.py
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# After a rotation two secrets are good for a day: SECRET=new,old
KEYS = [base64.b64decode(secret.removeprefix("whsec_")) for secret in os.environ["SECRET"].split(",")]
TOLERANCE = 5 * 60
MOST_BYTES = 64 * 1024
seen: set[str] = set()  # in a real receiver: a table with a unique column


def is_genuine(headers, body: bytes) -> bool:
    """Whether this was signed with one of our secrets, and just now. `body`: the bytes as they came, never parsed."""
    message, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    signed = f"{message}.{timestamp}.".encode() + body
    given = [part.partition(",")[2] for part in headers.get("webhook-signature", "").split() if part.startswith("v1,")]
    expected = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)) for key in KEYS]
    return any(hmac.compare_digest(one.encode(), other) for one in given for other in expected)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length) if length <= MOST_BYTES else b""
        if not is_genuine(self.headers, body):
            return self.answer(401)
        message = self.headers["webhook-id"]
        if message in seen:
            print("again", message, flush=True)
            return self.answer(204)
        event = json.loads(body)
        # Here: put it into your own queue, in the transaction that remembers its id. Answer within 15 seconds.
        seen.add(message)
        print(event["type"], event["data"]["sequence"], flush=True)
        return self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 9001))), Receiver)
    print("listening on", server.server_address[1], file=sys.stderr, flush=True)
    server.serve_forever()
