"""Pre-train with SupCon, freeze, classify; and the same encoder with cross-entropy beside it.

    python examples/quickstart.py  # digits, no network, about a minute
    python examples/quickstart.py --dataset=fashion_mnist --data_dir=build/tfds
    python examples/quickstart.py --dataset=cifar10 --encoder=resnet18 --epochs=100
    python examples/quickstart.py --dataset=tf_flowers --train_split='train[:80%]' --test_split='train[80%:]' --image_size=64

Writes to --output_dir: contrastive.keras, classifier.keras, cross_entropy.keras, results.json and report.html. Test images
are only measured on: no setting and no epoch was chosen by them.
"""

import dataclasses
import json
import logging
import os
import pathlib
import signal
import sys
import time

import keras
import numpy as np
from absl import app, flags

import keras_supcon

_DATASET = flags.DEFINE_string("dataset", "digits", "'digits' or the name of an image-classification data set in TFDS.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of TFDS data sets.")
_TRAIN_SPLIT = flags.DEFINE_string("train_split", "train", "Training images, as TFDS names them.")
_TEST_SPLIT = flags.DEFINE_string("test_split", "test", "Test images, as TFDS names them.")
_EPOCHS = flags.DEFINE_integer(
    "epochs",
    None,
    "Epochs of contrastive pre-training, and of cross-entropy. Default: what suits the data set.",
    lower_bound=1,
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", None, "Images in a batch. Default: what suits the data set.")
_ENCODER = flags.DEFINE_enum("encoder", "small", ["small", "resnet18", "resnet50"], "small: ResNet-10 of quarter width.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", None, "Height and width. Default: the images' own size.")
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "build/quickstart", "Folder for models, results and the report.")
_SEED = flags.DEFINE_integer("seed", 0, "Fixes the random numbers.")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What suits a data set. Those of Fashion-MNIST were chosen on its last 10,000 training images, the others are untuned."""

    epochs: int = 20
    classifier_epochs: int = 5
    batch_size: int = 256
    strength: float = 0.5
    flip_probability: float = 0.5
    crop_area: tuple[float, float] = (0.2, 1.0)
    learning_rate: float = 2e-3
    classifier_learning_rate: float = 1e-2


SETTINGS = {
    "digits": Settings(epochs=40, classifier_epochs=20, batch_size=128, flip_probability=0.0, crop_area=(0.5, 1.0)),
    # Many short steps: a run of a few epochs gains more from their number than from the size of the batch.
    "fashion_mnist": Settings(
        epochs=6, batch_size=128, strength=0.3, crop_area=(0.4, 1.0), learning_rate=4e-3, classifier_learning_rate=3e-2
    ),
}
ENCODERS = {
    "small": {"depth": 10, "width": 0.25, "stem": "cifar"},
    "resnet18": {"depth": 18, "stem": "cifar"},
    "resnet50": {"depth": 50},
}


class Experiment:
    """One data set, one kind of encoder, two ways to train it."""

    def __init__(self, settings: Settings, output_dir: pathlib.Path) -> None:
        self.settings = settings
        self.output_dir = output_dir
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
            _DATASET.value, split, self.settings.batch_size, image_size, _DATA_DIR.value, _SEED.value, shuffle=shuffle
        )

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
        self.compile_classifier(classifier, self.settings.classifier_learning_rate, self.settings.classifier_epochs)
        self.fit("linear classifier", classifier, "classifier.keras", self.settings.classifier_epochs)
        return classifier

    def train_cross_entropy(self) -> tuple[keras.Model, keras.Model]:
        """The baseline: the same encoder, augmentation and optimizer, one view an image, trained with its classifier."""
        encoder = self.encoder()
        images = keras.Input(self.image_shape)
        probabilities = keras.layers.Dense(len(self.class_names), activation="softmax")(encoder(self.augmenter()(images)))
        model = keras.Model(images, probabilities)
        self.compile_classifier(model, self.settings.learning_rate, self.settings.epochs)
        self.fit("cross-entropy", model, "cross_entropy.keras", self.settings.epochs)
        return model, encoder

    def fit(self, stage: str, model: keras.Model, file_name: str, epochs: int) -> None:
        """Fits and saves a model; Ctrl-C saves it as it is and ends the program."""
        print(f"\n{stage}")
        model.build((None, *self.image_shape))
        path = self.output_dir / file_name
        validation = {} if isinstance(model, keras_supcon.ContrastiveModel) else {"validation_data": self.test}
        start = time.perf_counter()
        with StopOnInterrupt() as stop:
            history = model.fit(
                self.train,
                epochs=epochs,
                shuffle=False,  # the data shuffle themselves
                callbacks=[stop],
                **validation,
            )
        self.seconds[stage] = time.perf_counter() - start
        self.histories[stage] = history.history
        save(model, path)
        if stop.interrupted:
            print(f"\nInterrupted. The model as it is now was saved: keras.saving.load_model('{path}')")
            sys.exit(130)

    def measure_knn(self, model: keras.layers.Layer) -> tuple[float, np.ndarray]:
        """The kNN accuracy of the encoder's embedding, and the embeddings of the test images."""
        train_embeddings, train_labels = keras_supcon.evaluation.embed(model, self.train)
        embeddings, labels = keras_supcon.evaluation.embed(model, self.test)
        accuracy = keras_supcon.evaluation.knn_accuracy(
            train_embeddings, train_labels, embeddings, labels, num_neighbors=min(20, len(train_labels))
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
            seed=_SEED.value,
        )

    def optimizer(self, learning_rate: float, epochs: int) -> keras.optimizers.Optimizer:
        warmup_steps = self.steps // 2
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, epochs * self.steps - warmup_steps, warmup_target=learning_rate, warmup_steps=warmup_steps
        )
        return keras.optimizers.Adam(schedule)

    def compile_classifier(self, model: keras.Model, learning_rate: float, epochs: int) -> None:
        model.compile(
            optimizer=self.optimizer(learning_rate, epochs), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
        )


class StopOnInterrupt(keras.callbacks.Callback):
    """Lets Ctrl-C end `fit` between two steps, so that the model is whole; a second Ctrl-C ends the program at once."""

    def __init__(self) -> None:
        super().__init__()
        self.interrupted = False

    def __enter__(self) -> "StopOnInterrupt":
        self.previous_handler = signal.signal(signal.SIGINT, self.interrupt)
        return self

    def __exit__(self, *exception) -> None:
        signal.signal(signal.SIGINT, self.previous_handler)

    def interrupt(self, *received) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self.interrupted:
            self.model.stop_training = True


def save(model: keras.Model, path: pathlib.Path) -> None:
    """Saves a model whole or not at all."""
    unfinished = path.with_name(f"unfinished-{path.name}")
    model.save(unfinished)
    os.replace(unfinished, path)


def predict(model: keras.Model, dataset) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and labels in the same order."""
    outputs = [(model.predict_on_batch(np.asarray(images)), np.asarray(labels)) for images, labels in dataset]
    return tuple(np.concatenate(parts) for parts in zip(*outputs, strict=True))


def check_reload(model: keras.Model, path: pathlib.Path, images: np.ndarray) -> None:
    difference = np.abs(keras.saving.load_model(path).predict_on_batch(images) - model.predict_on_batch(images)).max()
    print(f"{path.name}: reloaded, largest difference of its predictions {difference:.1e}")
    if not difference <= 1e-3:  # GPUs may choose other kernels after a reload
        raise RuntimeError(f"{path} does not predict what the model in memory predicts; they differ by {difference}")


def result_table(results: dict) -> list[dict[str, str]]:
    def row(method: str, prefix: str, encoder_stage: str, classifier_stage: str | None) -> dict[str, str]:
        seconds = results["seconds"]
        return {
            "trained with": method,
            "test accuracy": f"{results[f'{prefix}accuracy']:.2%}",
            "kNN accuracy of the embedding": f"{results[f'{prefix}knn_accuracy']:.2%}",
            "encoder training": f"{seconds[encoder_stage]:.0f} s",
            "classifier training": f"{seconds[classifier_stage]:.0f} s" if classifier_stage else "-",
        }

    return [
        row("SupCon, then linear classifier", "", "SupCon pre-training", "linear classifier"),
        row("cross-entropy", "cross_entropy_", "cross-entropy", None),
    ]


def format_table(rows: list[dict[str, str]]) -> str:
    columns = list(rows[0])
    widths = [max(len(column), *(len(row[column]) for row in rows)) for column in columns]
    lines = [columns, ["-" * width for width in widths], *([row[column] for column in columns] for row in rows)]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def choose_settings() -> Settings:
    settings = SETTINGS.get(_DATASET.value, Settings())
    flags_given = {"epochs": _EPOCHS.value, "batch_size": _BATCH_SIZE.value}
    return dataclasses.replace(settings, **{name: value for name, value in flags_given.items() if value is not None})


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    logging.getLogger("tensorflow").setLevel("ERROR")  # it takes the predictions of many models for one that is traced often
    keras.utils.set_random_seed(_SEED.value)
    output_dir = pathlib.Path(_OUTPUT_DIR.value)
    try:
        experiment = Experiment(choose_settings(), output_dir)
    except (ValueError, RuntimeError) as error:  # a wrong flag, before anything is written
        sys.exit(f"quickstart.py: {error}")
    output_dir.mkdir(parents=True, exist_ok=True)
    for file_name in ("results.json", "report.html"):  # of an earlier run: they would not belong to the new models
        (output_dir / file_name).unlink(missing_ok=True)

    contrastive = experiment.pretrain()
    classifier = experiment.classify(contrastive.encoder)
    cross_entropy, cross_entropy_encoder = experiment.train_cross_entropy()

    print("\nmeasuring")
    probabilities, labels = predict(classifier, experiment.test)
    predictions = probabilities.argmax(axis=1)
    knn_accuracy, embeddings = experiment.measure_knn(contrastive)
    cross_entropy_predictions = predict(cross_entropy, experiment.test)[0].argmax(axis=1)
    cross_entropy_knn_accuracy, _ = experiment.measure_knn(cross_entropy_encoder)
    results = {
        "dataset": _DATASET.value,
        "encoder": _ENCODER.value,
        "seed": _SEED.value,
        **dataclasses.asdict(experiment.settings),
        "accuracy": float(np.mean(predictions == labels)),
        "knn_accuracy": knn_accuracy,
        "cross_entropy_accuracy": float(np.mean(cross_entropy_predictions == labels)),
        "cross_entropy_knn_accuracy": cross_entropy_knn_accuracy,
        "seconds": experiment.seconds,
    }

    images = np.asarray(next(iter(experiment.test))[0])
    augmenter = experiment.augmenter()
    title = f"{_DATASET.value}, {experiment.settings.epochs} epochs, encoder {_ENCODER.value!r}"
    table = result_table(results)
    report = keras_supcon.evaluation.write_report(
        output_dir,
        title=title,
        table=table,
        histories=experiment.histories,
        embeddings=embeddings,
        labels=labels,
        predictions=predictions,
        class_names=experiment.class_names,
        images=images[:8],
        views=np.stack([np.asarray(augmenter(images[:8], training=True)) for _ in range(6)], axis=1),
        seed=_SEED.value,
    )
    unfinished = output_dir / "unfinished-results.json"
    unfinished.write_text(json.dumps(results, indent=2) + "\n")
    os.replace(unfinished, output_dir / "results.json")
    check_reload(contrastive, output_dir / "contrastive.keras", images)
    check_reload(classifier, output_dir / "classifier.keras", images)
    check_reload(cross_entropy, output_dir / "cross_entropy.keras", images)
    print(f"\n{title}\n\n{format_table(table)}\n\nThe report, with pictures: {report}")


if __name__ == "__main__":
    app.run(main)
