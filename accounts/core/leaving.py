"""Whether this web server has been told to stop (`config.web`), so that nobody new is sent to it."""

import os
from pathlib import Path

#: The name in the environment of the file that says so once it is there.
MARK = "LEAVING_MARK"


def is_leaving() -> bool:
    mark = os.environ.get(MARK)
    return bool(mark) and Path(str(mark)).exists()
