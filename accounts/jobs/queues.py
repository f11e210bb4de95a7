"""The two queues, each with workers of its own.

What somebody waits for never stands in line behind what may take its time: with every worker of `slow` busy, a
delivery is processed, a mail sent and a subscription settled as soon as ever. Each sweep says which queue is its own.
No model and no setting is needed here: the stack reads it before Django is there.
"""

from datetime import timedelta
from enum import StrEnum


class Queue(StrEnum):
    #: What a person or a marketplace waits for.
    NOW = "now"
    #: Erasing, exports, reconciliations, bulk runs, retention.
    SLOW = "slow"


#: Every run of a sweep ends within this time. It looks at the clock itself, well before; a run that hangs all the same
#: is interrupted where it is, which the row that it hangs on owns like any other failure.
ENDS_WITHIN = {Queue.NOW: timedelta(minutes=5), Queue.SLOW: timedelta(minutes=20)}
#: What does not heed the interruption is killed after so much longer.
GRACE = timedelta(minutes=1)
