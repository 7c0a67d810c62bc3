"""An engine in this process: partitions are chunks of a table. What the driver does is the same for all engines."""


class LocalEngine:
    name = "local"

    def __init__(self, table):
        self._table = table

    def columns(self):
        return self._table.column_names

    def count(self):
        return self._table.num_rows

    def sampled(self, id_column, seed, fraction):
        return self

    def map_partitions(self, columns, function, description):
        batches = self._table.select(columns).to_batches()
        return [function(iter([batch]), number) for number, batch in enumerate(batches)]

    def run(self, function, tasks, description):
        return [function(task) for task in tasks]
