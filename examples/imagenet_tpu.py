r"""SupCon on ImageNet by the authors' recipes: one device, several GPUs or machines, or a TPU.

    python examples/imagenet_tpu.py --data_dir=gs://bucket/tfds --model_dir=/mnt/supcon --tpu=local
    python examples/imagenet_tpu.py --data_dir=tfds --model_dir=supcon --batch_size=1024 \
        --micro_batch_size=64  # GPUs
    KERAS_BACKEND=jax python examples/imagenet_tpu.py --data_dir=tfds --model_dir=supcon \
        --strategy=tpu
    python examples/imagenet_tpu.py --dataset=digits --model_dir=build/trial --batch_size=128 \
        --epochs=2 --linear_epochs=2 --image_size=32 --encoder_depth=10 --encoder_width=0.25

The last one needs no network and half a minute on two CPU cores: it shows that all of it runs, and
is too short to learn. TensorFlow reads the images on JAX too: pip install '.[tensorflow,jax]'.

Several machines: the same command on each, with TF_CONFIG set and a --model_dir that all of them
see. A run that was stopped is resumed by the same command; of its flags only --epochs may change.
If a machine dies, all end, and are started again.

In --model_dir: pretrain/ and linear/ (or cross_entropy/) with run.json, checkpoints, epochs.csv and
logs for TensorBoard, encoder.keras, classifier.keras and results.json, which is written at the end.

A processor decodes of each image the windows of its crops only. All that follows, flip and policy,
is done in the model.
"""

import start  # noqa: F401, before the packages that it watches

# isort: split

import two_stage_flags
from absl import flags

from keras_supcon.experiments import TwoStage

_RECIPE = flags.DEFINE_string(
    "recipe", "supcon_imagenet_resnet50", "Name in keras_supcon.recipes.names()."
)
_DATASET = flags.DEFINE_string("dataset", None, "Name in TFDS, or 'digits'. Default: the recipe's.")
_IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", None, "Height and width at the encoder. Default: the recipe's.", lower_bound=8
)
flags.adopt_module_key_flags(two_stage_flags)


def make_experiment() -> TwoStage:
    size = _IMAGE_SIZE.value
    settings = two_stage_flags.settings(
        dataset=_DATASET.value,
        image_size=None if size is None else (size, size),
        host_crops=True,
    )
    return TwoStage(_RECIPE.value, settings, notes=two_stage_flags.all_flags())


if __name__ == "__main__":
    two_stage_flags.main(make_experiment)
