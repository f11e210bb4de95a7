"""A store elsewhere beside `make run`, in the foreground, until Ctrl-C. What it does wrong is told by curl."""

import argparse
import json
import signal
import threading

from tests.fakes.store import BEHAVIOURS, TestStore

USAGE = """
  curl {root}/_control/state
  curl {root}/_control/put -d '{{"account": "UUID", "kind": "documents", "text": "…"}}'
  curl {root}/_control/behave -d '{{"as": "refuses"}}'                       # to everybody
  curl {root}/_control/behave -d '{{"as": "later", "account": "UUID"}}'      # to one

It can be: {behaviours}.
"""


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.fakes.store", description=__doc__)
    options.add_argument("--port", type=int, default=8920)
    options.add_argument("--name", default="analytics")
    options.add_argument("--behaves", choices=sorted(BEHAVIOURS), default="at_once")
    options.add_argument("--promised-days", type=int, default=7)
    options.add_argument("--before-ours", action="store_true")
    chosen = options.parse_args()
    with TestStore(chosen.name, port=chosen.port) as store:
        store.behaves = chosen.behaves
        entry = store.configured(promised_days=chosen.promised_days, before_ours=chosen.before_ours, rate=20)
        print(f"{chosen.name} at {store.url}. For the product:\n")  # noqa: T201  # a command
        print(f"  REMOTE_STORES='{json.dumps([entry])}'")  # noqa: T201  # a command
        usage = USAGE.format(root=store.url.removesuffix("/erasures"), behaviours=", ".join(sorted(BEHAVIOURS)))
        print(usage, flush=True)  # noqa: T201  # a command
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("Stopped.")  # noqa: T201  # a command


if __name__ == "__main__":
    main()
