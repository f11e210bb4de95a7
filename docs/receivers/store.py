"""A store elsewhere: an HTTP server that erases what it holds of an account when Offboard asks it to.

Copy it, and put your own tables where `erase`, `count` and `suppress` are. Python 3.10 or newer, nothing else:

    STORE_SECRET=whsec_… python3 store.py 8921

docs/stores-elsewhere.md says what each answer means.
"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

SECRET = base64.b64decode(os.environ["STORE_SECRET"].removeprefix("whsec_"))
TOLERANCE = 300  # seconds
LONGEST_BODY = 1_000_000

database = sqlite3.connect(os.environ.get("STORE_DATABASE", ":memory:"))
database.executescript("""
    CREATE TABLE IF NOT EXISTS documents (account TEXT, person TEXT, text TEXT);
    CREATE TABLE IF NOT EXISTS suppressed (account TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS requests (id TEXT PRIMARY KEY, erased INTEGER);
""")

# --- what is yours: three statements on your own tables ---

ERASE = "DELETE FROM documents WHERE account = ? OR person IN (SELECT value FROM json_each(?))"
COUNT = "SELECT count(*) FROM documents WHERE account = ? OR person IN (SELECT value FROM json_each(?))"


def erase(account, people):
    """Erase what is the account's, or these people's. Returns how many."""
    return database.execute(ERASE, (account, json.dumps(people))).rowcount


def count(account, people):
    """Count again what is left, from the table itself: never from what `erase` has said."""
    return database.execute(COUNT, (account, json.dumps(people))).fetchone()[0]


def suppress(account):
    """From now on nothing of the account is taken. Look here wherever you write."""
    database.execute("INSERT OR IGNORE INTO suppressed VALUES (?)", (account,))


# --- what is the protocol's ---


def is_genuine(headers, body):
    """Over the raw bytes: parsed and written again they would be others."""
    request, second = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not second.isdigit() or abs(time.time() - int(second)) > TOLERANCE:
        return False
    signed = f"{request}.{second}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(SECRET, signed, hashlib.sha256)).decode()
    # During a rotation there are two, separated by a blank.
    return any(hmac.compare_digest(given, expected) for given in headers.get("webhook-signature", "").split(" "))


def carry_out(message):
    """Erase, count, suppress and remember in one transaction. Again: the counts of the first time."""
    asked = message["data"]
    account = asked["account"]
    people = [person["external_id"] for person in asked["people"] if person["external_id"]]
    with database:
        erased = erase(account, people)
        known = database.execute("SELECT erased FROM requests WHERE id = ?", (asked["request"],)).fetchone()
        if known is None:
            database.execute("INSERT INTO requests VALUES (?, ?)", (asked["request"], erased))
        suppress(account)
        left = count(account, people)
    counted = erased if known is None else known[0]
    return {"status": "done", "erased": {"documents": counted}, "left": left, "proof": f"request {asked['request']}"}


class Door(BaseHTTPRequestHandler):
    timeout = 30

    def do_POST(self):
        body = self.read()
        if not is_genuine(self.headers, body):
            return self.answer(401)
        message = json.loads(body)
        if message["type"] != "erasure.requested":
            # Whatever else is asked for must never erase.
            return self.answer(422, {"status": "refused", "reason": "unknown_type", "ground": "It only erases."})
        return self.answer(200, carry_out(message))

    def do_GET(self):
        if not is_genuine(self.headers, self.read()):
            return self.answer(401)
        if self.path.endswith("/discovery"):
            return self.answer(200, {"version": "1", "takes_days": 0, "holds": ["documents"], "exports": False})
        # Everything here is done at once, so nobody asks after it.
        return self.answer(404)

    def do_DELETE(self):
        """Nothing is only accepted here: it is too late."""
        return self.answer(409 if is_genuine(self.headers, self.read()) else 401)

    def read(self):
        length = int(self.headers.get("content-length") or 0)
        return self.rfile.read(length) if length <= LONGEST_BODY else b""

    def answer(self, status, said=None):
        body = json.dumps(said).encode() if said is not None else b""
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        """No addresses of requests in logs: they hold ids."""


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Door)
    sys.stdout.write(f"A store at http://127.0.0.1:{server.server_address[1]}/\n")
    sys.stdout.flush()
    server.serve_forever()
