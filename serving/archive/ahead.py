"""Work done ahead in another thread."""

import queue
import threading
from collections.abc import Generator, Iterable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], depth: int = 1) -> Generator[T, None, None]:
    """The items in order, made in a thread of their own up to `depth` before they are asked for.

    An error of the maker is raised here, at its place. Closed early, the maker stops at its next item.
    """
    ready: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(depth)
    stopped = threading.Event()

    def hand_over(entry: tuple[T] | BaseException | None) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                ready.put(entry, timeout=0.2)
                return

    def make() -> None:
        try:
            for item in items:
                hand_over((item,))
                if stopped.is_set():
                    return
            hand_over(None)
        except BaseException as error:
            hand_over(error)

    maker = threading.Thread(target=make, name="ahead", daemon=True)
    maker.start()
    try:
        while (entry := ready.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry[0]
    finally:
        stopped.set()
        maker.join()
