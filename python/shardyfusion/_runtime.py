"""Event loops and the end of processes: where finished operations arrive, and what forks and exits have to do."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import Protocol, TypeVar

from shardyfusion import _core
from shardyfusion._lazy import asyncio

_T = TypeVar("_T")


class LoopQueue:
    """The completion queue of one loop: a single descriptor that the loop watches for all operations of all its readers.

    The loop holds it by watching it, until it is closed; readers and operations hold it, too.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.core = _core.CompletionQueue()
        loop.add_reader(self.core.fileno(), self._drain)

    def _drain(self) -> None:
        self.core.drain()

    async def wait_for(self, operation: _core.Operation[_T], future: asyncio.Future[_T]) -> _T:
        """Waits for an operation that was submitted with the future; whoever is cancelled cancels it."""
        try:
            return await future
        except asyncio.CancelledError:
            operation.cancel()
            raise


class Abandonable(Protocol):
    """What works in the background and has to stop before the interpreter goes."""

    def _abandon(self) -> None: ...


# A queue holds its loop, so that the loop's id is not another's while the queue lives.
_queues: weakref.WeakValueDictionary[int, LoopQueue] = weakref.WeakValueDictionary()
_readers: weakref.WeakSet[Abandonable] = weakref.WeakSet()
_lock = threading.Lock()


def queue_of(loop: asyncio.AbstractEventLoop) -> LoopQueue:
    """The queue of the running loop."""
    with _lock:
        queue = _queues.get(id(loop))
        if queue is None:
            queue = _queues[id(loop)] = LoopQueue(loop)
        return queue


def register_reader(reader: Abandonable) -> None:
    """Remembers an open reader, to close it when the interpreter exits."""
    with _lock:
        _readers.add(reader)


def _abandon_all() -> None:
    """At exit: what is still under way is cancelled and waited for, so that none of it runs while the process is taken
    down."""
    with _lock:
        readers, queues = list(_readers), list(_queues.values())
    for reader in readers:
        reader._abandon()  # pyright: ignore[reportPrivateUsage]
    for queue in queues:
        queue.core.abandon()


def _forget_all() -> None:
    """In a fork's child: loops and readers are its parent's."""
    global _lock
    _lock = threading.Lock()
    _queues.clear()
    _readers.clear()


atexit.register(_abandon_all)
os.register_at_fork(after_in_child=_forget_all)
