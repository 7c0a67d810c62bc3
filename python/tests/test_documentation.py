"""The code in the pages of the documentation runs, page by page, from top to bottom."""

import ast
import asyncio
import pathlib
import re
import subprocess
import sys
import types

import pytest

# The code of distributed.md needs engines: tests/python/engines runs it.
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "docs" / "python"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.stem != "distributed")


def test_the_debug_recipe_prints_what_a_reader_does(published, where):
    recipe = re.search(r"```python\n(import logging.*?)```", (PAGES[0].parent / "troubleshoot.md").read_text(), re.DOTALL)[1]
    program = f"""{recipe}
from shardyfusion.vector import ShardedVectorReader

with ShardedVectorReader(s3_prefix={where["s3_prefix"]!r}, local_root={where["local_root"]!r}) as reader:
    reader.search({published.query().tolist()!r})
    reader.refresh()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"INFO:shardyfusion:serving the snapshot {published.live.run_id}" in done.stderr
    assert re.search(r"^DEBUG:shardyfusion:shard \d+: loaded \d+ rows in ", done.stderr, re.MULTILINE)
    assert f"DEBUG:shardyfusion:refresh: {published.live.run_id} is still the live snapshot" in done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, published, where, tmp_path):
    names = {"SNAPSHOT": where["s3_prefix"], "CACHE": where["local_root"], "query": published.query()}
    names["ROOT"] = str(tmp_path / "written")

    async def run():
        for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
            compiled = compile(code, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(compiled, names)
            if isinstance(result, types.CoroutineType):
                await result

    asyncio.run(run())
