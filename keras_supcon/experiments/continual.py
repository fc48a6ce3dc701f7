"""Co2L and its parts, task after task, with some seeds: one table."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_supcon import data
from keras_supcon.evaluation import Report, forgetting
from keras_supcon.evaluation.reporting.charts import draw_lines
from keras_supcon.evaluation.results import versions
from keras_supcon.experiments.comparison_table import markdown_table
from keras_supcon.experiments.continual_models import Models
from keras_supcon.experiments.continual_run import ContinualRun, Streams
from keras_supcon.experiments.continual_settings import ARMS, ContinualSettings
from keras_supcon.experiments.run_folder import RESULTS, write_json
from keras_supcon.experiments.stopping import StopOnSignal
from keras_supcon.experiments.trials.paired import paired_difference
from keras_supcon.extras import require_extra
from keras_supcon.files import DirectoryLock, whole_file
from keras_supcon.seeds import random_generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TABLE = "table.md"
_CHOICE_SEED = 0  # of the images of each class, which are the same for all seeds
_BASE = "co2l"
_GOES_ON = "The same settings go on where they were stopped."


@dataclasses.dataclass(frozen=True)
class ContinualResult:
    """Holds what a `Continual` found.

    Args:
        runs: For each arm and seed the accuracies `class_accuracies` and `task_accuracies`, of
            which row i has those after task i on the tasks until then.
        rows: Rows of the table, each from column to text.
        summary: By arm and number, such as `"class_accuracy"`, the numbers of the seeds.
        explanation: Sentences that say what the columns are.
        report: Path of the report, or None while arms or seeds are missing.
    """

    runs: list[dict[str, Any]]
    rows: list[dict[str, str]]
    summary: dict[str, dict[str, list[float]]]
    explanation: str
    report: pathlib.Path | None

    @property
    def table(self) -> str:
        """The table in Markdown."""
        return markdown_table(self.rows)


class Continual:
    """Trains Co2L, and what is left of it without its parts, on one task after the other.

    The arms are SupCon on the current task alone (`"neither"`), with distillation, with a buffer of
    earlier samples, with both (`"co2l"`), and with both but all samples as anchors
    (`"symmetric"`). Each is measured after each task by `evaluation.continual_evaluation`; the
    buffer is there for that in all arms, whether they are trained with it or not. With one seed all
    arms have the same first task, the same buffer, and the same seed of the order of samples.

    A run that was stopped or killed is resumed by the same settings, between tasks and within one,
    with the same figures. Other settings have folders of their own, and mix with nothing. In the
    folder: results.json, table.md, and report.html once all is there.

    The constructor reads the data, and writes nothing.

    Args:
        settings: Data, tasks, arms, folder and seeds.

    Raises:
        ValueError: If data and settings do not go together.
        RuntimeError: If the data set cannot be prepared.
        ImportError: If a package that reads the data, measures or draws the report is missing.

    Example:

    >>> from keras_supcon.experiments import Continual, ContinualSettings
    >>> experiment = Continual(ContinualSettings(dataset="digits", seeds=1))
    >>> experiment.streams.train.classes
    ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
    >>> list(Continual.ARMS)
    ['neither', 'distillation', 'buffer', 'co2l', 'symmetric']
    """

    ARMS = tuple(ARMS)

    def __init__(self, settings: ContinualSettings) -> None:
        require_extra("report", "jinja2", "matplotlib", "sklearn", by="The report at the end")
        self.settings = settings
        self.output_dir = pathlib.Path(settings.output_dir)
        self.seeds = range(settings.seed, settings.seed + settings.seeds)
        self.streams = self._read()
        self._stop = StopOnSignal(lambda: _GOES_ON)  # handles no signal until it is entered
        self._environment = {name: one for name, one in versions().items() if name != "python"}
        self._models = Models(settings, self.streams.train.images.shape[1:])
        self._run(settings.arms[0], self.seeds[0]).check_batch_size()
        self._check_first_task()
        self._check_buffers()

    def run(self, handle_signals: bool = False) -> ContinualResult:
        """Trains and measures all arms with all seeds, and writes table and report.

        Args:
            handle_signals: Whether Ctrl-C, SIGTERM and SIGHUP end the program after the present
                step and a checkpoint, with 128 plus the number of the signal as its exit code. It
                is for programs, and needs the main thread.

        Returns:
            The results.

        Raises:
            RuntimeError: If another process trains in the folder, or checkpoints are damaged.
            OSError: If the folder cannot be written to.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(DirectoryLock(self.output_dir))
            keras.backend.clear_session()  # forgets models of before
            if handle_signals:
                stack.enter_context(self._stop)
            runs: list[dict[str, Any]] = []
            for seed in self.seeds:
                for arm in self.settings.arms:
                    runs.append({"arm": arm, "seed": seed, **self._measure(arm, seed)})
                    result = self._result(runs)
                    self._write(result)
            return dataclasses.replace(result, report=self._report(result))

    def _check_first_task(self) -> None:
        classes = self.streams.train.classes[0]
        if len(classes) < 2:
            raise ValueError(
                "`num_tasks` should be small enough for two classes in the first task, which a "
                f"classifier tells apart. Received: num_tasks={self.settings.num_tasks}, of which "
                f"the first one has class {classes[0]} alone"
            )

    def _check_buffers(self) -> None:
        """Checks that each class that was seen has a sample in the buffer of each seed."""
        settings, stream = self.settings, self.streams.train
        size, strategy = settings.hyperparameters.buffer_size, settings.buffer_strategy
        classes = sum(map(len, stream.classes[:-1]))
        received = f"Received: buffer_size={size}, buffer_strategy={strategy!r}"
        if strategy == "class_balanced" and size < classes:
            raise ValueError(
                "`buffer_size` should be at least the number of classes before the last task, "
                f"{classes}. {received}"
            )
        # A class-balanced buffer that is large enough has each class; in a domain each task has it.
        may_lose = strategy == "reservoir" and settings.scenario == "class"
        for seed in self.seeds if may_lose else ():
            buffer = self._run(settings.arms[0], seed).new_buffer()
            for task in stream[:-1]:
                buffer.add(np.zeros((len(task), 1), "uint8"), task.loss_labels)
                seen = {one for of_task in stream.classes[: task.index + 1] for one in of_task}
                lost = sorted(seen - {*buffer.labels.tolist()})
                if lost:
                    raise ValueError(
                        "`buffer_size` should be large enough for a sample of each class that was "
                        f"seen. {received}, which has none of class {lost[0]} after task "
                        f"{task.index + 1} with seed {seed}"
                    )

    def _run(self, arm: str, seed: int) -> ContinualRun:
        return ContinualRun(
            self.settings, self.streams, arm, seed, self._environment, self._models, self._stop
        )

    def _measure(self, arm: str, seed: int) -> dict[str, Any]:
        found = self._run(arm, seed).run()
        return {
            **{
                name: [one[name] for one in found]
                for name in ("class_accuracies", "task_accuracies")
            },
            "seconds": sum(sum(one["seconds"].values()) for one in found[1:]),
            "seconds_of_first_task": sum(found[0]["seconds"].values()),
        }

    def _read(self) -> Streams:
        """Reads the images, of each class the same ones for all seeds, and makes the tasks."""
        settings, numbers = self.settings, self.settings.hyperparameters
        label = {} if settings.label is None else {"label": settings.label}
        (images, labels), test = (
            _some_of_each_class(
                *data.load_arrays(settings.dataset, split, settings.data_dir, **label), number
            )
            for split, number in (
                (settings.train_split, numbers.images_per_class),
                (settings.test_split, numbers.test_images_per_class),
            )
        )
        if settings.scenario == "class":
            train = data.class_incremental(images, labels, num_tasks=settings.num_tasks)
        else:
            train = data.domain_incremental(
                images, labels, "rotation", num_tasks=settings.num_tasks
            )
        hashed = hashlib.blake2b(digest_size=10)
        for array in (images, labels, *test):
            hashed.update(f"{array.shape} {array.dtype}".encode())
            hashed.update(np.ascontiguousarray(array).tobytes())
        return Streams(train, train.with_data(*test), hashed.hexdigest())

    def _result(self, runs: Sequence[Mapping[str, Any]]) -> ContinualResult:
        arms = [arm for arm in ARMS if any(run["arm"] == arm for run in runs)]
        summary = {arm: _numbers([run for run in runs if run["arm"] == arm]) for arm in arms}
        is_domain = self.settings.scenario == "domain"
        return ContinualResult(
            list(runs), _rows(summary, is_domain), summary, self._explain(len(runs)), None
        )

    def _write(self, result: ContinualResult) -> None:
        content = {
            "settings": dataclasses.asdict(self.settings)
            | dataclasses.asdict(self.settings.hyperparameters),
            "environment": self._environment,
            "data": self.streams.digest,
            "runs": result.runs,
            "summary": result.summary,
        }
        write_json(self.output_dir / RESULTS, content)
        with whole_file(self.output_dir / _TABLE) as unfinished:
            unfinished.write_text(f"{result.table}\n\n{result.explanation}\n")

    def _explain(self, number_of_runs: int) -> str:
        settings, numbers = self.settings, self.settings.hyperparameters
        sizes = list(dict.fromkeys(len(classes) for classes in self.streams.train.classes))
        tasks = (
            f"{settings.num_tasks} tasks of {' or '.join(map(str, sizes))} classes"
            if settings.scenario == "class"
            else f"{settings.num_tasks} rotations"
        )
        seeds = (
            f"Mean (lowest to highest) of the seeds {self.seeds[0]} to {self.seeds[-1]}."
            if len(self.seeds) > 1
            else f"Seed {self.seeds[0]}: one run says little."
        )
        accuracies = (
            "Class-IL: accuracy after the last task, mean over tasks, among all classes; task-IL: "
            "among those of the task of the image."
            if settings.scenario == "class"
            else "Accuracy after the last task, mean over rotations."
        )
        missing = len(self.seeds) * len(settings.arms) - number_of_runs
        return (
            f"{settings.dataset}, {tasks}, {len(self.streams.train.labels):,} training images, a "
            f"buffer of {numbers.buffer_size} ({settings.buffer_strategy}), "
            f"{numbers.first_epochs} epochs of the first task and {numbers.epochs} of each other, "
            f"ResNet-{settings.encoder_depth} of width {numbers.encoder_width:g}. {seeds} "
            f"{accuracies} Forgetting: the best accuracy on a task before the last one minus that "
            "after it, mean over tasks but the last. The classifier sees the last task and the "
            "buffer, in all arms." + (f" {missing} runs are missing." if missing else "")
        )

    def _report(self, result: ContinualResult) -> pathlib.Path:
        settings = self.settings
        what = "rotations" if settings.scenario == "domain" else "tasks"
        report = Report(f"Continual learning: {settings.dataset}, {settings.num_tasks} {what}")
        report.add_text(result.explanation).add_table(result.rows)
        for name, title in _curves(settings.scenario).items():
            curves = {
                ARMS[arm].title: _mean_curve(
                    [run[name] for run in result.runs if run["arm"] == arm]
                )
                for arm in result.summary
            }
            report.add_figure(
                lambda narrow, curves=curves: _draw(curves, narrow),
                f"{title} on all tasks so far, mean over tasks and seeds, by the number of tasks "
                "that were learned.",
                name,
            )
        report.add_settings(
            {
                **dataclasses.asdict(settings.hyperparameters),
                **{
                    name: getattr(settings, name)
                    for name in (
                        "temperature",
                        "distillation_weight",
                        "student_temperature",
                        "teacher_temperature",
                    )
                },
                "seeds": ", ".join(map(str, self.seeds)),
            }
        )
        return report.write(self.output_dir)


def _some_of_each_class(
    images: np.ndarray, labels: np.ndarray, number: int | None
) -> tuple[np.ndarray, np.ndarray]:
    if number is None:
        return images, labels
    generator = random_generator(_CHOICE_SEED)
    rows = [
        generator.permutation(np.flatnonzero(labels == one))[:number] for one in np.unique(labels)
    ]
    rows = np.sort(np.concatenate(rows))
    return images[rows], labels[rows]


def _draw(curves: Mapping[str, tuple[list[int], list[float]]], narrow: bool) -> Figure:
    figure = draw_lines(curves, "tasks learned", "accuracy", percent=True, narrow=narrow)
    figure.axes[0].set_xticks(next(iter(curves.values()))[0])
    return figure


def _curves(scenario: str) -> dict[str, str]:
    if scenario == "domain":
        return {"class_accuracies": "Accuracy"}
    return {"class_accuracies": "Class-IL accuracy", "task_accuracies": "Task-IL accuracy"}


def _mean_curve(matrices: Sequence[Sequence[Sequence[float]]]) -> tuple[list[int], list[float]]:
    means = np.mean([[np.mean(row) for row in rows] for rows in matrices], axis=0)
    return list(range(1, len(means) + 1)), means.tolist()


def _numbers(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Returns the numbers of an arm, each for all seeds."""
    numbers: dict[str, list[float]] = {}
    for kind in ("class", "task"):
        rows_of_seeds = [run[f"{kind}_accuracies"] for run in runs]
        numbers[f"{kind}_accuracy"] = [float(np.mean(rows[-1])) for rows in rows_of_seeds]
        numbers[f"{kind}_forgetting"] = [_forgetting(rows) for rows in rows_of_seeds]
    return numbers


def _forgetting(rows: Sequence[Sequence[float]]) -> float:
    """Returns the forgetting, or NaN if a training diverged."""
    has_diverged = any(np.isnan(row).any() for row in rows)
    return math.nan if has_diverged else forgetting(_square(rows))


def _square(rows: Sequence[Sequence[float]]) -> np.ndarray:
    square = np.zeros((len(rows), len(rows)))
    for place, row in enumerate(rows):
        square[place, : place + 1] = row
    return square


def _rows(
    summary: Mapping[str, Mapping[str, Sequence[float]]], is_domain: bool
) -> list[dict[str, str]]:
    columns = (
        {"class_accuracy": "accuracy", "class_forgetting": "forgetting"}
        if is_domain
        else {
            "class_accuracy": "class-IL",
            "task_accuracy": "task-IL",
            "class_forgetting": "forgetting, class-IL",
            "task_forgetting": "forgetting, task-IL",
        }
    )
    rows = []
    for arm, numbers in summary.items():
        row = {"trained": ARMS[arm].title}
        row |= {title: _mean_and_range(numbers[name]) for name, title in columns.items()}
        rows.append(row)
    base = summary.get(_BASE, {}).get("class_accuracy", ())
    if len(base) > 1 and all(len(one["class_accuracy"]) == len(base) for one in summary.values()):
        for row, (arm, numbers) in zip(rows, summary.items(), strict=True):
            row["Co2L minus it, points"] = (
                "-" if arm == _BASE else _difference(base, numbers["class_accuracy"])
            )
    return rows


def _mean_and_range(values: Sequence[float]) -> str:
    if np.isnan(values).any():
        return f"diverged with {np.isnan(values).sum()} of {len(values)} seeds"
    spread = f" ({min(values):.2%} to {max(values):.2%})" if len(values) > 1 else ""
    return f"{np.mean(values):.2%}{spread}"


def _difference(base: Sequence[float], other: Sequence[float]) -> str:
    found = paired_difference(base, other)
    return "diverged" if found.num_missing else found.text()
