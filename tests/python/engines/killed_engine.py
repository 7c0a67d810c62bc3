"""Writes a snapshot by an engine, from this process; the parent kills it at some moment. Workers of Dask and Ray outlive it."""

import os
import sys

from rows import columns, config, table

name, address, root, seed, num_rows = sys.argv[1:]
path = os.pathsep.join(filter(None, [os.path.dirname(__file__), os.environ.get("PYTHONPATH")]))
if name == "spark":
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = path
    from test_spark import Spark, start

    engine = Spark(start())
elif name == "dask":
    from distributed import Client
    from test_dask import Dask as engine

    client = Client(address)
else:
    import ray
    from test_ray import Ray as engine

    ray.init(address=address, logging_level="error", runtime_env={"env_vars": {"PYTHONPATH": path}})
    ray.data.DataContext.get_current().enable_progress_bars = False

rows = engine.frame(table(int(num_rows), int(seed)))
print("ready", flush=True)
engine.write(rows, config(root, "lsh"), columns("lsh"))
print("written", flush=True)
os._exit(0)
