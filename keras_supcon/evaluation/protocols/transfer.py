"""Transfer to other data sets: linear evaluation on each, with the metric that it calls for."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np

from keras_supcon import data
from keras_supcon.arguments import check_choice, check_each, check_image_size
from keras_supcon.evaluation.embedding import Embedder
from keras_supcon.evaluation.protocols.linear import LinearResult, linear_evaluation
from keras_supcon.evaluation.protocols.multi_label import MultiLabelResult, multi_label_evaluation
from keras_supcon.evaluation.reporting.charts import draw_bars
from keras_supcon.evaluation.results import Result, describe, percent
from keras_supcon.extras import require_extra
from keras_supcon.seeds import check_seed
from keras_supcon.typing import Dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRICS = ("accuracy", "mean_per_class", "mean_average_precision")


@dataclasses.dataclass(frozen=True)
class TransferDataset:
    """A data set to transfer to.

    Args:
        name: Name in the result.
        source: Name for `data.load`; or a function from a split to batches `(images, labels)`,
            for instance of `data.load_folder`; None for a set that has to be given as a function.
        train: Split of the training images.
        test: Split of the test images.
        validation: Split of the validation images, or the share of the training images that is held
            out, class by class.
        metric: `"accuracy"`, `"mean_per_class"`, or `"mean_average_precision"` for images with
            labels `(batch, classes)`.
    """

    name: str
    source: str | Callable[[str], Dataset] | None
    train: str = "train"
    test: str = "test"
    validation: str | float = 0.1
    metric: str = "accuracy"

    def __post_init__(self) -> None:
        check_choice("metric", self.metric, METRICS)
        if self.metric == "mean_average_precision" and not isinstance(self.validation, str):
            raise ValueError(
                "`validation` should be a split where `metric` is 'mean_average_precision', since "
                f"images of several labels have no classes to draw from. Received: validation="
                f"{self.validation!r}"
            )


TRANSFER_DATASETS = (
    TransferDataset("Food-101", "food101", test="validation"),
    TransferDataset("CIFAR-10", "cifar10"),
    TransferDataset("CIFAR-100", "cifar100"),
    TransferDataset("Birdsnap", None),
    TransferDataset("SUN397", "sun397/standard-part1-120k", validation=0.2),
    TransferDataset("Cars", "cars196", validation=0.2),
    TransferDataset("Aircraft", None, validation="validation", metric="mean_per_class"),
    TransferDataset(
        "VOC2007", "voc/2007", validation="validation", metric="mean_average_precision"
    ),
    TransferDataset("DTD", "dtd", validation="validation"),
    TransferDataset("Pets", "oxford_iiit_pet", validation=0.2, metric="mean_per_class"),
    TransferDataset("Caltech-101", "caltech101", validation=1 / 6, metric="mean_per_class"),
    TransferDataset(
        "Flowers-102", "oxford_flowers102", validation="validation", metric="mean_per_class"
    ),
)
"""The twelve data sets of the paper, under their names in TFDS; two are not there."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TransferResult(Result):
    """What `transfer_evaluation` measured.

    Args:
        scores: For each data set its score by its metric.
        mean: Mean of these scores.
        metrics: For each data set its metric.
        parts: For each data set the result of its linear evaluation.
        failed: For each data set that could not be measured the reason.
        protocol: Sizes, choices, seeds and versions.
    """

    scores: dict[str, float]
    mean: float
    metrics: dict[str, str]
    parts: dict[str, LinearResult | MultiLabelResult]
    failed: dict[str, str]

    title: ClassVar[str] = "Transfer to other data sets"
    caption: ClassVar[str] = (
        "Score of a linear classifier on each data set, by the metric of the set."
    )

    def rows(self) -> list[dict[str, str]]:
        rows = [
            {
                "data set": name,
                "metric": self.metrics[name].replace("_", " "),
                "score": percent(one),
            }
            for name, one in self.scores.items()
        ]
        rows += [
            {"data set": name, "metric": self.metrics[name].replace("_", " "), "score": "failed"}
            for name in self.failed
        ]
        if self.scores:
            rows.append({"data set": "mean", "metric": "", "score": percent(self.mean)})
        return rows

    def plot(self, narrow: bool = False) -> Figure:
        return draw_bars(self.scores, "score", percent=True, narrow=narrow)


def transfer_evaluation(
    encoder: keras.layers.Layer,
    datasets: Sequence[TransferDataset | str] = TRANSFER_DATASETS,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    image_size: tuple[int, int] = (224, 224),
    batch_size: int = 256,
    seed: int = 0,
    on_progress: Callable[[int, int], Any] | None = None,
) -> TransferResult:
    """Runs the linear evaluation of a frozen encoder on several data sets.

    Images are cropped about the center to a square and resized, without augmentation. Each set has
    its own metric: accuracy, mean accuracy per class, or eleven-point mean average precision.

    A set that cannot be read or measured does not stop the others; the result says why it failed.

    Args:
        encoder: As for `embed`.
        datasets: Data sets; a string is the name of one of `TRANSFER_DATASETS`, or of any set of
            `data.load` with the splits "train" and "test".
        data_dir: Directory of TFDS data sets; None is the default of TFDS.
        image_size: `(height, width)` of the images of named sets.
        batch_size: Images in a batch of named sets.
        seed: Seed of the validation images.
        on_progress: Called with the number of finished sets and their total.

    Returns:
        The score of each data set, and their mean.

    Raises:
        ValueError: If there are no data sets, two have one name, or an argument is of the wrong
            kind.
        ImportError: If scikit-learn is missing (`pip install keras-supcon[report]`).

    Reference:
        Kornblith et al., Do Better ImageNet Models Transfer Better?, CVPR 2019; Khosla et al.,
        Supervised Contrastive Learning, NeurIPS 2020, table 4, which fine-tunes instead.

    Example:

    >>> import keras
    >>> import keras_supcon
    >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    >>> result = keras_supcon.evaluation.transfer_evaluation(encoder, ["digits"], image_size=(8, 8))
    >>> list(result.scores), result.failed, result.mean > 0.9
    (['digits'], {}, True)
    """
    require_extra("report", "sklearn", "scipy", by="`transfer_evaluation`")
    image_size = check_image_size("image_size", image_size)
    check_seed(seed)
    datasets = check_each(
        "datasets",
        datasets,
        lambda one: isinstance(one, (str, TransferDataset)),
        "`TransferDataset` or names",
    )
    sets = [_named(one) for one in datasets]
    names = [one.name for one in sets]
    if len({*names}) < len(names):
        raise ValueError(
            f"`datasets` should be data sets of different names. Received: datasets={names}"
        )
    embedder = Embedder(encoder)
    parts, failed = {}, {}
    for number, one in enumerate(sets, start=1):
        try:
            load = _loader(one, data_dir, image_size, batch_size)
            parts[one.name] = _measure(one, lambda split, load=load: embedder(load(split)), seed)
        except Exception as error:  # whatever it is, the other sets are measured
            failed[one.name] = f"{type(error).__name__}: {error}"
        if on_progress is not None:
            on_progress(number, len(sets))
    scores = {one.name: _score(one, parts[one.name]) for one in sets if one.name in parts}
    return TransferResult(
        scores=scores,
        mean=float(np.mean(list(scores.values()))) if scores else float("nan"),
        metrics={one.name: one.metric for one in sets},
        parts=parts,
        failed=failed,
        protocol=describe(
            "transfer_evaluation",
            datasets=[
                {
                    "name": one.name,
                    "source": one.source if isinstance(one.source, str) else "given",
                    "train": one.train,
                    "validation": one.validation,
                    "test": one.test,
                    "metric": one.metric,
                }
                for one in sets
            ],
            image_size=list(image_size),
            augmentation="none: center crop and resizing",
            classifier="that of linear_evaluation",
            seed=seed,
        ),
    )


def _named(dataset: TransferDataset | str) -> TransferDataset:
    if isinstance(dataset, TransferDataset):
        return dataset
    of_paper: Mapping[str, TransferDataset] = {one.name: one for one in TRANSFER_DATASETS}
    return of_paper.get(dataset, TransferDataset(dataset, dataset))


def _loader(
    dataset: TransferDataset,
    data_dir: str | os.PathLike[str] | None,
    image_size: tuple[int, int],
    batch_size: int,
) -> Callable[[str], Dataset]:
    """Returns the function from a split to its batches."""
    if dataset.source is None:
        raise ValueError(
            f"{dataset.name} is not in TFDS: `source` should be a function from a split to batches "
            "(images, labels), such as of `data.load_folder`. Received: source=None"
        )
    if callable(dataset.source):
        return dataset.source
    if dataset.metric == "mean_average_precision":
        return lambda split: data.load_multi_label(
            dataset.source, split, batch_size, image_size, data_dir
        )
    return lambda split: data.load(
        dataset.source, split, batch_size, image_size, data_dir, shuffle=False
    )


def _measure(
    dataset: TransferDataset, embed_split: Callable[[str], tuple], seed: int
) -> LinearResult | MultiLabelResult:
    train, test = embed_split(dataset.train), embed_split(dataset.test)
    validation = dataset.validation
    if isinstance(validation, str):
        validation = embed_split(validation)
    if dataset.metric == "mean_average_precision":
        return multi_label_evaluation(*train, *test, validation)
    return linear_evaluation(*train, *test, validation, seed, chosen_by=dataset.metric)


def _score(dataset: TransferDataset, result: LinearResult | MultiLabelResult) -> float:
    if dataset.metric == "mean_average_precision":
        return result.mean_average_precision
    return result.accuracy if dataset.metric == "accuracy" else result.mean_per_class
