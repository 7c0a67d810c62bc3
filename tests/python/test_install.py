"""What `make install` installs can be built against: by pkg-config and by CMake, shared and static."""

import os
import re
import shutil
import subprocess

import pytest

PROGRAM = """
#include <shardyfusion.h>
#include <stdio.h>

int main(void) {
  sf_error error;
  sf_reader *reader = NULL;
  sf_code code = sf_reader_open("/nowhere/at/all", NULL, &reader, &error);
  printf("%s %s\\n", sf_version(), sf_code_name(code));
  return 0;
}
"""
CMAKE = """
cmake_minimum_required(VERSION 3.22)
project(consumer C)
find_package(shardyfusion 0.1 REQUIRED)
add_executable(shared program.c)
target_link_libraries(shared PRIVATE shardyfusion::shardyfusion)
add_executable(static program.c)
target_link_libraries(static PRIVATE shardyfusion::shardyfusion_static)
"""


def run(command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def setting(build, name):
    found = re.search(rf"^{name}:\w+=(.*)$", (build / "CMakeCache.txt").read_text(), re.MULTILINE)
    return found.group(1) if found else ""


@pytest.fixture(scope="module")
def installed(cli_path, tmp_path_factory):
    """(prefix, library folder) of an installation that was moved after it was made."""
    build = cli_path.parent
    if not (build / "CMakeCache.txt").exists() or setting(build, "SF_SANITIZE"):
        pytest.skip("only a build as it is released is installed")
    stage = tmp_path_factory.mktemp("stage")
    run(["cmake", "--install", build], env=os.environ | {"DESTDIR": str(stage / "first")})
    shutil.move(stage / "first", stage / "moved")
    header = next((stage / "moved").rglob("shardyfusion.h"))
    prefix = header.parent.parent
    return prefix, next(prefix.rglob("libshardyfusion.a")).parent


@pytest.fixture
def consumer(tmp_path):
    (tmp_path / "program.c").write_text(PROGRAM)
    (tmp_path / "CMakeLists.txt").write_text(CMAKE)
    return tmp_path


def check(program, library_folder):
    output = run([program], env=os.environ | {"LD_LIBRARY_PATH": str(library_folder)})
    assert re.fullmatch(r"\d+\.\d+\.\d+ ReaderStateError\n", output)


def pkg_config(libraries, *options):
    environment = os.environ | {"PKG_CONFIG_PATH": str(libraries / "pkgconfig")}
    return run(["pkg-config", *options, "--cflags", "--libs", "shardyfusion"], env=environment).split()


def compile_program(consumer, flags):
    run(["cc", "-std=c17", "-Wall", "-Wextra", "-Werror", "program.c", "-o", "program", *flags], cwd=consumer)
    return consumer / "program"


def test_pkg_config_builds_against_it(installed, consumer):
    _, libraries = installed
    check(compile_program(consumer, pkg_config(libraries)), libraries)


def test_pkg_config_static_links_the_static_library(installed, consumer):
    prefix, libraries = installed
    only_static = consumer / "prefix"
    shutil.copytree(prefix, only_static, ignore=shutil.ignore_patterns("*.so*"))
    program = compile_program(consumer, pkg_config(only_static / libraries.relative_to(prefix), "--static"))
    shutil.rmtree(only_static)
    check(program, consumer)


def test_the_static_library_can_be_chosen_where_there_are_both(installed, consumer):
    _, libraries = installed
    flags = pkg_config(libraries, "--static")
    flags[flags.index("-lshardyfusion")] = "-l:libshardyfusion.a"
    check(compile_program(consumer, flags), consumer)


def test_cmake_finds_it(installed, consumer):
    prefix, libraries = installed
    run(["cmake", "-S", ".", "-B", "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}"], cwd=consumer)
    run(["ninja", "-C", "build"], cwd=consumer)
    check(consumer / "build" / "shared", libraries)
    check(consumer / "build" / "static", libraries)


def test_the_command_and_its_manual_are_installed(installed):
    prefix, _ = installed
    assert run([prefix / "bin" / "shardyfusion", "--version"]).startswith("shardyfusion ")
    assert (prefix / "share/man/man1/shardyfusion.1").exists()
    assert (prefix / "share/bash-completion/completions/shardyfusion").exists()


def test_the_shared_library_exports_nothing_else(installed):
    prefix, libraries = installed
    if shutil.which("nm") is None:
        pytest.skip("nm is not there")
    lines = run(["nm", "-D", "--defined-only", libraries / "libshardyfusion.so"]).splitlines()
    headers = "".join(path.read_text() for path in (prefix / "include").rglob("*.h"))
    declared = set(re.findall(r"^SF_API [^(]*?\b(sf_\w+)\(", headers, re.MULTILINE))
    assert {line.split()[-1] for line in lines} == declared
