"""What the worker can be asked to do."""

import logging

from celery import shared_task

from accounts.core import clock
from accounts.jobs import opening, sweeps

log = logging.getLogger(__name__)


@shared_task(name="accounts.sweep")
def sweep(name: str) -> None:
    """Carry out what is due now. The message says only which sweep; what is due stands in the database."""
    try:
        sweeps.run_and_note(sweeps.named(name), clock.now())
    except opening.Closed as closed:
        log.warning("%s: not run: %s", name, closed)
