"""The tables of `benchmarks/evaluation.py`, and whether implementations agree."""

from typing import Any

from evaluation_implementations import IMPLEMENTATIONS
from harness import format_seconds, markdown_table

# Name of the score of a task, and the largest difference of two implementations. Linear classifiers
# differ by their validation images, and float32 swaps neighbors that are as near.
SCORES = {
    "knn": ("accuracy", 0.001),
    "linear": ("accuracy", 0.02),
    "retrieval": ("MAP at R", 1e-4),
    "effective_rank": ("rank", 0.05),
    "uniformity": ("uniformity", 1e-3),
}


def outcome(record: dict[str, Any]) -> str:
    """Returns time and memory, or why there are none."""
    if "note" in record:
        return record["note"]
    return f"{format_seconds(min(record['seconds']))}, {record['extra_memory_mb']:.0f} MB"


def format_table(table: dict[str, Any]) -> str:
    """Returns a title with the sizes, and the Markdown table of its records.

    The last column is the shortest time relative to that of the first row.
    """
    implementations = IMPLEMENTATIONS[table["task"]]
    name, _ = SCORES[table["task"]]
    rows = []
    for record in table["records"]:
        label = implementations[record["implementation"]].label
        if "note" in record:
            rows.append([label, record["note"], "", "", ""])
            continue
        first = table["records"][0].get("seconds", [float("nan")])
        rows.append(
            [
                label,
                format_seconds(min(record["seconds"])),
                f"{min(record['seconds']) / min(first):.2f}",
                f"{record['extra_memory_mb']:,.0f} MB",
                f"{record['score']:.4f}",
            ]
        )
    train, test, width = table["sizes"]
    sizes = f"{train:,} rows of {width}"
    if table["task"] in ("knn", "linear"):
        sizes = f"{train:,} training and {test:,} test rows of {width}"
    header = ["implementation", "min time", "times", "extra memory", name]
    return f"{table['title']}, {sizes}\n\n{markdown_table(header, rows)}"


def disagreement(table: dict[str, Any]) -> str | None:
    """Returns what is wrong with the measurements of a table, or None.

    Times of implementations that do not compute the same mean nothing.
    """
    failed = [record for record in table["records"] if "note" in record]
    if failed:
        return f"{table['title']}: {failed[0]['implementation']} {failed[0]['note']}"
    name, tolerance = SCORES[table["task"]]
    first = table["records"][0]
    for record in table["records"][1:]:
        if not abs(record["score"] - first["score"]) <= tolerance:  # NaN is wrong too
            return (
                f"{table['title']}: the {name} of {record['implementation']} is {record['score']}, "
                f"that of {first['implementation']} {first['score']}"
            )
    return None
