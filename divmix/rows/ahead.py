"""Work that runs ahead of the one who waits for it, in a thread."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

WAIT = 0.1  # seconds until a thread looks again whether anyone still waits for its work


def ahead(items: Callable[[], Iterable[Item]], depth: int = 1) -> Iterator[Item]:
    """What `items()` yields, in its order; at most `depth` of them wait.

    What the thread raises is raised here. A caller that leaves early ends the thread before it goes
    on.
    """
    waiting: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(depth)
    left = threading.Event()

    def put(item: Item | None, error: BaseException | None = None) -> bool:
        while not left.is_set():
            try:
                waiting.put((item, error), timeout=WAIT)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items():
                if not put(item):
                    return
            put(None)
        except BaseException as error:  # every kind is the caller's
            put(None, error)

    thread = threading.Thread(target=work, name="divmix-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        left.set()
        thread.join()
