"""One method of this package, trained on arrays of images, in a process of its own.

`benchmarks/methods.py` starts this file once per run. Its last line is JSON. A method is the small
recipe of its name with what the arguments replace; `byol_alone` is BYOL without a prediction head.
"""

import dataclasses
import json
import statistics
import time
from typing import Any

import keras
import numpy as np
from harness import PeakMemory, versions
from methods_probe import measure_spread
from methods_run import Run, parse_run, training_steps

from keras_supcon import augmentation, encoders, evaluation, losses, models, recipes
from keras_supcon.experiments import from_recipe
from keras_supcon.recipes import Component, Recipe

# SimSiam is BYOL without momentum.
RECIPES = {"simsiam": "byol", "byol_alone": "byol"}
SUFFIXES = {"fashion_mnist": "small", "digits": "digits_small"}


class EpochTimes(keras.callbacks.Callback):
    """Holds the seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._begin = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self._begin)


def make_recipe(run: Run) -> Recipe:
    recipe = recipes.get(f"{RECIPES.get(run.method, run.method)}_{SUFFIXES[run.dataset]}")
    arguments = dict(recipe.model.arguments)
    if "queue_size" in arguments:
        arguments["queue_size"] = run.queue_size
    if run.method == "simsiam":
        arguments["momentum"] = 0
    stage = dataclasses.replace(
        recipe.training,
        epochs=run.epochs,
        batch_size=run.batch_size,
        base_learning_rate=run.learning_rate,
    )
    return dataclasses.replace(
        recipe,
        model=Component(recipe.model.name, arguments),
        prediction_head=None if run.method == "byol_alone" else recipe.prediction_head,
        training=stage,
    )


def make_model(run: Run, image_size: tuple[int, int] | None) -> models.EncoderModel:
    """Makes a compiled model of a method, without augmenter if `image_size` is None."""
    recipe, steps_per_epoch = make_recipe(run), run.steps_per_epoch
    encoder = make_encoder(run)
    policy = recipe.training.augmentation
    augmenter = (
        None
        if image_size is None
        else from_recipe.make_component(augmentation, policy, image_size=image_size)
    )
    optimizer = from_recipe.make_optimizer(recipe.training, steps_per_epoch)
    if run.method == "cross_entropy":
        model = models.LinearClassifier(
            encoder, 10, augmenter=augmenter, trainable_encoder=True, encoder_training_mode=True
        )
        model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
        return model
    model = from_recipe.assemble_pretraining_model(
        recipe,
        encoder,
        augmenter=augmenter,
        total_steps=None if run.method == "simsiam" else training_steps(run),
        micro_batch_size=run.micro_batch_size or None,
    )
    model.compile(
        optimizer=optimizer,
        loss=from_recipe.make_component(losses, recipe.training.loss),
    )
    return model


def make_encoder(run: Run) -> keras.Model:
    return encoders.ResNet(depth=run.depth, width=run.width, stem="cifar")


def time_epochs(model: keras.Model, x: np.ndarray, y: np.ndarray, run: Run, epochs: int) -> Any:
    """Trains and returns the seconds of each epoch."""
    times = EpochTimes()
    if keras.backend.backend() == "tensorflow":
        arguments = {"x": tensorflow_batches(x, y, run)}
    else:
        arguments = {"x": x, "y": y, "batch_size": run.batch_size}
    model.fit(**arguments, epochs=epochs, verbose=0, callbacks=[times])
    return times.seconds


def tensorflow_batches(x: np.ndarray, y: np.ndarray, run: Run) -> Any:
    """Makes shuffled batches whose iterators end at once.

    With autotuning, which Keras' own batches of arrays have, an iterator that ends may wait for a
    thread that sleeps 10, 20, 40, 80 ms and so on, so that an epoch takes up to twice its time.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    examples = tf.data.Dataset.from_tensor_slices((x, y))
    batches = examples.shuffle(len(x), run.seed).batch(run.batch_size)
    return batches.prefetch(2).with_options(options)


def main() -> None:
    run, paths = parse_run(__doc__)
    keras.utils.set_random_seed(run.seed)
    with np.load(paths.data) as arrays:
        splits = {name: (arrays[f"{name}_images"], arrays[f"{name}_labels"]) for name in run.SPLITS}
    images, labels = splits["train"]
    answer: dict[str, Any] = {}
    with PeakMemory() as memory:
        if run.method == "untrained":
            encoder = make_encoder(run)
        else:
            model = make_model(run, images.shape[1:3])
            answer["epoch_seconds"] = time_epochs(model, images, labels, run, run.epochs)
            encoder = model.encoder
    answer["peak_megabytes"] = memory.megabytes
    if run.dataset == "digits" and run.method not in ("untrained", "cross_entropy"):
        answer |= measure_spread(model.predict(splits["test"][0], verbose=0)[:, 0])
    features = {name: evaluation.embed(encoder, of_split)[0] for name, of_split in splits.items()}
    np.savez(paths.features, **features)
    if run.ready_batches and run.method != "untrained":
        number = run.ready_batches * run.batch_size
        num_views = make_recipe(run).num_views
        views = np.stack([images[:number]] * num_views, axis=1).astype("float32")
        views = views[:, 0] if num_views == 1 else views
        seconds = time_epochs(make_model(run, None), views, labels[:number], run, 4)
        answer["ready_images_per_second"] = number / statistics.median(seconds[1:])
    answer["versions"] = versions(("keras", "tensorflow", "tensorflow-cpu", "jax", "torch"))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
