"""Prints the nearest words to each WORD (default: all words in examples/words/queries.txt).

    python search.py [WORD...]
"""

import asyncio
import pathlib
import sys
import tempfile

import numpy as np
from shardyfusion.vector.async_reader import AsyncShardedVectorReader

WORDS = pathlib.Path(__file__).resolve().parents[1] / "words"


async def main(wanted: list[str]) -> None:
    names = (WORDS / "queries.txt").read_text().split()
    vectors = np.load(WORDS / "queries.npy").astype(np.float32)
    wanted = wanted or names
    with tempfile.TemporaryDirectory() as cache:
        async with await AsyncShardedVectorReader.open(s3_prefix=WORDS / "snapshot", local_root=cache) as reader:
            queries = vectors[[names.index(word) for word in wanted]]
            responses = await reader.batch_search(queries, top_k=5)
            for word, response in zip(wanted, responses, strict=True):
                found = ", ".join(f"{(res.payload or {})['word']} ({res.score:.3f})" for res in response)
                print(f"{word}: {found}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
