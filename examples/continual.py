r"""Continual learning by Co2L, and by what is left of it without its parts: a table with seeds.

    python examples/continual.py  # the digits in five tasks, no network; three minutes on two CPUs
    python examples/continual.py --scenario=domain  # the digits, turned by five angles
    python examples/continual.py --dataset=fashion_mnist --data_dir=build/tfds
    python examples/continual.py --arm=co2l --arm=neither --num_tasks=2 --buffer_size=20 --seeds=1

Tasks come one after the other, each with two classes, or with the same images turned by another
angle. The arms are SupCon on the present task alone, with distillation of what the networks knew
before, with a buffer of earlier images, with both (Co2L), and with both but all images as anchors.
After each task a linear classifier of that task and the buffer is measured on all tasks so far.

A run that was stopped, by Ctrl-C or SIGTERM too, is resumed by the same command, with the same
figures; what is finished is not done again, and other flags mix with nothing. In --output_dir:
table.md, results.json, report.html, and a folder for each arm and seed. Test images are only
measured on.
"""

import start  # noqa: F401, before the packages that it watches

# isort: split

from absl import app, flags, logging

from keras_supcon.experiments import Continual, ContinualSettings, one_line_errors

flags.DEFINE_string(
    "dataset", "digits", "'digits' or the name of an image-classification data set in TFDS."
)
flags.DEFINE_string("data_dir", None, "Folder of TFDS data sets.")
flags.DEFINE_string("label", None, "Class label, where a data set has several.")
flags.DEFINE_string("train_split", "train", "Training images, as TFDS names them.")
flags.DEFINE_string("test_split", "test", "Images to measure on, as TFDS names them.")
flags.DEFINE_string("output_dir", "build/continual", "Folder for checkpoints, table and report.")
flags.DEFINE_enum(
    "scenario", "class", ["class", "domain"], "Tasks of other classes, or of other rotations."
)
flags.DEFINE_integer("num_tasks", 5, "Number of tasks.", lower_bound=2)
_ARMS = flags.DEFINE_multi_enum(
    "arm", None, list(Continual.ARMS), "Row of the table; may be given several times. Default: all."
)
flags.DEFINE_integer(
    "images_per_class",
    None,
    "Training images of each class. Default: what suits the data set, and so below.",
    lower_bound=1,
)
flags.DEFINE_integer("test_images_per_class", None, "Test images of each class.", lower_bound=1)
flags.DEFINE_integer("buffer_size", None, "Slots of the buffer.", lower_bound=1)
flags.DEFINE_integer("first_epochs", None, "Epochs of the first task.", lower_bound=1)
flags.DEFINE_integer("epochs", None, "Epochs of each later task.", lower_bound=1)
flags.DEFINE_integer("batch_size", None, "Images in a batch.", lower_bound=1)
flags.DEFINE_float("learning_rate", None, "Peak learning rate of each task.")
flags.DEFINE_float("distillation_weight", None, "Weight of the distillation. Default: 0.14.")
flags.DEFINE_float("encoder_width", None, "Width of the ResNet.")
flags.DEFINE_integer("seed", 0, "First seed.")
flags.DEFINE_integer("seeds", 3, "Number of seeds.", lower_bound=1)
flags.DEFINE_integer(
    "checkpoint_every", None, "Also writes a checkpoint after so many batches.", lower_bound=1
)
FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    names = [name for name in ContinualSettings.__dataclass_fields__ if name in FLAGS]
    given = {name: FLAGS[name].value for name in names if FLAGS[name].value is not None}
    with one_line_errors(ValueError, RuntimeError, OSError, ImportError, flags={"arms": "arm"}):
        settings = ContinualSettings(**given, arms=_ARMS.value or Continual.ARMS)
        continual = Continual(settings)  # reads the data, and writes nothing
    with one_line_errors():
        result = continual.run(handle_signals=True)
    print(f"\n{result.table}\n\n{result.explanation}\nreport: {result.report}")


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)  # TFDS would tell all that it does
    app.run(main)
