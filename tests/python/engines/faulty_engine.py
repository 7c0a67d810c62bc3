"""An engine whose tasks go wrong: wrapped around a real one, so that its own ways of repeating tasks are at work."""

import os
import pickle
import signal


class Once:
    """A call that goes wrong the first time that it is made for an argument, on whichever worker."""

    def __init__(self, kind, folder, function):
        self.kind = kind
        self.folder = folder
        self.function = function

    def is_first(self, name):
        try:
            os.close(os.open(os.path.join(self.folder, name), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def call(self, name, *arguments):
        if self.kind == "killed" and self.is_first(name):
            self.function(*arguments)  # it has written all, and nobody hears of it
            os.kill(os.getpid(), signal.SIGKILL)
        result = self.function(*arguments)
        return self.function(*arguments) if self.kind == "twice" else result


class OncePerPartition(Once):
    def __call__(self, batches, number):
        batches = list(batches)

        def route(repeated, given):
            return self.function(iter(repeated), given)

        wrapped = Once(self.kind, self.folder, route)
        return wrapped.call(f"partition-{number}-{batches[0].num_rows if batches else 0}", batches, number)


class OncePerTask(Once):
    def __call__(self, task):
        return self.call(f"task-{task.db_id}", task)


class FaultyEngine:
    """`kind` is "killed" or "twice"; "kept" keeps the first call of each kind in the folder, to make it again later."""

    def __init__(self, engine, kind, folder):
        self._engine = engine
        self._kind = kind
        self._folder = str(folder)
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

    def map_partitions(self, columns, function, description):
        if self._kind == "kept":
            self._keep("partition", function)
            return self._engine.map_partitions(columns, function, description)
        return self._engine.map_partitions(columns, OncePerPartition(self._kind, self._folder, function), description)

    def run(self, function, tasks, description):
        if self._kind == "kept":
            self._keep("task", function, tasks[0])
            return self._engine.run(function, tasks, description)
        return self._engine.run(OncePerTask(self._kind, self._folder, function), tasks, description)
