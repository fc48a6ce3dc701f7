"""The two places where images become views: the model, or the host that decodes them."""

import dataclasses
from typing import Any

import keras

from keras_supcon import augmentation, data
from keras_supcon.experiments.from_recipe import assemble_pretraining_model, make_component
from keras_supcon.experiments.image_batches import MapImage, to_color, to_encoded
from keras_supcon.models import PretrainingModel
from keras_supcon.recipes import Recipe, Stage
from keras_supcon.seeds import derive_seed
from keras_supcon.typing import Tensor


@dataclasses.dataclass(frozen=True)
class ViewsInModel:
    """Images are read whole, and the model makes the views.

    Args:
        recipe: Recipe of the run.
        dataset: Name of the data set.
        image_size: Height and width at the encoder.
        seed: Seed of the augmentation.
    """

    recipe: Recipe
    dataset: str
    image_size: tuple[int, int]
    seed: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of an image at the encoder."""
        return (*self.image_size, 3)

    @property
    def pretraining_shape(self) -> tuple[int, int, int]:
        """Shape of a sample of pre-training."""
        return self.image_shape

    def map_image(self, stage: Stage, num_views: int) -> MapImage | None:
        """Returns the function that reads an image for training, for `load_epochs`."""
        return to_color if self.dataset == "digits" else None

    def augmenter(self, stage: Stage, **arguments: Any) -> keras.layers.Layer:
        """Makes the augmentation of a stage that is part of the model."""
        # In float32, since levels of pixels are lost in bfloat16.
        fixed = {"image_size": self.image_size, "seed": self.seed, "dtype": "float32"}
        return make_component(augmentation, stage.augmentation, **{**fixed, **arguments})

    def pretraining_augmenter(self) -> keras.layers.Layer:
        """Makes the augmentation of pre-training."""
        return self.augmenter(self.recipe.training)

    def pretraining_model(
        self, encoder: keras.Model, total_steps: int, **arguments: Any
    ) -> PretrainingModel:
        """Makes and builds the model of pre-training around an encoder.

        Args:
            encoder: The encoder.
            total_steps: Steps of pre-training.
            **arguments: As in `assemble_pretraining_model`.
        """
        model = assemble_pretraining_model(
            self.recipe,
            encoder,
            augmenter=self.pretraining_augmenter(),
            total_steps=total_steps,
            **arguments,
        )
        model.build((None, *self.pretraining_shape))
        return model


class ViewsOnHost(ViewsInModel):
    """The host decodes the crops, from their windows of the files; the device does the rest.

    A sample of pre-training holds its crops one above the other, so that the model takes it for an
    image, of which its augmenter makes the views. `neighbor_self` of `NNCLR` tells images by these
    crops, which differ in every epoch.
    """

    @property
    def pretraining_shape(self) -> tuple[int, int, int]:
        height, width = self.image_size
        return (height * self.recipe.num_views, width, 3)

    def map_image(self, stage: Stage, num_views: int) -> MapImage:
        """Returns the function that decodes the crops of an image, for `load_epochs`."""
        import tensorflow as tf

        policies = _policies(ViewsInModel.augmenter(self, stage), num_views)
        areas = [getattr(policy, "crop", policy).crop_area for policy in policies]

        def crop(image: Tensor, seed: Tensor) -> Tensor:
            encoded = to_encoded(image)
            crops = [
                data.decode_and_crop(
                    encoded, tf.random.fold_in(seed, view), self.image_size, crop_area
                )
                for view, crop_area in enumerate(areas)
            ]
            return tf.concat(crops, axis=0)

        return crop

    def augmenter(self, stage: Stage, **arguments: Any) -> keras.layers.Layer:
        """Makes the augmentation of a stage after its crops."""
        # The only rectangle with all of the area of a square is the square itself.
        return super().augmenter(stage, crop_area=(1.0, 1.0), **arguments)

    def pretraining_augmenter(self) -> keras.layers.Layer:
        """Makes the augmentation of pre-training, whose views are each of their own crop."""
        stage, num_views = self.recipe.training, self.recipe.num_views
        first = self.augmenter(stage)
        if isinstance(first, augmentation.MultiView):
            policies = _policies(first, num_views)
        else:  # one layer would draw the same numbers for each of its places
            seeds = [derive_seed(self.seed, "view", view) for view in range(1, num_views)]
            policies = [first, *(self.augmenter(stage, seed=seed) for seed in seeds)]
        chains = [
            keras.Sequential([TakeCrop(view, self.image_size[0]), policy])
            for view, policy in enumerate(policies)
        ]
        return augmentation.MultiView(chains, dtype="float32")


@keras.saving.register_keras_serializable(package="keras_supcon")
class TakeCrop(keras.layers.Layer):
    """Takes one of the crops that lie one above the other.

    Args:
        place: Number of the crop, from the top.
        height: Height of a crop.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.
    """

    def __init__(self, place: int, height: int, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.place, self.height = place, height

    def call(self, images: Tensor) -> Tensor:
        begin = self.place * self.height
        return images[:, begin : begin + self.height]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.height, *input_shape[2:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "place": self.place, "height": self.height}


def _policies(augmenter: keras.layers.Layer, num_views: int) -> list[keras.layers.Layer]:
    """Returns the policy of each view."""
    if isinstance(augmenter, augmentation.MultiView):
        return augmenter.augmenters
    return [augmenter] * num_views
