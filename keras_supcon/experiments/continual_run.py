"""One arm of a `Continual` with one seed: task after task, from where it was stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import pathlib
import shutil
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_supcon.callbacks import Checkpoint, Position
from keras_supcon.data import ReplayBuffer, Task, TaskStream
from keras_supcon.evaluation import continual_evaluation
from keras_supcon.experiments.continual_models import Models, learning_rate
from keras_supcon.experiments.continual_settings import ARMS, Arm, ContinualSettings
from keras_supcon.experiments.run_folder import checkpoint_of, write_json
from keras_supcon.experiments.stopping import StopOnSignal
from keras_supcon.models import Co2L
from keras_supcon.seeds import derive_seed, random_generator
from keras_supcon.typing import Dataset

FIRST_TASK = "first_task"
_RECORD, _ACCURACIES, _BUFFER = "record.json", "accuracies.json", "buffer.npz"
_OF_DISTILLATION = ("distillation_weight", "student_temperature", "teacher_temperature")
# What does not matter before there is a buffer and a teacher.
_LATER = ("epochs", "buffer_size", "buffer_strategy")
# What a result does not depend on.
_IRRELEVANT = ("output_dir", "data_dir", "arms", "seed", "seeds", "checkpoint_every", "verbose")


@dataclasses.dataclass(frozen=True)
class Streams:
    """The tasks of a `Continual`.

    Args:
        train: Training samples of all tasks.
        test: Test samples of the same tasks.
        digest: Hexadecimal digits of all pixels and labels.
    """

    train: TaskStream
    test: TaskStream
    digest: str


class ContinualRun:
    """Trains one arm with one seed on all tasks, and measures it after each.

    Its folder has the digest of all that its figures depend on in its name, so that other settings
    go on in a folder of their own. In it is a folder for each task, with checkpoints, the buffer
    that the task is trained with, and accuracies.json. The checkpoints of a task end once the next
    one is measured. The first task is the same for all arms, and has a folder that they share.

    Args:
        settings: Settings of the experiment.
        streams: Its tasks.
        arm: Name of the arm, among `ARMS`; or `FIRST_TASK`, which ends after that.
        seed: Seed of networks, augmentation, order and buffer.
        environment: What else figures depend on, such as versions.
        models: What makes the models.
        stop: What ends training at a signal.
    """

    def __init__(
        self,
        settings: ContinualSettings,
        streams: Streams,
        arm: str,
        seed: int,
        environment: dict[str, str],
        models: Models,
        stop: StopOnSignal,
    ) -> None:
        self._settings, self._numbers = settings, settings.hyperparameters
        self._streams, self._name, self._seed = streams, arm, seed
        self._environment, self._models, self._stop = environment, models, stop
        self._arm: Arm = ARMS["neither" if arm == FIRST_TASK else arm]
        self._tasks_in_model = 0  # that have ended in the model of this run

    @property
    def record(self) -> dict[str, Any]:
        """What the figures depend on."""
        settings = dataclasses.asdict(self._settings) | dataclasses.asdict(self._numbers)
        irrelevant = [*_IRRELEVANT, *(() if self._arm.distills else _OF_DISTILLATION)]
        irrelevant += _LATER if self._name == FIRST_TASK else ()
        for name in irrelevant:
            del settings[name]
        record = {
            "arm": self._name,
            "seed": self._seed,
            "settings": settings,
            "data": self._streams.digest,
            "environment": self._environment,
        }
        return json.loads(json.dumps(record))

    @property
    def folder(self) -> pathlib.Path:
        """Folder of the run."""
        content = json.dumps(self.record, sort_keys=True).encode()
        digest = hashlib.blake2b(content, digest_size=6).hexdigest()
        runs = pathlib.Path(self._settings.output_dir) / "runs"
        return runs / f"{self._name}-seed-{self._seed}-{digest}"

    @property
    def first(self) -> ContinualRun:
        """The run of the first task, which all arms share."""
        return ContinualRun(
            self._settings,
            self._streams,
            FIRST_TASK,
            self._seed,
            self._environment,
            self._models,
            self._stop,
        )

    def run(self) -> list[dict[str, Any]]:
        """Trains and measures what is not done yet.

        Returns:
            For each task what was measured after it: accuracies on the tasks until then, and
            seconds.

        Raises:
            SystemExit: If a signal was noted.
            RuntimeError: If checkpoints that are needed were removed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / _RECORD, self.record)
        if self._name == FIRST_TASK:
            return [self._measured(0)]
        done = self.first.run()
        for task in range(1, len(self._streams.train)):
            done.append(self._measured(task))
            self._remove_checkpoints(task - 1)
        return done

    def _task_folder(self, task: int) -> pathlib.Path:
        if task == 0 and self._name != FIRST_TASK:
            return self.first._task_folder(0)
        return self.folder / f"task-{task + 1}"

    def _measured(self, task: int) -> dict[str, Any]:
        """Returns what was measured after a task, and trains it if that is not done yet."""
        path = self._task_folder(task) / _ACCURACIES
        try:
            return json.loads(path.read_bytes())
        except (OSError, ValueError):
            pass
        samples = self._streams.train[task]
        buffer = self._buffer_before(task)
        begin = time.perf_counter()
        self._train(samples, buffer)
        trained = time.perf_counter()
        found = self._measure(samples, buffer)
        found["seconds"] = {"training": trained - begin, "measuring": time.perf_counter() - trained}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, found)
        self._print(task, found)
        return found

    def _print(self, task: int, found: dict[str, Any]) -> None:
        if self._settings.verbose:
            print(
                f"{self._name}, seed {self._seed}, task {task + 1} of {len(self._streams.train)}: "
                f"{np.mean(found['class_accuracies']):.2%} among all classes, "
                f"{found['seconds']['training']:.0f} s",
                flush=True,
            )

    def _buffer_before(self, task: int) -> ReplayBuffer:
        """Returns the buffer that a task is trained with."""
        if task == 0:
            return self.new_buffer()
        path = self._task_folder(task) / _BUFFER
        if path.exists():
            return ReplayBuffer.load(path)
        buffer, earlier = self._buffer_before(task - 1), self._streams.train[task - 1]
        buffer.add(earlier.images, earlier.loss_labels)
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer.save(path)
        return buffer

    def new_buffer(self) -> ReplayBuffer:
        """Returns the empty buffer of the first task."""
        return ReplayBuffer(
            self._numbers.buffer_size,
            self._settings.buffer_strategy,
            derive_seed(self._seed, "buffer"),
        )

    def _train(self, task: Task, buffer: ReplayBuffer) -> None:
        """Brings the model to the end of a task."""
        images, labels = task.images, task.loss_labels
        if self._arm.replays and len(buffer):
            images = np.concatenate([images, buffer.images])
            labels = np.concatenate([labels, buffer.labels])
        folder = self._task_folder(task.index)
        checkpoint = checkpoint_of(folder, self._settings.checkpoint_every or "epoch")
        is_begun = checkpoint.newest() is not None
        model = self._model_at(task.index, checkpoint)
        epochs = self._epochs(task.index)
        batches = _Batches(
            images,
            labels,
            self._numbers.batch_size,
            epochs,
            derive_seed(self._seed, "order", task.index),
        )
        callbacks = [self._stop, self._learning_rates(epochs)]
        if not is_begun:
            callbacks.append(_SeedOutside(derive_seed(self._seed, "task", task.index)))
        with self._stop.hold():
            checkpoint.fit(
                model,
                batches,
                epochs,
                batches.steps_per_epoch,
                callbacks=callbacks,
                verbose=0,
            )
        if self._stop.received is not None:
            self._stop.end()
        self._tasks_in_model = task.index + 1

    def _model_at(self, task: int, checkpoint: Checkpoint) -> Co2L:
        """Returns the model as it is within a task, or at its beginning."""
        model, is_begun = self._model, checkpoint.newest() is not None
        if task > self._tasks_in_model and not is_begun:
            folder = self._task_folder(task - 1)
            end_of_task = checkpoint_of(folder)
            if end_of_task.newest() != Position(self._epochs(task - 1), 0):
                raise RuntimeError(
                    f"{str(folder)!r} should hold the checkpoint of the end of its task. Delete "
                    f"{str(folder.parent)!r} to train it again"
                )
            end_of_task.restore(model)
        checkpoint.restore(model)
        if not is_begun:
            model.begin_task(self._streams.train[task].loss_classes)
        return model

    def check_batch_size(self) -> None:
        """Raises `ValueError` if a task has fewer samples than a batch."""
        streams, batch_size = self._streams.train, self._numbers.batch_size
        for task, classes in enumerate(streams.classes):
            number = int(np.isin(streams.labels, classes).sum())
            if number < batch_size:
                raise ValueError(
                    f"`batch_size` should be at most the number of samples of a task, {number} in "
                    f"task {task + 1}. Received: batch_size={batch_size}"
                )

    @property
    def _model(self) -> Co2L:
        if self._name == FIRST_TASK and not self._tasks_in_model:
            return self._models.new(self._seed)
        return self._models.of(self._arm)

    def _learning_rates(self, epochs: int) -> keras.callbacks.Callback:
        """Returns what begins again at each task: the optimizer and its momentum go on."""
        return keras.callbacks.LearningRateScheduler(
            lambda epoch: learning_rate(self._numbers.learning_rate, epoch, epochs)
        )

    def _epochs(self, task: int) -> int:
        return self._numbers.epochs if task else self._numbers.first_epochs

    def _measure(self, task: Task, buffer: ReplayBuffer) -> dict[str, Any]:
        """Returns the accuracies on this task and those before it; NaN if training diverged."""
        import threadpoolctl  # of the extra that the report needs

        classes = self._streams.train.class_of(buffer.labels)
        labels = np.concatenate([task.labels, classes])
        tests = self._streams.test[: task.index + 1]
        parts = [task.images, *([buffer.images] if len(buffer) else []), *(t.images for t in tests)]
        images = np.concatenate(parts)
        embeddings = self._models.embed(self._arm, images)
        if not np.isfinite(embeddings).all():
            missing = [math.nan] * len(tests)
            return {"class_accuracies": missing, "task_accuracies": missing, "regularization": None}
        lengths = np.cumsum([len(labels), *map(len, tests)])
        train, *of_tests = np.split(embeddings, lengths[:-1])
        # More threads of BLAS gain nothing here; on busy cores they took ten times as long.
        with threadpoolctl.threadpool_limits(1, user_api="blas"):
            result = continual_evaluation(
                train,
                labels,
                [(rows, test.labels) for rows, test in zip(of_tests, tests, strict=True)],
                seed=derive_seed(self._seed, "probe", task.index),
            )
        return {
            "class_accuracies": list(result.class_accuracies),
            "task_accuracies": list(result.task_accuracies),
            "regularization": result.regularization,
        }

    def _remove_checkpoints(self, task: int) -> None:
        """Removes checkpoints that the next task does not need any more."""
        if task > 0:
            shutil.rmtree(self._task_folder(task) / "checkpoints", ignore_errors=True)


class _SeedOutside(keras.callbacks.Callback):
    """Seeds the generators outside of the model at the first step of a task.

    PyTorch's dropout draws from one. What measuring or the making of a step have drawn before does
    not matter then. Within a task, checkpoints have its state.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed, self._is_first = seed, True

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._is_first:
            keras.utils.set_random_seed(self._seed)
            self._is_first = False


class _Batches:
    """The batches of all epochs, from a position on: a function for `Checkpoint.fit`.

    The samples of an epoch are in an order that depends on the seed and the epoch alone. The
    incomplete remainder is dropped, another one in each epoch.
    """

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, batch_size: int, epochs: int, seed: int
    ) -> None:
        self._images, self._labels, self._seed = images, labels, seed
        self._batch_size, self._epochs = batch_size, epochs
        self.steps_per_epoch = len(labels) // batch_size

    def __call__(self, position: Position) -> Dataset:
        if keras.backend.backend() != "tensorflow":
            return self._from(position)
        import tensorflow as tf

        shape = (self._batch_size, *self._images.shape[1:])
        return tf.data.Dataset.from_generator(
            lambda: self._from(position),
            output_signature=(
                tf.TensorSpec(shape, self._images.dtype),
                tf.TensorSpec((self._batch_size,), "int64"),
            ),
        )

    def _from(self, position: Position) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for epoch in range(position.epoch, self._epochs):
            order = random_generator(derive_seed(self._seed, epoch)).permutation(len(self._labels))
            first = position.batch if epoch == position.epoch else 0
            for step in range(first, self.steps_per_epoch):
                rows = order[step * self._batch_size : (step + 1) * self._batch_size]
                yield self._images[rows], self._labels[rows]
