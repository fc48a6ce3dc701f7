"""A training that is meant to be killed and started again.

    python -m tests.callbacks.training_program DIRECTORY METHOD

With `--serve` it imports TensorFlow once and then, for each line with a directory and a method on
its standard input, forks a process that trains there; the import takes longer than the training. No
operation runs before the fork, so that each process starts the TensorFlow runtime for itself. It
answers with the process id of the child.
"""

import gc
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras

import keras_supcon
from keras_supcon import data
from keras_supcon.augmentation import SimAugment
from keras_supcon.callbacks import Checkpoint
from tests.models import methods

EPOCHS, BATCH_SIZE, SAVE_FREQ = 6, 64, 3
DONE = "done"  # a file in the directory
PROGRESS = "progress"  # a byte for each batch of the present process
SUPCON = "SupCon"
# Those that remember something, by their names in `methods.METHODS`; no batch fills a queue evenly.
OPTIONS = {
    "momentum SupCon": {"queue_size": 150},
    "BYOL": {"total_steps": 100},
    "NNCLR, supervised": {"queue_size": 150},
}


def make_model(method: str, seed: int) -> keras_supcon.models.PretrainingModel:
    encoder = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dropout(0.2),
        ]
    )
    augmenter = SimAugment(image_size=(8, 8), blur_probability=0.0)
    if method != SUPCON:
        optimizer = keras.optimizers.Adam(1e-3)
        model = methods.make(
            method,
            encoder,
            seed=seed,
            optimizer=optimizer,
            augmenter=augmenter,
            **OPTIONS[method],
        )
        model.build((None, 8, 8, 1))
        return model
    model = keras_supcon.ContrastiveModel(
        encoder,
        # Some megabytes with the moments: writing takes its time.
        keras_supcon.ProjectionHead(16, hidden_units=(1024,)),
        augmenter=augmenter,
    )
    model.build((None, 8, 8, 1))
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=keras_supcon.SupConLoss())
    return model


def train(directory: pathlib.Path, method: str) -> None:
    """Trains to the end from the state of the directory, and leaves a checkpoint and `done`."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(
        1
    )  # sums of threads depend on how many there are
    checkpoints = directory / "checkpoints"
    is_first = not list(checkpoints.glob("epoch-*"))
    # A later process starts from other weights and seeds: all that matters has to come from the
    # checkpoint.
    seed = 1 if is_first else os.getpid()
    keras.utils.set_random_seed(seed)
    progress = os.open(directory / PROGRESS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    tell = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: os.write(progress, b".")
    )

    def batches(start):
        return data.load_epochs("digits", "train", BATCH_SIZE, EPOCHS, start=start, seed=3)

    Checkpoint(checkpoints, save_freq=SAVE_FREQ).fit(
        make_model(method, seed), batches, EPOCHS, verbose=0, callbacks=[tell]
    )
    (directory / DONE).touch()


def serve() -> None:
    # A collection in a child would copy the memory of all objects that it looks at.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                directory, method = line.strip().split("\t")
                train(pathlib.Path(directory), method)
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        print("ready", flush=True)
        serve()
    else:
        train(pathlib.Path(sys.argv[1]), sys.argv[2])
