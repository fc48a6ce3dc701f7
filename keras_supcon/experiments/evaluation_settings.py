"""The settings of an `Evaluation`."""

from __future__ import annotations

import dataclasses
import os

from keras_supcon.arguments import check_choices, check_whole_number, check_whole_number_or_none
from keras_supcon.seeds import check_seed

PROTOCOLS = ("linear", "knn", "few_label", "calibration", "corruption", "retrieval", "head")
DEFAULT_PROTOCOLS = PROTOCOLS[:-1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Says which encoders an `Evaluation` measures, on what, and by which protocols.

    Args:
        encoder: File of a saved model: a `ContrastiveModel` or another model around an encoder, an
            encoder, or a classifier, of which the features before its last layer are taken.
        dataset: A name for `data.load`, or a folder of class folders.
        output_dir: Folder for the results and the report.
        baseline: File of a second model, which is compared with the first; None for no comparison.
        name: Name of the model in the report; None takes that of its file.
        baseline_name: Name of the second model; None likewise.
        protocols: What is measured, among `PROTOCOLS`.
        data_dir: Folder of TFDS data sets.
        train_split: Training images.
        test_split: Test images.
        image_size: Height and width; None keeps the images' own size.
        batch_size: Images in a batch of the encoder.
        corruption_images: Number of test images that are corrupted, drawn by the seed; all if there
            are fewer.
        seed: Seed of draws and corruptions.
        verbose: Whether to print results and progress.

    Raises:
        ValueError: For an argument out of its range.

    Example:

    >>> from keras_supcon.experiments import EvaluationSettings
    >>> settings = EvaluationSettings(
    ...     encoder="contrastive.keras", dataset="digits", output_dir="build/evaluation"
    ... )
    >>> settings.model_names
    ('contrastive',)
    """

    encoder: str | os.PathLike[str]
    dataset: str
    output_dir: str | os.PathLike[str]
    baseline: str | os.PathLike[str] | None = None
    name: str | None = None
    baseline_name: str | None = None
    protocols: tuple[str, ...] = DEFAULT_PROTOCOLS
    data_dir: str | os.PathLike[str] | None = None
    train_split: str = "train"
    test_split: str = "test"
    image_size: int | None = None
    batch_size: int = 500
    corruption_images: int = 10_000
    seed: int = 0
    verbose: bool = True

    def __post_init__(self) -> None:
        check_choices("protocols", self.protocols, PROTOCOLS)
        check_whole_number("batch_size", self.batch_size, at_least=1)
        check_whole_number("corruption_images", self.corruption_images, at_least=1)
        check_whole_number_or_none("image_size", self.image_size, at_least=1)
        check_seed(self.seed)
        if len({*self.model_names}) < len(self.model_names):
            raise ValueError(
                "`name` and `baseline_name` should be different. Received: "
                f"{self.model_names[0]!r} for both models"
            )

    @property
    def model_names(self) -> tuple[str, ...]:
        """Names of the models in the report."""
        names = (self.name or _stem(self.encoder),)
        if self.baseline is None:
            return names
        return (*names, self.baseline_name or _stem(self.baseline))


def _stem(path: str | os.PathLike[str]) -> str:
    return os.path.splitext(os.path.basename(os.fspath(path)))[0]
