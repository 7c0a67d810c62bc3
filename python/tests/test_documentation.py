"""The code in the pages of the documentation runs, page by page, from top to bottom."""

import ast
import asyncio
import pathlib
import re
import types

import pytest

PAGES = sorted((pathlib.Path(__file__).resolve().parents[2] / "docs" / "python").glob("*.md"))


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
