"""The two places where images become views: the model, or the host that decodes them."""

import dataclasses

import keras

from keras_supcon import augmentation, data, layers
from keras_supcon.experiments.from_recipe import make_component
from keras_supcon.experiments.image_batches import MapImage, to_color, to_encoded
from keras_supcon.models import ContrastiveModel
from keras_supcon.recipes import Recipe, Stage
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

    def map_image(self, stage: Stage, num_views: int) -> MapImage | None:
        """Returns the function that reads an image for training, for `load_epochs`."""
        return to_color if self.dataset == "digits" else None

    def augmenter(self, stage: Stage, **arguments: object) -> keras.layers.Layer:
        """Makes the augmentation of a stage that is part of the model."""
        # In float32, since levels of pixels are lost in bfloat16.
        fixed = {"image_size": self.image_size, "seed": self.seed, "dtype": "float32"}
        return make_component(augmentation, stage.augmentation, **fixed, **arguments)

    def contrastive_model(
        self, encoder: keras.Model, micro_batch_size: int | None
    ) -> ContrastiveModel:
        """Makes and builds the model of pre-training around an encoder."""
        model = ContrastiveModel(
            encoder,
            make_component(layers, self.recipe.head),
            augmenter=self.augmenter(self.recipe.training),
            num_views=self.recipe.num_views,
            micro_batch_size=micro_batch_size,
        )
        model.build((None, *self.image_shape))
        return model


class ViewsOnHost(ViewsInModel):
    """The host decodes the crops, from their windows of the files; the device does the rest."""

    def map_image(self, stage: Stage, num_views: int) -> MapImage:
        """Returns the function that decodes the crops of an image, for `load_epochs`."""
        import tensorflow as tf

        crop_area = stage.augmentation.arguments["crop_area"]

        def crop(image: Tensor, seed: Tensor) -> Tensor:
            encoded = to_encoded(image)
            crops = [
                data.decode_and_crop(
                    encoded, tf.random.fold_in(seed, view), self.image_size, crop_area
                )
                for view in range(num_views)
            ]
            return crops[0] if num_views == 1 else tf.stack(crops)

        return crop

    def augmenter(self, stage: Stage, **arguments: object) -> keras.layers.Layer:
        """Makes the augmentation of a stage after its crops."""
        # The only rectangle with all of the area of a square is the square itself.
        return super().augmenter(stage, crop_area=(1.0, 1.0), **arguments)

    def contrastive_model(
        self, encoder: keras.Model, micro_batch_size: int | None
    ) -> ContrastiveModel:
        """Makes and builds the model of pre-training, whose inputs are crops as views."""
        # The augmenter of the model does not see views that come ready made. They are in [0, 1] for
        # the encoder.
        augmenter = self.augmenter(self.recipe.training, value_range=(0, 1))
        model = ContrastiveModel(
            keras.Sequential([augmenter, encoder]),
            make_component(layers, self.recipe.head),
            num_views=self.recipe.num_views,
            micro_batch_size=micro_batch_size,
        )
        model.build((None, self.recipe.num_views, *self.image_shape))
        return model
