"""Training by a recipe: pre-training or cross-entropy, and a classifier on its encoder."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from keras_supcon import data, distribution, encoders, losses, recipes
from keras_supcon.callbacks import Position
from keras_supcon.experiments.from_recipe import (
    add_weight_decay,
    make_component,
    make_optimizer,
)
from keras_supcon.experiments.image_batches import ImageBatches, keep_encoded, to_encoded
from keras_supcon.experiments.image_views import ViewsInModel, ViewsOnHost
from keras_supcon.experiments.plan import Plan
from keras_supcon.experiments.run_folder import (
    CLASSIFIER,
    ENCODER,
    ENCODER_WITH_HEAD,
    RESULTS,
    check_run_folder,
    load_encoder,
    next_position,
    weights_digest,
    write_json,
)
from keras_supcon.experiments.settings import Settings
from keras_supcon.experiments.stage_training import StageTraining
from keras_supcon.experiments.stopping import StopOnSignal, exit_on_signal
from keras_supcon.experiments.workers import Workers
from keras_supcon.files import DirectoryLock, whole_file
from keras_supcon.models import LinearClassifier, encoder_with_head
from keras_supcon.recipes import Component, Recipe, Stage
from keras_supcon.typing import Dataset, Tensor


class TwoStage:
    """Trains by a recipe in a folder, and resumes there what was stopped.

    `run` does all stages of the settings' mode: pre-training by the method of the recipe, or the
    training of encoder and classifier with cross-entropy; then the linear classifier on the frozen
    encoder, or fine-tuning, if the recipe has it; and the evaluation. `pretrain` and
    `train_classifier` do one of them.

    In the folder of each stage, `pretrain`, `linear` or `cross_entropy`, are run.json, checkpoints,
    epochs.csv and logs for TensorBoard; beside them encoder.keras, classifier.keras and
    results.json, and encoder_with_head.keras if the classifier is on layers of the head. A training
    that was stopped or killed is resumed by the same settings, and ends with the bits of an
    undisturbed one. Only the numbers of epochs may change.

    The constructor chooses the devices, sets Keras' random seed and reads the description of the
    data set, but writes nothing. The methods set the global dtype policy of the run, and restore
    the one before.

    Args:
        recipe: Recipe, or its name in `keras_supcon.recipes.names()`.
        settings: Data, folder, devices, and what replaces numbers of the recipe.
        notes: What else results.json says of the run, fit for JSON.

    Attributes:
        mode: What is trained.
        stages: Stages of the run, by name, with the numbers of the settings.
        steps_per_epoch: Batches in an epoch, by stage.
        class_names: Names of the classes.
        output_dir: Folder of the run.
        replicas: Number of devices that share a batch.
        workers: Number of processes.
        is_chief: Whether this process is the one that writes and prints.

    Raises:
        ValueError: If recipe, settings, environment and data do not go together, or if the folder
            holds another run.
        RuntimeError: If the TPU cannot be reached or the data set cannot be prepared.

    Example:

    >>> import tempfile
    >>> from keras_supcon.experiments import Settings, TwoStage
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     small = {"image_size": (8, 8), "encoder_depth": 10, "encoder_width": 0.125}
    ...     data = {"dataset": "digits", "batch_size": 256, "epochs": 1, "verbose": False}
    ...     settings = Settings(output_dir=folder, **data, **small)
    ...     results = TwoStage("supcontrast_supcon_cifar10_resnet50", settings).pretrain()
    >>> results["epochs"], results["steps"]
    (1, 5)
    """

    def __init__(
        self, recipe: Recipe | str, settings: Settings, notes: Mapping[str, Any] | None = None
    ) -> None:
        self.recipe = recipe if isinstance(recipe, Recipe) else recipes.get(recipe)
        self.settings, self.notes = settings, dict(notes or {})
        self._plan = plan = Plan(self.recipe, settings)
        self.mode, self.stages = plan.mode, plan.stages
        backend = keras.backend.backend()
        if backend not in ("tensorflow", "jax"):
            raise ValueError(
                f"KERAS_BACKEND should be tensorflow or jax. Received: KERAS_BACKEND={backend}"
            )
        self.output_dir = pathlib.Path(settings.output_dir)
        self._workers = Workers.join(settings.strategy, settings.tpu, settings.num_virtual_cpus)
        self.replicas, self.workers = self._workers.replicas, self._workers.count
        self.is_chief = self._workers.is_chief
        if backend != "tensorflow":
            import tensorflow as tf

            tf.config.set_visible_devices([], "GPU")  # TensorFlow only reads the images
        keras.utils.set_random_seed(settings.seed)
        plan.check_batch_sizes(self.replicas)
        self._classified = ENCODER_WITH_HEAD if self.recipe.head_layers else ENCODER
        if self.mode == "linear" and not (self.output_dir / self._classified).is_file():
            raise ValueError(
                f"`output_dir` should hold {self._classified}, which mode={plan.first_stage!r} "
                f"writes. Received: output_dir={str(self.output_dir)!r}"
            )
        self._check_folder()
        self._batches = ImageBatches(plan.dataset, settings.data_dir, settings.seed, self._workers)
        self.steps_per_epoch: dict[str, int] = {}
        hosts = self._workers.hosts
        for name, stage in self.stages.items():
            train = self._batches.read(
                plan.train_split(name), stage.batch_size // hosts, keep_encoded, shard=(0, hosts)
            )
            self.steps_per_epoch[name] = train.steps_per_epoch
        self.class_names: list[str] = train.class_names
        if self.mode != "pretrain":
            evaluation = self._batches.read(plan.eval_split, 1, keep_encoded)
            self._num_eval_images = evaluation.num_examples
        self._views = (ViewsOnHost if settings.host_crops else ViewsInModel)(
            dataclasses.replace(self.recipe, model=self._model()),
            plan.dataset,
            plan.image_size,
            settings.seed,
        )
        self._folder_lock = DirectoryLock(self.output_dir)
        self._stop = StopOnSignal()  # handles no signal until it is entered

    def run(self, handle_signals: bool = False) -> dict[str, Any]:
        """Trains and evaluates all stages of the mode, and writes results.json.

        Args:
            handle_signals: Whether Ctrl-C, SIGTERM and SIGHUP end the program between two steps,
                with a checkpoint and an exit code of 128 plus the number of the signal. It is for
                programs, and needs the main thread. Of several workers each ends at once.

        Returns:
            The content of results.json: the settings, the devices, the results of each stage, and
            `top_1`, `top_5`, `eval_loss` and `images_evaluated` if there is a classifier.

        Raises:
            ValueError: If the folder holds another run, or a model cannot be made.
            RuntimeError: If another process trains in the folder, a file there is damaged, or
                another worker has ended.
            OSError: If the folder cannot be written to.
        """
        with self._running(handle_signals):
            stages: dict[str, Any] = {}
            if "pretrain" in self.stages:
                stages["pretrain"] = self._pretrain()
            if self.mode != "pretrain":
                stages |= self._train_classifier()
            results = {**self._describe(), **stages}
            if self.is_chief:
                write_json(self.output_dir / RESULTS, results)
        return results

    def pretrain(self) -> dict[str, Any]:
        """Trains the encoder by the method of the recipe, and writes encoder.keras.

        Returns:
            The epochs, batch size, peak learning rate, steps and last loss, and in a run with a
            second stage the scores of a classifier of the first, `joint`.

        Raises:
            ValueError: If the mode has no pre-training; and as in `run`.
            RuntimeError: As in `run`.
            OSError: As in `run`.
        """
        if "pretrain" not in self.stages:
            raise ValueError(f"`mode` should have pre-training. Received: mode={self.mode!r}")
        with self._running():
            return self._pretrain()

    def train_classifier(self) -> dict[str, Any]:
        """Trains and evaluates the classifier, and writes classifier.keras.

        It is the linear classifier on encoder.keras or, with `mode="cross_entropy"`, encoder and
        classifier together; with `mode="cross_entropy_then_linear"` one after the other.

        Returns:
            The results of the stage, by its name, and those of the evaluation.

        Raises:
            ValueError: If the mode has no classifier; and as in `run`.
            RuntimeError: As in `run`; and if encoder.keras is missing or damaged.
            OSError: As in `run`.
        """
        if self.mode == "pretrain":
            raise ValueError(f"`mode` should have a classifier. Received: mode={self.mode!r}")
        with self._running():
            return self._train_classifier()

    @contextlib.contextmanager
    def _running(self, handle_signals: bool = False) -> Iterator[None]:
        """Returns the context of training: folder, precision, signals."""
        with contextlib.ExitStack() as stack:
            if self.is_chief:
                stack.enter_context(self._folder_lock)
            self._check_folder()  # once more, now that no other run writes there
            stack.enter_context(_dtype_policy(self._plan.dtype_policy()))
            self._stop = StopOnSignal(self._how_to_resume)
            if handle_signals and self.workers == 1:
                stack.enter_context(self._stop)
            elif handle_signals:  # one of several cannot end alone between two steps
                exit_on_signal(self._how_to_resume)
            try:
                yield
            except Exception as error:
                if not self._workers.has_ended(error):
                    raise
                reason = str(error).strip().partition("\n")[0]  # the text may be empty
                raise RuntimeError(
                    "Another worker has ended, and training with it. Start all again: they go on "
                    f"from the newest checkpoint. TensorFlow says: {reason}"
                ) from error

    def _how_to_resume(self) -> str:
        position = next_position(self.output_dir, self._plan.epochs)
        return f"Start it again with the same settings: it resumes {position}."

    def _check_folder(self) -> None:
        check_run_folder(self.output_dir, self.mode, self._plan.epochs, self._plan.records)

    def _pretrain(self) -> dict[str, Any]:
        stage = self.stages["pretrain"]
        with self._workers.strategy.scope():
            encoder = self._make_encoder()
            model = self._views.pretraining_model(
                encoder,
                total_steps=stage.epochs * self.steps_per_epoch["pretrain"],
                micro_batch_size=self.settings.micro_batch_size,
                synchronized_batch_norm=self._synchronizes_batch_norm,
            )
            add_weight_decay(model, stage)
            model.compile(
                optimizer=make_optimizer(stage, self.steps_per_epoch["pretrain"]),
                loss=make_component(losses, stage.loss),
                loss_weights=stage.loss_weight,
            )
        results = self._fit("pretrain", model, self.recipe.num_views)
        self._save(encoder, ENCODER)
        if getattr(model, "classifier", None) is not None and self.mode != "pretrain":
            results["joint"] = self._evaluate_joint_classifier(encoder, model.classifier)
        if self.recipe.head_layers:
            joined = encoder_with_head(encoder, model.projection_head, self.recipe.head_layers)
            joined.build((None, *self._views.image_shape))
            self._save(joined, ENCODER_WITH_HEAD)
        self._workers.wait()
        return results

    def _train_classifier(self) -> dict[str, Any]:
        if "cross_entropy" not in self.stages:
            return self._train_linear_classifier()
        results = self._train_with_cross_entropy()
        if "linear" not in self.stages:
            return results
        first = results.pop("cross_entropy")
        self._workers.wait()
        return {"cross_entropy": {**first, **results}, **self._train_linear_classifier()}

    def _train_linear_classifier(self) -> dict[str, Any]:
        stage = self.stages["linear"]
        with self._workers.strategy.scope():
            # From the file also after pre-training: replicas may differ in averages that were not
            # synchronized.
            encoder = load_encoder(self.output_dir / self._classified, self._plan.first_stage)
            model = LinearClassifier(
                encoder,
                len(self.class_names),
                augmenter=self._views.augmenter(stage),
                classifier_activation="softmax",
                trainable_encoder=self.recipe.fine_tunes_encoder,
                encoder_training_mode=self.recipe.fine_tunes_encoder,
            )
            model.build((None, *self._views.image_shape))
            add_weight_decay(model, stage)
            metrics = self._compile_classifier("linear", model)
        trained = self._fit("linear", model, num_views=1, encoder_digest=weights_digest(encoder))
        results = {"linear": trained, **self._evaluate("linear", model, metrics)}
        self._save(model, CLASSIFIER)
        return results

    def _train_with_cross_entropy(self) -> dict[str, Any]:
        stage = self.stages["cross_entropy"]
        with self._workers.strategy.scope():
            encoder = self._make_encoder()
            images = keras.Input(self._input_shape(stage), dtype="uint8")
            classifier = keras.layers.Dense(
                len(self.class_names), activation="softmax", dtype="float32", name="classifier"
            )
            features = encoder(self._views.augmenter(stage)(images))
            model = Classifier(images, classifier(features))
            add_weight_decay(model, stage)
            metrics = self._compile_classifier("cross_entropy", model)
        results = {
            "cross_entropy": self._fit("cross_entropy", model, num_views=1),
            **self._evaluate("cross_entropy", model, metrics),
        }
        self._save(encoder, ENCODER)
        if "linear" not in self.stages:
            self._save(keras.Model(model.inputs, model.outputs), CLASSIFIER)
        return results

    def _input_shape(self, stage: Stage) -> tuple[int | None, ...]:
        """Returns the shape of an image, of which training and evaluation may have other sizes."""
        train = self._batches.read(
            self.settings.train_split, stage.batch_size, self._views.map_image(stage, 1)
        )
        shape = self._views.image_shape
        size = train.element_spec[0].shape[1:3]
        return shape if size == shape[:2] else (None, None, shape[-1])

    def _model(self) -> Component:
        """Returns the model of pre-training; a joint classifier has the classes of the data."""
        model = self._plan.model
        if "classifier" not in model.arguments:
            return model
        return Component(model.name, {**model.arguments, "classifier": len(self.class_names)})

    def _make_encoder(self) -> keras.Model:
        encoder = make_component(
            encoders,
            self.recipe.encoder,
            synchronized_batch_norm=self._synchronizes_batch_norm,
            **self._plan.encoder_arguments,
        )
        if self.recipe.normalize_features:
            encoder = keras.Sequential(
                [encoder, keras.layers.UnitNormalization(dtype="float32")], name="encoder"
            )
        encoder.build((None, *self._views.image_shape))
        return encoder

    @property
    def _synchronizes_batch_norm(self) -> bool:
        # On JAX a batch means the global batch anyway.
        is_split = self.replicas > 1 and keras.backend.backend() == "tensorflow"
        return self.recipe.synchronized_batch_norm and is_split

    def _compile_classifier(self, name: str, model: keras.Model) -> list[keras.metrics.Metric]:
        """Compiles a classifier, and returns its weighted metrics."""
        loss = self.stages[name].loss
        # Weighted, so that images that fill up the last batch of an evaluation do not count.
        metrics = [
            keras.metrics.CategoricalAccuracy(name="top_1"),
            keras.metrics.TopKCategoricalAccuracy(min(5, len(self.class_names)), name="top_5"),
            make_component(keras.metrics, loss, name="cross_entropy"),
        ]
        model.compile(
            optimizer=make_optimizer(self.stages[name], self.steps_per_epoch[name]),
            loss=make_component(keras.losses, loss),
            weighted_metrics=metrics,
        )
        return metrics

    def _fit(self, name: str, model: keras.Model, num_views: int, **record: Any) -> dict[str, Any]:
        """Trains a compiled model to the end of its stage.

        Args:
            name: Name of the stage.
            model: Model, built and compiled.
            num_views: Views of each image in a batch.
            **record: What its weights depend on besides the plan.
        """
        training = StageTraining(
            name,
            self.stages[name],
            {**self._plan.records[name], **record},
            self.steps_per_epoch[name],
            self.output_dir,
            self._workers,
            self.settings.checkpoint_every,
            self._stop,
            verbose=self._verbose,
        )
        return training.fit(model, self._training_batches(name, num_views))

    def _training_batches(self, name: str, num_views: int) -> Callable[[Position], Dataset]:
        stage = self.stages[name]
        map_image = self._views.map_image(stage, num_views)
        one_hot, split = name != "pretrain", self._plan.train_split(name)
        return lambda position: self._batches.training(
            split, stage.batch_size, stage.epochs, position, map_image, one_hot
        )

    def _save(self, model: keras.Model, name: str) -> None:
        # All workers write a file, since on JAX all have to take part in what is computed for it.
        # That of the chief is kept.
        with whole_file(self.output_dir / name, keep=self.is_chief) as unfinished:
            model.save(unfinished)

    def _evaluate(
        self, name: str, model: keras.Model, metrics: list[keras.metrics.Metric]
    ) -> dict[str, Any]:
        """Scores every image of the evaluation split once."""
        batch_size = self.stages[name].batch_size
        steps = -(-self._num_eval_images // batch_size)
        batches = self._batches.evaluation(
            self._plan.eval_split, batch_size, steps, self._decode_for_evaluation
        )
        # Of the scores `loss` is Keras' mean over the blank images as well; the weighted metrics
        # leave them out.
        scores = model.evaluate(
            batches, steps=steps, return_dict=True, verbose="auto" if self._verbose else 0
        )
        sum_of_weights = float(keras.ops.convert_to_numpy(metrics[0].count))
        if round(sum_of_weights) != self._num_eval_images:
            raise RuntimeError(
                f"{sum_of_weights} images were scored, and there are {self._num_eval_images}"
            )
        return {
            "images_evaluated": self._num_eval_images,
            "top_1": scores["top_1"],
            "top_5": scores["top_5"],
            "eval_loss": scores["cross_entropy"],
        }

    def _evaluate_joint_classifier(
        self, encoder: keras.Model, classifier: keras.layers.Layer
    ) -> dict[str, Any]:
        """Scores the classifier that was trained beside the encoder in the first stage."""
        with self._workers.strategy.scope():
            images = keras.Input(self._views.image_shape)
            softmax = keras.layers.Softmax(dtype="float32")
            model = Classifier(images, softmax(classifier(encoder(images))))
            metrics = self._compile_classifier("linear", model)
        return self._evaluate("linear", model, metrics)

    def _decode_for_evaluation(self, image: Tensor) -> Tensor:
        # In pixels at the size of the recipe.
        padding = self.recipe.evaluation.arguments["crop_padding"]
        size = self._plan.image_size
        padding = padding * size[0] // self.recipe.image_size[0]
        return data.decode_and_center(to_encoded(image), size, padding)

    @property
    def _verbose(self) -> bool:
        return self.is_chief and self.settings.verbose

    def _describe(self) -> dict[str, Any]:
        settings = dataclasses.asdict(self.settings)
        return {
            "recipe": self.recipe.name,
            "mode": self.mode,
            "dataset": self._plan.dataset,
            "eval_split": self._plan.eval_split,
            "backend": keras.backend.backend(),
            "strategy": type(self._workers.strategy).__name__.strip("_"),
            "replicas": self.replicas,
            "workers": self.workers,
            "devices": keras.distribution.list_devices(),
            "dtype_policy": self._plan.dtype_policy(),
            "settings": settings,
            **self.notes,
        }


class Classifier(distribution.DistributedFit, keras.Model):
    """Encoder and classifier that are trained together."""


@contextlib.contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    """Returns a context with another global dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
