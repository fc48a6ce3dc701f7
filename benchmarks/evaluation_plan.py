"""The tables of `benchmarks/evaluation.py`: what is measured, and on how many rows."""

import dataclasses
from typing import Any

from evaluation_implementations import IMPLEMENTATIONS, OURS

from keras_supcon.evaluation.protocols.logistic_regression import REGULARIZATIONS

# Three of them, for a peer that is slow.
FEW_REGULARIZATIONS = REGULARIZATIONS[::22]


@dataclasses.dataclass(frozen=True)
class Table:
    task: str
    title: str
    # Training rows, test rows, features.
    sizes: tuple[int, int, int]
    options: dict[str, Any]
    workers: tuple[str, ...]


def plan(is_quick: bool) -> list[Table]:
    of_knn, of_linear, of_scores = (
        ((500, 400, 16), (500, 400, 16), (500, 10, 16))
        if is_quick
        else ((60_000, 10_000, 128), (60_000, 10_000, 512), (10_000, 10, 256))
    )
    few = FEW_REGULARIZATIONS[1:] if is_quick else FEW_REGULARIZATIONS
    all_of_them = few if is_quick else REGULARIZATIONS
    tables = []
    for number in (200, 20):
        title = f"`knn_evaluation`, {number} neighbors"
        tables.append(Table("knn", title, of_knn, {"neighbors": number}, all_workers("knn")))
    for regularizations, workers in ((all_of_them, (OURS,)), (few, all_workers("linear"))):
        title = f"`linear_evaluation`, {len(regularizations)} regularizations"
        options = {"regularizations": list(regularizations)}
        tables.append(Table("linear", title, of_linear, options, workers))
    for task in ("retrieval", "effective_rank", "uniformity"):
        tables.append(Table(task, f"`{task}`", of_scores, {}, all_workers(task)))
    return tables


def all_workers(task: str) -> tuple[str, ...]:
    return tuple(IMPLEMENTATIONS[task])
