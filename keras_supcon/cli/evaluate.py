"""Measures a saved encoder by several protocols, and compares it with another one.

  keras-supcon evaluate --encoder=contrastive.keras --dataset=digits --output_dir=build/evaluation
  keras-supcon evaluate --encoder=contrastive.keras --baseline=cross_entropy.keras \\
      --dataset=fashion_mnist --data_dir=build/tfds --output_dir=build/evaluation \\
      --protocols=linear,knn,corruption

Protocols:
  linear       logistic regression on the embeddings; validation images choose its regularization
  knn          a weighted vote of the 200 nearest training images
  few_label    logistic regression with labels of 1%, 10%, 1 per class and 5 per class
  calibration  how well the confidence of the classifier tells its accuracy
  corruption   accuracy under 15 corruptions in 5 severities; takes the longest
  retrieval    how high images of the same class rank among the test images
  head         what the projection head throws away; needs models with a head

The encoder runs once over the images, and once more for each corruption. Results appear as they
come, and are written as they come: a JSON file for each protocol and report.html. A protocol that
fails does not stop the others; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import sys

from keras_supcon.cli.shared_arguments import add_data_arguments, add_encoder_argument
from keras_supcon.experiments import Evaluation, EvaluationSettings
from keras_supcon.experiments.evaluation_settings import DEFAULT_PROTOCOLS

HELP = "measure a saved encoder, or compare two"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_encoder_argument(parser)
    parser.add_argument("--baseline", metavar="FILE", help="saved model to compare it with")
    parser.add_argument("--name", help="name of the model in the report (default: its file)")
    parser.add_argument("--baseline_name", help="name of the baseline (default: its file)")
    add_data_arguments(parser)
    parser.add_argument("--train_split", default="train", help="training images")
    parser.add_argument("--test_split", default="test", help="test images")
    parser.add_argument(
        "--protocols",
        default=",".join(DEFAULT_PROTOCOLS),
        help="what to measure, separated by commas (default: %(default)s)",
    )
    parser.add_argument(
        "--corruption_images",
        type=int,
        default=10_000,
        help="test images that are corrupted, at most (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all draws")
    parser.add_argument("--output_dir", required=True, metavar="FOLDER", help="folder for results")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the results of another run"
    )


def run(given: argparse.Namespace) -> int:
    """Runs the command, and returns its exit code."""
    options = {
        name: value for name, value in vars(given).items() if name not in ("command", "overwrite")
    }
    options["protocols"] = tuple(filter(None, given.protocols.replace(" ", "").split(",")))
    result = Evaluation(EvaluationSettings(**options), given.overwrite).run()
    print(f"\nWritten: {result.report}")
    for protocol, reason in result.failures.items():
        print(f"keras-supcon evaluate: {protocol} failed: {reason}", file=sys.stderr)
    return 1 if result.failures else 0
