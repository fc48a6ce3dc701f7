"""Runs trials, each once: a training with a seed, and what is measured on it."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras

from keras_supcon.arguments import check_whole_number
from keras_supcon.evaluation.results import versions
from keras_supcon.experiments.trials.images import ImageReader
from keras_supcon.experiments.trials.measurements import (
    check_measurable,
    check_measurement,
    check_others,
    digest_of_others,
    measure,
)
from keras_supcon.experiments.trials.store import TrialStore
from keras_supcon.experiments.trials.trainer import Trainer, check_together
from keras_supcon.experiments.trials.training import Images, Training
from keras_supcon.seeds import check_seed

TRAINING_SECONDS = "training"
_JOBS_OF_A_PROCESS = 5


@dataclasses.dataclass(frozen=True)
class Trial:
    """A training with one seed, and what is measured on it.

    Args:
        training: What is trained.
        seed: Seed of weights, views and order.
        measurements: What is measured, among `MEASUREMENTS`.

    Raises:
        ValueError: If a measurement or the seed is none.
    """

    training: Training
    seed: int
    measurements: tuple[str, ...] = ("accuracy",)

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for name in self.measurements:
            check_measurement(name)


class TrialResults:
    """Holds what trials measured.

    Args:
        results: From the digest of a training and a seed to what `TrialStore.read` returns.
    """

    def __init__(self, results: Mapping[tuple[str, int], Mapping[str, Any]]) -> None:
        self._results = results

    def number(self, training: Training, seed: int, name: str) -> float:
        """Returns a number that was measured; NaN if the training diverged.

        Args:
            training: The training.
            seed: The seed.
            name: Name of the number, such as `"accuracy"`.

        Raises:
            KeyError: If there is none.
        """
        for numbers in self._results[training.digest, seed]["numbers"].values():
            if name in numbers:
                return numbers[name]
        raise KeyError(name)

    def names(self, training: Training, seed: int, measurement: str) -> tuple[str, ...]:
        """Returns the names of the numbers of a measurement."""
        return tuple(self._results[training.digest, seed]["numbers"][measurement])

    def has(self, training: Training, seed: int, name: str) -> bool:
        """Returns whether a number was measured."""
        numbers = self._results[training.digest, seed]["numbers"]
        return any(name in one for one in numbers.values())

    def seconds(self, training: Training, seed: int) -> float:
        """Returns how long the training and all of its measurements took."""
        return sum(self._results[training.digest, seed]["seconds"].values())

    def holds(self, training: Training, seed: int) -> bool:
        """Returns whether a trial has been run."""
        return (training.digest, seed) in self._results


class Trials:
    """Runs trials and keeps their results in a folder.

    A trial that is there already is not run again. What is killed goes on with the trials that are
    missing. A trial of other settings, images or versions is another trial. `Claims` and `Study`
    lock their folder, this does not: two runs in one folder train the same.

    Args:
        folder: Folder of the results.
        data_dir: Folder of TFDS data sets.
        processes: Number of processes that train at the same time, each on one core with
            TensorFlow and PyTorch; 1 trains in this process with all of its devices, and sets the
            random seed of Keras there.

    Raises:
        ValueError: If `processes` is out of its range.

    Example:

    >>> import tempfile
    >>> from keras_supcon.experiments import Images, Training, Trial, Trials
    >>> images = Images(dataset="digits", train_images=200)
    >>> training = Training(images=images, epochs=1, batch_size=64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     results = Trials(folder).run([Trial(training, seed=0, measurements=("knn",))])
    >>> 0 < results.number(training, 0, "knn") <= 1
    True
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        data_dir: str | os.PathLike[str] | None = None,
        *,
        processes: int = 1,
    ) -> None:
        self._folder = pathlib.Path(folder)
        self._reader = ImageReader(self._folder / "images", data_dir)
        self._processes = check_whole_number("processes", processes, at_least=1)
        self._checked: set[str] = set()

    def check_images(self, training: Training, measurements: Iterable[str]) -> None:
        """Reads all images of a training and its measurements, and checks that they suffice.

        Raises:
            ValueError: If training, measurements and images do not go together.
            RuntimeError: If a data set cannot be read.
        """
        check_together(training, self._reader.read(training.images))
        for name in measurements:
            check_measurable(name, training)
            check_others(self._reader, name, training)

    def check(self, trials: Iterable[Trial]) -> None:
        """Does so for trials, and makes the parts of what is missing, as `run` does at first.

        Raises:
            ValueError: If a training cannot be made, or does not go with its images.
            RuntimeError: If a data set cannot be read.
        """
        _, missing = self._sort(_join(trials).values())
        self._check_parts(missing)

    def _check_parts(self, missing: Iterable[tuple[Trial, ...]]) -> None:
        for group in missing:
            training = group[0].training
            images = Images(dataset=training.images.dataset, size=training.images.size)
            parts = dataclasses.replace(training, images=images, learning_rate=1.0, epochs=1)
            if parts.digest not in self._checked:
                keras.backend.clear_session()
                Trainer(training, self._reader).check()
            self._checked.add(parts.digest)

    def _sort(
        self, trials: Iterable[Trial]
    ) -> tuple[dict[tuple[str, int], dict[str, Any]], list[tuple[Trial, ...]]]:
        """Returns what is there of trials, and the others, those of each training together."""
        store = TrialStore(self._folder, _environment())
        found: dict[tuple[str, int], dict[str, Any]] = {}
        missing: dict[str, list[Trial]] = {}
        for trial in trials:
            training = trial.training
            self.check_images(training, trial.measurements)
            results = store.read(training, trial.seed, self._reader.digest(training.images))
            if all(_is_there(results, name, training, self._reader) for name in trial.measurements):
                found[training.digest, trial.seed] = results
            else:
                missing.setdefault(training.digest, []).append(trial)
        return found, list(map(tuple, missing.values()))

    def run(
        self,
        trials: Iterable[Trial],
        deadline: float | None = None,
        on_progress: Callable[[int, int], Any] | None = None,
    ) -> TrialResults:
        """Runs the trials that are missing.

        Args:
            trials: Trials; those of the same training and seed are run together.
            deadline: No training is begun after this time, as by `time.time()`; None for no limit.
            on_progress: Called with the number of finished trials and their total, also before
                the first training if there are any.

        Returns:
            All results. With a deadline some trials may be missing.

        Raises:
            ValueError: If a training and its images do not go together.
            RuntimeError: If a data set cannot be read, or a process of training was killed.
            OSError: If the folder cannot be written to.
        """
        wanted = _join(trials)
        found, missing = self._sort(wanted.values())
        self._check_parts(missing)
        total, lock = len(wanted), threading.Lock()
        if found and on_progress is not None:
            on_progress(len(found), total)

        def report(key: tuple[str, int], results: dict[str, Any]) -> None:
            with lock:
                found[key] = results
                if on_progress is not None:
                    on_progress(len(found), total)

        jobs = [_Job(group, self._folder, self._reader, deadline) for group in missing]
        jobs.sort(key=_Job.cost, reverse=True)  # the longest first, so that none is left alone
        if self._processes == 1:
            for job in jobs:
                for key, results in job.run():
                    report(key, results)
        else:
            self._run_in_processes(jobs, report)
        return TrialResults(found)

    def _run_in_processes(
        self, jobs: Sequence[_Job], report: Callable[[tuple[str, int], dict[str, Any]], None]
    ) -> None:
        reader = self._reader.for_other_processes
        waiting: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(dataclasses.replace(job, reader=reader))
        others = set(multiprocessing.active_children())
        with concurrent.futures.ThreadPoolExecutor(self._processes) as threads:
            running = [threads.submit(_feed, waiting, report) for _ in range(self._processes)]
            try:
                for thread in concurrent.futures.as_completed(running):
                    thread.result()
            except concurrent.futures.process.BrokenProcessPool as error:
                raise RuntimeError(
                    "A process of training was killed, perhaps for memory. Start again to go on "
                    "with the trials that are missing."
                ) from error
            except KeyboardInterrupt:
                for process in set(multiprocessing.active_children()) - others:
                    process.terminate()
                raise
            finally:
                while not waiting.empty():  # leave nothing to the other threads
                    waiting.get()


@dataclasses.dataclass(frozen=True)
class _Job:
    """Trials of one training, which one process runs one after the other."""

    trials: tuple[Trial, ...]
    folder: pathlib.Path
    reader: ImageReader
    deadline: float | None

    def cost(self) -> float:
        """Estimates how long it takes, beside other jobs."""
        training = self.trials[0].training
        images = self.reader.read(training.images).train
        return images.size * training.num_views * training.epochs * len(self.trials)

    def run(self) -> Iterable[tuple[tuple[str, int], dict[str, Any]]]:
        keras.backend.clear_session()
        training = self.trials[0].training
        trainer = Trainer(training, self.reader)
        store = TrialStore(self.folder, _environment())
        for trial in self.trials:
            if self.deadline is not None and time.time() > self.deadline:
                return
            begin = time.perf_counter()
            trained = trainer.train(trial.seed)
            seconds = {TRAINING_SECONDS: time.perf_counter() - begin}
            numbers, others = {}, {}
            for name in trial.measurements:
                begin = time.perf_counter()
                numbers[name] = measure(trained, name)
                seconds[name] = time.perf_counter() - begin
                others[name] = digest_of_others(self.reader, name, training)
            results = {"numbers": numbers, "seconds": seconds, "images": others}
            store.write(training, trial.seed, self.reader.digest(training.images), results)
            yield (training.digest, trial.seed), results


def _feed(
    waiting: queue.SimpleQueue[_Job],
    report: Callable[[tuple[str, int], dict[str, Any]], None],
) -> None:
    """Runs jobs one after the other in a process, and in a new one after some of them.

    TensorFlow keeps the graphs of earlier trainings. Python's own limit of tasks per process
    hangs in the versions 3.11 and 3.12.
    """
    context = multiprocessing.get_context("spawn")
    while not waiting.empty():
        with concurrent.futures.ProcessPoolExecutor(1, context, _begin_process) as process:
            for _ in range(_JOBS_OF_A_PROCESS):
                try:
                    job = waiting.get_nowait()
                except queue.Empty:
                    return
                process.submit(_begin_job, job).result()
                while (found := process.submit(_next_result).result()) is not None:
                    report(*found)


# What this process runs, if it is one of `_feed`.
_results: Iterator[tuple[tuple[str, int], dict[str, Any]]] = iter(())


def _begin_job(job: _Job) -> None:
    global _results
    _results = iter(job.run())


def _next_result() -> tuple[tuple[str, int], dict[str, Any]] | None:
    return next(_results, None)


def _begin_process() -> None:
    """Leaves the other cores to other processes, and ends when the parent does."""
    import threadpoolctl

    parent = multiprocessing.parent_process()
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()

    threadpoolctl.threadpool_limits(1)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    elif backend == "torch":
        import torch

        torch.set_num_threads(1)


def _is_there(
    results: Mapping[str, Any], name: str, training: Training, reader: ImageReader
) -> bool:
    """Returns whether results hold a measurement, of the images that it has today."""
    if not results or name not in results["numbers"]:
        return False
    return results["images"].get(name) == digest_of_others(reader, name, training)


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)  # without the lock of the folder, a training would disturb the next run


def _join(trials: Iterable[Trial]) -> dict[tuple[str, int], Trial]:
    """Joins trials of the same training and seed into one with all measurements."""
    joined: dict[tuple[str, int], Trial] = {}
    for trial in trials:
        key = (trial.training.digest, trial.seed)
        others = joined[key].measurements if key in joined else ()
        names = tuple(dict.fromkeys((*others, *trial.measurements)))
        joined[key] = dataclasses.replace(trial, measurements=names)
    return joined


def _environment() -> dict[str, str]:
    """Returns what results depend on beside trainings and images."""
    return {name: version for name, version in versions().items() if name != "python"}
