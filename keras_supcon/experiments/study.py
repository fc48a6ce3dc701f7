"""The influence of one factor on what an encoder learns, over several seeds."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from keras_supcon.evaluation import Report
from keras_supcon.evaluation.reporting.charts import draw_bars, draw_lines
from keras_supcon.evaluation.results import Result, describe
from keras_supcon.experiments.study_settings import StudySettings, Value
from keras_supcon.experiments.trials import (
    NO_SHARES,
    PairedDifference,
    Trial,
    Trials,
    paired_difference,
    scale_of,
)
from keras_supcon.extras import require_extra
from keras_supcon.files import DirectoryLock

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class StudyResult(Result):
    """What a `Study` measured.

    Args:
        factor: What was varied.
        numbers: From each value to its numbers, from their names to one for each seed.
        seconds: From each value to the seconds of all of its trainings and measurements.
        protocol: Settings and versions.
    """

    factor: str
    numbers: dict[Value, dict[str, tuple[float, ...]]]
    seconds: dict[Value, float]

    title: ClassVar[str] = "Study"
    caption: ClassVar[str] = "Mean over seeds, with its 95% interval. Shares alone are drawn."

    def difference(self, value: Value, name: str) -> PairedDifference:
        """Returns the difference of a value to the first one, paired by seed."""
        first = next(iter(self.numbers.values()))
        return paired_difference(self.numbers[value][name], first[name])

    def rows(self) -> list[dict[str, str]]:
        rows, first = [], next(iter(self.numbers))
        for value, numbers in self.numbers.items():
            for name, found in numbers.items():
                scale = scale_of(name)
                rows.append(
                    {
                        self.factor.replace("_", " "): str(value),
                        "number": name.replace("_", " "),
                        "mean": _text(scale * np.mean(found)),
                        "deviation": _text(scale * np.std(found, ddof=1)),
                        f"minus {first}": "-" if value == first else self._minus(value, name),
                        "seconds": f"{self.seconds[value]:.0f}",
                    }
                )
        return rows

    def _minus(self, value: Value, name: str) -> str:
        found = self.difference(value, name)
        return "diverged" if found.num_missing else found.text(scale_of(name))

    def plot(self, narrow: bool = False) -> Figure:
        names = list(next(iter(self.numbers.values())))
        shares = [name for name in names if name not in NO_SHARES]
        names = shares or names
        y_label = names[0].replace("_", " ") if len(names) == 1 else "share"
        is_named = isinstance(next(iter(self.numbers)), str)
        order = list(self.numbers) if is_named else sorted(self.numbers)
        spans = {
            name.replace("_", " "): [
                paired_difference(
                    self.numbers[value][name], np.zeros(len(self.numbers[value][name]))
                )
                for value in order
            ]
            for name in names
        }
        if is_named:
            groups = {v: {n: spans[n][i] for n in spans} for i, v in enumerate(order)}
            if len(names) == 1:  # which the axis names
                groups = {v: next(iter(group.values())) for v, group in groups.items()}
            return draw_bars(
                _each(groups, lambda span: span.mean),
                y_label,
                intervals=_each(groups, lambda span: (span.low, span.high)),
                percent=True,
                narrow=narrow,
            )
        return draw_lines(
            {n: (order, [one.mean for one in found]) for n, found in spans.items()},
            self.factor.replace("_", " "),
            y_label,
            log_x=order[0] > 0 and order[-1] >= 10 * order[0],
            intervals={
                n: ([one.low for one in found], [one.high for one in found])
                for n, found in spans.items()
            },
            percent=True,
            narrow=narrow,
        )


class Study:
    """Trains an encoder with several values of one factor, each from the same seeds.

    Seed by seed the first weights, the images, their order and the seed of the views are the same,
    so that differences are paired. Results are kept in the folder: a study that was killed goes on,
    and another value or seed costs its own trainings alone.

    Args:
        settings: Factor, values, images and folder.

    Raises:
        ImportError: If a package that measures or draws is missing.

    Example:

    >>> import tempfile
    >>> from keras_supcon.experiments import Study, StudySettings
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     settings = StudySettings(
    ...         factor="epochs", values=[1, 2], dataset="digits", output_dir=folder,
    ...         train_images=200, batch_size=64, measurement="knn", seeds=2, verbose=False,
    ...     )
    ...     result = Study(settings).run()
    >>> list(result.numbers), len(result.numbers[1]["knn"])
    ([1, 2], 2)
    """

    def __init__(self, settings: StudySettings) -> None:
        require_extra("report", "scipy", "sklearn", "matplotlib", "jinja2", by="`Study`")
        self.settings = settings
        self.output_dir = pathlib.Path(settings.output_dir)

    def run(self) -> StudyResult:
        """Trains what is missing, and writes report.html, report.md and report.json.

        Returns:
            Numbers of all values and seeds.

        Raises:
            ValueError: If images and settings do not go together.
            RuntimeError: If the data set cannot be read, or another process runs in the folder.
            OSError: If the folder cannot be written to.
        """
        settings = self.settings
        seeds = range(settings.seed, settings.seed + settings.seeds)
        with DirectoryLock(self.output_dir):
            trials = Trials(
                self.output_dir / "trials",
                settings.data_dir,
                processes=settings.processes,
            )
            wanted = [
                Trial(training, seed, (settings.measurement,))
                for training in settings.trainings.values()
                for seed in seeds
            ]
            results = trials.run(wanted, on_progress=self._print)
            numbers, seconds = {}, {}
            for value, training in settings.trainings.items():
                names = results.names(training, seeds[0], settings.measurement)
                numbers[value] = {
                    name: tuple(results.number(training, seed, name) for seed in seeds)
                    for name in names
                }
                seconds[value] = sum(results.seconds(training, seed) for seed in seeds)
            result = StudyResult(
                factor=settings.factor,
                numbers=numbers,
                seconds=seconds,
                protocol=describe("study", **_plain(settings)),
            )
            report = Report(f"{settings.factor.replace('_', ' ')} on {settings.dataset}")
            report.add(result)
            report.write(self.output_dir)
        return result

    def _print(self, done: int, total: int) -> None:
        if self.settings.verbose:
            print(f"trainings: {done} of {total}", flush=True)


def _each(groups: Mapping[str, Any], read: Callable[[PairedDifference], Any]) -> dict[str, Any]:
    """Returns the same mapping, perhaps of mappings, of what is read from each difference."""
    return {
        name: _each(one, read) if isinstance(one, Mapping) else read(one)
        for name, one in groups.items()
    }


def _text(number: float) -> str:
    return "diverged" if math.isnan(number) else f"{number:.2f}"


def _plain(settings: StudySettings) -> dict[str, Any]:
    fields = dataclasses.asdict(settings)
    for name in ("output_dir", "data_dir", "processes", "verbose"):
        del fields[name]
    return {**fields, "values": list(fields["values"])}
