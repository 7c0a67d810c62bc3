"""Searches the snapshot of words that comes with the project: the words nearest to the ones that are named.

    python search.py ROOT WORD...
"""

import asyncio
import json
import pathlib
import sys
import tempfile

from shardyfusion.vector.async_reader import AsyncShardedVectorReader


async def main(root: str, words: list[str]) -> None:
    stored = pathlib.Path(root).parent / "queries.json"
    queries: dict[str, list[float]] = json.loads(stored.read_text())
    with tempfile.TemporaryDirectory() as cache:
        async with await AsyncShardedVectorReader.open(s3_prefix=root, local_root=cache) as reader:
            responses = await reader.batch_search([queries[word] for word in words], top_k=5)
    for word, response in zip(words, responses, strict=True):
        print(word)
        for result in response:
            print(f"  {result.score:.4f}  {result.id}  {result.payload}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
