"""The code of docs/python/distributed.md runs, from top to bottom, in a process of its own: it starts all engines."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "python" / "distributed.md"

CHECK = """
from shardyfusion.vector.reader import ShardedVectorReader as _Reader
with _Reader(s3_prefix=ROOT, local_root=CACHE) as _reader:
    assert _reader.snapshot_info().total_vectors == 2000
    assert _reader.search(vectors[17], 1, num_probes=4)[0].payload == {"title": "Document 17"}
"""


def test_the_code_of_the_page_runs(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 5
    names = f"ROOT = {str(tmp_path / 'root')!r}\nCACHE = {str(tmp_path / 'cache')!r}\n"
    last = "assert sorted(row['rank'] for row in found.take_all()) == sorted([1, 2, 3] * 100)\nprint('all of it ran')\n"
    program = names + "".join(block + CHECK for block in blocks) + last
    environment = os.environ | {"PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, env=environment
    )
    assert "all of it ran" in done.stdout, done.stdout[-3000:]
