"""Shows how one factor changes what an encoder learns, with several seeds for each value.

  keras-supcon study --factor=temperature --values=0.05,0.1,0.5 --dataset=digits \\
      --output_dir=build/study
  keras-supcon study --factor=loss --values=SupConLoss,NTXentLoss --dataset=path/to/folder \\
      --image_size=32 --output_dir=build/study

Each value is trained from the same seeds, and compared with the first value seed by seed. The small
ResNet-10 is trained by SupCon on two views of each image, then a linear classifier on the frozen
encoder is measured: on a fifth of the training split, which is held out, so that the test images
stay for the end. Results are kept: a study that was killed goes on by the same command, and more
seeds or values cost only themselves.
"""

from __future__ import annotations

import argparse

from keras_supcon.experiments import FACTORS, MEASUREMENTS, Study, StudySettings

HELP = "vary one factor, with several seeds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "--factor", required=True, help=f"what is varied: one of {', '.join(FACTORS)}"
    )
    parser.add_argument(
        "--values",
        required=True,
        help="its values, separated by commas; the first is the reference",
    )
    parser.add_argument(
        "--dataset",
        required=True,
        help="'digits', the name of an image-classification data set in TFDS, or a folder with a "
        "folder of images for each class",
    )
    parser.add_argument("--data_dir", metavar="FOLDER", help="folder of TFDS data sets")
    parser.add_argument("--label", help="class label, where a data set has several")
    parser.add_argument(
        "--image_size", type=int, metavar="PIXELS", help="height and width to resize to"
    )
    parser.add_argument(
        "--train_images", type=int, metavar="N", help="training images, equally many of each class"
    )
    parser.add_argument(
        "--measurement",
        default="accuracy",
        help=f"what is measured, of {', '.join(MEASUREMENTS)} (default: %(default)s)",
    )
    parser.add_argument("--epochs", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--batch_size", type=int, default=128, help="default: %(default)s")
    parser.add_argument(
        "--learning_rate", type=float, default=2e-3, help="peak of Adam (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the first one (default: %(default)s)")
    parser.add_argument(
        "--measured_on",
        default="validation",
        choices=("validation", "test"),
        help="images that are measured on (default: %(default)s)",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        help="trainings at the same time, each on one core (default: %(default)s)",
    )
    parser.add_argument("--output_dir", required=True, metavar="FOLDER", help="folder for results")


def run(given: argparse.Namespace) -> int:
    """Runs the command, and returns its exit code."""
    options = {name: value for name, value in vars(given).items() if name != "command"}
    options["values"] = [value.strip() for value in given.values.split(",")]
    study = Study(StudySettings(**options))
    print(study.run())
    print(f"\nWritten: {study.output_dir / 'report.html'}")
    return 0
