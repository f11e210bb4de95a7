"""Stripe beside `make run`, in the foreground, until Ctrl-C. Its clock is this machine's, plus what was advanced."""

import argparse
import signal
import threading
from pathlib import Path

from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe.demo import sell_demo

USAGE = """
  curl {url}/_control/state
  curl {url}/_control/hurry -d '{{"subscription": "sub_…", "seconds": 120}}'   # its period ends in two minutes
  curl {url}/_control/set -d '{{"draft_seconds": 60}}'       # a renewal is a draft for so long, not for an hour
  curl {url}/_control/away -d '{{}}'; curl {url}/_control/heal -d '{{}}'
  curl {url}/_control/fail -d '{{"pattern": "POST /v1/refunds", "status": 500, "carried_out": true}}'
  curl {url}/_control/advance -d '{{"days": 3}}'

Verbs: {verbs}, set.
"""


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.fakes.stripe", description=__doc__)
    options.add_argument("--port", type=int, default=8910)
    options.add_argument("--webhook", help="where events are posted, on 127.0.0.1")
    options.add_argument("--secret", default="whsec_test_secret", help="what they are signed with")
    options.add_argument("--state", type=Path, help="a file: what is known when it ends is known when it starts again")
    options.add_argument("--without-demo", action="store_true", help="sell nothing: prices are made by hand")
    chosen = options.parse_args()
    stripe = FakeStripe(port=chosen.port)
    known = chosen.state and chosen.state.exists()
    if known:
        stripe.load(chosen.state)
    stripe.run_by_this_machine()
    if not known and not chosen.without_demo:
        sell_demo(stripe)
        stripe.lose()
    stripe.webhook_secrets = [chosen.secret]
    stripe.webhook_url, stripe.tells = chosen.webhook, bool(chosen.webhook)
    with stripe:
        from tests.fakes.stripe.control import VERBS

        print(f"Stripe at {stripe.url}. For the product:\n")  # noqa: T201  # a command
        print("\n".join(f"  {name}={value}" for name, value in environment(stripe).items()))  # noqa: T201  # a command
        print(USAGE.format(url=stripe.url, verbs=", ".join(sorted(VERBS))), flush=True)  # noqa: T201  # a command
        # Stopped by a script or by hand alike, what is known is kept.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            stop = threading.Event()
            while not stop.wait(1):
                stripe.keep_time()
        except KeyboardInterrupt:
            # Before a word of it: whoever read what is printed may be gone.
            if chosen.state:
                stripe.save(chosen.state)
            print("Stopped.")  # noqa: T201  # a command


def environment(stripe: FakeStripe) -> dict[str, str]:
    return {
        "STRIPE_API_URL": stripe.url,
        "STRIPE_API_KEY": stripe.api_key,
        "STRIPE_WEBHOOK_SECRETS": ",".join(stripe.webhook_secrets),
    }


if __name__ == "__main__":
    main()
