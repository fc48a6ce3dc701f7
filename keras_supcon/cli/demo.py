"""Trains SupCon and cross-entropy on 1,442 digits, and compares them; no network is needed.

  keras-supcon demo
  keras-supcon demo --epochs=2 --output_dir=build/short

Takes about two minutes on two processor cores. Writes the models, the results and report.html.
"""

from __future__ import annotations

import argparse

from keras_supcon.arguments import check_whole_number_or_none
from keras_supcon.experiments import Comparison, ComparisonSettings, list_devices

HELP = "train and compare SupCon and cross-entropy on the digits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("--epochs", type=int, help="epochs of each training (default: 40)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random numbers")
    parser.add_argument(
        "--output_dir",
        default="build/demo",
        metavar="FOLDER",
        help="folder for models, results and the report (default: %(default)s)",
    )


def run(given: argparse.Namespace) -> int:
    """Runs the command, and returns its exit code."""
    check_whole_number_or_none("epochs", given.epochs, at_least=1)
    settings = ComparisonSettings(
        dataset="digits", epochs=given.epochs, seed=given.seed, output_dir=given.output_dir
    )
    comparison = Comparison(settings)
    print(f"{comparison.title} on {list_devices()}")
    result = comparison.run(handle_signals=True)
    print(f"\n{comparison.title}\n\n{result.table}\n\n{result.explanation}")
    model = result.model_dirs[0] / "contrastive.keras"
    print(
        f"\nWritten: {comparison.output_dir}\n\nTo measure more:\n\n  keras-supcon evaluate "
        f"--encoder={model} --dataset=digits --output_dir=build/evaluation"
    )
    return 0 if result.failure is None else 1
