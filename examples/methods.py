r"""SimCLR, SupCon, MoCo, BYOL, NNCLR and cross-entropy with one encoder on one data set: a table.

    python examples/methods.py --method=all  # the digits, no network; eight minutes on two CPUs
    python examples/methods.py --method=moco_supcon --method=supcon
    python examples/methods.py --method=all --dataset=fashion_mnist --output_dir=build/fashion
    python examples/methods.py --method=byol --dataset=cifar10 --epochs=100 --encoder_depth=18

Every method pre-trains by its small recipe, METHOD_small in keras_supcon.recipes or for the digits
METHOD_digits_small; a linear classifier on the frozen encoder and kNN measure it. moco_supcon is
SupCon with the memory of MoCo, cross_entropy_two_stage the control of the SupCon paper.
supcon_joint trains a classifier beside the encoder, which the paper says equals two stages, and
simclr_fine_tuned trains on from the first layer of the head, as SimCLR v2 does. These recipes are
this package's own choice, and the same for all where they can be; they are not the best of each.

A run that was stopped, by Ctrl-C or SIGTERM too, is resumed by the same command; what is finished
is not done again. In --output_dir: methods.md with the table, methods.json, and a folder for each
method with its checkpoints, encoder.keras and classifier.keras. Test images are only measured on.
"""

import start  # noqa: F401, before the packages that it watches

# isort: split

import tensorflow as tf
from absl import app, flags, logging

from keras_supcon.experiments import Methods, Settings, one_line_errors

_METHODS = flags.DEFINE_multi_enum(
    "method",
    ["supcon", "moco_supcon"],
    ["all", *Methods.NAMES],
    "How the encoder is trained; may be given several times.",
)
flags.DEFINE_string(
    "dataset", "digits", "'digits' or the name of an image-classification data set in TFDS."
)
flags.DEFINE_string("data_dir", None, "Folder of TFDS data sets.")
flags.DEFINE_string("train_split", "train", "Training images, as TFDS names them.")
flags.DEFINE_string("eval_split", None, "Images to measure on. Default: the test images.")
flags.DEFINE_string("output_dir", "build/methods", "Folder for models, checkpoints and the table.")
flags.DEFINE_integer(
    "epochs", None, "Epochs of pre-training. Default: the recipe's.", lower_bound=1
)
flags.DEFINE_integer(
    "linear_epochs", None, "Epochs of the linear classifier. Default: the recipe's.", lower_bound=1
)
flags.DEFINE_integer("batch_size", None, "Images in a batch. Default: the recipe's.", lower_bound=1)
flags.DEFINE_integer(
    "queue_size",
    None,
    "Rows of a queue. Default: the recipe's, at most a tenth of the training images.",
    lower_bound=1,
)
flags.DEFINE_integer("encoder_depth", None, "Depth of the ResNet. Default: the recipe's.")
flags.DEFINE_float("encoder_width", None, "Width of the ResNet. Default: the recipe's.")
flags.DEFINE_integer(
    "checkpoint_every", None, "Also writes a checkpoint after so many batches.", lower_bound=1
)
flags.DEFINE_integer("seed", 0, "Seed of the random numbers.")
FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    chosen = Methods.NAMES if "all" in _METHODS.value else _METHODS.value
    names = [name for name in Settings.__dataclass_fields__ if name in FLAGS]
    with one_line_errors(ValueError, RuntimeError, OSError, ImportError):
        settings = Settings(**{name: FLAGS[name].value for name in names})
        methods = Methods(chosen, settings)  # reads the data, and writes nothing
    with one_line_errors():
        result = methods.run(handle_signals=True)
    print(f"\n{result.table}\n\n{result.explanation}\ntable: {methods.output_dir / 'methods.md'}")


if __name__ == "__main__":
    # TensorFlow takes the predictions of many models for one that is traced often, and TFDS would
    # tell all that it does.
    tf.get_logger().setLevel("ERROR")
    logging.set_verbosity(logging.WARNING)
    app.run(main)
