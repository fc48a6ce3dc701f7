"""The tables of `benchmarks/methods.py`."""

import statistics
from collections.abc import Callable
from typing import Any

from harness import markdown_table

LIBRARIES = ("keras_supcon", "lightly")


def images_per_second(record: dict[str, Any]) -> float | None:
    """Returns the rate of the epochs after the first, or None if nothing was trained."""
    if "epoch_seconds" not in record:
        return None
    later = record["epoch_seconds"][1:]
    return record["run"]["num_images"] * len(later) / sum(later)


def format_table(records: list[dict[str, Any]], labels: list[str], of: str) -> str:
    """Returns the Markdown table of the runs with the given labels.

    Args:
        records: Runs, as results.json has them.
        labels: Labels of the rows, in their order.
        of: Header of the first column.
    """
    are_digits = any("deviation" in record for record in records)
    rows = []
    for label in labels:
        for library in LIBRARIES:
            of_row = [one for one in records if (one["label"], one["library"]) == (label, library)]
            if of_row:
                cells = _format_row(of_row, _format_spread if are_digits else _format_speed)
                rows.append([label, *([] if are_digits else [library]), *cells])
    header = [of, *([] if are_digits else ["library"]), "linear probe", "kNN"]
    header += ["deviation", "rank"] if are_digits else ["images/s", "steps alone", "peak memory"]
    return markdown_table(header, rows, num_left=1 if are_digits else 2)


def _format_row(
    records: list[dict[str, Any]], format_rest: Callable[[list[dict[str, Any]]], list[str]]
) -> list[str]:
    notes = [record["note"] for record in records if "note" in record]
    accuracies = ("linear_accuracy", "knn_accuracy")
    if notes:
        return [notes[0], "", *[""] * len(format_rest([]))]
    columns = [[record[name] for record in records] for name in accuracies]
    return [*map(_format_accuracies, columns), *format_rest(records)]


def _format_speed(records: list[dict[str, Any]]) -> list[str]:
    rates = [rate for record in records if (rate := images_per_second(record)) is not None]
    alone = [one["ready_images_per_second"] for one in records if "ready_images_per_second" in one]
    peaks = [record["peak_megabytes"] for record in records]
    return [
        f"{statistics.median(rates):,.0f}" if rates else "-",
        f"{statistics.median(alone):,.0f}" if alone else "-",
        f"{max(peaks):,.0f} MB" if peaks else "-",
    ]


def _format_spread(records: list[dict[str, Any]]) -> list[str]:
    spread = [record for record in records if "deviation" in record]
    if not spread:
        return ["-", "-"]
    deviation, rank = (
        statistics.mean(record[name] for record in spread)
        for name in ("deviation", "effective_rank")
    )
    return [f"{deviation:.2f}", f"{rank:.1f}"]


def _format_accuracies(accuracies: list[float]) -> str:
    """Returns the mean, and the lowest and highest of several seeds, in percent."""
    mean = f"{100 * statistics.mean(accuracies):.1f}"
    if len(accuracies) == 1:
        return mean
    return f"{mean} ({100 * min(accuracies):.1f} to {100 * max(accuracies):.1f})"
