"""The statements with which a purge erases rows: each within a time limit, and searching as suits what is left.

Called by `accounts.erasure.runner` for each chunk; the numbers were measured with accounts of a million rows.
"""

from datetime import datetime
from typing import Literal, LiteralString

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

from accounts.customers.account import Account
from accounts.erasure import inventory
from accounts.erasure.inventory import Erased, Order, Scrubbed, Store
from accounts.erasure.purge import CHUNK, Purge
from accounts.erasure.starting import must_wait

#: A statement that takes longer is stopped, and the chunk halved. In milliseconds.
STATEMENT_TIMEOUT = 5000
#: Waiting for a lock is not slowness: tried again later, with the same chunk. In milliseconds.
LOCK_TIMEOUT = 2000


def erase_rows(purge: Purge, at: datetime) -> bool:
    """One transaction: up to a chunk of rows, over as many stores as that takes. Too slow: half as many next time.

    Returns whether there may be more to erase just now.
    """
    try:
        with transaction.atomic():
            lock(purge)
            if must_wait(purge, at, while_erasing=True):
                return False
            room = purge.chunk
            for store in inventory.stores():
                if purge.is_done(store.name):
                    continue
                room -= _erase_some(purge, store, room)
                # What comes after it may be its parent.
                if not purge.is_done(store.name):
                    break
            purge.save(update_fields=["progress"])
            return not all_rows_are_gone(purge)
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled) or purge.chunk == 1:
            raise
        # Never the same size again: that would be stopped at the same place, for ever.
        Purge.objects.filter(pk=purge.pk).update(chunk=max(purge.chunk // 2, 1))
        return True


def _erase_some(purge: Purge, store: Store, limit: int) -> int:
    """Erase up to `limit` rows of a store, found by index or by walking on through its table. Returns how many."""
    walk = store.walk if isinstance(store, Erased) else None
    page = purge.page(store.name)
    if walk and page is not None:
        erased, following = walk.erase(purge.account_id, page, limit)
        if following is not None:
            purge.note(store.name, erased, done=False, page=following)
            return erased
        # At the end. Rows that were moved to pages behind us meanwhile are still to be found.
    behind = page is not None or store.order == Order.ACCOUNT
    if behind:
        look_behind(purge)
    erased = store.erase(purge.account_id, limit)
    done = erased < limit and not _is_held(store, purge)
    if behind:
        _search("index")
    elif walk and not done and walk.is_worthwhile(purge.account_id):
        page = 0
    purge.note(store.name, erased, done=done, page=page)
    return erased


def _is_held(store: Store, purge: Purge) -> bool:
    """Whether rows were passed over because a worker holds them: it needs the account first, which is ours just now."""
    return isinstance(store, Scrubbed) and store.held_by_workers and store.find(purge.account_id).exists()


def all_rows_are_gone(purge: Purge) -> bool:
    """Whether no store has rows left, as the purge's own notes say."""
    return all(purge.is_done(store.name) for store in inventory.stores())


def lock(purge: Purge) -> None:
    """Lock account and purge, in that order, and read the purge as it is now. Statements have a time limit."""
    with connection.cursor() as cursor:
        # In one message: on a busy machine each answer is waited for in a queue.
        cursor.execute(
            f"SET LOCAL lock_timeout = {LOCK_TIMEOUT:d}; SET LOCAL statement_timeout = {STATEMENT_TIMEOUT:d};"
            f"{_SEARCH['index']}"
        )
    Account.objects.select_for_update(no_key=True).filter(pk=purge.account_id).first()
    purge.refresh_from_db(from_queryset=Purge.objects.locked())


#: How rows are searched for. Left to itself the planner reads the whole table for an account that owns most of it, and
#: so each chunk reads over everything that the chunks before it have deleted (measured: a fifth of the rate after half
#: a million rows). An index gives the first row at once; a bitmap finds all of the account's rows before that, but
#: visits each page once, which is quicker where nearly all that it finds are dead.
_SEARCH: dict[str, LiteralString] = {
    "index": "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;"
    "SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on",
    "bitmap": "SET LOCAL enable_bitmapscan = on; SET LOCAL enable_indexscan = off;SET LOCAL enable_indexonlyscan = off",
}


def _search(way: Literal["index", "bitmap"]) -> None:
    """Search in this way for the rest of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_SEARCH[way])


def look_behind(purge: Purge) -> None:
    """Search where nearly everything is dead: after a walk, and when the account's own row goes or all is counted.

    Once anything took too long, by index after all: slower, but PostgreSQL marks what it has followed in vain, so each
    attempt comes further than the one before.
    """
    if purge.chunk == CHUNK:
        _search("bitmap")
