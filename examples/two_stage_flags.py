"""The flags of the programs that train by a recipe, which become `Settings`."""

import pathlib
import sys
from collections.abc import Callable
from typing import Any

import start  # noqa: F401, before the packages that it watches

# isort: split

import tensorflow as tf
from absl import app, flags, logging

from keras_supcon.experiments import Settings, TwoStage, one_line_errors

flags.DEFINE_string(
    "model_dir",
    None,
    "Folder for checkpoints, models and results.json; all workers share it.",
    required=True,
)
flags.DEFINE_enum(
    "mode",
    None,
    [
        "pretrain",
        "linear",
        "pretrain_then_linear",
        "cross_entropy",
        "cross_entropy_then_linear",
    ],
    "What to train. Default: all stages of the recipe.",
)
flags.DEFINE_string("data_dir", None, "Folder of TFDS data sets.")
flags.DEFINE_string("train_split", "train", "Training images, as TFDS names them.")
flags.DEFINE_string(
    "linear_train_split", None, "The same for the linear classifier. Default: --train_split."
)
flags.DEFINE_string("eval_split", None, "Images to measure on. Default: the data set's usual ones.")
flags.DEFINE_enum(
    "strategy", "auto", ["auto", "default", "mirrored", "multi_worker", "tpu"], "What to train on."
)
flags.DEFINE_string("tpu", None, "Name or address of a TPU; 'local' on a TPU virtual machine.")
flags.DEFINE_integer(
    "num_virtual_cpus", None, "Splits the processor, to try replicas without GPUs."
)
flags.DEFINE_integer(
    "batch_size",
    None,
    "Images in a batch over all replicas. Default: the recipe's. The learning rate follows it by "
    "the recipe's rule.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "linear_batch_size",
    None,
    "The same for the linear classifier. Default: the recipe's, at most --batch_size.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "epochs",
    None,
    "Epochs of pre-training, or of cross-entropy. Default: the recipe's. Warm-up and decay are "
    "scaled in proportion.",
    lower_bound=1,
)
flags.DEFINE_integer("linear_epochs", None, "The same for the linear classifier.", lower_bound=1)
flags.DEFINE_integer(
    "micro_batch_size",
    None,
    "Images that a replica's encoder sees at once in pre-training, to save memory.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "queue_size",
    None,
    "Slots of the queue of MoCo and NNCLR. Default: the recipe's; no more than about a tenth of "
    "the training images are of use.",
    lower_bound=1,
)
flags.DEFINE_integer("encoder_depth", None, "Depth of the ResNet. Default: the recipe's.")
flags.DEFINE_float("encoder_width", None, "Width of the ResNet. Default: the recipe's.")
flags.DEFINE_enum(
    "mixed_precision",
    None,
    ["none", "float16", "bfloat16"],
    "Default: the recipe's on GPUs and TPUs, none on processors. GPUs before Ampere are faster "
    "with float16.",
)
flags.DEFINE_integer(
    "checkpoint_every",
    None,
    "Also writes a checkpoint after so many batches of an epoch, not only at its end.",
    lower_bound=1,
)
flags.DEFINE_integer("seed", 0, "Seed of the random numbers.")

# The flag of each field of `Settings`.
_FLAGS = {
    "output_dir": "model_dir",
    **{name: name for name in flags.FLAGS if name in Settings.__dataclass_fields__},
}


def settings(**fields: Any) -> Settings:
    """Returns the settings that the flags say, with further fields from the program."""
    given = {field: flags.FLAGS[flag].value for field, flag in _FLAGS.items()}
    return Settings(**{**given, **fields})


def all_flags() -> dict[str, Any]:
    """Returns the flags of the program, for results.json."""
    own = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
    return {"flags": {flag.name: flag.value for flag in own}}


def main(make_experiment: Callable[[], TwoStage]) -> None:
    """Runs a program; what the user can mend ends it with one line and exit code 1."""

    def run(argv: list[str]) -> None:
        if len(argv) > 1:
            raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
        with one_line_errors(ValueError, RuntimeError, OSError, flags=_FLAGS):
            experiment = make_experiment()
        with one_line_errors(flags=_FLAGS):
            results = experiment.run(handle_signals=True)
        if experiment.is_chief:
            if "top_1" in results:
                print(
                    f"top-1 {results['top_1']:.2%}, top-5 {results['top_5']:.2%} of "
                    f"{results['images_evaluated']} images"
                )
            print(f"results: {pathlib.Path(flags.FLAGS.model_dir) / 'results.json'}")

    # TensorFlow and TFDS would tell all that they do, and absl repeat it; --verbosity=0 brings the
    # latter back.
    tf.get_logger().setLevel("WARNING")
    logging.set_verbosity(logging.WARNING)
    app.run(run)
