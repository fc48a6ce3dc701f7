"""The table that `benchmarks/relatives.py` prints."""

from harness import format_seconds, markdown_table
from relatives_implementations import IMPLEMENTATIONS, REFERENCE


def format_rows(records: list[dict]) -> str:
    """Returns a table with a row for each loss and a column for each implementation."""
    by_key = {(one["loss_name"], one["implementation"]): one for one in records}
    names = list(dict.fromkeys(one["implementation"] for one in records))

    def cell(loss: str, name: str) -> str:
        record = by_key.get((loss, name))
        if record is None:
            return ""
        if "step_seconds" not in record:
            return record["note"]
        shortest = min(record["step_seconds"])
        reference = by_key.get((REFERENCE, IMPLEMENTATIONS[name].reference), {})
        ratio = ""
        if "step_seconds" in reference and loss != REFERENCE:
            ratio = f", {shortest / min(reference['step_seconds']):.1f}x"
        return f"{format_seconds(shortest)}{ratio}, {record['extra_memory_mb']:.0f} MB"

    rows = [
        [loss, *(cell(loss, name) for name in names)]
        for loss in dict.fromkeys(one["loss_name"] for one in records)
    ]
    return markdown_table(["loss", *(IMPLEMENTATIONS[name].label for name in names)], rows)
