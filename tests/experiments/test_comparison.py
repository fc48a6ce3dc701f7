"""What a comparison says of its seeds."""

import pytest

from keras_supcon.experiments.comparison_table import (
    explain,
    markdown_table,
    result_rows,
    summarize,
)

pytestmark = pytest.mark.neutral

SECONDS = {"SupCon pre-training": 30.0, "linear classifier": 4.0, "cross-entropy": 20.0}


def run(seed: int, accuracy: float, cross_entropy: float) -> dict:
    return {
        "seed": seed,
        "accuracy": accuracy,
        "knn_accuracy": 0.5,
        "cross_entropy_accuracy": cross_entropy,
        "cross_entropy_knn_accuracy": 0.25,
        "seconds": SECONDS,
    }


RUNS = [run(3, 0.9, 0.8), run(4, 0.7, 0.75)]


def test_several_seeds_have_mean_lowest_and_highest():
    assert summarize(RUNS)["accuracy"] == {"mean": pytest.approx(0.8), "min": 0.7, "max": 0.9}
    supcon, cross_entropy = result_rows(RUNS)
    assert supcon["test accuracy"] == "80.00% (70.00% to 90.00%)"
    assert cross_entropy["test accuracy"] == "77.50% (75.00% to 80.00%)"
    assert (supcon["encoder training"], supcon["classifier training"]) == ("30 s", "4 s")
    assert cross_entropy["classifier training"] == "-"
    text = explain(RUNS, 1000)
    assert "of the seeds 3 to 4. One of the 1,000 test images is 0.10 points." in text
    assert "seed by seed: +10.00, -5.00 points, mean +2.50." in text


def test_one_seed_has_no_range():
    (supcon, _) = result_rows(RUNS[:1])
    assert supcon["test accuracy"] == "90.00%"
    assert "One run says little" in explain(RUNS[:1], 1000)


def test_the_table_is_padded_markdown():
    lines = markdown_table([{"a": "1", "long name": "2"}, {"a": "three", "long name": ""}])
    assert lines.splitlines() == [
        "| a     | long name |",
        "| ----- | --------- |",
        "| 1     | 2         |",
        "| three |           |",
    ]
