"""A process that dies in the middle, without a process: at this statement nothing more of it is heard.

What it had committed stays, what it had not is undone: within a test's transaction ours are savepoints, and they are
rolled back as a database does for who is gone. Whoever can be killed at any statement can be killed at any instant: in
between nothing changes but memory.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction


class Killed(BaseException):
    """The process is gone. Nothing of ours catches it."""


@dataclass
class Death:
    came: bool = False


@contextmanager
def dying(is_last: Callable[[], bool]) -> Iterator[Death]:
    """The block ends, without a word, before the first statement at which `is_last` says so; asked once a statement."""
    death = Death()

    def execute(proceed: Callable[..., Any], sql: str, *more: Any) -> Any:
        # The database rolls back by itself, and a transaction begins or ends with what stands in it.
        if not str(sql).startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")) and (death.came or is_last()):
            death.came = True
            raise Killed
        return proceed(sql, *more)

    try:
        with connection.execute_wrapper(execute):
            yield death
    except Killed:
        # What failed was never sent: the transaction around it is whole.
        transaction.set_rollback(False)


def dying_at(number: int) -> AbstractContextManager[Death]:
    """As `dying`, at the statement of this number, from one on."""
    left = number

    def is_last() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    return dying(is_last)


@contextmanager
def undone() -> Iterator[None]:
    """What is done in the block is as if it had never been."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
