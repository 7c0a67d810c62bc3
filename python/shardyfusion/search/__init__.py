"""Many searches at once in the tasks of an engine: `shardyfusion.search.spark`, `.dask` and `.ray`. Each imports its engine; nothing
else of the package does."""
