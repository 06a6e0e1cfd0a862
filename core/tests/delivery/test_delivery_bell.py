"""A ring is lost to nobody, and wakes no more threads than there is work for."""

import threading

from synccore._delivery.bell import Bell
from synccore._floor import Floor

LONG = 30.0


def waiting(bell, count):
    """Threads that wait for the bell; each says so when it is over."""
    over = threading.Semaphore(0)

    def wait():
        bell.wait(LONG)
        over.release()

    threads = [threading.Thread(target=wait, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    return over, threads


def test_a_ring_before_the_wait_counts_once():
    bell = Bell(Floor())
    bell.ring()
    bell.ring()

    bell.wait(LONG)

    over, threads = waiting(bell, 1)
    assert not over.acquire(blocking=False)
    bell.ring()
    threads[0].join(LONG)
    assert over.acquire(blocking=False)


def test_whoever_is_woken_rings_for_the_next():
    bell = Bell(Floor())
    over, threads = waiting(bell, 3)

    for _ in threads:
        bell.ring()
        assert over.acquire(timeout=LONG)

    assert not any(thread.join(LONG) for thread in threads)
    assert not over.acquire(blocking=False)


def test_all_are_woken_together():
    bell = Bell(Floor())
    over, threads = waiting(bell, 3)
    while any(thread.is_alive() for thread in threads):
        bell.ring_for_all()  # also those that had not begun to wait
        for thread in threads:
            thread.join(0.01)

    assert [over.acquire(blocking=False) for _ in threads] == [True] * 3
