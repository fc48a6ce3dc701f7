"""The training of one stage in the folder of a run, from its newest checkpoint on."""

import dataclasses
import importlib.util
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import keras

from keras_supcon.callbacks import Position
from keras_supcon.experiments.epoch_log import EpochLog
from keras_supcon.experiments.from_recipe import peak_learning_rate
from keras_supcon.experiments.run_folder import (
    RESULTS,
    check_same_run,
    checkpoint_of,
    describe_position,
    read_record,
    wait_for_record,
    write_record,
)
from keras_supcon.experiments.stopping import StopOnSignal
from keras_supcon.experiments.workers import Workers, random_start
from keras_supcon.recipes import Stage
from keras_supcon.typing import Dataset


@dataclasses.dataclass(frozen=True)
class StageTraining:
    """Trains one stage of a run.

    Args:
        name: Name of the stage, and of its folder.
        stage: Its numbers.
        record: What its weights depend on.
        steps_per_epoch: Batches in an epoch.
        output_dir: Folder of the run.
        workers: Processes that train together.
        checkpoint_every: Batches after which a checkpoint is also written, or None.
        stop: What ends training at a signal.
        verbose: Whether this process prints the progress.
    """

    name: str
    stage: Stage
    record: dict[str, Any]
    steps_per_epoch: int
    output_dir: pathlib.Path
    workers: Workers
    checkpoint_every: int | None
    stop: StopOnSignal
    verbose: bool

    def fit(self, model: keras.Model, batches: Callable[[Position], Dataset]) -> dict[str, Any]:
        """Trains a compiled model from its newest checkpoint to the end of the stage.

        Args:
            model: Model, built and compiled.
            batches: Function from a position to the batches from there on.

        Returns:
            The epochs, batch size, peak learning rate, steps and last loss.
        """
        folder, epochs = self.output_dir / self.name, self.stage.epochs
        checkpoint = checkpoint_of(folder, self.checkpoint_every or "epoch")
        check_same_run(folder, self.record)
        position = checkpoint.restore(model)
        epochs_before = (read_record(folder) or {"epochs": epochs})["epochs"]
        self._share_record(folder)
        if self.verbose:
            self._print_begin(position, epochs_before)
        checkpoint.notes["record"] = {**self.record, "epochs": epochs}
        log = EpochLog(folder / "epochs.csv", checkpoint, position, self.steps_per_epoch)
        callbacks = [*self._tensorboard(folder), log] if self.workers.is_chief else []
        with self.stop.hold():
            if self.workers.is_chief:
                log.write()
            checkpoint.fit(
                model,
                batches,
                epochs,
                self.steps_per_epoch,
                callbacks=[self.stop, *callbacks],
                verbose="auto" if self.verbose else 0,
            )
        if self.stop.received is not None:
            self.stop.end()
        return {
            "epochs": epochs,
            "batch_size": self.stage.batch_size,
            "peak_learning_rate": peak_learning_rate(self.stage),
            "steps": int(keras.ops.convert_to_numpy(model.optimizer.iterations)),
            "loss": log.loss,
        }

    def _share_record(self, folder: pathlib.Path) -> None:
        """Writes the record of a start in the chief, and looks for it in every worker.

        Raises:
            RuntimeError: If a worker does not see it, and so would resume from other weights than
                the chief.
        """
        start = random_start()
        if self.workers.is_chief:
            write_record(folder, {**self.record, "epochs": self.stage.epochs, "start": start})
            (self.output_dir / RESULTS).unlink(missing_ok=True)  # of an earlier run
        start = self.workers.broadcast(start)
        if not self.workers.is_chief and not wait_for_record(folder, start):
            raise RuntimeError(
                "`output_dir` should be a folder that all workers share. Received: "
                f"output_dir={str(self.output_dir)!r}, which on worker {self.workers.index} is "
                "another than on the first"
            )
        self.workers.wait()

    def _print_begin(self, position: Position, epochs_before: int) -> None:
        epochs = self.stage.epochs
        begin = "done before" if position.epoch >= epochs else describe_position(position)
        print(
            f"\n{self.name}: {epochs} epochs of {self.steps_per_epoch} batches of "
            f"{self.stage.batch_size}, {begin}"
        )
        if epochs_before != epochs:
            print(
                f"The learning rate is that of {epochs} epochs from here on; before it was that "
                f"of {epochs_before}."
            )

    def _tensorboard(self, folder: pathlib.Path) -> list[keras.callbacks.Callback]:
        # Keras' callback would fail in the first batch.
        if importlib.util.find_spec("tensorboard") is None:
            reason = "it is not installed (pip install tensorboard)"
        # The chief would wait in it for the others.
        elif self.workers.count > 1 and keras.backend.backend() == "jax":
            reason = "its callback does not run with several processes on JAX"
        else:
            return [keras.callbacks.TensorBoard(folder / "logs", write_graph=False)]
        if self.verbose:
            print(
                f"No curves for TensorBoard: {reason}. The losses are in {folder / 'epochs.csv'}.",
                file=sys.stderr,
            )
        return []
