"""Giving way: between two chunks a purge leaves the database to whoever else is at work there.

A purge may take hours and is in no hurry; a page is. Erasing keeps a processor and the disk busy, so pages get slower
meanwhile (measured by `bench.purge`). Who has the database alone loses nothing: then there is nobody to give way to.
"""

import time

from django.db import connection

#: Of the time that the chunk before took, so much is left to others: they have the database for a third of the time.
SHARE = 0.5
#: A chunk that was slow for a reason of its own does not make anybody wait longer than this, in seconds.
LONGEST_PAUSE = 1.0

#: A connection says when it last began or ended anything. That tells more than whether it is at work at this instant:
#: a page thinks for itself between its statements. One that never sent any was opened to spare, by a pool.
AT_WORK = """
SELECT EXISTS (
    SELECT 1 FROM pg_stat_activity
     WHERE datname = current_database()
       AND backend_type = 'client backend'
       AND pid <> pg_backend_pid()
       AND query <> ''
       AND (state = 'active' OR state_change > clock_timestamp() - interval '1 second')
)
"""


def give_way(taken: float) -> float:
    """Pause after a chunk that took so many seconds, if somebody else is at work. Returns for how long, in seconds."""
    pause = min(taken * SHARE, LONGEST_PAUSE) if somebody_is_at_work() else 0.0
    if pause:
        time.sleep(pause)
    return pause


def somebody_is_at_work() -> bool:
    """Whether another connection to this database has done anything within the last second."""
    with connection.cursor() as cursor:
        cursor.execute(AT_WORK)
        return bool(cursor.fetchone()[0])
