"""`first_library_api.json`: the public names of the format's first library, as introspection found them, and which of them are in
scope."""

import ast
import json
import re
from pathlib import Path

API = json.loads((Path(__file__).parent / "first_library_api.json").read_text())

# Key-value data, which this library neither writes nor reads.
_KEY_VALUE = re.compile(
    r"HashSharded\w*|CelSharded\w*|SingleDb\w*|KeyValueWriteConfig|KvWriteRateLimitConfig|PythonRecordInput|ColumnWriteInput"
    r"|(Python|Spark|Dask|Ray)WriteOptions|RetryConfig|WriterRetryConfig|BufferingOptions|SharedMemoryOptions"
    r"|BaseShardedWriteConfig|HashShardingConfig|CelShardingConfig"
    r"|(Async|Concurrent|Unified|AsyncUnified)?Sharded(Reader)|ReaderHealth|SnapshotInfo|ShardDetail"
    r"|\w*SlateDb\w*|BridgeTimeoutError|(apply|materialize|remove|resolve)_env_file"
    r"|DbAdapter(Factory)?|(Async)?ShardReader\w*|SnapshotRouter|(Sqlite)?ShardLookup|\w*Ordering\w*|KeyInput|ValueSpec"
    r"|(Async)?Adaptive\w*"
)
# Objects that only their factories make, and types that nothing uses.
_MADE_BY_FACTORIES = re.compile(
    r"SqliteVecAdapter|(Async)?SqliteVec(Range)?ShardReader|LanceDbWriter|(Async)?LanceDbShardReader|Hnsw\w+"
)
_KEY_VALUE_EVENTS = re.compile(r"(WRITE|SHARD|READER)_\w+|SHARDING_COMPLETED|BATCH_WRITTEN|(MANIFEST|CURRENT)_PUBLISHED")


def is_in_scope(name):
    return not _KEY_VALUE.fullmatch(name) and not _MADE_BY_FACTORIES.fullmatch(name)


# (module, name). The writers of the engines have tests of their own: importing them needs the engines.
NAMES = [
    (module, name)
    for module, names in API.items()
    for name in names
    if is_in_scope(name) and not module.startswith("shardyfusion.writer.")
]


def described(module, name):
    """The description of a name, or of what it is an alias for."""
    description = API[module][name]
    while "same_as" in description:
        module, _, name = description["same_as"].rpartition(".")
        description = API[module][name]
    return description


def members(name, description):
    """Of an enumeration: the values of the members that are in scope, by name."""
    every = description["members"].items()
    return {member: value for member, value in every if name != "MetricEvent" or not _KEY_VALUE_EVENTS.fullmatch(member)}


def signature(text):
    """The text of a signature, `[classmethod ][async ](self, a: int = 1) -> str`, as a function definition in Python's syntax
    tree, of a body `...`. The tree's type tells whether it is a coroutine function."""
    words, _, rest = text.partition("(")
    keyword = "async def" if "async" in words else "def"
    (function,) = ast.parse(f"{keyword} function({rest}: ...").body
    return function
