r"""Pre-train with SupCon, freeze, classify; and the same encoder with cross-entropy beside it.

    python examples/quickstart.py  # the digits of this package, no network; two minutes on two CPUs
    python examples/quickstart.py --seeds=5  # five times as long: mean and range of each number
    python examples/quickstart.py --dataset=fashion_mnist --data_dir=build/tfds
    python examples/quickstart.py --dataset=cifar10 --encoder=resnet18 --epochs=100
    python examples/quickstart.py --dataset=tf_flowers --train_split='train[:80%]' \
        --test_split='train[80%:]' --image_size=64

Writes to --output_dir: contrastive.keras, classifier.keras, cross_entropy.keras, results.json and
report.html, which is also there as .md and .json; with several seeds the models of each in a folder
of its own, such as seed-0. Test images are only measured on: no setting and no epoch was chosen by
them. Ctrl-C, SIGTERM and SIGHUP save the model that is being trained.
"""

import logging
import pathlib
import sys

import start  # noqa: F401, before the packages that it watches

# isort: split

import keras
from absl import app, flags

from keras_supcon.experiments import (
    Comparison,
    ComparisonResult,
    ComparisonSettings,
    list_devices,
    one_line_errors,
)

flags.DEFINE_string(
    "dataset", "digits", "'digits' or the name of an image-classification data set in TFDS."
)
flags.DEFINE_string("data_dir", None, "Folder of TFDS data sets.")
flags.DEFINE_string("train_split", "train", "Training images, as TFDS names them.")
flags.DEFINE_string("test_split", "test", "Test images, as TFDS names them.")
flags.DEFINE_integer(
    "epochs",
    None,
    "Epochs of contrastive pre-training, and of cross-entropy. Default: what suits the data set.",
    lower_bound=1,
)
flags.DEFINE_integer("batch_size", None, "Images in a batch. Default: what suits the data set.")
flags.DEFINE_enum(
    "encoder", "small", ["small", "resnet18", "resnet50"], "small: ResNet-10 of quarter width."
)
flags.DEFINE_integer("image_size", None, "Height and width. Default: the images' own size.")
flags.DEFINE_string("output_dir", "build/quickstart", "Folder for models, results and the report.")
flags.DEFINE_integer("seed", 0, "Seed of the random numbers.")
flags.DEFINE_integer(
    "seeds",
    1,
    "Repeats everything for so many seeds, from --seed on, and prints mean and range.",
    lower_bound=1,
)
FLAGS = flags.FLAGS

# Of one seed, as the settings are by default, on two CPU cores.
MINUTES = {"digits": 2, "fashion_mnist": 23}
FILES = {
    "contrastive.keras": "encoder and projection head after pre-training",
    "classifier.keras": "the frozen encoder and its linear classifier",
    "cross_entropy.keras": "the baseline",
}


def expected_time(settings: ComparisonSettings) -> str:
    """Says how long all of it takes, where that was measured."""
    usual = ComparisonSettings(dataset=settings.dataset)
    parts = [(one.hyperparameters, one.encoder, one.image_size) for one in (settings, usual)]
    if parts[0] != parts[1] or settings.dataset not in MINUTES:
        return "The first epochs of each stage tell how long it takes."
    minutes = MINUTES[settings.dataset] * settings.seeds
    return f"All of it takes about {minutes} minutes on two CPU cores."


def list_files(output_dir: pathlib.Path, result: ComparisonResult) -> str:
    """Says where everything went, and how to use it."""
    folders = result.model_dirs
    models = folders[0] if len(folders) == 1 else output_dir / "seed-*"
    files = {str(models / name): text for name, text in FILES.items()}
    files[str(output_dir / "results.json")] = "settings and all numbers"
    if result.report is not None:
        files[str(result.report)] = "table and pictures, for a browser"
        files[str(result.report.with_suffix(".md"))] = "the same as Markdown"
        files[str(result.report.with_suffix(".json"))] = "the same without pictures, as JSON"
    width = max(map(len, files))
    lines = [f"  {name.ljust(width)}  {text}" for name, text in files.items()]
    classifier = (folders[0] / "classifier.keras").as_posix()
    return (
        "\n".join(["Written:", *lines]) + "\n\nTo go on with the classifier:\n\n"
        "  import keras, keras_supcon\n"
        f'  classifier = keras.saving.load_model("{classifier}")\n'
        "  classifier.predict(images)  # probabilities of the classes"
    )


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    # It takes the predictions of many models for one that is traced often.
    logging.getLogger("tensorflow").setLevel("ERROR")
    names = [name for name in ComparisonSettings.__dataclass_fields__ if name in FLAGS]
    with one_line_errors(ValueError, RuntimeError, OSError, ImportError):
        settings = ComparisonSettings(**{name: FLAGS[name].value for name in names})
        comparison = Comparison(settings)  # reads the data, and writes nothing
    print(
        f"{comparison.title}; Keras {keras.__version__} with {keras.backend.backend()} on "
        f"{list_devices()}.\n{expected_time(settings)}"
    )
    with one_line_errors():
        result = comparison.run(handle_signals=True)
    files = list_files(comparison.output_dir, result)
    print(f"\n{comparison.title}\n\n{result.table}\n\n{result.explanation}\n\n{files}")
    if result.failure is not None:
        sys.exit(
            "\nquickstart.py: The report could not be drawn, all else is there: "
            f"{type(result.failure).__name__}: {result.failure}"
        )


if __name__ == "__main__":
    app.run(main)
