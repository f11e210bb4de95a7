"""What the store holds, whom it has been asked about, and what it has said. No HTTP here."""

import base64
import threading
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

SECRET = "whsec_" + base64.b64encode(b"a store's secret of 32 letters!!").decode()


@dataclass
class Record:
    """Something of an account's, or of a person's."""

    account: str
    kind: str
    text: str
    person: str = ""


@dataclass
class Asked:
    """One request, however often it came."""

    request: str
    account: str
    people: list[str]
    message: dict[str, Any]
    times: int = 0
    erased: Counter[str] = field(default_factory=Counter)
    done: bool = False
    recalled: bool = False


class Holdings:
    """The store's own database."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """As new, at the same address."""
        self.records: list[Record] = []
        self.requests: dict[str, Asked] = {}
        #: Accounts of which nothing is taken any more, until it is told of a new one.
        self.suppressed: set[str] = set()

    def put(self, account: object, kind: str = "documents", text: str = "", *, person: object = "") -> bool:
        """Write something, as the product would. Whether it was taken: not of an account that was erased."""
        with self.lock:
            if str(account) in self.suppressed:
                return False
            self.records.append(Record(str(account), kind, text, str(person)))
            return True

    def left_of(self, account: object) -> int:
        with self.lock:
            return sum(record.account == str(account) for record in self.records)

    def holds(self, text: str) -> list[Record]:
        """What holds this text: for the search after an erasing."""
        with self.lock:
            return [record for record in self.records if text in f"{record.text} {record.person} {record.account}"]

    def take(self, message: dict[str, Any]) -> Asked:
        """Note a request; the same id is the same request."""
        data = message["data"]
        with self.lock:
            request = str(uuid.UUID(data["request"]))
            people = [str(person["external_id"] or person["id"]) for person in data["people"]]
            asked = self.requests.setdefault(request, Asked(request, data["account"], people, message))
            asked.times += 1
            return asked

    def erase(self, asked: Asked, *, but: int = 0) -> int:
        """Erase what the request is about, all but so many records. Returns how many are left."""
        with self.lock:
            theirs = [
                record
                for record in self.records
                if record.account == asked.account or (record.person and record.person in asked.people)
            ]
            gone = theirs[: len(theirs) - but] if but else theirs
            asked.erased.update(record.kind for record in gone)
            ids = {id(record) for record in gone}
            self.records = [record for record in self.records if id(record) not in ids]
            left = len(theirs) - len(gone)
            if not left:
                asked.done = True
                self.suppressed.add(asked.account)
            return left
