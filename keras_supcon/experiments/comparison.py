"""SupCon with a linear classifier beside cross-entropy: one encoder, one data set, some seeds."""

import contextlib
import dataclasses
import pathlib
from typing import Any

import keras

from keras_supcon.evaluation import write_report
from keras_supcon.experiments.comparison_seed import SeedRun
from keras_supcon.experiments.comparison_settings import ComparisonSettings
from keras_supcon.experiments.comparison_table import (
    explain,
    markdown_table,
    result_rows,
    summarize,
)
from keras_supcon.experiments.run_folder import RESULTS, write_json
from keras_supcon.experiments.stopping import StopOnSignal
from keras_supcon.extras import require_extra
from keras_supcon.files import DirectoryLock

_REPORTS = ("report.html", "report.md", "report.json")


@dataclasses.dataclass(frozen=True)
class ComparisonResult:
    """Holds what a `Comparison` found, and where it is.

    Args:
        runs: Seed, accuracies and seconds of each seed.
        rows: Rows of the result table, each from column to text.
        explanation: Sentences that say how much a difference in the table is worth.
        model_dirs: Folder of the models of each seed.
        report: Path of the report, or None if it could not be drawn.
        failure: Why it could not be drawn, or None.
    """

    runs: list[dict[str, Any]]
    rows: list[dict[str, str]]
    explanation: str
    model_dirs: list[pathlib.Path]
    report: pathlib.Path | None
    failure: Exception | None

    @property
    def summary(self) -> dict[str, dict[str, float]]:
        """Mean, lowest and highest accuracy over the seeds."""
        return summarize(self.runs)

    @property
    def table(self) -> str:
        """The result table in Markdown."""
        return markdown_table(self.rows)


class Comparison:
    """Trains one encoder with SupCon and a linear classifier, and with cross-entropy.

    Both have the same augmentation, optimizer and number of epochs. Test images are only measured
    on: no setting and no epoch is chosen by them. In the folder are contrastive.keras,
    classifier.keras, cross_entropy.keras, results.json and report.html, with the same report as
    report.md and report.json; with several seeds the models of each are in a folder of their own,
    such as seed-0. Keras' session and random seed are reset for each seed.

    The constructor reads the description of the data, and writes nothing.

    Args:
        settings: Data, encoder, folder and seeds.

    Raises:
        ValueError: If data and settings do not go together.
        RuntimeError: If the data set cannot be prepared.
        ImportError: If a package that reads the data or draws the report is missing.

    Example:

    >>> from keras_supcon.experiments import Comparison, ComparisonSettings
    >>> comparison = Comparison(ComparisonSettings(dataset="digits", epochs=3, seeds=2))
    >>> comparison.title
    "digits, 3 epochs, encoder 'small'"
    >>> [folder.name for folder in comparison.model_dirs]
    ['seed-0', 'seed-1']
    """

    def __init__(self, settings: ComparisonSettings) -> None:
        require_extra("report", "jinja2", "matplotlib", "sklearn", by="The report at the end")
        self.settings = settings
        self.output_dir = pathlib.Path(settings.output_dir)
        self.seeds = range(settings.seed, settings.seed + settings.seeds)
        self._stop = StopOnSignal()  # handles no signal until it is entered
        self._first = self._seed_run(self.seeds[0])

    @property
    def title(self) -> str:
        """One line that says what is compared."""
        epochs = self.settings.hyperparameters.epochs
        return f"{self.settings.dataset}, {epochs} epochs, encoder {self.settings.encoder!r}"

    @property
    def model_dirs(self) -> list[pathlib.Path]:
        """Folder of the models of each seed."""
        return [self._model_dir(seed) for seed in self.seeds]

    def run(self, handle_signals: bool = False) -> ComparisonResult:
        """Trains, measures and writes everything.

        Args:
            handle_signals: Whether Ctrl-C, SIGTERM and SIGHUP save the model that is being trained
                and end the program, with 128 plus the number of the signal as its exit code. It is
                for programs, and needs the main thread.

        Returns:
            The results.

        Raises:
            RuntimeError: If another process trains in the folder, or a saved model does not predict
                what it did.
            OSError: If the folder cannot be written to.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(DirectoryLock(self.output_dir))
            if handle_signals:
                stack.enter_context(self._stop)
            for name in (RESULTS, *_REPORTS):  # of an earlier run, not of the new models
                (self.output_dir / name).unlink(missing_ok=True)
            runs: list[dict[str, Any]] = []
            for seed in self.seeds:
                if len(self.seeds) > 1 and self.settings.verbose:
                    print(f"\nSeed {seed}, {len(runs) + 1} of {len(self.seeds)}")
                runs.append((self._seed_run(seed) if runs else self._first).run())
                self._write_results(runs)
            return self._report(runs)

    def _model_dir(self, seed: int) -> pathlib.Path:
        return self.output_dir / f"seed-{seed}" if len(self.seeds) > 1 else self.output_dir

    def _seed_run(self, seed: int) -> SeedRun:
        return SeedRun(self.settings, seed, self._model_dir(seed), self._stop)

    def _write_results(self, runs: list[dict[str, Any]]) -> None:
        content = {
            "dataset": self.settings.dataset,
            "encoder": self.settings.encoder,
            **dataclasses.asdict(self.settings.hyperparameters),
            "runs": runs,
            "summary": summarize(runs),
        }
        write_json(self.output_dir / RESULTS, content)

    def _report(self, runs: list[dict[str, Any]]) -> ComparisonResult:
        rows, explanation = result_rows(runs), explain(runs, len(self._first.labels))
        several = f", {len(runs)} seeds" if len(runs) > 1 else ""
        report, failure = None, None
        if self.settings.verbose:
            print("\ndrawing the report")
        try:
            report = write_report(
                self.output_dir,
                title=f"{self.title}{several}",
                table=rows,
                note=f"{explanation} The pictures are of seed {self._first.seed}.",
                settings={
                    "dataset": self.settings.dataset,
                    "encoder": self.settings.encoder,
                    "seed": ", ".join(map(str, self.seeds)),
                    **dataclasses.asdict(self.settings.hyperparameters),
                    "devices": list_devices(),
                },
                **self._first.pictures(),
            )
        except Exception as error:  # whatever it is: the training is worth more than its pictures
            failure = error
        return ComparisonResult(runs, rows, explanation, self.model_dirs, report, failure)


def list_devices() -> str:
    """Returns the devices of the backend, separated by commas."""
    if keras.backend.backend() == "torch":  # of which Keras lists none
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"
    return ", ".join(keras.distribution.list_devices())
