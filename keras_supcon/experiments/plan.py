"""What a run does: a recipe with the numbers of its settings."""

import dataclasses
import difflib
from typing import Any

import keras

from keras_supcon import recipes
from keras_supcon.experiments.from_recipe import rescale_stage
from keras_supcon.experiments.settings import BOTH_STAGES, Settings
from keras_supcon.recipes import Recipe, Stage


@dataclasses.dataclass(frozen=True)
class Plan:
    """Holds what recipe and settings say together.

    Args:
        recipe: Recipe of the run.
        settings: Settings of the run.

    Raises:
        ValueError: If the mode needs another recipe.
    """

    recipe: Recipe
    settings: Settings

    def __post_init__(self) -> None:
        is_contrastive = self.recipe.method != "cross_entropy"
        if (self.mode == "cross_entropy") == is_contrastive:
            others = [
                other.name
                for other in map(recipes.get, recipes.names())
                if other.dataset == self.recipe.dataset
                and (other.method == "cross_entropy") == is_contrastive
            ]
            nearest = difflib.get_close_matches(self.recipe.name, others, n=1, cutoff=0)[0]
            raise ValueError(
                f"`mode` {self.mode!r} needs another recipe, such as {nearest!r}. Received: "
                f"mode={self.mode!r}, with {self.recipe.name!r}"
            )

    @property
    def mode(self) -> str:
        """What is trained."""
        usual = "cross_entropy" if self.recipe.method == "cross_entropy" else BOTH_STAGES
        return self.settings.mode or usual

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
        if self.mode == "cross_entropy":
            return {"cross_entropy": training}
        linear_batch_size = settings.linear_batch_size or min(
            recipe.linear_classifier.batch_size, training.batch_size
        )
        linear = rescale_stage(recipe.linear_classifier, settings.linear_epochs, linear_batch_size)
        stages = {"pretrain": training, "linear": linear}
        return stages if self.mode == BOTH_STAGES else {self.mode: stages[self.mode]}

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
            "train_split": self.settings.train_split,
            "image_size": self.image_size,
            "host_crops": self.settings.host_crops,
            "seed": self.settings.seed,
            "encoder": {**self.recipe.encoder.arguments, **self.encoder_arguments},
            **numbers,
        }

    def dtype_policy(self) -> str:
        """Returns the name of the dtype policy on the devices of this process."""
        precision = self.settings.mixed_precision
        if precision is not None:
            return "float32" if precision == "none" else f"mixed_{precision}"
        devices = keras.distribution.list_devices()
        on_processor = all(device.startswith("cpu") for device in devices)
        return "float32" if on_processor else self.recipe.dtype_policy

    def check_batch_sizes(self, replicas: int) -> None:
        """Checks that batches divide over replicas, and those over micro-batches.

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
