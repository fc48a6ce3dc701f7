"""Arguments of several commands: the encoder, and the images that it sees."""

import argparse
from collections.abc import Mapping

# What functions behind a command call the argument of a flag.
_OTHERS = {"name": "dataset", "path": "dataset", "size": "image_size"}


def names_of_others(given: argparse.Namespace) -> Mapping[str, str]:
    """Returns the flags of a command by other names of their arguments, for errors."""
    return {other: name for other, name in _OTHERS.items() if hasattr(given, name)}


def add_encoder_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the argument of the saved model."""
    parser.add_argument(
        "--encoder",
        required=True,
        metavar="FILE",
        help="saved .keras model: a ContrastiveModel, an encoder, or a classifier that ends in a "
        "dense layer with softmax, whose inputs are taken as features",
    )


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the data set but its splits."""
    parser.add_argument(
        "--dataset",
        required=True,
        help="'digits', the name of an image-classification data set in TFDS, or a folder with a "
        "folder of images for each class",
    )
    parser.add_argument("--data_dir", metavar="FOLDER", help="folder of TFDS data sets")
    parser.add_argument(
        "--image_size",
        type=int,
        metavar="PIXELS",
        help="height and width; needed where images differ in size",
    )
    parser.add_argument(
        "--batch_size", type=int, default=500, help="images in a batch (default: %(default)s)"
    )
