"""Celery: the worker that carries out sweeps, and the beat that asks for them.

Messages carry no dates and no facts: each says only "look whether something is due". What is due stands in
the database, so a lost message costs a minute and a doubled one nothing (design, idea 5).
"""

import logging
import os

from celery import Celery
from celery.signals import after_setup_logger, after_setup_task_logger, worker_ready

from config.logs import Scrubbed

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("offboard")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@after_setup_logger.connect
@after_setup_task_logger.connect
def scrub_the_log(logger: logging.Logger, **_kwargs: object) -> None:
    """Celery's loggers have formatters of their own; what they write is scrubbed as everything else."""
    for handler in logger.handlers:
        handler.setFormatter(Scrubbed(handler.formatter or logging.Formatter()))


@worker_ready.connect
def catch_up(**_kwargs: object) -> None:
    """Ask for every sweep of its queues as soon as a worker is there: what fell due meanwhile waits no longer."""
    for entry in app.conf.beat_schedule.values():
        queue = app.amqp.router.route({}, entry["task"], entry["args"])["queue"]
        if queue.name in app.amqp.queues.consume_from:
            app.send_task(entry["task"], args=entry["args"])
