"""Computes the embeddings of a data set, for programs of your own.

  keras-supcon embed --encoder=contrastive.keras --dataset=digits --split=test --output_dir=digits

Writes embeddings.npy, float32 (images, features), and labels.npy, for numpy.load; the former may be
larger than the memory.
"""

from __future__ import annotations

import argparse

from keras_supcon.cli.shared_arguments import add_data_arguments, add_encoder_argument
from keras_supcon.evaluation import embed
from keras_supcon.experiments.evaluation import load_split
from keras_supcon.experiments.saved_models import load_encoder_of

HELP = "write the embeddings of a data set to files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_encoder_argument(parser)
    add_data_arguments(parser)
    parser.add_argument("--split", default="train", help="images (default: %(default)s)")
    parser.add_argument("--output_dir", required=True, metavar="FOLDER", help="folder for files")


def run(given: argparse.Namespace) -> int:
    """Runs the command, and returns its exit code."""
    model, description = load_encoder_of(given.encoder, "encoder")
    dataset = load_split(
        given.dataset, given.split, given.batch_size, given.image_size, given.data_dir
    )
    embeddings, _ = embed(model, dataset, output_dir=given.output_dir)
    number, features = embeddings.shape
    print(f"{description}: {number} embeddings of {features} features in {given.output_dir}")
    return 0
