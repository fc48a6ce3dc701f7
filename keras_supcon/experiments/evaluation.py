"""Several protocols on one or two saved encoders, with a report."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_supcon import data
from keras_supcon import evaluation as protocols
from keras_supcon.arguments import rename_arguments
from keras_supcon.callbacks.labeled_data import LabeledData
from keras_supcon.evaluation import Report, Result
from keras_supcon.evaluation.embedding import Embedder
from keras_supcon.evaluation.protocols.logistic_regression import Standardizer, fit_probe
from keras_supcon.evaluation.protocols.splits import hold_out
from keras_supcon.evaluation.reporting.named_results import rows_of
from keras_supcon.evaluation.results import as_json, as_text
from keras_supcon.experiments.evaluation_settings import PROTOCOLS, EvaluationSettings
from keras_supcon.experiments.saved_models import load_encoder_of
from keras_supcon.extras import require_extra
from keras_supcon.files import DirectoryLock, whole_file
from keras_supcon.models import PretrainingModel
from keras_supcon.seeds import derive_seed
from keras_supcon.typing import Dataset

_RECORD = "evaluation.json"
# All that a run may write, and replaces if it may.
_FILES = (
    _RECORD,
    *("report.html", "report.md", "report.json"),
    *(f"{protocol}.json" for protocol in PROTOCOLS),
)
_VALIDATION = 0.1
_SECONDS_BETWEEN_LINES = 15
_NOTE = (
    "Encoders are frozen, in inference mode. Embeddings are computed once, without augmentation. "
    "The classifier is the same for each encoder: logistic regression, its regularization chosen "
    "on a tenth of the training images. Test images choose nothing. Intervals hold 95% and "
    "consider other test images, not other trainings."
)


@dataclasses.dataclass(frozen=True)
class Measured:
    """A model and its embeddings.

    Args:
        model: What gives the features.
        description: What was taken of the saved model.
        train: Embeddings `(train, features)`.
        test: Embeddings `(test, features)`.
    """

    model: Any
    description: str
    train: np.ndarray
    test: np.ndarray


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """What an `Evaluation` measured.

    Args:
        results: For each protocol, the result of each model by its name.
        comparisons: For each protocol that scores single images, the comparison of two models.
        failures: For each protocol that failed, what went wrong.
        report: Path of report.html.
    """

    results: dict[str, dict[str, Result]]
    comparisons: dict[str, Result]
    failures: dict[str, str]
    report: pathlib.Path


class Evaluation:
    """Runs protocols on one or two saved encoders, and writes a report that compares them.

    In the output folder are a JSON file for each protocol as soon as it is done, and the report,
    which grows with them. A protocol that fails does not stop the others.

    The constructor loads the models and opens the data, but writes nothing.

    Args:
        settings: Models, data, protocols and folder.
        overwrite: Whether the results of another run in the folder may be replaced.

    Raises:
        ValueError: If a file is no saved model, the data set cannot be read, or the folder holds
            another run.
        RuntimeError: If the data set cannot be prepared.
        ImportError: If a package for the protocols is missing.

    Example:

    >>> import pathlib
    >>> import tempfile
    >>> import keras
    >>> from keras_supcon.experiments import Evaluation, EvaluationSettings
    >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     encoder.save(pathlib.Path(folder) / "pixels.keras")
    ...     settings = EvaluationSettings(
    ...         encoder=pathlib.Path(folder) / "pixels.keras",
    ...         dataset="digits",
    ...         output_dir=pathlib.Path(folder) / "evaluation",
    ...         protocols=("knn",),
    ...         verbose=False,
    ...     )
    ...     result = Evaluation(settings).run()
    >>> result.results["knn"]["pixels"].accuracy > 0.9
    True
    """

    def __init__(self, settings: EvaluationSettings, overwrite: bool = False) -> None:
        require_extra("report", "jinja2", "matplotlib", "sklearn", "scipy", by="`Evaluation`")
        self.settings = settings
        self.output_dir = pathlib.Path(settings.output_dir)
        there = [name for name in _FILES if (self.output_dir / name).exists()]
        if there and not overwrite:
            raise ValueError(
                "`output_dir` should not hold the results of another run. Received: "
                f"output_dir={str(settings.output_dir)!r}, which has {there[0]}"
            )
        paths = [("encoder", settings.encoder), ("baseline", settings.baseline)]
        given = [(name, path) for name, path in paths if path is not None]
        self._models = {
            name: load_encoder_of(path, argument)
            for name, (argument, path) in zip(settings.model_names, given, strict=True)
        }
        if "head" in settings.protocols:
            for name, (model, _) in self._models.items():
                if not isinstance(model, PretrainingModel):
                    raise ValueError(
                        "`protocols` should not have 'head' unless the models have a projection "
                        f"head. Received: {name}, {self._models[name][1]}"
                    )
        self._train, self._test = (
            load_split(
                settings.dataset,
                getattr(settings, argument),
                settings.batch_size,
                settings.image_size,
                settings.data_dir,
                argument=argument,
            )
            for argument in ("train_split", "test_split")
        )

    def run(self) -> EvaluationResult:
        """Measures, prints and writes.

        Raises:
            ValueError: If a model does not take the images of the data set.
            OSError: If the folder cannot be written to.
            RuntimeError: If another process writes to the folder.
        """
        with DirectoryLock(self.output_dir):
            return self._run()

    def _run(self) -> EvaluationResult:
        settings = self.settings
        begin = time.perf_counter()
        test_images, test_labels = _as_arrays(self._test)
        measured, train_labels = {}, None
        for name, (model, description) in self._models.items():
            self._print(f"\n{name}: embedding")
            embedder = Embedder(model)
            verbose = "auto" if settings.verbose else False
            train, train_labels = embedder(self._train, verbose=verbose)
            test, _ = embedder((test_images, test_labels), settings.batch_size, verbose=verbose)
            measured[name] = Measured(model, description, train, test)
        for name in _FILES:  # of another run, now that this one has something to write
            if name != "report.json":  # which names the figures that the report replaces
                (self.output_dir / name).unlink(missing_ok=True)

        def each(evaluate: Callable[..., Result], **options: Any) -> dict[str, Result]:
            return {
                name: evaluate(one.train, train_labels, one.test, test_labels, **options)
                for name, one in measured.items()
            }

        runs: Mapping[str, Callable[[], dict[str, Result]]] = {
            "linear": lambda: each(protocols.linear_evaluation, seed=settings.seed),
            "knn": lambda: each(protocols.knn_evaluation),
            "few_label": lambda: each(protocols.few_label_evaluation, seed=settings.seed),
            "calibration": lambda: self._calibrate(measured, train_labels, test_labels),
            "corruption": lambda: self._corrupt(measured, train_labels, test_images, test_labels),
            "retrieval": lambda: {
                name: protocols.retrieval(one.test, test_labels) for name, one in measured.items()
            },
            "head": lambda: self._analyze_heads(measured, train_labels, test_images, test_labels),
        }
        found = EvaluationResult({}, {}, {}, self.output_dir / "report.html")
        self._results = found.results
        for protocol in settings.protocols:
            self._print(f"\n{protocol}")
            started = time.perf_counter()
            try:
                found.results[protocol] = runs[protocol]()
                compared = self._compare(found.results[protocol])
                if compared is not None:
                    found.comparisons[protocol] = compared
            except Exception as error:  # whatever it is, the other protocols are run
                found.results.pop(protocol, None)
                found.failures[protocol] = f"{type(error).__name__}: {error}"
                self._print(f"failed: {found.failures[protocol]}", file=sys.stderr)
            else:
                self._print(as_text(_rows(found.results[protocol])))
                if compared is not None:
                    self._print(f"\n{compared}")
                self._print(f"{time.perf_counter() - started:.0f} s")
            self._write(found, measured, time.perf_counter() - begin)
        return found

    def _linear(
        self,
        name: str,
        one: Measured,
        train_labels: np.ndarray,
        test_labels: np.ndarray,
    ) -> protocols.LinearResult:
        """Returns the linear evaluation of a model, which may have been run already."""
        done = self._results.get("linear", {})
        if name in done:
            return done[name]
        return protocols.linear_evaluation(
            one.train, train_labels, one.test, test_labels, seed=self.settings.seed
        )

    def _calibrate(
        self, measured: Mapping[str, Measured], train_labels: np.ndarray, test_labels: np.ndarray
    ) -> dict[str, Result]:
        """Calibrates the classifier that has not seen the validation images."""
        held_out = hold_out(train_labels, _VALIDATION, self.settings.seed)
        results = {}
        for name, one in measured.items():
            chosen = self._linear(name, one, train_labels, test_labels).regularization
            rows, labels = one.train[~held_out], train_labels[~held_out]
            probe = fit_probe(rows, labels, chosen, Standardizer(rows))
            parts = ((one.test, test_labels), (one.train[held_out], train_labels[held_out]))
            test, validation = (
                (probe.probabilities(embeddings), np.searchsorted(probe.classes, ids))
                for embeddings, ids in parts
            )
            results[name] = protocols.calibration(*test, validation, seed=self.settings.seed)
        return results

    def _corrupt(
        self,
        measured: Mapping[str, Measured],
        train_labels: np.ndarray,
        images: np.ndarray,
        labels: np.ndarray,
    ) -> dict[str, Result]:
        # Not the first ones: a folder has one class after another.
        drawn = LabeledData(images, labels).at_most(
            self.settings.corruption_images, derive_seed(self.settings.seed, "corruption_images")
        )
        classifiers = {
            name: (one.model, self._linear(name, one, train_labels, labels).probe)
            for name, one in measured.items()
        }
        names = list(classifiers)
        return protocols.corruption_robustness(
            classifiers,
            drawn.images,
            drawn.labels,
            baseline=names[1] if len(names) > 1 else None,
            seed=self.settings.seed,
            batch_size=self.settings.batch_size,
            on_progress=self._progress("corrupted sets"),
        )

    def _analyze_heads(
        self,
        measured: Mapping[str, Measured],
        train_labels: np.ndarray,
        test_images: np.ndarray,
        test_labels: np.ndarray,
    ) -> dict[str, Result]:
        train_images, train_labels = _as_arrays(self._train)
        return {
            name: protocols.projection_head_analysis(
                one.model,
                (train_images, train_labels),
                (test_images, test_labels),
                batch_size=self.settings.batch_size,
                seed=self.settings.seed,
            )
            for name, one in measured.items()
        }

    def _compare(self, results: Mapping[str, Result]) -> Result | None:
        """Compares two models by the scores of single images, if they have these."""
        if len(results) < 2 or any(one.image_scores() is None for one in results.values()):
            return None
        return protocols.compare(*results.values(), names=tuple(results), seed=self.settings.seed)

    def _write(
        self, found: EvaluationResult, measured: Mapping[str, Measured], seconds: float
    ) -> None:
        """Writes what has been measured so far."""
        settings = self.settings
        for protocol, results in found.results.items():
            content = {name: one.to_dict() for name, one in results.items()}
            if protocol in found.comparisons:
                content["comparison"] = found.comparisons[protocol].to_dict()
            _write_json(self.output_dir / f"{protocol}.json", content)
        record = {
            "settings": dataclasses.asdict(settings),
            "models": {name: one.description for name, one in measured.items()},
            "failures": found.failures,
            "seconds": round(seconds, 1),
        }
        _write_json(self.output_dir / _RECORD, record)
        title = f"{settings.dataset}: {' and '.join(measured)}"
        report = Report(title).add_text(_NOTE)
        for protocol, results in found.results.items():
            named = results if len(results) > 1 else next(iter(results.values()))
            report.add(named)
            if protocol in found.comparisons:
                report.add_table(
                    found.comparisons[protocol].rows(), caption="Compared image by image."
                )
        for protocol, reason in found.failures.items():
            report.add_text(reason, heading=f"{protocol}: failed")
        report.add_settings(
            {
                **{name: one.description for name, one in measured.items()},
                **dataclasses.asdict(settings),
                "seconds": f"{seconds:.0f}",
            }
        )
        report.write(self.output_dir)

    def _print(self, text: str, file: Any = None) -> None:
        if self.settings.verbose or file is not None:
            print(text, file=file, flush=True)

    def _progress(self, what: str) -> Callable[[int, int], None]:
        """Returns a function that prints how much is done, now and then."""
        begin = last = time.monotonic()

        def show(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _SECONDS_BETWEEN_LINES and done < total:
                left = (now - begin) / done * (total - done)
                self._print(f"  {done} of {total} {what}, about {left:.0f} s left")
                last = now

        return show


def _rows(results: Mapping[str, Result]) -> list[dict[str, str]]:
    """Returns one table, as the report has it."""
    return rows_of(results if len(results) > 1 else {None: next(iter(results.values()))})


def load_split(
    dataset: str,
    split: str,
    batch_size: int,
    image_size: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    argument: str = "split",
) -> Dataset:
    """Opens a split in a fixed order: of a folder of class folders, or of a data set by its name.

    Args:
        dataset: A folder, or a name for `data.load`.
        split: A split of the data set.
        batch_size: Images in a batch.
        image_size: Height and width; None keeps the images' own size, of a named data set.
        data_dir: Folder of TFDS data sets.
        argument: Name of the argument that gave the split, for messages; that of the data set is
            `dataset`.

    Raises:
        ValueError: For a folder without an image size; and as `data.load` and `data.load_folder`.
    """
    size = None if image_size is None else (image_size, image_size)
    is_folder = os.path.isdir(os.path.expanduser(dataset))
    if is_folder and size is None:
        raise ValueError(
            "`image_size` should be given for a folder of images. Received: image_size=None"
        )
    try:
        if is_folder:
            return data.load_folder(dataset, split, batch_size, size, shuffle=False)
        return data.load(dataset, split, batch_size, size, data_dir, shuffle=False)
    except ValueError as error:
        names = {"split": argument, "name": "dataset", "path": "dataset"}
        raise ValueError(rename_arguments(str(error), names)) from error


def _as_arrays(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*((np.asarray(x), np.asarray(y)) for x, y in dataset), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    with whole_file(path) as unfinished:
        unfinished.write_text(f"{as_json(content)}\n", encoding="utf-8")
