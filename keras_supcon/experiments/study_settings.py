"""The settings of a `Study`: the factor that is varied, its values, and what stays the same."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras_supcon.arguments import (
    check_choice,
    check_each,
    check_whole_number,
    check_whole_number_or_none,
)
from keras_supcon.experiments.trials import Images, Training, check_measurement
from keras_supcon.recipes import Component
from keras_supcon.seeds import check_seed

Value = float | int | str


def _field(name: str) -> Callable[[Training, Value], Training]:
    return lambda training, value: dataclasses.replace(training, **{name: value})


def _argument(component: str, name: str) -> Callable[[Training, Value], Training]:
    def change(training: Training, value: Value) -> Training:
        before = getattr(training, component)
        after = Component(before.name, {**before.arguments, name: value})
        return dataclasses.replace(training, **{component: after})

    return change


def _component(name: str) -> Callable[[Training, Value], Training]:
    return lambda training, value: dataclasses.replace(training, **{name: Component(value)})


def _train_images(training: Training, value: Value) -> Training:
    images = dataclasses.replace(training.images, train_images=value)
    return dataclasses.replace(training, images=images)


# From a factor to the kind of its values, and what changes it.
_FACTORS: Mapping[str, tuple[type, Callable[[Training, Value], Training]]] = {
    "temperature": (float, _argument("loss", "temperature")),
    "positives_cap": (int, _argument("loss", "positives_cap")),
    "summation": (str, _argument("loss", "summation")),
    "denominator": (str, _argument("loss", "denominator")),
    "loss": (str, _component("loss")),
    "learning_rate": (float, _field("learning_rate")),
    "optimizer": (str, _component("optimizer")),
    "epochs": (int, _field("epochs")),
    "batch_size": (int, _field("batch_size")),
    "num_views": (int, _field("num_views")),
    "strength": (float, _argument("augmentation", "strength")),
    "projection_dim": (int, _argument("head", "output_dim")),
    "encoder_width": (float, _argument("encoder", "width")),
    "train_images": (int, _train_images),
}
FACTORS = tuple(_FACTORS)


_KINDS = {float: "numbers", int: "whole numbers", str: "names"}


def _read_value(kind: type, value: Any) -> Value:
    """Returns a value as its kind, also one that a command line gives as text.

    Raises:
        ValueError: If it is of another kind.
        TypeError: If it is no number where one belongs.
    """
    read = kind(value)
    is_same = isinstance(value, str) or (read == value and not isinstance(value, bool))
    if not is_same or read == "" or (kind is float and not math.isfinite(read)):
        raise ValueError(value)
    return read


def _is_value(kind: type, value: Any) -> bool:
    try:
        _read_value(kind, value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudySettings:
    """Says which factor a `Study` varies, on which images, and what stays the same.

    Args:
        factor: What is varied, among `FACTORS`. `loss` is a class in `keras_supcon.losses` with its
            own defaults, `optimizer` one in `keras.optimizers`.
        values: Its values, at least two; the first one is what the others are compared with.
            Strings such as `"0.1"` are read as numbers.
        dataset: Name for `data.load_arrays`, or a folder of class folders.
        output_dir: Folder for results and report.
        data_dir: Folder of TFDS data sets.
        label: Feature that is the label; None for the usual one.
        image_size: Height and width; None for the images' own.
        train_images: Number of images to train on, equally many of each class; None for all.
        measurement: What is measured, see `MEASUREMENTS`; one with several numbers has a line for
            each.
        epochs: Epochs of pre-training.
        batch_size: Images in a batch.
        learning_rate: Peak learning rate of Adam.
        seeds: Number of seeds, at least 2.
        seed: The first seed.
        measured_on: `"validation"`, a fifth of the training split, which is then not trained on,
            to choose a value; `"test"` to report one.
        processes: Processes that train at the same time, each on one core.
        verbose: Whether to print the progress.

    Raises:
        ValueError: For an argument out of its range.

    Example:

    >>> from keras_supcon.experiments import StudySettings
    >>> settings = StudySettings(
    ...     factor="temperature", values=["0.05", "0.1"], dataset="digits", output_dir="build/study"
    ... )
    >>> settings.trainings[0.05].loss.arguments
    {'temperature': 0.05}
    """

    factor: str
    values: Sequence[Value]
    dataset: str
    output_dir: str | os.PathLike[str]
    data_dir: str | os.PathLike[str] | None = None
    label: str | None = None
    image_size: int | None = None
    train_images: int | None = None
    measurement: str = "accuracy"
    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 2e-3
    seeds: int = 5
    seed: int = 0
    measured_on: str = "validation"
    processes: int = 1
    verbose: bool = True

    def __post_init__(self) -> None:
        check_choice("factor", self.factor, FACTORS)
        kind, _ = _FACTORS[self.factor]
        values = check_each(
            "values",
            self.values,
            lambda one: _is_value(kind, one),
            f"{_KINDS[kind]}, the values of factor={self.factor!r}",
        )
        values = tuple(_read_value(kind, value) for value in values)
        if len(set(values)) < max(len(values), 2):
            raise ValueError(
                f"`values` should be at least two different ones. Received: values={self.values!r}"
            )
        object.__setattr__(self, "values", values)
        check_measurement(self.measurement)
        check_whole_number("seeds", self.seeds, at_least=2)
        check_whole_number("processes", self.processes, at_least=1)
        check_whole_number_or_none("image_size", self.image_size, at_least=1)
        check_seed(self.seed)
        self.trainings  # noqa: B018 - checks the other numbers

    @property
    def trainings(self) -> dict[Value, Training]:
        """The training of each value."""
        images = Images(
            dataset=os.fspath(self.dataset),
            label=self.label,
            size=self.image_size,
            train_images=self.train_images,
            measured_on=self.measured_on,
        )
        base = Training(
            images=images,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
        )
        _, change = _FACTORS[self.factor]
        return {value: change(base, value) for value in self.values}
