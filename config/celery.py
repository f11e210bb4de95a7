"""Celery: the worker that carries out sweeps, and the beat that asks for them.

Messages carry no dates and no facts: each says only "look whether something is due". What is due stands in
the database, so a lost message costs a minute and a doubled one nothing (design, idea 5).
"""

import gc
import os

from celery import Celery
from celery.signals import setup_logging, worker_process_init, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

#: By so much a worker's processes yield to the web server's where both want the same processors: whoever asks for a
#: page or delivers a message waits for the answer, and nobody for a second more of a sweep.
NICENESS = 10
#: A row of work makes a few thousand objects and frees them when it is done. Looked through for circles at each 700,
#: as Python does by itself, they cost a tenth of its time.
OBJECTS_BETWEEN_COLLECTIONS = 20_000

app = Celery("offboard")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_our_logging(**_kwargs: object) -> None:
    """Celery leaves logging alone where this signal is heard: workers write as the web server does (`LOGGING`)."""


@worker_process_init.connect
def yield_to_the_web_server(**_kwargs: object) -> None:
    """Make a process that works for this worker a polite one, and a quick one: what is loaded by now stays for good."""
    os.nice(NICENESS)
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)


@worker_ready.connect
def catch_up(**_kwargs: object) -> None:
    """Ask for every sweep of its queues as soon as a worker is there: what fell due meanwhile waits no longer."""
    for entry in app.conf.beat_schedule.values():
        queue = app.amqp.router.route({}, entry["task"], entry["args"])["queue"]
        if queue.name in app.amqp.queues.consume_from:
            app.send_task(entry["task"], args=entry["args"])
