"""Writers that run in the tasks of an engine: `shardyfusion.writer.spark`, `.dask` and `.ray`. Each imports its engine; nothing
else of the package does."""
