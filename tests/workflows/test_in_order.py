"""Batches worked on side by side: their order, the first error, and no thread left behind."""

import threading
import time

import pytest

from divmix.workflows.in_order import MOST_AT_ONCE, at_once, mapped


def waiting(number):
    """The later a batch, the sooner it is done."""
    time.sleep(0.02 * (number % 3 == 0))
    return 10 * number


def names_of_threads():
    return [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_results_come_in_the_order_of_the_batches(threads):
    assert list(mapped(waiting, lambda: range(20), threads)) == [10 * i for i in range(20)]
    assert list(mapped(waiting, lambda: iter(()), threads)) == []


def test_the_error_is_that_of_the_first_batch_that_has_one():
    def work(number):
        if number == 3:
            time.sleep(0.1)
            raise ValueError("third")
        if number > 3:
            raise ValueError("a later one")
        return number

    done = []
    with pytest.raises(ValueError, match="third"):
        for result in mapped(work, lambda: range(20), 4):
            done.append(result)
    assert done == [0, 1, 2]
    assert not any(name.startswith(("rows", "divmix-ahead")) for name in names_of_threads())


def test_what_reading_raises_comes_after_the_batches_before_it():
    def batches():
        yield from range(5)
        raise OSError("the disk is gone")

    done = []
    with pytest.raises(OSError, match="gone"):
        done.extend(mapped(waiting, batches, 4))
    assert not any(name.startswith(("rows", "divmix-ahead")) for name in names_of_threads())


def test_few_batches_are_held_at_a_time():
    """What is read waits for what is written: memory does not grow with the table."""
    read = 0

    def batches():
        nonlocal read
        for number in range(200):
            read += 1
            yield number

    results = mapped(waiting, batches, 4)
    for taken in range(20):
        next(results)
        assert read - taken < 12
        time.sleep(0.002)
    assert read < 200
    results.close()
    assert not any(name.startswith(("rows", "divmix-ahead")) for name in names_of_threads())


def test_wide_batches_are_worked_on_one_at_a_time():
    assert at_once(65_536 * 784) == 1
    assert 1 <= at_once(1) <= MOST_AT_ONCE
