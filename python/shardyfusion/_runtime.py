"""Completion queues of event loops, and what to do at a fork and at the exit of the interpreter."""

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
    """The completion queue of one event loop: one descriptor that the loop watches for all operations of all its readers.

    The loop holds a reference to it until the loop is closed; readers and operations hold references too.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.core = _core.CompletionQueue()
        loop.add_reader(self.core.fileno(), self._drain)

    def _drain(self) -> None:
        self.core.drain()

    async def wait_for(self, operation: _core.Operation[_T], future: asyncio.Future[_T]) -> _T:
        """Waits for an operation that was submitted with the future. If the waiting task is cancelled, so is the operation."""
        try:
            return await future
        except asyncio.CancelledError:
            operation.cancel()
            raise


class Abandonable(Protocol):
    """Background work that must stop before the interpreter exits."""

    def _abandon(self) -> None: ...


# A queue holds a reference to its loop, so that no other loop gets the same id while the queue exists.
_queues: weakref.WeakValueDictionary[int, LoopQueue] = weakref.WeakValueDictionary()
_readers: weakref.WeakSet[Abandonable] = weakref.WeakSet()
_lock = threading.Lock()


def queue_of(loop: asyncio.AbstractEventLoop) -> LoopQueue:
    """Returns the queue of a loop; creates it on first use."""
    with _lock:
        queue = _queues.get(id(loop))
        if queue is None:
            queue = _queues[id(loop)] = LoopQueue(loop)
        return queue


def register_reader(reader: Abandonable) -> None:
    """Registers an open reader, to close it when the interpreter exits."""
    with _lock:
        _readers.add(reader)


def _abandon_all() -> None:
    """At exit: cancels operations in flight and waits for them, so that none runs while the interpreter shuts down."""
    with _lock:
        readers, queues = list(_readers), list(_queues.values())
    for reader in readers:
        reader._abandon()  # pyright: ignore[reportPrivateUsage]
    for queue in queues:
        queue.core.abandon()


def _forget_all() -> None:
    """In a forked child: forgets loops and readers, which belong to the parent."""
    global _lock
    _lock = threading.Lock()
    _queues.clear()
    _readers.clear()


atexit.register(_abandon_all)
os.register_at_fork(after_in_child=_forget_all)
