"""An engine whose tasks go wrong: wrapped around a real one, so that its own ways of repeating tasks are at work."""

import os
import pickle
import signal


class Calls:
    """Numbers of calls on whichever worker, in the order in which they begin."""

    def __init__(self, folder):
        self.folder = str(folder)

    def next(self):
        number = 0
        while True:
            try:
                os.close(os.open(os.path.join(self.folder, f"call-{number}"), os.O_CREAT | os.O_EXCL))
                return number
            except FileExistsError:
                number += 1


class Faulty:
    """A function whose calls go wrong. "killed": one, of the chosen number, kills its worker when it has written all and nobody has
    heard of it. A worker that is killed just when it has started is not replaced by Dask, so it is one alone. "twice": all of them
    run twice."""

    def __init__(self, kind, chosen, folder, function):
        self.kind = kind
        self.chosen = chosen
        self.calls = Calls(folder)
        self.function = function

    def call(self, *arguments):
        result = self.function(*arguments)
        if self.kind == "killed" and self.calls.next() == self.chosen:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.function(*arguments) if self.kind == "twice" else result


class FaultyOnPartition(Faulty):
    def __call__(self, batches, number):
        kept = list(batches)
        repeated = Faulty(self.kind, self.chosen, self.calls.folder, lambda: self.function(iter(kept), number))
        return repeated.call()


class FaultyOnTask(Faulty):
    def __call__(self, task):
        return self.call(task)


class FaultyEngine:
    """`kind` is "killed" or "twice", and `phase`, "partition" or "task", says which calls go wrong. "kept" keeps the first call of
    each phase in the folder, to make it again later."""

    def __init__(self, engine, kind, folder, phase=None, chosen=0):
        self._engine = engine
        self._kind = kind
        self._folder = str(folder)
        self._phase = phase
        self._chosen = chosen
        self.name = engine.name

    def columns(self):
        return self._engine.columns()

    def count(self):
        return self._engine.count()

    def sampled(self, id_column, seed, fraction):
        return self

    def _keep(self, name, *call):
        path = os.path.join(self._folder, name)
        with open(path, "wb") as file:
            pickle.dump(call, file)

    def kept(self, name):
        """The function of a kept call, and what else it was called with."""
        with open(os.path.join(self._folder, name), "rb") as file:
            return pickle.load(file)

    def map_partitions(self, columns, function, description):
        if self._kind == "kept":
            self._keep("partition", function)
        elif self._phase == "partition":
            function = FaultyOnPartition(self._kind, self._chosen, self._folder, function)
        return self._engine.map_partitions(columns, function, description)

    def run(self, function, tasks, description):
        if self._kind == "kept":
            self._keep("task", function, tasks[0])
        elif self._phase == "task":
            function = FaultyOnTask(self._kind, self._chosen, self._folder, function)
        return self._engine.run(function, tasks, description)
