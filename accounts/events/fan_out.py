"""From a published message to its dispatches: one for each endpoint that hears its type, in order.

In the transaction in which messages are published (`accounts.events.publishing`), so that none is in the feed that no
endpoint was to be told of. Endpoints that are off get theirs, too: they wait.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

from django.db import connection

#: An endpoint hears nothing of before it was made.
_FIRST: LiteralString = """
INSERT INTO accounts_dispatch (endpoint_id, message_id, account_id, made_at, is_replay, next_attempt_at, attempts,
                               last_error, answer)
SELECT endpoint.id, message.id, message.account_id, %(at)s, false, %(at)s, 0, '', ''
  FROM accounts_eventmessage AS message
  JOIN accounts_endpoint AS endpoint
    ON endpoint.removed_at IS NULL
   AND (endpoint.types = '{}' OR message.type = ANY(endpoint.types))
   AND (endpoint.made_at <= message.happened_at OR endpoint.made_at <= message.recorded_at)
 WHERE message.position BETWEEN %(first)s AND %(last)s
 ORDER BY message.position
    ON CONFLICT DO NOTHING
RETURNING endpoint_id, account_id
"""

#: Messages that an endpoint has or had, again, in the order of the feed. One that still waits is not sent twice.
_AGAIN: LiteralString = """
INSERT INTO accounts_dispatch (endpoint_id, message_id, account_id, made_at, is_replay, next_attempt_at, attempts,
                               last_error, answer)
SELECT %(endpoint)s, message.id, message.account_id, %(at)s, true, %(at)s, 0, '', ''
  FROM accounts_eventmessage AS message
 WHERE message.id = ANY(%(messages)s)
 ORDER BY message.position
    ON CONFLICT DO NOTHING
RETURNING endpoint_id, account_id
"""

#: A lane that waits for its first message's next attempt is looked at too early by this: then it waits again.
_LANES: LiteralString = """
INSERT INTO accounts_lane AS lane (endpoint_id, account_id, next_attempt_at)
SELECT DISTINCT made.endpoint_id, made.account_id, %(at)s::timestamptz FROM made ORDER BY 1, 2
    ON CONFLICT (endpoint_id, account_id)
    DO UPDATE SET next_attempt_at = least(lane.next_attempt_at, excluded.next_attempt_at)
"""


def fan_out(first: int, last: int, at: datetime) -> None:
    """Write the dispatches of the messages from position `first` to `last`, and have their lanes looked at."""
    with connection.cursor() as cursor:
        cursor.execute(f"WITH made AS ({_FIRST}) {_LANES}", {"first": first, "last": last, "at": at})


def dispatch_again(endpoint_id: uuid.UUID, message_ids: Sequence[int], *, at: datetime) -> int:
    """Another series for each of these messages that is not waiting anyway. Returns how many."""
    statement: LiteralString = f"WITH made AS ({_AGAIN}), lanes AS ({_LANES}) SELECT count(*) FROM made"  # noqa: S608  # our own
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            {"endpoint": endpoint_id, "messages": list(message_ids), "at": at},
        )
        (count,) = cursor.fetchone()
    return int(count)
