"""Protocols and scores of this package and of its peers, and the process that measures one of them.

`benchmarks/evaluation.py` starts this file once per measurement. Its last line is JSON. It needs
only NumPy and the measured library.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import forget_peak_memory, memory_bytes, versions

TEMPERATURE = 0.1
TOLERANCE = 1e-4  # of scikit-learn's L-BFGS
WARM_UP_ROWS = 400
PACKAGES = (
    "keras",
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "faiss-cpu",
    "pytorch-metric-learning",
)

Arrays = dict[str, np.ndarray]
Options = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Implementation:
    label: str
    # The Python interpreter: "ours" or "peer".
    environment: str
    # The score that all implementations of a task should agree in.
    score: Callable[[Arrays, Options], float]


def accuracy_of_votes(arrays: Arrays, similarities: np.ndarray, neighbors: np.ndarray) -> float:
    """Votes as `knn_evaluation` does, for a package that only searches."""
    classes = arrays["train_labels"].max() + 1
    places = np.arange(len(neighbors))[:, None] * classes + arrays["train_labels"][neighbors]
    weights = np.exp(similarities.astype("float64") / TEMPERATURE)
    votes = np.bincount(places.ravel(), weights.ravel(), len(neighbors) * classes)
    predictions = votes.reshape(-1, classes).argmax(axis=1)
    return float((predictions == arrays["test_labels"]).mean())


def unit_rows(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def knn_of_keras_supcon(arrays: Arrays, options: Options) -> float:
    from keras_supcon.evaluation import knn_evaluation

    return knn_evaluation(
        **arrays, num_neighbors=options["neighbors"], temperature=TEMPERATURE
    ).accuracy


def knn_of_scikit_learn(arrays: Arrays, options: Options) -> float:
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(
        options["neighbors"],
        algorithm="brute",
        # The cosine of unit rows is 1 - distance^2 / 2.
        weights=lambda distances: np.exp((1 - distances**2 / 2) / TEMPERATURE),
    )
    model.fit(unit_rows(arrays["train"]), arrays["train_labels"])
    predictions = model.predict(unit_rows(arrays["test"]))
    return float((predictions == arrays["test_labels"]).mean())


def knn_of_faiss(arrays: Arrays, options: Options) -> float:
    import faiss

    index = faiss.IndexFlatIP(arrays["train"].shape[1])
    index.add(unit_rows(arrays["train"]))
    return accuracy_of_votes(arrays, *index.search(unit_rows(arrays["test"]), options["neighbors"]))


def linear_of_keras_supcon(arrays: Arrays, options: Options) -> float:
    from keras_supcon.evaluation import linear_evaluation

    return linear_evaluation(**arrays, regularizations=options["regularizations"]).accuracy


def linear_of_scikit_learn(arrays: Arrays, options: Options) -> float:
    """Does the same by scikit-learn alone, each fit from weights of zero."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, labels = arrays["train"], arrays["train_labels"]
    fitted, held_out, fitted_labels, held_out_labels = train_test_split(
        rows, labels, test_size=0.1, random_state=0, stratify=labels
    )

    def fit(rows: np.ndarray, labels: np.ndarray, regularization: float) -> Any:
        factor = 1 / (regularization * len(rows))
        model = LogisticRegression(C=factor, max_iter=1000, tol=TOLERANCE)
        return make_pipeline(StandardScaler(), model).fit(rows, labels)

    scores = {
        one: fit(fitted, fitted_labels, one).score(held_out, held_out_labels)
        for one in sorted(options["regularizations"], reverse=True)
    }
    best = max(scores, key=scores.get)
    return fit(rows, labels, best).score(arrays["test"], arrays["test_labels"])


def retrieval_of_keras_supcon(arrays: Arrays, options: Options) -> float:
    from keras_supcon.evaluation import retrieval

    return retrieval(arrays["train"], arrays["train_labels"]).map_at_r


def retrieval_of_pytorch_metric_learning(arrays: Arrays, options: Options) -> float:
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    names = (
        "precision_at_1",
        "r_precision",
        "mean_average_precision_at_r",
        "mean_average_precision",
    )
    calculator = AccuracyCalculator(include=names, device=torch.device("cpu"))
    scores = calculator.get_accuracy(unit_rows(arrays["train"]), arrays["train_labels"])
    return scores["mean_average_precision_at_r"]


def effective_rank_of_keras_supcon(arrays: Arrays, options: Options) -> float:
    from keras_supcon.evaluation import effective_rank

    return effective_rank(arrays["train"])


def effective_rank_of_torch(arrays: Arrays, options: Options) -> float:
    import torch

    singular = torch.linalg.svdvals(torch.tensor(arrays["train"]))
    shares = singular / singular.sum() + 1e-7
    return torch.exp(-(shares * shares.log()).sum()).item()


def uniformity_of_keras_supcon(arrays: Arrays, options: Options) -> float:
    from keras_supcon.evaluation import uniformity

    return uniformity(unit_rows(arrays["train"]))


def uniformity_of_torch(arrays: Arrays, options: Options) -> float:
    import torch

    rows = torch.tensor(unit_rows(arrays["train"]))
    return torch.pdist(rows).pow(2).mul(-2).exp().mean().log().item()


OURS = "keras_supcon"
# The others are compared with the first one of a task.
IMPLEMENTATIONS = {
    "knn": {
        OURS: Implementation(OURS, "ours", knn_of_keras_supcon),
        "scikit_learn": Implementation("scikit-learn", "ours", knn_of_scikit_learn),
        "faiss": Implementation("faiss", "peer", knn_of_faiss),
    },
    "linear": {
        OURS: Implementation(OURS, "ours", linear_of_keras_supcon),
        "scikit_learn": Implementation("scikit-learn", "ours", linear_of_scikit_learn),
    },
    "retrieval": {
        OURS: Implementation(OURS, "ours", retrieval_of_keras_supcon),
        "pytorch_metric_learning": Implementation(
            "pytorch-metric-learning", "peer", retrieval_of_pytorch_metric_learning
        ),
    },
    "effective_rank": {
        OURS: Implementation(OURS, "ours", effective_rank_of_keras_supcon),
        "torch": Implementation("torch", "peer", effective_rank_of_torch),
    },
    "uniformity": {
        OURS: Implementation(OURS, "ours", uniformity_of_keras_supcon),
        "torch": Implementation("torch", "peer", uniformity_of_torch),
    },
}


def measure(
    implementation: Implementation, arrays: Arrays, options: Options, repeats: int, seconds: float
) -> dict[str, Any]:
    """Times calls until there are `repeats` of them, or they have taken `seconds`; at least one.

    A call with few rows comes before, so that libraries and threads are there.
    """
    few = {**options}
    if "neighbors" in few:
        few["neighbors"] = min(few["neighbors"], WARM_UP_ROWS)
    implementation.score({name: array[:WARM_UP_ROWS] for name, array in arrays.items()}, few)
    forget_peak_memory()
    base = memory_bytes("VmRSS")
    times: list[float] = []
    while not times or (len(times) < repeats and sum(times) < seconds):
        start = time.perf_counter()
        score = implementation.score(arrays, options)
        times.append(time.perf_counter() - start)
    return {
        "seconds": times,
        "extra_memory_mb": max(memory_bytes("VmHWM") - base, 0) / 1e6,
        "score": float(score),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", required=True, choices=IMPLEMENTATIONS)
    parser.add_argument("--worker", required=True)
    parser.add_argument("--arrays", required=True)
    parser.add_argument("--options", required=True, type=json.loads)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()
    with np.load(arguments.arrays) as file:
        arrays = dict(file)
    implementation = IMPLEMENTATIONS[arguments.task][arguments.worker]
    measured = measure(
        implementation, arrays, arguments.options, arguments.repeats, arguments.seconds
    )
    print(json.dumps({**measured, "versions": versions(PACKAGES)}), flush=True)


if __name__ == "__main__":
    main()
