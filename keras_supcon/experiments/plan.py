"""What a run does: a recipe with the numbers of its settings."""

import dataclasses
import difflib
from typing import Any

import keras

from keras_supcon import recipes
from keras_supcon.experiments.from_recipe import rescale_stage
from keras_supcon.experiments.settings import Settings
from keras_supcon.recipes import Component, Recipe, Stage


@dataclasses.dataclass(frozen=True)
class Plan:
    """Holds what recipe and settings say together.

    Args:
        recipe: Recipe of the run.
        settings: Settings of the run.

    Raises:
        ValueError: If the mode needs another recipe, or the recipe keeps more layers of its head
            than that has.
    """

    recipe: Recipe
    settings: Settings

    def __post_init__(self) -> None:
        if self.mode not in _modes(self.recipe):
            others = [
                other.name
                for other in map(recipes.get, recipes.names())
                if other.dataset == self.recipe.dataset and self.mode in _modes(other)
            ]
            nearest = difflib.get_close_matches(self.recipe.name, others, n=1, cutoff=0)[0]
            raise ValueError(
                f"`mode` {self.mode!r} needs another recipe, such as {nearest!r}. Received: "
                f"mode={self.mode!r}, with {self.recipe.name!r}"
            )
        head = self.recipe.head
        hidden = len(head.arguments.get("hidden_units", ())) if head is not None else 0
        if self.recipe.head_layers > hidden:
            raise ValueError(
                f"`head_layers` of the recipe should be at most {hidden}, the number of hidden "
                f"layers of its head. Received: head_layers={self.recipe.head_layers}"
            )

    @property
    def mode(self) -> str:
        """What is trained."""
        return self.settings.mode or _modes(self.recipe)[-1]

    @property
    def first_stage(self) -> str:
        """Name of the stage that trains the encoder first."""
        return _first_stage(self.recipe)

    @property
    def model(self) -> Component:
        """The model of pre-training, with the queue of the settings."""
        model, queue_size = self.recipe.model, self.settings.queue_size
        if queue_size is None or "queue_size" not in model.arguments:
            return model
        return dataclasses.replace(model, arguments={**model.arguments, "queue_size": queue_size})

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.settings.dataset or self.recipe.dataset

    @property
    def eval_split(self) -> str:
        """Images to measure on."""
        usual = "validation" if self.dataset == "imagenet2012" else "test"
        return self.settings.eval_split or usual

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width at the encoder."""
        return self.settings.image_size or self.recipe.image_size

    @property
    def encoder_arguments(self) -> dict[str, Any]:
        """Arguments of the encoder that replace those of the recipe."""
        given = {"depth": self.settings.encoder_depth, "width": self.settings.encoder_width}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def stages(self) -> dict[str, Stage]:
        """Stages of the run, by name, in order."""
        settings, recipe = self.settings, self.recipe
        training = rescale_stage(recipe.training, settings.epochs, settings.batch_size)
        stages = {self.first_stage: training}
        if recipe.linear_classifier is None:
            return stages
        linear_batch_size = settings.linear_batch_size or min(
            recipe.linear_classifier.batch_size, training.batch_size
        )
        linear = rescale_stage(recipe.linear_classifier, settings.linear_epochs, linear_batch_size)
        stages["linear"] = linear
        return {self.mode: stages[self.mode]} if self.mode in stages else stages

    def train_split(self, name: str) -> str:
        """Training images of a stage."""
        own = self.settings.linear_train_split if name == "linear" else None
        return own or self.settings.train_split

    @property
    def epochs(self) -> dict[str, int]:
        """Epochs of each stage."""
        return {name: stage.epochs for name, stage in self.stages.items()}

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        """What the weights of each stage depend on, except the number of epochs."""
        return {name: self._record(name) for name in self.stages}

    def _record(self, name: str) -> dict[str, Any]:
        published = self.recipe.linear_classifier if name == "linear" else self.recipe.training
        stage = rescale_stage(published, batch_size=self.stages[name].batch_size)
        numbers = dataclasses.asdict(stage)
        del numbers["epochs"]
        return {
            "recipe": self.recipe.name,
            "dataset": self.dataset,
            "train_split": self.train_split(name),
            "image_size": self.image_size,
            "host_crops": self.settings.host_crops,
            "seed": self.settings.seed,
            "encoder": {**self.recipe.encoder.arguments, **self.encoder_arguments},
            **numbers,
            **self._record_of_networks(name),
        }

    def _record_of_networks(self, name: str) -> dict[str, Any]:
        recipe = self.recipe
        if name == "linear":
            own = ("head_layers", "fine_tunes_encoder")
            return {field: getattr(recipe, field) for field in own}
        if name == "cross_entropy":
            return {}
        parts = {
            "model": self.model,
            "head": recipe.head,
            "prediction_head": recipe.prediction_head,
        }
        return {part: one and dataclasses.asdict(one) for part, one in parts.items()}

    def dtype_policy(self) -> str:
        """Returns the name of the dtype policy on the devices of this process."""
        precision = self.settings.mixed_precision
        if precision is not None:
            return "float32" if precision == "none" else f"mixed_{precision}"
        devices = keras.distribution.list_devices()
        on_processor = all(device.startswith("cpu") for device in devices)
        return "float32" if on_processor else self.recipe.dtype_policy

    def check_batch_sizes(self, replicas: int) -> None:
        """Checks that batches divide over replicas and micro-batches, and fit into a queue.

        Raises:
            ValueError: If they do not.
        """
        for name, stage in self.stages.items():
            argument = "linear_batch_size" if name == "linear" else "batch_size"
            if stage.batch_size % replicas:
                raise ValueError(
                    f"`{argument}` should be divisible by the number of replicas, {replicas}. "
                    f"Received: {argument}={stage.batch_size}"
                )
            rows, micro = stage.batch_size // replicas, self.settings.micro_batch_size
            if name == "pretrain" and micro is not None and rows % min(micro, rows):
                raise ValueError(
                    f"`micro_batch_size` should divide the {rows} images of a batch on each of "
                    f"{replicas} replicas. Received: micro_batch_size={micro}"
                )
        self._check_queue()

    def _check_queue(self) -> None:
        arguments = self.model.arguments
        if "pretrain" not in self.stages or "queue_size" not in arguments:
            return
        views = 2 if arguments.get("symmetric") else 1
        keys = views * self.stages["pretrain"].batch_size
        if arguments["queue_size"] < keys:
            raise ValueError(
                f"`queue_size` should be at least the {keys} keys of a batch. Received: "
                f"queue_size={arguments['queue_size']}"
            )


def _first_stage(recipe: Recipe) -> str:
    return "cross_entropy" if recipe.method == "cross_entropy" else "pretrain"


def _modes(recipe: Recipe) -> tuple[str, ...]:
    """Returns what may be trained by a recipe, all of its stages last."""
    first = _first_stage(recipe)
    has_classifier = recipe.linear_classifier is not None
    return (first, "linear", f"{first}_then_linear") if has_classifier else (first,)
