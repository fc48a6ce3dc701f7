"""Prints the time of each part of a test run, its slowest files and its slowest tests.

    make test
    make test-times

It reads the JUnit files that `make test` leaves, a file for each part, with pytest's own durations
(setup, call and teardown). Parts run two at a time, so that their sum is above the time that the
run took.
"""

import argparse
import collections
import datetime
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def read_durations(path: pathlib.Path) -> list[tuple[str, str, float]]:
    """Returns file, test and seconds of every test of a part."""
    cases = ElementTree.parse(path).getroot().iter("testcase")
    return [
        (
            case.get("file", case.get("classname", "")),
            case.get("name", ""),
            float(case.get("time", 0)),
        )
        for case in cases
    ]


def summarize(
    part: str, durations: list[tuple[str, str, float]], num_files: int, num_tests: int
) -> str:
    """Returns the lines of a part: its total, and the files and tests that took longest."""
    files, counts = collections.Counter(), collections.Counter()
    for file, _, seconds in durations:
        files[file] += seconds
        counts[file] += 1
    lines = [f"{part}: {files.total():.0f} s, {len(durations)} tests"]
    lines += [
        f"  {seconds:7.1f} s  {counts[file]:4d} tests  {file}"
        for file, seconds in files.most_common(num_files)
    ]
    slowest = sorted(durations, key=lambda duration: -duration[2])[:num_tests]
    lines += [f"  {seconds:7.1f} s  {file}::{name}" for file, name, seconds in slowest]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", type=pathlib.Path, help="Folder of the JUnit files, one for each part."
    )
    parser.add_argument(
        "--files", type=int, default=10, help="How many of the slowest files of a part to print."
    )
    parser.add_argument(
        "--tests", type=int, default=5, help="How many of the slowest tests of a part to print."
    )
    arguments = parser.parse_args()
    parts = {path.stem: read_durations(path) for path in arguments.folder.glob("*.xml")}
    if not parts:
        sys.exit(
            f"test_times.py: {arguments.folder} should hold the .xml files of `make test`. "
            "Received: none there"
        )
    times = sorted(path.stat().st_mtime for path in arguments.folder.glob("*.xml"))
    first, last = (
        datetime.datetime.fromtimestamp(moment).isoformat(" ", "minutes")
        for moment in (times[0], times[-1])
    )
    print(f"The parts of {arguments.folder} ended between {first} and {last}.\n")
    totals = {part: sum(seconds for *_, seconds in durations) for part, durations in parts.items()}
    for part in sorted(parts, key=lambda part: -totals[part]):
        print(summarize(part, parts[part], arguments.files, arguments.tests), end="\n\n")
    print(f"all parts: {sum(totals.values()):.0f} s, {sum(map(len, parts.values()))} tests")


if __name__ == "__main__":
    main()
