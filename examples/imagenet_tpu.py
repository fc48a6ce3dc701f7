r"""SupCon on ImageNet by the authors' recipes, on one device, several GPUs, several machines or a
TPU.

    python examples/imagenet_tpu.py --data_dir=gs://bucket/tfds --model_dir=/mnt/supcon --tpu=local
    python examples/imagenet_tpu.py --data_dir=tfds --model_dir=supcon --batch_size=1024
    --micro_batch_size=64  # GPUs KERAS_BACKEND=jax python examples/imagenet_tpu.py --data_dir=tfds
    --model_dir=supcon --strategy=tpu python examples/imagenet_tpu.py --dataset=digits
    --model_dir=build/trial --batch_size=128 --epochs=2 --linear_epochs=2 \
        --image_size=32 --encoder_depth=10 --encoder_width=0.25  # no network, two CPU cores, half a
        minute, to try it

TensorFlow reads the images on JAX too: pip install '.[tensorflow,jax]'.

Several machines: the same command on each, with TF_CONFIG set and a --model_dir that all of them
see. A run that was stopped goes on when it is started again; of its flags only --epochs may change.
If a machine dies, all end, and are started again.

In --model_dir: pretrain/ and linear/ (or cross_entropy/) with run.json, checkpoints, epochs.csv and
logs for TensorBoard, encoder.keras, classifier.keras and results.json, which is written at the end.

A processor decodes of each image the windows of its crops alone. All that follows, flip and policy,
is done in the model.
"""

from collections.abc import Callable
from typing import Any

import start  # noqa: F401, before the packages that it watches

# isort: split

import keras
import recipe_to_keras
import tensorflow as tf
import two_stage
from absl import flags
from image_batches import as_file

import keras_supcon
from keras_supcon.recipes import Stage

_RECIPE = flags.DEFINE_string(
    "recipe", "supcon_imagenet_resnet50", "Name in keras_supcon.recipes.names()."
)
_DATASET = flags.DEFINE_string("dataset", None, "Name in TFDS, or 'digits'. Default: the recipe's.")
_IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", None, "Height and width at the encoder. Default: the recipe's.", lower_bound=8
)
flags.adopt_module_key_flags(two_stage)


class ImageNet(two_stage.Experiment):
    """Crops are made where images are decoded, on the host, and the rest of the augmentation where
    the encoder is.
    """

    def map_training_image(self, stage: Stage, num_views: int) -> Callable[[Any, Any], Any]:
        crop_area = stage.augmentation.arguments["crop_area"]

        def crop(encoded: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            encoded = as_file(encoded)
            crops = [
                keras_supcon.data.decode_and_crop(
                    encoded, tf.random.fold_in(seed, view), self.image_size, crop_area
                )
                for view in range(num_views)
            ]
            return crops[0] if num_views == 1 else tf.stack(crops)

        return crop

    def make_augmenter(self, stage: Stage, **arguments: Any) -> keras.layers.Layer:
        # Of a square the only rectangle with all of its area is the square itself.
        return super().make_augmenter(stage, crop_area=(1.0, 1.0), **arguments)

    def make_contrastive_model(self, encoder: keras.Model) -> keras_supcon.ContrastiveModel:
        # Views that come ready made are not given to the model's own augmenter, and are in [0, 1]
        # for the encoder.
        augmenter = self.make_augmenter(self.recipe.training, value_range=(0, 1))
        model = keras_supcon.ContrastiveModel(
            keras.Sequential([augmenter, encoder]),
            recipe_to_keras.make(keras_supcon.layers, self.recipe.head),
            num_views=self.recipe.num_views,
            micro_batch_size=flags.FLAGS.micro_batch_size,
        )
        model.build((None, self.recipe.num_views, *self.image_shape))
        return model


def make_experiment() -> ImageNet:
    recipe = keras_supcon.recipes.get(_RECIPE.value)
    dataset = _DATASET.value or recipe.dataset
    eval_split = "validation" if dataset == "imagenet2012" else "test"
    image_size = (
        recipe.image_size if _IMAGE_SIZE.value is None else (_IMAGE_SIZE.value, _IMAGE_SIZE.value)
    )
    return ImageNet(recipe, dataset, eval_split, image_size)


if __name__ == "__main__":
    two_stage.main(make_experiment)
