"""Scores of torchmetrics, pytorch-metric-learning, faiss and torch; runs in their environment.

    python -m tests.parity.peer_evaluation questions.npz answers.npz

The questions are arrays `case/function/argument`; the answer to a case is an array of its name.
"""

import sys

import faiss
import numpy as np
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from torchmetrics.functional.classification import multiclass_calibration_error

RETRIEVAL_SCORES = (
    "precision_at_1",
    "r_precision",
    "mean_average_precision_at_r",
    "mean_average_precision",
)


def calibration_errors(probabilities, labels, num_bins):
    """Expected and maximum error."""
    return [
        multiclass_calibration_error(
            torch.tensor(probabilities),
            torch.tensor(labels),
            num_classes=probabilities.shape[1],
            n_bins=int(num_bins),
            norm=norm,
        ).item()
        for norm in ("l1", "max")
    ]


def calibration_errors_of_each(probabilities, labels, num_bins):
    """Those of some sets of images with the same labels."""
    return [calibration_errors(one, labels, num_bins) for one in probabilities]


def retrieval(embeddings, labels, gallery=None, gallery_labels=None):
    calculator = AccuracyCalculator(include=RETRIEVAL_SCORES, device=torch.device("cpu"))
    scores = calculator.get_accuracy(embeddings, labels, gallery, gallery_labels)
    return [scores[name] for name in RETRIEVAL_SCORES]


def neighbors(queries, gallery, num_neighbors):
    index = faiss.IndexFlatIP(gallery.shape[1])
    index.add(gallery)
    similarities, indices = index.search(queries, int(num_neighbors))
    return np.stack([similarities.astype("float64"), indices])


def votes(train, labels, test, num_neighbors, temperature):
    """The weighted vote of instance discrimination: the classes of each image, best first."""
    train, test = (torch.nn.functional.normalize(torch.tensor(one)) for one in (train, test))
    cosines, places = (test @ train.T).topk(int(num_neighbors))
    one_hot = torch.nn.functional.one_hot(torch.tensor(labels)[places])
    weights = (cosines / float(temperature)).exp()
    return (weights[:, :, None] * one_hot).sum(dim=1).argsort(descending=True).numpy()


def alignment(x, y, alpha):
    return torch.linalg.vector_norm(torch.tensor(x - y), dim=1).pow(float(alpha)).mean().item()


def uniformity(x, t):
    return torch.log(torch.exp(-float(t) * torch.pdist(torch.tensor(x)) ** 2).mean()).item()


def rank_me(x):
    singular = torch.linalg.svdvals(torch.tensor(x))
    shares = singular / singular.sum() + 1e-7
    return torch.exp(-(shares * shares.log()).sum()).item()


FUNCTIONS = {
    function.__name__: function
    for function in (
        calibration_errors,
        calibration_errors_of_each,
        retrieval,
        neighbors,
        votes,
        alignment,
        uniformity,
        rank_me,
    )
}


def main() -> None:
    cases: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    with np.load(sys.argv[1]) as questions:
        for key in questions.files:
            case, function, argument = key.split("/")
            cases.setdefault((case, function), {})[argument] = questions[key]
    answers = {
        case: FUNCTIONS[function](**arguments) for (case, function), arguments in cases.items()
    }
    np.savez(sys.argv[2], **answers)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
