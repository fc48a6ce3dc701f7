"""What the programs that follow a published recipe share: flags, input, two stages of training,
evaluation, results.

A program makes a subclass of `Experiment`, which says where images become views, and calls `main`
with it.
"""

import contextlib
import dataclasses
import difflib
import importlib.util
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from absl import app, flags, logging
from epoch_log import EpochLog
from image_batches import ImageBatches, as_file, as_stored, in_color
from recipe_to_keras import add_weight_decay, make, make_optimizer, peak_learning_rate, resize
from run_folder import (
    ENCODER,
    check_folder,
    checkpoint_of,
    digest,
    is_seen,
    load_encoder,
    next_position,
    read_record,
    refuse_another_run,
    where,
    write_json,
    write_record,
)
from stopping import StopOnSignal, end_at_once, one_line_errors, program_name
from workers import choose_strategy, new_start, number_of_chief, wait_for_all

import keras_supcon
from keras_supcon import augmentation, distribution, encoders, layers, losses
from keras_supcon.files import DirectoryLock, InUseError, whole_file
from keras_supcon.recipes import Recipe, Stage

BOTH_STAGES = "pretrain_then_linear"
_MODES = ("pretrain", "linear", BOTH_STAGES, "cross_entropy")
_MODEL_DIR = flags.DEFINE_string(
    "model_dir",
    None,
    "Folder for checkpoints, models and results.json; all workers share it.",
    required=True,
)
_MODE = flags.DEFINE_enum("mode", None, _MODES, "What to train. Default: all stages of the recipe.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of TFDS data sets.")
_TRAIN_SPLIT = flags.DEFINE_string("train_split", "train", "Training images, as TFDS names them.")
_EVAL_SPLIT = flags.DEFINE_string(
    "eval_split", None, "Images to measure on. Default: the data set's usual ones."
)
_STRATEGY = flags.DEFINE_enum(
    "strategy", "auto", ["auto", "default", "mirrored", "multi_worker", "tpu"], "What to train on."
)
_TPU = flags.DEFINE_string(
    "tpu", None, "Name or address of a TPU; 'local' on a TPU virtual machine."
)
_NUM_VIRTUAL_CPUS = flags.DEFINE_integer(
    "num_virtual_cpus", None, "Splits the processor, to try replicas without GPUs."
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size",
    None,
    "Images in a batch over all replicas. Default: the recipe's. The learning rate follows it by "
    "the recipe's rule.",
    lower_bound=1,
)
_LINEAR_BATCH_SIZE = flags.DEFINE_integer(
    "linear_batch_size",
    None,
    "Likewise for the linear classifier. Default: the recipe's, at most --batch_size.",
    lower_bound=1,
)
_EPOCHS = flags.DEFINE_integer(
    "epochs",
    None,
    "Epochs of pre-training, or of cross-entropy. Default: the recipe's. Warm-up and decay are "
    "shortened alike.",
    lower_bound=1,
)
_LINEAR_EPOCHS = flags.DEFINE_integer(
    "linear_epochs", None, "Likewise for the linear classifier.", lower_bound=1
)
_MICRO_BATCH_SIZE = flags.DEFINE_integer(
    "micro_batch_size",
    None,
    "Images that a replica's encoder sees at once in pre-training, to save memory.",
    lower_bound=1,
)
_ENCODER_DEPTH = flags.DEFINE_integer(
    "encoder_depth", None, "Depth of the ResNet. Default: the recipe's."
)
_ENCODER_WIDTH = flags.DEFINE_float(
    "encoder_width", None, "Width of the ResNet. Default: the recipe's."
)
_MIXED_PRECISION = flags.DEFINE_enum(
    "mixed_precision",
    None,
    ["none", "float16", "bfloat16"],
    "Default: the recipe's on GPUs and TPUs, none on processors. GPUs before Ampere are faster "
    "with float16.",
)
_CHECKPOINT_EVERY = flags.DEFINE_integer(
    "checkpoint_every",
    None,
    "Also writes a checkpoint after so many batches of an epoch, not only at its end.",
    lower_bound=1,
)
_SEED = flags.DEFINE_integer("seed", 0, "Fixes the random numbers.")


class Experiment:
    """One recipe on one data set. As it is, images are read whole and become views in the model.

    Args:
        recipe: What to do; the flags replace some of its numbers.
        dataset: Name for `keras_supcon.data.load_epochs`.
        eval_split: Where --eval_split is not given.
        image_size: Height and width at the encoder.

    Raises:
        ValueError: If flags, environment and data do not go together; nothing was written then.
        RuntimeError: If the TPU cannot be reached or the data set cannot be prepared.
    """

    def __init__(
        self, recipe: Recipe, dataset: str, eval_split: str, image_size: tuple[int, int]
    ) -> None:
        self.recipe, self.dataset, self.image_size = recipe, dataset, image_size
        self.mode = choose_mode(recipe)
        if keras.backend.backend() not in ("tensorflow", "jax"):
            raise ValueError(
                "KERAS_BACKEND should be tensorflow or jax. Received: "
                f"KERAS_BACKEND={keras.backend.backend()}"
            )
        if "://" in _MODEL_DIR.value:
            raise ValueError(
                "`--model_dir` should be a folder of a mounted file system. Received: "
                f"--model_dir={_MODEL_DIR.value}"
            )
        self.strategy = choose_strategy(_STRATEGY.value, _TPU.value, _NUM_VIRTUAL_CPUS.value)
        self.replicas = distribution.num_replicas(self.strategy)
        self.worker, self.workers = distribution.worker(self.strategy)
        self.batches = ImageBatches(
            dataset, _DATA_DIR.value, _SEED.value, self.strategy, self.worker, self.workers
        )
        if keras.backend.backend() != "tensorflow":
            tf.config.set_visible_devices([], "GPU")  # TensorFlow only reads the images
        keras.utils.set_random_seed(_SEED.value)
        keras.config.set_dtype_policy(choose_dtype_policy(recipe))
        self.model_dir = pathlib.Path(_MODEL_DIR.value)
        self.stages = self.choose_stages()
        for name, stage in self.stages.items():
            self.check_batch_size(name, stage)
        if self.mode == "linear" and not self.encoder_path.is_file():
            raise ValueError(
                "`--model_dir` should hold encoder.keras, which --mode=pretrain writes. "
                f"Received: --model_dir={self.model_dir}"
            )
        self.check_folder()
        self.eval_split = _EVAL_SPLIT.value or eval_split
        self.steps_per_epoch = {}
        for name, stage in self.stages.items():
            hosts = self.batches.hosts
            train = self.batches.read(
                _TRAIN_SPLIT.value, stage.batch_size // hosts, as_stored, shard=(0, hosts)
            )
            self.steps_per_epoch[name] = train.steps_per_epoch
        self.class_names = train.class_names
        if self.mode != "pretrain":
            self.num_eval_images = self.batches.read(self.eval_split, 1, as_stored).num_examples

    @property
    def encoder_path(self) -> pathlib.Path:
        return self.model_dir / ENCODER

    @property
    def is_chief(self) -> bool:
        return self.worker == 0

    def choose_stages(self) -> dict[str, Stage]:
        """The stages that will be run, with the numbers of the flags."""
        recipe = self.recipe
        training = resize(recipe.training, _EPOCHS.value, _BATCH_SIZE.value)
        if self.mode == "cross_entropy":
            return {"cross_entropy": training}
        linear_batch_size = _LINEAR_BATCH_SIZE.value or min(
            recipe.linear_classifier.batch_size, training.batch_size
        )
        linear = resize(recipe.linear_classifier, _LINEAR_EPOCHS.value, linear_batch_size)
        stages = {"pretrain": training, "linear": linear}
        return stages if self.mode == BOTH_STAGES else {self.mode: stages[self.mode]}

    def check_batch_size(self, name: str, stage: Stage) -> None:
        flag = "--linear_batch_size" if name == "linear" else "--batch_size"
        if stage.batch_size % self.replicas:
            raise ValueError(
                f"`{flag}` should be divisible by the number of replicas, {self.replicas}. "
                f"Received: {flag}={stage.batch_size}"
            )
        share, micro = stage.batch_size // self.replicas, _MICRO_BATCH_SIZE.value
        if name == "pretrain" and micro is not None and share % min(micro, share):
            raise ValueError(
                f"`--micro_batch_size` should divide the {share} images of a batch on each of "
                f"{self.replicas} replicas. "
                f"Received: --micro_batch_size={micro}"
            )

    def record(self, name: str) -> dict[str, Any]:
        """What the weights of a stage come from, but for the number of epochs."""
        published = self.recipe.linear_classifier if name == "linear" else self.recipe.training
        stage = dataclasses.asdict(resize(published, None, self.stages[name].batch_size))
        del stage["epochs"]
        encoder = {**self.recipe.encoder.arguments, **self.encoder_flags()}
        source = {
            "dataset": self.dataset,
            "train_split": _TRAIN_SPLIT.value,
            "image_size": self.image_size,
        }
        return {
            "recipe": self.recipe.name,
            **source,
            "seed": _SEED.value,
            "encoder": encoder,
            **stage,
        }

    def check_folder(self) -> None:
        """Raises `ValueError` if the folder holds what this run is not the continuation of."""
        check_folder(
            self.model_dir,
            self.mode,
            self.epochs,
            {name: self.record(name) for name in self.stages},
        )

    @property
    def epochs(self) -> dict[str, int]:
        return {name: stage.epochs for name, stage in self.stages.items()}

    def run(self) -> None:
        """Trains, evaluates and writes the results; goes on where an earlier run in the same folder
        was stopped.
        """
        with contextlib.ExitStack() as stack:
            with one_line_errors():
                if self.is_chief:
                    stack.enter_context(DirectoryLock(self.model_dir))
                self.check_folder()  # once more, now that no other run writes there
            self.stop = StopOnSignal(self.where_to_go_on)
            if self.workers == 1:
                stack.enter_context(self.stop)
            else:  # of which one alone cannot end between two steps
                end_at_once(self.where_to_go_on)
            self.run_stages()

    def where_to_go_on(self) -> str:
        return f"Start it again with the same flags: it goes on {next_position(self.model_dir, self.epochs)}."

    def run_stages(self) -> None:
        results = {}
        if "pretrain" in self.stages:
            results["pretrain"] = self.pretrain()
        if "linear" in self.stages:
            results |= self.train_linear_classifier()
        if "cross_entropy" in self.stages:
            results |= self.train_with_cross_entropy()
        if self.is_chief:
            path = self.model_dir / "results.json"
            with one_line_errors(OSError, InUseError):
                write_json(path, {**self.describe(), **results})
            if "top_1" in results:
                print(
                    f"top-1 {results['top_1']:.2%}, top-5 {results['top_5']:.2%} of "
                    f"{results['images_evaluated']} images"
                )
            print(f"results: {path}")

    def pretrain(self) -> dict[str, Any]:
        stage = self.stages["pretrain"]
        with one_line_errors(), self.strategy.scope():
            encoder = self.make_encoder()
            model = self.make_contrastive_model(encoder)
            model.compile(
                optimizer=make_optimizer(stage, self.steps_per_epoch["pretrain"]),
                loss=make(losses, stage.loss),
                loss_weights=stage.loss_weight,
            )
        summary = self.fit("pretrain", model, self.recipe.num_views)
        self.save(encoder, self.encoder_path)
        wait_for_all(self.strategy)
        return summary

    def train_linear_classifier(self) -> dict[str, Any]:
        stage = self.stages["linear"]
        with one_line_errors(), self.strategy.scope():
            # From the file also after pre-training: replicas may differ in averages that were not
            # synchronized.
            encoder = load_encoder(self.encoder_path)
            model = keras_supcon.LinearClassifier(
                encoder,
                len(self.class_names),
                self.make_augmenter(stage),
                classifier_activation="softmax",
            )
            model.build((None, *self.image_shape))
            if stage.optimizer == "rmsprop":  # the decay of Keras' is outside of the gradient
                add_weight_decay(model, stage)
            self.compile_classifier("linear", model)
        trained = self.fit("linear", model, num_views=1, encoder_digest=digest(encoder))
        results = {"linear": trained, **self.evaluate("linear", model)}
        self.save(model, self.model_dir / "classifier.keras")
        return results

    def train_with_cross_entropy(self) -> dict[str, Any]:
        stage = self.stages["cross_entropy"]
        with one_line_errors(), self.strategy.scope():
            encoder = self.make_encoder()
            images = keras.Input(self.image_shape, dtype="uint8")
            classifier = keras.layers.Dense(
                len(self.class_names), activation="softmax", dtype="float32", name="classifier"
            )
            model = Classifier(images, classifier(encoder(self.make_augmenter(stage)(images))))
            self.compile_classifier("cross_entropy", model)
        results = {
            "cross_entropy": self.fit("cross_entropy", model, num_views=1),
            **self.evaluate("cross_entropy", model),
        }
        self.save(encoder, self.encoder_path)
        self.save(keras.Model(model.inputs, model.outputs), self.model_dir / "classifier.keras")
        return results

    def compile_classifier(self, name: str, model: keras.Model) -> None:
        loss = self.stages[name].loss
        self.top_1 = keras.metrics.CategoricalAccuracy(name="top_1")
        top_5 = keras.metrics.TopKCategoricalAccuracy(min(5, len(self.class_names)), name="top_5")
        model.compile(
            optimizer=make_optimizer(self.stages[name], self.steps_per_epoch[name]),
            loss=make(keras.losses, loss),
            # Weighted, so that images that fill up the last batch of an evaluation do not count.
            weighted_metrics=[self.top_1, top_5, make(keras.metrics, loss, name="cross_entropy")],
        )

    def fit(self, name: str, model: keras.Model, num_views: int, **record: Any) -> dict[str, Any]:
        """Trains a compiled model from its newest checkpoint to the end of its stage.

        Args:
            name: The stage.
            model: Built and compiled.
            num_views: Views of each image in a batch.
            **record: What its weights come from, besides `self.record`.
        """
        stage, folder = self.stages[name], self.model_dir / name
        checkpoint = self.checkpoint(name)
        with one_line_errors():
            record = {**self.record(name), **record}
            refuse_another_run(folder, record)
            position = checkpoint.restore(model)
            epochs_before = (read_record(folder) or {"epochs": stage.epochs})["epochs"]
            self.share_folder(folder, {**record, "epochs": stage.epochs})
        if self.is_chief:
            begin = "done before" if position.epoch >= stage.epochs else where(position)
            print(
                f"\n{name}: {stage.epochs} epochs of {self.steps_per_epoch[name]} batches of "
                f"{stage.batch_size}, {begin}"
            )
            if epochs_before != stage.epochs:
                print(
                    f"The learning rate is that of {stage.epochs} epochs from here on; before it "
                    f"was that of {epochs_before}."
                )
        checkpoint.notes["record"] = {**record, "epochs": stage.epochs}
        log = EpochLog(folder / "epochs.csv", checkpoint, position, self.steps_per_epoch[name])
        callbacks = [*self.tensorboard(folder), log] if self.is_chief else []
        with self.stop.hold(), one_line_errors(OSError, InUseError):
            if self.is_chief:
                log.write()
            checkpoint.fit(
                model,
                lambda position: self.training_batches(name, num_views, position),
                stage.epochs,
                self.steps_per_epoch[name],
                callbacks=[self.stop, *callbacks],
                verbose="auto" if self.is_chief else 0,
            )
        if self.stop.received is not None:
            self.stop.end()
        return {
            "epochs": stage.epochs,
            "batch_size": stage.batch_size,
            "peak_learning_rate": peak_learning_rate(stage),
            "steps": int(keras.ops.convert_to_numpy(model.optimizer.iterations)),
            "loss": log.loss,
        }

    def checkpoint(self, name: str) -> keras_supcon.callbacks.Checkpoint:
        return checkpoint_of(self.model_dir / name, _CHECKPOINT_EVERY.value or "epoch")

    def share_folder(self, folder: pathlib.Path, record: dict[str, Any]) -> None:
        """The chief writes the record of a start, and every worker looks for it.

        Raises:
            RuntimeError: If a worker does not see it: it would go on from other weights than the
                chief.
        """
        start = new_start()
        if self.is_chief:
            write_record(folder, {**record, "start": start})
            (self.model_dir / "results.json").unlink(missing_ok=True)  # of an earlier run
        start = number_of_chief(self.strategy, start)
        if not self.is_chief and not is_seen(folder, start):
            raise RuntimeError(
                "`--model_dir` should be a folder that all workers share. "
                f"Received: --model_dir={self.model_dir}, which on worker {self.worker} is "
                "another than on the first"
            )
        wait_for_all(self.strategy)

    def save(self, model: keras.Model, path: pathlib.Path) -> None:
        """Writes a file that appears whole or not at all."""
        # All workers write one, since on JAX all have to take part in what is computed for it. That
        # of the chief is kept.
        with (
            one_line_errors(OSError, InUseError),
            whole_file(path, keep=self.is_chief) as unfinished,
        ):
            model.save(unfinished)

    def tensorboard(self, folder: pathlib.Path) -> list[keras.callbacks.Callback]:
        if (
            importlib.util.find_spec("tensorboard") is None
        ):  # Keras' callback would fail in the first batch
            reason = "it is not installed (pip install tensorboard)"
        elif (
            self.workers > 1 and keras.backend.backend() == "jax"
        ):  # the chief would wait in it for the others
            reason = "its callback does not run with several processes on JAX"
        else:
            return [keras.callbacks.TensorBoard(folder / "logs", write_graph=False)]
        print(
            f"No curves for TensorBoard: {reason}. The losses are in {folder / 'epochs.csv'}.",
            file=sys.stderr,
        )
        return []

    def evaluate(self, name: str, model: keras.Model) -> dict[str, Any]:
        """Scores every image of the evaluation split once."""
        batch_size = self.stages[name].batch_size
        steps = -(-self.num_eval_images // batch_size)
        batches = self.batches.evaluation(
            self.eval_split, batch_size, steps, self.map_evaluation_image
        )
        # Of the scores `loss` is Keras' mean over the blank images as well; the weighted metrics
        # leave them out.
        scores = model.evaluate(
            batches, steps=steps, return_dict=True, verbose="auto" if self.is_chief else 0
        )
        images_evaluated = round(
            float(keras.ops.convert_to_numpy(self.top_1.count))
        )  # the sum of all weights
        if images_evaluated != self.num_eval_images:
            raise RuntimeError(
                f"{images_evaluated} images were scored, and there are {self.num_eval_images}"
            )
        return {
            "images_evaluated": images_evaluated,
            "top_1": scores["top_1"],
            "top_5": scores["top_5"],
            "eval_loss": scores["cross_entropy"],
        }

    def training_batches(self, name: str, num_views: int, position: Any) -> Any:
        """Batches of one stage from a position on: views for pre-training, images with one-hot
        labels for classifiers.
        """
        stage = self.stages[name]
        map_image = self.map_training_image(stage, num_views)
        one_hot = name != "pretrain"
        return self.batches.training(
            _TRAIN_SPLIT.value, stage.batch_size, stage.epochs, position, map_image, one_hot
        )

    def make_encoder(self) -> keras.Model:
        arguments = self.encoder_flags()
        # On JAX a batch means the global batch anyway.
        is_split = self.replicas > 1 and keras.backend.backend() == "tensorflow"
        arguments["synchronized_batch_norm"] = self.recipe.synchronized_batch_norm and is_split
        encoder = make(encoders, self.recipe.encoder, **arguments)
        if self.recipe.normalize_features:
            encoder = keras.Sequential(
                [encoder, keras.layers.UnitNormalization(dtype="float32")], name="encoder"
            )
        encoder.build((None, *self.image_shape))
        return encoder

    def encoder_flags(self) -> dict[str, Any]:
        given = {"depth": _ENCODER_DEPTH.value, "width": _ENCODER_WIDTH.value}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (*self.image_size, 3)

    def make_contrastive_model(self, encoder: keras.Model) -> keras_supcon.ContrastiveModel:
        recipe = self.recipe
        model = keras_supcon.ContrastiveModel(
            encoder,
            make(layers, recipe.head),
            augmenter=self.make_augmenter(recipe.training),
            num_views=recipe.num_views,
            micro_batch_size=_MICRO_BATCH_SIZE.value,
        )
        model.build((None, *self.image_shape))
        return model

    def make_augmenter(self, stage: Stage, **arguments: Any) -> keras.layers.Layer:
        # In float32, since levels of pixels are lost in bfloat16.
        fixed = {"image_size": self.image_size, "seed": _SEED.value, "dtype": "float32"}
        return make(augmentation, stage.augmentation, **fixed, **arguments)

    def map_training_image(self, stage: Stage, num_views: int) -> Callable[[Any, Any], Any] | None:
        """How an image is read, as `map_image` of `load_epochs`."""
        return in_color if self.dataset == "digits" else None

    def map_evaluation_image(self, encoded: tf.Tensor) -> tf.Tensor:
        padding = (
            self.recipe.evaluation.arguments["crop_padding"]
            * self.image_size[0]
            // self.recipe.image_size[0]
        )
        return keras_supcon.data.decode_and_center(as_file(encoded), self.image_size, padding)

    def describe(self) -> dict[str, Any]:
        own = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
        return {
            "recipe": self.recipe.name,
            "mode": self.mode,
            "dataset": self.dataset,
            "eval_split": self.eval_split,
            "backend": keras.backend.backend(),
            "strategy": type(self.strategy).__name__.strip("_"),
            "replicas": self.replicas,
            "workers": self.workers,
            "devices": keras.distribution.list_devices(),
            "dtype_policy": keras.config.dtype_policy().name,
            "flags": {flag.name: flag.value for flag in own},
        }


class Classifier(distribution.DistributedFit, keras.Model):
    """Encoder and classifier that are trained together."""


def main(make_experiment: Callable[[], Experiment]) -> None:
    """Runs a program; what the user can put right ends it with one line and exit code 1."""

    def run(argv: list[str]) -> None:
        if len(argv) > 1:
            raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
        with one_line_errors():
            experiment = make_experiment()
        try:
            experiment.run()
        except (
            tf.errors.UnavailableError,
            tf.errors.AbortedError,
            tf.errors.CancelledError,
        ) as error:
            if experiment.workers == 1:
                raise
            reason = str(error).strip().partition("\n")[0]  # the text may be empty
            sys.exit(
                f"{program_name()}: Another worker has ended, and training with it. Start all "
                "again: they go on from the "
                f"newest checkpoint. TensorFlow says: {reason}"
            )

    # TensorFlow and TFDS would tell all that they do, and absl repeat it; --verbosity=0 brings the
    # latter back.
    tf.get_logger().setLevel("WARNING")
    logging.set_verbosity(logging.WARNING)
    app.run(run)


def choose_mode(recipe: Recipe) -> str:
    is_contrastive = recipe.method != "cross_entropy"
    mode = _MODE.value or (BOTH_STAGES if is_contrastive else "cross_entropy")
    if (mode != "cross_entropy") != is_contrastive:
        everything = map(keras_supcon.recipes.get, keras_supcon.recipes.names())
        others = [
            other.name
            for other in everything
            if other.dataset == recipe.dataset
            and (other.method == "cross_entropy") == is_contrastive
        ]
        nearest = difflib.get_close_matches(recipe.name, others, n=1, cutoff=0)[0]
        raise ValueError(
            f"`--mode={mode}` needs another recipe, such as {nearest!r}. Received: --mode={mode} "
            f"with {recipe.name!r}"
        )
    return mode


def choose_dtype_policy(recipe: Recipe) -> str:
    if _MIXED_PRECISION.value is not None:
        return "float32" if _MIXED_PRECISION.value == "none" else f"mixed_{_MIXED_PRECISION.value}"
    on_processor = all(device.startswith("cpu") for device in keras.distribution.list_devices())
    return "float32" if on_processor else recipe.dtype_policy
