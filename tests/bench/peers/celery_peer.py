"""What a user of Python would build: Celery over Redis, smtplib with a kept connection in each process.

As a module it is the app of `celery worker`; `celery_peer.py N` publishes N tasks and says when it began. A task is
acknowledged after its mail was taken, so that a killed worker loses none. BENCH_REDIS and BENCH_SMTP are ports."""
import os
import smtplib
import sys
import time

from celery import Celery

TEXT = ("x" * 71 + "\n") * 57  # 4,104 bytes, as the other sides

app = Celery("celery_peer", broker=f"redis://127.0.0.1:{os.environ['BENCH_REDIS']}/0")
app.conf.update(task_acks_late=True, task_ignore_result=True, worker_prefetch_multiplier=64, task_serializer="json",
                worker_send_task_events=False)


class Link:
    """The kept connection of one process."""
    smtp = None


@app.task
def send(number, text):
    if Link.smtp is None:
        Link.smtp = smtplib.SMTP("127.0.0.1", int(os.environ["BENCH_SMTP"]))
    # Made by hand: Python's email package would cost another 0.5 ms.
    mail = f"From: bench@example.org\r\nTo: sink@example.org\r\nSubject: bench {number}\r\n\r\n{text}"
    try:
        Link.smtp.sendmail("bench@example.org", ["sink@example.org"], mail)
    except smtplib.SMTPException:
        Link.smtp = None
        raise


def publish(count):
    """One after another, each waits for Redis to sync; several threads that shared syncs were no faster."""
    with app.producer_or_acquire() as producer:
        began = time.monotonic()
        for number in range(count):
            send.apply_async((number, TEXT), producer=producer)
    print(f"messages={count} began_s={began} ended_s={time.monotonic()}")


if __name__ == "__main__":
    # The tasks' names must be those that the worker knows: of the module, not of __main__.
    import celery_peer
    celery_peer.publish(int(sys.argv[1]))
