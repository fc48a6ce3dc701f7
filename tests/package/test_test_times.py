"""`make test-times`."""

import pathlib
import subprocess
import sys

PROGRAM = pathlib.Path(__file__).parents[2] / "tools" / "test_times.py"
JUNIT = """<testsuites><testsuite>
<testcase file="tests/a.py" name="test_one[1]" time="1.5"/>
<testcase file="tests/a.py" name="test_two" time="0.25"/>
<testcase file="tests/b.py" name="test_three" time="2.0"/>
</testsuite></testsuites>"""


def run(folder: pathlib.Path, *flags: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, PROGRAM, folder, *flags], capture_output=True, text=True, check=False
    )


def test_prints_the_slowest_first_and_the_sum_of_each_part(tmp_path):
    (tmp_path / "test-jax.xml").write_text(JUNIT)
    (tmp_path / "doctest.xml").write_text(
        '<testsuites><testsuite><testcase classname="x" name="y" time="9"/>'
        "</testsuite></testsuites>"
    )
    header, _, *lines = run(tmp_path, "--tests=1").stdout.splitlines()
    assert header.startswith(f"The parts of {tmp_path} ended between 2")
    assert lines[0] == "doctest: 9 s, 1 tests"
    assert lines[4:8] == [
        "test-jax: 4 s, 3 tests",
        "      2.0 s     1 tests  tests/b.py",
        "      1.8 s     2 tests  tests/a.py",
        "      2.0 s  tests/b.py::test_three",
    ]
    assert lines[-1] == "all parts: 13 s, 4 tests"


def test_says_that_nothing_was_run_yet(tmp_path):
    finished = run(tmp_path)
    assert finished.returncode == 1
    assert "should hold the .xml files of `make test`" in finished.stderr
