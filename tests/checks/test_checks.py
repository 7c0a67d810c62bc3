#!/usr/bin/env python3
"""The checks in tools/ fail on small trees that break one of their rules, and name what breaks it."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DRAWING = """<!-- tools/check-layers reads this drawing -->
```text
 upper   the upper room   -> middle, lower
 middle  between both     -> lower
 lower   the ground       ->
```
"""
FUNCTION = "int f(int x) {{\n{}}}\n"


class Check(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def write(self, files):
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def run_check(self, name):
        return subprocess.run([sys.executable, ROOT / "tools" / name, self.root], capture_output=True, text=True)

    def assert_passes(self, name):
        result = self.run_check(name)
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def assert_fails(self, name, *texts):
        result = self.run_check(name)
        self.assertEqual(result.returncode, 1, result.stderr)
        for text in texts:
            self.assertIn(text, result.stderr)


class Layers(Check):
    def setUp(self):
        super().setUp()
        self.write(
            {
                "docs/internals.md": DRAWING,
                "src/upper/a.c": '#include "upper/a.h"\n#include "lower/c.h"\n',
                "src/upper/a.h": '#include "middle/b.h"\n',
                "src/middle/b.h": '#include "lower/c.h"\n#include "generated.pb-c.h"\n',
                "src/lower/c.h": "",
            }
        )

    def test_includes_of_rooms_below_are_allowed(self):
        self.assert_passes("check-layers")

    def test_an_include_of_a_room_above_is_named(self):
        self.write({"src/lower/c.h": '#include "upper/a.h"\n'})
        self.assert_fails("check-layers", 'src/lower/c.h: includes "upper/a.h", but lower may not include upper')

    def test_an_include_that_is_not_drawn_is_named(self):
        self.write({"docs/internals.md": DRAWING.replace("-> middle, lower", "-> middle")})
        self.assert_fails("check-layers", 'src/upper/a.c: includes "lower/c.h", but upper may not include lower')

    def test_an_include_of_an_unknown_room_is_named(self):
        self.write({"src/lower/c.h": '#include "cellar/d.h"\n'})
        self.assert_fails("check-layers", 'src/lower/c.h: includes "cellar/d.h", whose room is unknown')

    def test_a_room_that_is_not_drawn_is_named(self):
        self.write({"src/attic/e.c": ""})
        self.assert_fails("check-layers", "src/attic is not drawn")

    def test_a_drawn_room_that_does_not_exist_is_named(self):
        self.write({"docs/internals.md": DRAWING.replace("lower ", "cellar ", 1)})
        self.assert_fails("check-layers", "src/lower is not drawn")

    def test_a_drawing_that_points_upwards_is_refused(self):
        self.write({"docs/internals.md": DRAWING.replace("ground       ->", "ground       -> upper")})
        self.assert_fails("check-layers", "lower may include upper, which is not drawn below it")

    def test_headers_that_include_each_other_are_named(self):
        self.write({"src/upper/a.h": '#include "upper/z.h"\n', "src/upper/z.h": '#include "upper/a.h"\n'})
        self.assert_fails("check-layers", "src/upper/a.h -> src/upper/z.h -> src/upper/a.h")

    def test_a_missing_drawing_is_an_error(self):
        self.write({"docs/internals.md": ""})
        self.assert_fails("check-layers", "no fenced block")


class Style(Check):
    def test_short_functions_in_short_files_pass(self):
        self.write({"src/a/a.c": (FUNCTION.format("  x++;\n") + "\n") * 10})
        self.assert_passes("check-style")

    def test_a_long_file_is_named(self):
        self.write({"tests/a.py": "\n" * 600})
        self.assert_fails("check-style", "tests/a.py: 600 lines")

    def test_a_small_file_without_a_reason_is_named(self):
        self.write({"src/a/a.c": FUNCTION.format("")})
        self.assert_fails("check-style", "src/a/a.c: 2 lines; merge it")

    def test_a_long_median_is_refused(self):
        self.write({"src/a/a.c": FUNCTION.format("  x++;\n" * 28)})
        self.assert_fails("check-style", "src (C): the median function has 30 lines")

    def test_a_tenth_of_long_functions_is_refused(self):
        self.write({"src/a/a.c": FUNCTION.format("  x++;\n") * 8 + FUNCTION.format("  x++;\n" * 50)})
        self.assert_fails("check-style", "src (C): a tenth of the functions has 52 lines")


class Book(Check):
    def setUp(self):
        super().setUp()
        self.write({"src/query/scan.c": "void sf_scan(void) { merge(); }\n"})

    def test_names_that_exist_pass(self):
        names = "`sf_scan`, `merge()`, src/query/scan.c, scan.c, query/scan.c, src/*/scan.c, <stdio.h>"
        self.write({"docs/internals.md": names})
        self.assert_passes("check-book")

    def test_what_the_tree_lacks_is_named(self):
        for name in ("src/query/gone.c", "gone.c", "query/gone.h", "src/gone/", "sf_gone", "SF_GONE", "gone()"):
            with self.subTest(name):
                self.write({"docs/internals.md": f"first\n`{name}`\n"})
                self.assert_fails("check-book", f"docs/internals.md:2: the tree has no {name.rstrip('/')}")

    def test_a_mutex_that_the_lock_order_lacks_is_named(self):
        self.write({"src/query/lock.h": "struct lock {\n  pthread_mutex_t mutex; /* guards */\n};\n"})
        self.write({"docs/internals.md": "\n## Locks\n\n| `src/query/lock.h` |\n\n## Next\n"})
        self.assert_passes("check-book")
        self.write({"docs/internals.md": "\n## Locks\n\n## Next\n\n`src/query/lock.h`\n"})
        self.assert_fails("check-book", "the section on locks lacks the mutex of src/query/lock.h")


if __name__ == "__main__":
    unittest.main()
