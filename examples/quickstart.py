"""Pre-train with SupCon, freeze, classify; and the same encoder with cross-entropy beside it.

    python examples/quickstart.py  # the digits of this package, no network; two minutes on two CPU
    cores python examples/quickstart.py --seeds=5  # five times as long: mean and range of each
    number python examples/quickstart.py --dataset=fashion_mnist --data_dir=build/tfds python
    examples/quickstart.py --dataset=cifar10 --encoder=resnet18 --epochs=100 python
    examples/quickstart.py --dataset=tf_flowers --train_split='train[:80%]'
    --test_split='train[80%:]' --image_size=64

Writes to --output_dir: contrastive.keras, classifier.keras, cross_entropy.keras, results.json and
report.html; with several seeds the models of each in a folder of its own, such as seed-0. Test
images are only measured on: no setting and no epoch was chosen by them. Ctrl-C, SIGTERM and SIGHUP
save the model that is being trained.
"""

import contextlib
import dataclasses
import logging
import pathlib
import sys
import time
from typing import Any

import start  # noqa: F401, before the packages that it watches

# isort: split

import keras
import numpy as np
from absl import app, flags
from run_folder import write_json
from stopping import StopOnSignal, one_line_errors

import keras_supcon
from keras_supcon.extras import require_extra
from keras_supcon.files import DirectoryLock, InUseError, whole_file

_DATASET = flags.DEFINE_string(
    "dataset", "digits", "'digits' or the name of an image-classification data set in TFDS."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of TFDS data sets.")
_TRAIN_SPLIT = flags.DEFINE_string("train_split", "train", "Training images, as TFDS names them.")
_TEST_SPLIT = flags.DEFINE_string("test_split", "test", "Test images, as TFDS names them.")
_EPOCHS = flags.DEFINE_integer(
    "epochs",
    None,
    "Epochs of contrastive pre-training, and of cross-entropy. Default: what suits the data set.",
    lower_bound=1,
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", None, "Images in a batch. Default: what suits the data set."
)
_ENCODER = flags.DEFINE_enum(
    "encoder", "small", ["small", "resnet18", "resnet50"], "small: ResNet-10 of quarter width."
)
_IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", None, "Height and width. Default: the images' own size."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "build/quickstart", "Folder for models, results and the report."
)
_SEED = flags.DEFINE_integer("seed", 0, "Fixes the random numbers.")
_SEEDS = flags.DEFINE_integer(
    "seeds",
    1,
    "Repeats everything for so many seeds, from --seed on, and prints mean and range.",
    lower_bound=1,
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What suits a data set. Those of Fashion-MNIST were chosen on its last 10,000 training images,
    the others are untuned.
    """

    epochs: int = 20
    classifier_epochs: int = 5
    batch_size: int = 256
    strength: float = 0.5
    flip_probability: float = 0.5
    crop_area: tuple[float, float] = (0.2, 1.0)
    learning_rate: float = 2e-3
    classifier_learning_rate: float = 1e-2


SETTINGS = {
    "digits": Settings(
        epochs=40, classifier_epochs=20, batch_size=128, flip_probability=0.0, crop_area=(0.5, 1.0)
    ),
    # Many short steps: a run of a few epochs gains more from their number than from the size of the
    # batch.
    "fashion_mnist": Settings(
        epochs=6,
        batch_size=128,
        strength=0.3,
        crop_area=(0.4, 1.0),
        learning_rate=4e-3,
        classifier_learning_rate=3e-2,
    ),
}
# Of one seed with these settings, on two CPU cores.
MINUTES = {"digits": 2, "fashion_mnist": 23}
SECONDS_TO_COMPILE = 10
ENCODERS = {
    "small": {"depth": 10, "width": 0.25, "stem": "cifar"},
    "resnet18": {"depth": 18, "stem": "cifar"},
    "resnet50": {"depth": 50},
}


class Experiment:
    """One data set, one kind of encoder, one seed, two ways to train.

    Args:
        settings: What the flags and the data set ask for.
        seed: Fixes the random numbers, also those that Keras draws from here on.
        output_dir: Folder for the models.
        stop: What ends the program early.

    Raises:
        ValueError, RuntimeError, ImportError: If the data cannot be read; nothing was written then.
    """

    def __init__(
        self, settings: Settings, seed: int, output_dir: pathlib.Path, stop: StopOnSignal
    ) -> None:
        keras.backend.clear_session()  # forgets the models of an earlier seed
        keras.utils.set_random_seed(seed)
        self.settings = settings
        self.seed = seed
        self.output_dir = output_dir
        self.stop = stop
        self.train = self.load(_TRAIN_SPLIT.value, shuffle=True)
        self.test = self.load(_TEST_SPLIT.value, shuffle=False)
        self.class_names = self.train.class_names
        self.image_shape = tuple(self.train.element_spec[0].shape[1:])
        self.steps = len(self.train)
        self.seconds: dict[str, float] = {}
        self.histories: dict[str, dict[str, list[float]]] = {}

    def load(self, split: str, shuffle: bool):
        size = _IMAGE_SIZE.value
        image_size = None if size is None else (size, size)
        return keras_supcon.data.load(
            _DATASET.value,
            split,
            self.settings.batch_size,
            image_size,
            _DATA_DIR.value,
            self.seed,
            shuffle=shuffle,
        )

    def run(self) -> dict[str, Any]:
        """Trains, saves and measures.

        Returns:
            The seed, the accuracies and the seconds of every stage, as results.json has them.
        """
        self.output_dir.mkdir(parents=True, exist_ok=True)
        contrastive = self.pretrain()
        classifier = self.classify(contrastive.encoder)
        cross_entropy, cross_entropy_encoder = self.train_cross_entropy()

        print("\nmeasuring on the test images, and loading the files again")
        probabilities, self.labels = predict(classifier, self.test)
        self.predictions = probabilities.argmax(axis=1)
        knn_accuracy, self.embeddings = self.measure_knn(contrastive)
        cross_entropy_predictions = predict(cross_entropy, self.test)[0].argmax(axis=1)
        cross_entropy_knn_accuracy, _ = self.measure_knn(cross_entropy_encoder)
        images = self.some_images()
        for model, name in (
            (contrastive, "contrastive"),
            (classifier, "classifier"),
            (cross_entropy, "cross_entropy"),
        ):
            check_reload(model, self.output_dir / f"{name}.keras", images)
        return {
            "seed": self.seed,
            "accuracy": float(np.mean(self.predictions == self.labels)),
            "knn_accuracy": knn_accuracy,
            "cross_entropy_accuracy": float(np.mean(cross_entropy_predictions == self.labels)),
            "cross_entropy_knn_accuracy": cross_entropy_knn_accuracy,
            "seconds": self.seconds,
        }

    def some_images(self) -> np.ndarray:
        return np.asarray(next(iter(self.test))[0])

    def pictures(self) -> dict[str, Any]:
        """What `write_report` draws of this seed."""
        images, augmenter = self.some_images()[:8], self.augmenter()
        views = np.stack([np.asarray(augmenter(images, training=True)) for _ in range(6)], axis=1)
        return {
            "histories": self.histories,
            "embeddings": self.embeddings,
            "labels": self.labels,
            "predictions": self.predictions,
            "class_names": self.class_names,
            "images": images,
            "views": views,
            "seed": self.seed,
        }

    def pretrain(self) -> keras_supcon.ContrastiveModel:
        model = keras_supcon.ContrastiveModel(
            self.encoder(),
            keras_supcon.ProjectionHead(output_dim=128, hidden_units=(256,)),
            augmenter=self.augmenter(),
            num_views=2,
        )
        model.compile(
            optimizer=self.optimizer(self.settings.learning_rate, self.settings.epochs),
            loss=keras_supcon.SupConLoss(temperature=0.1),
        )
        self.fit("SupCon pre-training", model, "contrastive.keras", self.settings.epochs)
        return model

    def classify(self, encoder: keras.Model) -> keras_supcon.LinearClassifier:
        classifier = keras_supcon.LinearClassifier(encoder, num_classes=len(self.class_names))
        self.compile_classifier(
            classifier, self.settings.classifier_learning_rate, self.settings.classifier_epochs
        )
        self.fit(
            "linear classifier", classifier, "classifier.keras", self.settings.classifier_epochs
        )
        return classifier

    def train_cross_entropy(self) -> tuple[keras.Model, keras.Model]:
        """The baseline: the same encoder, augmentation and optimizer, one view an image, trained
        with its classifier.
        """
        encoder = self.encoder()
        images = keras.Input(self.image_shape)
        probabilities = keras.layers.Dense(len(self.class_names), activation="softmax")(
            encoder(self.augmenter()(images))
        )
        model = keras.Model(images, probabilities)
        self.compile_classifier(model, self.settings.learning_rate, self.settings.epochs)
        self.fit("cross-entropy", model, "cross_entropy.keras", self.settings.epochs)
        return model, encoder

    def fit(self, stage: str, model: keras.Model, file_name: str, epochs: int) -> None:
        """Fits and saves a model; Ctrl-C, SIGTERM and SIGHUP save it as it is and end the program."""
        print(f"\n{stage}: {epochs} epochs of {self.steps} batches")
        print(
            f"Compiling the first step; this takes up to {SECONDS_TO_COMPILE} s, more for a large "
            "encoder.",
            flush=True,
        )
        model.build((None, *self.image_shape))
        path = self.output_dir / file_name
        validation = (
            {}
            if isinstance(model, keras_supcon.ContrastiveModel)
            else {"validation_data": self.test}
        )
        begin = time.perf_counter()
        with self.stop.hold():
            history = model.fit(
                self.train,
                epochs=epochs,
                shuffle=False,  # the data shuffle themselves
                callbacks=[self.stop],
                **validation,
            )
            self.seconds[stage] = time.perf_counter() - begin
            self.histories[stage] = history.history
            with one_line_errors(OSError, InUseError), whole_file(path) as unfinished:
                model.save(unfinished)
            self.stop.files.append(path)
        if self.stop.received is not None:
            self.stop.end()

    def measure_knn(self, model: keras.layers.Layer) -> tuple[float, np.ndarray]:
        """The kNN accuracy of the encoder's embedding, and the embeddings of the test images."""
        train_embeddings, train_labels = keras_supcon.evaluation.embed(model, self.train)
        embeddings, labels = keras_supcon.evaluation.embed(model, self.test)
        accuracy = keras_supcon.evaluation.knn_accuracy(
            train_embeddings,
            train_labels,
            embeddings,
            labels,
            num_neighbors=min(20, len(train_labels)),
        )
        return accuracy, embeddings

    def encoder(self) -> keras.Model:
        return keras_supcon.encoders.ResNet(**ENCODERS[_ENCODER.value])

    def augmenter(self) -> keras.layers.Layer:
        return keras_supcon.augmentation.SimAugment(
            image_size=self.image_shape[:2],
            strength=self.settings.strength,
            crop_area=self.settings.crop_area,
            blur_probability=0.0,  # as the paper has it for small images
            flip_probability=self.settings.flip_probability,
            seed=self.seed,
        )

    def optimizer(self, learning_rate: float, epochs: int) -> keras.optimizers.Optimizer:
        warmup_steps = self.steps // 2
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0,
            epochs * self.steps - warmup_steps,
            warmup_target=learning_rate,
            warmup_steps=warmup_steps,
        )
        return keras.optimizers.Adam(schedule)

    def compile_classifier(self, model: keras.Model, learning_rate: float, epochs: int) -> None:
        model.compile(
            optimizer=self.optimizer(learning_rate, epochs),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )


def predict(model: keras.Model, dataset) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and labels in the same order."""
    outputs = [
        (model.predict_on_batch(np.asarray(images)), np.asarray(labels))
        for images, labels in dataset
    ]
    return tuple(np.concatenate(parts) for parts in zip(*outputs, strict=True))


def check_reload(model: keras.Model, path: pathlib.Path, images: np.ndarray) -> None:
    difference = np.abs(
        keras.saving.load_model(path).predict_on_batch(images) - model.predict_on_batch(images)
    ).max()
    print(f"{path.name}: reloaded, largest difference of its predictions {difference:.1e}")
    if not difference <= 1e-3:  # GPUs may choose other kernels after a reload
        raise RuntimeError(
            f"{path} does not predict what the model in memory predicts; they differ by "
            f"{difference}"
        )


NUMBERS = ("accuracy", "knn_accuracy", "cross_entropy_accuracy", "cross_entropy_knn_accuracy")


def summarize(runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean, lowest and highest of each number over the seeds."""
    columns = {name: [run[name] for run in runs] for name in NUMBERS}
    return {
        name: {"mean": float(np.mean(values)), "min": min(values), "max": max(values)}
        for name, values in columns.items()
    }


def result_table(runs: list[dict[str, Any]]) -> list[dict[str, str]]:
    """A row for each method; with several seeds "mean (lowest to highest)" of the accuracies and
    the mean time.
    """
    summary = summarize(runs)

    def accuracy(name: str) -> str:
        number = summary[name]
        spread = f" ({number['min']:.2%} to {number['max']:.2%})" if len(runs) > 1 else ""
        return f"{number['mean']:.2%}{spread}"

    def row(
        method: str, prefix: str, encoder_stage: str, classifier_stage: str | None
    ) -> dict[str, str]:
        seconds = {
            stage: np.mean([run["seconds"][stage] for run in runs]) for stage in runs[0]["seconds"]
        }
        return {
            "trained with": method,
            "test accuracy": accuracy(f"{prefix}accuracy"),
            "kNN accuracy of the embedding": accuracy(f"{prefix}knn_accuracy"),
            "encoder training": f"{seconds[encoder_stage]:.0f} s",
            "classifier training": f"{seconds[classifier_stage]:.0f} s"
            if classifier_stage
            else "-",
        }

    return [
        row("SupCon, then linear classifier", "", "SupCon pre-training", "linear classifier"),
        row("cross-entropy", "cross_entropy_", "cross-entropy", None),
    ]


def what_it_means(runs: list[dict[str, Any]], num_test_images: int) -> str:
    """The sentences under the table: how much a difference in it is worth."""
    one_image = f"One of the {num_test_images:,} test images is {100 / num_test_images:.2f} points."
    if len(runs) == 1:
        return f"{one_image} One run says little about a difference of a few images: --seeds=5 gives mean and range."
    differences = [run["accuracy"] - run["cross_entropy_accuracy"] for run in runs]
    return (
        f"Mean (lowest to highest) of the seeds {runs[0]['seed']} to {runs[-1]['seed']}. "
        f"{one_image}\n"
        f"Test accuracy of SupCon minus that of cross-entropy, seed by seed: "
        f"{', '.join(f'{100 * difference:+.2f}' for difference in differences)} points, "
        f"mean {100 * np.mean(differences):+.2f}."
    )


def format_table(rows: list[dict[str, str]]) -> str:
    columns = list(rows[0])
    widths = [max(len(column), *(len(row[column]) for row in rows)) for column in columns]
    lines = [
        columns,
        ["-" * width for width in widths],
        *([row[column] for column in columns] for row in rows),
    ]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def choose_settings() -> Settings:
    settings = SETTINGS.get(_DATASET.value, Settings())
    flags_given = {"epochs": _EPOCHS.value, "batch_size": _BATCH_SIZE.value}
    return dataclasses.replace(
        settings, **{name: value for name, value in flags_given.items() if value is not None}
    )


def expected_time(settings: Settings) -> str:
    """How long all of it takes, where that was measured."""
    as_measured = (
        settings == SETTINGS.get(_DATASET.value)
        and _ENCODER.value == "small"
        and _IMAGE_SIZE.value is None
    )
    if not as_measured or _DATASET.value not in MINUTES:
        return "The first epochs of each stage tell how long it takes."
    return (
        f"All of it takes about {MINUTES[_DATASET.value] * _SEEDS.value} minutes on two CPU cores."
    )


def list_devices() -> str:
    if keras.backend.backend() == "torch":  # of which Keras lists none
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"
    return ", ".join(keras.distribution.list_devices())


def write_results(path: pathlib.Path, settings: Settings, runs: list[dict[str, Any]]) -> None:
    """Writes the numbers of the seeds so far, whole or not at all."""
    content = {
        "dataset": _DATASET.value,
        "encoder": _ENCODER.value,
        **dataclasses.asdict(settings),
        "runs": runs,
        "summary": summarize(runs),
    }
    write_json(path, content)


def list_files(
    folders: list[pathlib.Path], output_dir: pathlib.Path, report: pathlib.Path | None
) -> str:
    """Where everything went, and how to go on with it."""
    what = {
        "contrastive.keras": "encoder and projection head after pre-training",
        "classifier.keras": "the frozen encoder and its linear classifier",
        "cross_entropy.keras": "the baseline",
    }
    models = folders[0] if len(folders) == 1 else output_dir / "seed-*"
    files = {str(models / name): text for name, text in what.items()}
    files |= {str(output_dir / "results.json"): "settings and all numbers"}
    files |= {} if report is None else {str(report): "table and pictures, for a browser"}
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
    logging.getLogger("tensorflow").setLevel(
        "ERROR"
    )  # it takes the predictions of many models for one that is traced often
    settings, output_dir = choose_settings(), pathlib.Path(_OUTPUT_DIR.value)
    seeds = range(_SEED.value, _SEED.value + _SEEDS.value)
    folders = [output_dir / f"seed-{seed}" if len(seeds) > 1 else output_dir for seed in seeds]
    with contextlib.ExitStack() as stack:
        with one_line_errors(
            ValueError, RuntimeError, ImportError, OSError
        ):  # before anything is written
            require_extra("report", "matplotlib", "sklearn", by="The report at the end")
            stop = StopOnSignal()
            first = Experiment(settings, seeds[0], folders[0], stop)
            stack.enter_context(DirectoryLock(output_dir))
        stack.enter_context(stop)
        for file_name in (
            "results.json",
            "report.html",
        ):  # of an earlier run: they would not belong to the new models
            (output_dir / file_name).unlink(missing_ok=True)

        title = f"{_DATASET.value}, {settings.epochs} epochs, encoder {_ENCODER.value!r}"
        devices = list_devices()
        print(
            f"{title}; Keras {keras.__version__} with {keras.backend.backend()} on "
            f"{devices}.\n{expected_time(settings)}"
        )
        runs = []
        for seed, folder in zip(seeds, folders, strict=True):
            if len(seeds) > 1:
                print(f"\nSeed {seed}, {len(runs) + 1} of {len(seeds)}")
            runs.append((Experiment(settings, seed, folder, stop) if runs else first).run())
            with one_line_errors(OSError, InUseError):
                write_results(output_dir / "results.json", settings, runs)

        table, meaning = result_table(runs), what_it_means(runs, len(first.labels))
        print("\ndrawing the report")
        try:
            report = keras_supcon.evaluation.write_report(
                output_dir,
                title=title if len(seeds) == 1 else f"{title}, {len(seeds)} seeds",
                table=table,
                note=f"{meaning} The pictures are of seed {first.seed}.",
                settings={
                    "dataset": _DATASET.value,
                    "encoder": _ENCODER.value,
                    "seed": ", ".join(map(str, seeds)),
                    **dataclasses.asdict(settings),
                    "devices": devices,
                },
                **first.pictures(),
            )
        except Exception as error:  # whatever it is: the training is worth more than its pictures
            report, failure = (
                None,
                f"The report could not be drawn, all else is there: {type(error).__name__}: "
                f"{error}",
            )
        print(
            f"\n{title}\n\n{format_table(table)}\n\n{meaning}\n\n{list_files(folders, output_dir, report)}"
        )
        if report is None:
            sys.exit(f"\nquickstart.py: {failure}")


if __name__ == "__main__":
    app.run(main)
