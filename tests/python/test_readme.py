"""What README.md shows is what there is."""

import re
import shlex
import subprocess

from conftest import ROOT

README = (ROOT / "README.md").read_text()


def test_the_c_example_is_the_one_that_is_compiled_and_run():
    assert f"```c\n{(ROOT / 'examples' / 'search.c').read_text()}```" in README


def test_the_guide_to_the_c_interface_names_every_example():
    guide = (ROOT / "docs" / "c-api.md").read_text()
    examples = sorted(path.name for path in (ROOT / "examples").glob("*.c"))
    assert examples and [name for name in examples if f"(../examples/{name})" not in guide] == []


def test_the_commands_on_the_example_snapshot_run(cli):
    commands = re.findall(r"^\$ shardyfusion (.*examples/.*)$", README, re.MULTILINE)
    assert len(commands) >= 2
    for command in commands:
        assert cli.lines(*shlex.split(command), cwd=ROOT)


def test_the_demo_shows_neighbours(cli_path):
    done = subprocess.run([ROOT / "tools" / "demo", cli_path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[-6:]]
    lines = {row[0]: row[1:] for row in rows}
    assert set(lines) == set((ROOT / "examples/words/queries.txt").read_text().split())
    assert "tuesday" in lines["monday"] and "red" in lines["blue"]


def test_the_manual_names_every_option_and_command(cli):
    manual = (ROOT / "docs" / "shardyfusion.1").read_text()
    commands = re.findall(r"^  (\w+) +\w", cli.run("--help").stdout, re.MULTILINE)
    assert len(commands) == 13
    for command in commands:
        assert re.search(rf"^\.It Cm {command}$", manual, re.MULTILINE)
        for option in re.findall(r"^  --([a-z0-9-]+)", cli.run(command, "--help", cache=False).stdout, re.MULTILINE):
            assert re.search(rf"^\.It Fl -{option}\b", manual, re.MULTILINE), option
