"""The results of a `Comparison` as a table, over the seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_supcon.experiments.comparison_seed import CLASSIFIER, CROSS_ENTROPY, PRETRAINING

_NUMBERS = ("accuracy", "knn_accuracy", "cross_entropy_accuracy", "cross_entropy_knn_accuracy")


def summarize(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Returns mean, lowest and highest of each number over the seeds."""
    columns = {name: [run[name] for run in runs] for name in _NUMBERS}
    return {
        name: {"mean": float(np.mean(values)), "min": min(values), "max": max(values)}
        for name, values in columns.items()
    }


def result_rows(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Returns a row for each method.

    With several seeds the accuracies are "mean (lowest to highest)", and the times are means.
    """
    summary = summarize(runs)
    seconds = {
        stage: np.mean([run["seconds"][stage] for run in runs]) for stage in runs[0]["seconds"]
    }

    def accuracy(name: str) -> str:
        number = summary[name]
        spread = f" ({number['min']:.2%} to {number['max']:.2%})" if len(runs) > 1 else ""
        return f"{number['mean']:.2%}{spread}"

    def row(method: str, prefix: str, encoder: str, classifier: str | None) -> dict[str, str]:
        return {
            "trained with": method,
            "test accuracy": accuracy(f"{prefix}accuracy"),
            "kNN accuracy of the embedding": accuracy(f"{prefix}knn_accuracy"),
            "encoder training": f"{seconds[encoder]:.0f} s",
            "classifier training": f"{seconds[classifier]:.0f} s" if classifier else "-",
        }

    return [
        row("SupCon, then linear classifier", "", PRETRAINING, CLASSIFIER),
        row("cross-entropy", "cross_entropy_", CROSS_ENTROPY, None),
    ]


def explain(runs: Sequence[Mapping[str, Any]], num_test_images: int) -> str:
    """Returns the sentences under the table: how much a difference in it is worth."""
    one_image = f"One of the {num_test_images:,} test images is {100 / num_test_images:.2f} points."
    if len(runs) == 1:
        return (
            f"{one_image} One run says little about a difference of a few images: seeds=5 gives "
            "mean and range."
        )
    gains = [run["accuracy"] - run["cross_entropy_accuracy"] for run in runs]
    return (
        f"Mean (lowest to highest) of the seeds {runs[0]['seed']} to {runs[-1]['seed']}. "
        f"{one_image}\nTest accuracy of SupCon minus that of cross-entropy, seed by seed: "
        f"{', '.join(f'{100 * gain:+.2f}' for gain in gains)} points, "
        f"mean {100 * np.mean(gains):+.2f}."
    )


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Returns rows of the same columns as a Markdown table, padded to one width."""
    columns = list(rows[0])
    widths = [max(len(column), *(len(row[column]) for row in rows)) for column in columns]
    lines = [
        columns,
        ["-" * width for width in widths],
        *([row[column] for column in columns] for row in rows),
    ]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )
