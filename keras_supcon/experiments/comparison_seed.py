"""One seed of a `Comparison`: SupCon with a linear classifier, and cross-entropy."""

import pathlib
import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_supcon import augmentation, data, encoders, evaluation
from keras_supcon.experiments.comparison_settings import ENCODERS, ComparisonSettings
from keras_supcon.experiments.stopping import StopOnSignal
from keras_supcon.layers import ProjectionHead
from keras_supcon.losses import SupConLoss
from keras_supcon.models import ContrastiveModel, LinearClassifier
from keras_supcon.typing import Dataset

PRETRAINING, CLASSIFIER, CROSS_ENTROPY = (
    "SupCon pre-training",
    "linear classifier",
    "cross-entropy",
)
FILES = {
    PRETRAINING: "contrastive.keras",
    CLASSIFIER: "classifier.keras",
    CROSS_ENTROPY: "cross_entropy.keras",
}
_SECONDS_TO_COMPILE = 10


class SeedRun:
    """Trains one encoder in two ways with one seed, and measures both.

    The constructor reads the description of the data, and resets Keras' session and random seed.

    Args:
        settings: Settings of the comparison.
        seed: Seed of the random numbers.
        output_dir: Folder for the models.
        stop: What ends training at a signal.

    Raises:
        ValueError: If data and settings do not go together.
        RuntimeError: If the data set cannot be prepared.
        ImportError: If a package that reads it is missing.
    """

    def __init__(
        self,
        settings: ComparisonSettings,
        seed: int,
        output_dir: pathlib.Path,
        stop: StopOnSignal,
    ) -> None:
        keras.backend.clear_session()  # forgets the models of an earlier seed
        keras.utils.set_random_seed(seed)
        self.settings, self.numbers = settings, settings.hyperparameters
        self.seed, self.output_dir, self.stop = seed, output_dir, stop
        self.train = self._load(settings.train_split, shuffle=True)
        self.test = self._load(settings.test_split, shuffle=False)
        self.class_names: list[str] = self.train.class_names
        self.image_shape = tuple(self.train.element_spec[0].shape[1:])
        self.steps = len(self.train)
        self.seconds: dict[str, float] = {}
        self.histories: dict[str, dict[str, list[float]]] = {}

    def _load(self, split: str, shuffle: bool) -> Dataset:
        size = self.settings.image_size
        return data.load(
            self.settings.dataset,
            split,
            self.numbers.batch_size,
            None if size is None else (size, size),
            self.settings.data_dir,
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
        classifier = self.train_classifier(contrastive.encoder)
        cross_entropy, cross_entropy_encoder = self.train_with_cross_entropy()

        self._print("\nmeasuring on the test images, and loading the files again")
        probabilities, self.labels = _predict(classifier, self.test)
        self.predictions = probabilities.argmax(axis=1)
        knn_accuracy, self.embeddings = self._measure_knn(contrastive)
        cross_entropy_predictions = _predict(cross_entropy, self.test)[0].argmax(axis=1)
        cross_entropy_knn_accuracy, _ = self._measure_knn(cross_entropy_encoder)
        models = {
            PRETRAINING: contrastive,
            CLASSIFIER: classifier,
            CROSS_ENTROPY: cross_entropy,
        }
        self._check_files(models)
        return {
            "seed": self.seed,
            "accuracy": float(np.mean(self.predictions == self.labels)),
            "knn_accuracy": knn_accuracy,
            "cross_entropy_accuracy": float(np.mean(cross_entropy_predictions == self.labels)),
            "cross_entropy_knn_accuracy": cross_entropy_knn_accuracy,
            "seconds": self.seconds,
        }

    def pictures(self) -> dict[str, Any]:
        """Returns what `evaluation.write_report` draws of this seed, after `run`."""
        images, augmenter = self._some_images()[:8], self._augmenter()
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

    def pretrain(self) -> ContrastiveModel:
        """Trains encoder and projection head with the contrastive loss."""
        model = ContrastiveModel(
            self._encoder(),
            ProjectionHead(output_dim=128, hidden_units=(256,)),
            augmenter=self._augmenter(),
            num_views=2,
        )
        model.compile(
            optimizer=self._optimizer(self.numbers.learning_rate, self.numbers.epochs),
            loss=SupConLoss(temperature=0.1),
        )
        self._fit(PRETRAINING, model, self.numbers.epochs)
        return model

    def train_classifier(self, encoder: keras.Model) -> LinearClassifier:
        """Trains a linear classifier on the frozen encoder."""
        classifier = LinearClassifier(encoder, num_classes=len(self.class_names))
        epochs = self.numbers.classifier_epochs
        self._compile_classifier(classifier, self.numbers.classifier_learning_rate, epochs)
        self._fit(CLASSIFIER, classifier, epochs, validation_data=self.test)
        return classifier

    def train_with_cross_entropy(self) -> tuple[keras.Model, keras.Model]:
        """Trains the baseline: encoder and classifier together, on one view of each image.

        Encoder, augmentation and optimizer are those of pre-training.

        Returns:
            The model and its encoder.
        """
        encoder = self._encoder()
        images = keras.Input(self.image_shape)
        probabilities = keras.layers.Dense(len(self.class_names), activation="softmax")(
            encoder(self._augmenter()(images))
        )
        model = keras.Model(images, probabilities)
        self._compile_classifier(model, self.numbers.learning_rate, self.numbers.epochs)
        self._fit(CROSS_ENTROPY, model, self.numbers.epochs, validation_data=self.test)
        return model, encoder

    def _fit(self, stage: str, model: keras.Model, epochs: int, **arguments: Any) -> None:
        """Trains and saves a model."""
        self._print(f"\n{stage}: {epochs} epochs of {self.steps} batches")
        self._print(
            f"Compiling the first step; this takes up to {_SECONDS_TO_COMPILE} s, more for a "
            "large encoder."
        )
        model.build((None, *self.image_shape))
        begin = time.perf_counter()
        with self.stop.saving(model, self.output_dir / FILES[stage]):
            history = model.fit(
                self.train,
                epochs=epochs,
                shuffle=False,  # the data set shuffles itself
                callbacks=[self.stop],
                verbose="auto" if self.settings.verbose else 0,
                **arguments,
            )
            self.seconds[stage] = time.perf_counter() - begin
            self.histories[stage] = history.history

    def _print(self, text: str) -> None:
        if self.settings.verbose:
            print(text, flush=True)

    def _encoder(self) -> keras.Model:
        return encoders.ResNet(**ENCODERS[self.settings.encoder])

    def _augmenter(self) -> keras.layers.Layer:
        return augmentation.SimAugment(
            image_size=self.image_shape[:2],
            strength=self.numbers.strength,
            crop_area=self.numbers.crop_area,
            blur_probability=0.0,  # as the paper has it for small images
            flip_probability=self.numbers.flip_probability,
            seed=self.seed,
        )

    def _optimizer(self, learning_rate: float, epochs: int) -> keras.optimizers.Optimizer:
        warmup_steps = self.steps // 2
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0,
            epochs * self.steps - warmup_steps,
            warmup_target=learning_rate,
            warmup_steps=warmup_steps,
        )
        return keras.optimizers.Adam(schedule)

    def _compile_classifier(self, model: keras.Model, learning_rate: float, epochs: int) -> None:
        model.compile(
            optimizer=self._optimizer(learning_rate, epochs),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )

    def _measure_knn(self, model: keras.layers.Layer) -> tuple[float, np.ndarray]:
        """Returns the kNN accuracy of an encoder, and the embeddings of the test images."""
        train_embeddings, train_labels = evaluation.embed(model, self.train)
        embeddings, labels = evaluation.embed(model, self.test)
        accuracy = evaluation.knn_accuracy(
            train_embeddings,
            train_labels,
            embeddings,
            labels,
            num_neighbors=min(20, len(train_labels)),
        )
        return accuracy, embeddings

    def _some_images(self) -> np.ndarray:
        return np.asarray(next(iter(self.test))[0])

    def _check_files(self, models: Mapping[str, keras.Model]) -> None:
        """Checks that the saved models predict what those in memory predict.

        Raises:
            RuntimeError: If one does not.
        """
        images = self._some_images()
        for stage, model in models.items():
            path = self.output_dir / FILES[stage]
            saved = keras.saving.load_model(path).predict_on_batch(images)
            difference = np.abs(saved - model.predict_on_batch(images)).max()
            self._print(
                f"{path.name}: reloaded, largest difference of its predictions {difference:.1e}"
            )
            if not difference <= 1e-3:  # GPUs may choose other kernels after a reload
                raise RuntimeError(
                    f"{path} does not predict what the model in memory predicts; they differ by "
                    f"{difference}"
                )


def _predict(model: keras.Model, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns outputs and labels in the same order."""
    outputs = [
        (model.predict_on_batch(np.asarray(images)), np.asarray(labels))
        for images, labels in dataset
    ]
    return tuple(np.concatenate(parts) for parts in zip(*outputs, strict=True))
