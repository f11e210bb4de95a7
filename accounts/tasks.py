"""What the worker can be asked to do."""

from celery import shared_task

from accounts.core import clock
from accounts.jobs import sweeps


@shared_task(name="accounts.sweep")
def sweep(name: str) -> None:
    """Carry out what is due now. The message says only which sweep; what is due stands in the database."""
    sweeps.run_and_note(sweeps.named(name), clock.now())
