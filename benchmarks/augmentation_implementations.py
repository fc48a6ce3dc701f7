"""One view of a batch of images as this package and its peers make it, and the process for it.

`benchmarks/augmentation.py` starts this file once per measurement, so that thread pools and
compiled programs of one library do not disturb another. It needs only NumPy and the measured
library (no absl, and no TensorFlow where a peer has none).

The SimCLR recipe is everywhere a random-resized crop of 0.2 to 1 of the area, a left-right flip,
with probability 0.8 a jitter of brightness, contrast and saturation by 0.4 and of hue by 0.1, and
gray with probability 0.2. Each library draws and computes these in its own way (order, clipping,
antialiasing): the times are of its recipe, and the pixels differ.

The policies of this package crop, resize and flip first; those of the peers do not. A peer's policy
gets images that already have the size of the view, so that the missing steps cost it nothing.
"""

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import torch_device, versions, wait_for_torch

CROP_AREA = (0.2, 1.0)
ASPECT_RATIO = (3 / 4, 4 / 3)
# Largest change of brightness, contrast and saturation; the hue changes by up to HUE turns.
JITTER = 0.4
HUE = 0.1
JITTER_PROBABILITY = 0.8
GRAYSCALE_PROBABILITY = 0.2
NUM_OPS = 2
MAGNITUDE = 0.5
# Fewest batches of a window, because those of a parallel map come in groups.
MIN_BATCHES = 8
# Batches in which `measure` counts the views that are unlike every other.
NUM_COMPARED_BATCHES = 8

# One call makes the views of one batch, `(batch, height, width, 3)`, and waits for them.
Step = Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class Implementation:
    # A key of RECIPES.
    recipe: str
    label: str
    # The Python interpreter: "tensorflow" (with keras-cv), "neutral" (Keras, JAX and torch) or
    # "peers" (torch, kornia, albumentations).
    environment: str
    # (uint8 images (batch, height, width, 3), size of the views) -> Step
    prepare: Callable[[np.ndarray, int], Step]
    backend: str = "tensorflow"


def our_layer(recipe: str, size: int):
    from keras_supcon import augmentation as A  # noqa: N812

    image_size = (size, size)
    if recipe == "simaugment":
        return A.SimAugment(image_size, strength=0.5, crop_area=CROP_AREA, blur_probability=0.0)
    if recipe == "simaugment_blur":
        return A.SimAugment(image_size, strength=0.5, crop_area=CROP_AREA)
    if recipe == "rand_augment":
        return A.RandAugment(image_size, num_ops=NUM_OPS, magnitude=MAGNITUDE)
    if recipe == "auto_augment":
        return A.AutoAugment(image_size, policy="imagenet")
    return A.StackedRandAugment(image_size)


def ours_in_tf_data(images, size, recipe: str) -> Step:
    layer = our_layer(recipe, size)
    return tf_data_step(lambda images: layer(images, training=True), images)


def ours_in_xla(images, size, recipe: str) -> Step:
    import tensorflow as tf

    layer = our_layer(recipe, size)
    images = tf.constant(images)
    augment = tf.function(
        lambda images: layer(images, training=True), autograph=False, jit_compile=True
    )
    return lambda: augment(images)


def ours_in_jax(images, size, recipe: str) -> Step:
    import jax

    layer = our_layer(recipe, size)
    images = jax.numpy.asarray(images)
    layer.build(images.shape)
    augment = jax.jit(lambda state, images: layer.stateless_call([], state, images, training=True))
    state = [variable.value for variable in layer.non_trainable_variables]  # of the random numbers

    def step():
        nonlocal state
        views, state = jax.block_until_ready(augment(state, images))
        return views

    return step


def ours_in_torch(images, size, recipe: str) -> Step:
    layer = our_layer(recipe, size)
    return torch_step(lambda images: layer(images, training=True), images)


def keras_cv_simclr(images, size) -> Step:
    from keras_cv import layers

    augment = in_sequence(
        layers.RandomCropAndResize(
            (size, size), crop_area_factor=CROP_AREA, aspect_ratio_factor=ASPECT_RATIO
        ),
        layers.RandomFlip("horizontal"),
        layers.RandomApply(
            layers.RandomColorJitter(
                value_range=(0, 255),
                brightness_factor=JITTER,
                contrast_factor=JITTER,
                saturation_factor=saturation_factor(),
                hue_factor=HUE,
            ),
            rate=JITTER_PROBABILITY,
        ),
        layers.RandomApply(layers.Grayscale(output_channels=3), rate=GRAYSCALE_PROBABILITY),
        layers.Rescaling(1 / 255),
    )
    return tf_data_step(augment, images)


def keras_simclr(images, size) -> Step:
    """Returns the part of the recipe that Keras has.

    It has no random-resized crop; a resize to the size of the view and a random zoom into its
    middle, height and width apart, take its place. It has no layer that applies another with a
    probability, so all images are jittered.
    """
    from keras import layers

    smallest_side = CROP_AREA[0] ** 0.5
    augment = in_sequence(
        layers.Rescaling(1 / 255),
        layers.Resizing(size, size),
        functools.partial(
            layers.RandomZoom((smallest_side - 1, 0.0), (smallest_side - 1, 0.0)), training=True
        ),
        functools.partial(layers.RandomFlip("horizontal"), training=True),
        functools.partial(
            layers.RandomColorJitter(
                value_range=(0, 1),
                brightness_factor=JITTER,
                contrast_factor=JITTER,
                saturation_factor=saturation_factor(),
                hue_factor=HUE,
            ),
            training=True,
        ),
        functools.partial(layers.RandomGrayscale(GRAYSCALE_PROBABILITY), training=True),
    )
    return tf_data_step(augment, images)


def tf_image_simclr(images, size) -> Step:
    """Returns the usual code of a `tf.data` pipeline.

    Functions of `tf.image` are mapped over single images, which are then batched.
    """
    import tensorflow as tf

    def with_probability(probability, change, image):
        return tf.cond(tf.random.uniform(()) < probability, lambda: change(image), lambda: image)

    def jitter(image):
        image = tf.image.random_brightness(image, JITTER)
        image = tf.image.random_contrast(image, 1 - JITTER, 1 + JITTER)
        image = tf.image.random_saturation(image, 1 - JITTER, 1 + JITTER)
        return tf.image.random_hue(image, HUE)

    def augment(image):
        begin, extent, _ = tf.image.sample_distorted_bounding_box(
            tf.shape(image),
            tf.zeros((1, 0, 4)),
            area_range=CROP_AREA,
            aspect_ratio_range=ASPECT_RATIO,
            use_image_if_no_bounding_boxes=True,
        )
        image = (
            tf.image.resize(
                tf.ensure_shape(tf.slice(image, begin, extent), (None, None, 3)), (size, size)
            )
            / 255
        )
        image = tf.image.random_flip_left_right(image)
        image = with_probability(JITTER_PROBABILITY, jitter, image)
        image = with_probability(
            GRAYSCALE_PROBABILITY,
            lambda image: tf.image.grayscale_to_rgb(tf.image.rgb_to_grayscale(image)),
            image,
        )
        return tf.clip_by_value(image, 0, 1)

    return tf_data_step(augment, images, one_by_one=True)


def albumentations_simclr(images, size) -> Step:
    """Augments one image after another on one thread, in uint8 until the end.

    A worker of a PyTorch data loader does the same.
    """
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would look for a newer version on the network
    import albumentations
    import cv2

    cv2.setNumThreads(1)
    factors = (1 - JITTER, 1 + JITTER)
    augment = albumentations.Compose(
        [
            albumentations.RandomResizedCrop((size, size), scale=CROP_AREA, ratio=ASPECT_RATIO),
            albumentations.HorizontalFlip(p=0.5),
            albumentations.ColorJitter(
                brightness=factors,
                contrast=factors,
                saturation=factors,
                hue=(-HUE, HUE),
                p=JITTER_PROBABILITY,
            ),
            albumentations.ToGray(p=GRAYSCALE_PROBABILITY),
        ]
    )

    def step():
        views = np.empty((len(images), size, size, 3), "float32")
        for image, view in zip(images, views, strict=True):
            np.multiply(augment(image=image)["image"], np.float32(1 / 255), out=view)
        return views

    return step


def kornia_simclr(images, size) -> Step:
    import kornia.augmentation

    augment = kornia.augmentation.AugmentationSequential(
        # Of its two ways to crop this is the one that kornia recommends for speed.
        kornia.augmentation.RandomResizedCrop(
            (size, size), scale=CROP_AREA, ratio=ASPECT_RATIO, cropping_mode="slice"
        ),
        kornia.augmentation.RandomHorizontalFlip(p=0.5),
        kornia.augmentation.ColorJitter(JITTER, JITTER, JITTER, HUE, p=JITTER_PROBABILITY),
        kornia.augmentation.RandomGrayscale(p=GRAYSCALE_PROBABILITY),
        transformation_matrix_mode="skip",
    )
    return kornia_step(augment, images)


def keras_rand_augment(images, size, one_by_one: bool = False) -> Step:
    """Chooses the operations once for each call: for a batch, or `one_by_one` for an image."""
    import keras

    layer = keras.layers.RandAugment(value_range=(0, 255), num_ops=NUM_OPS, factor=MAGNITUDE)
    return tf_data_step(
        lambda images: layer(images, training=True) / 255, centre(images, size), one_by_one
    )


def keras_cv_rand_augment(images, size) -> Step:
    import keras_cv

    layer = keras_cv.layers.RandAugment(
        value_range=(0, 255), augmentations_per_image=NUM_OPS, magnitude=MAGNITUDE
    )
    return tf_data_step(lambda images: layer(images) / 255, centre(images, size))


def kornia_rand_augment(images, size) -> Step:
    from kornia.augmentation.auto import RandAugment

    return kornia_step(
        RandAugment(n=NUM_OPS, m=int(30 * MAGNITUDE)), centre(images, size)
    )  # m counts up to 30


def kornia_auto_augment(images, size) -> Step:
    from kornia.augmentation.auto import AutoAugment

    return kornia_step(AutoAugment("imagenet"), centre(images, size))


def saturation_factor() -> tuple[float, float]:
    """Returns the bounds of the saturation for keras-cv and Keras.

    They change it by `f / (1 - f)`; the bounds `f` give 1 - JITTER and 1 + JITTER.
    """
    low, high = (1 - JITTER, 1 + JITTER)
    return (low / (1 + low), high / (1 + high))


def centre(images: np.ndarray, size: int) -> np.ndarray:
    top, left = (images.shape[1] - size) // 2, (images.shape[2] - size) // 2
    return np.ascontiguousarray(images[:, top : top + size, left : left + size])


def in_sequence(*layers: Callable) -> Callable:
    def augment(images):
        for layer in layers:
            images = layer(images)
        return images

    return augment


def tf_data_step(augment: Callable, images: np.ndarray, one_by_one: bool = False) -> Step:
    """Maps `augment` over batches in parallel, or `one_by_one` over images, batched after."""
    import tensorflow as tf

    # The number of cores, which tf.data.AUTOTUNE would reach later.
    num_calls = os.cpu_count()
    if one_by_one:
        dataset = (
            tf.data.Dataset.from_tensor_slices(images)
            .repeat()
            .map(augment, num_parallel_calls=num_calls)
        )
        dataset = dataset.batch(len(images), drop_remainder=True, num_parallel_calls=num_calls)
    else:
        dataset = (
            tf.data.Dataset.from_tensors(images).repeat().map(augment, num_parallel_calls=num_calls)
        )
    iterator = iter(dataset.prefetch(tf.data.AUTOTUNE))
    return lambda: next(iterator)


def torch_step(augment: Callable, images: np.ndarray) -> Step:
    import torch

    torch.set_num_threads(os.cpu_count())
    images = torch.from_numpy(images).to(torch_device())

    @torch.inference_mode()
    def step():
        views = augment(images)
        wait_for_torch()
        return views

    return step


def kornia_step(augment: Callable, images: np.ndarray) -> Step:
    """Calls Kornia, which takes and returns float images in [0, 1] with the channels first."""
    return torch_step(
        lambda images: augment(images.permute(0, 3, 1, 2).float() / 255).permute(0, 2, 3, 1), images
    )


RECIPES = {
    "simaugment": "SimCLR without blur",
    "simaugment_blur": "SimCLR with blur",
    "rand_augment": "RandAugment",
    "auto_augment": "AutoAugment",
    "stacked_rand_augment": "Stacked RandAugment",
}
PEERS = {
    "keras_cv": Implementation(
        "simaugment", "keras-cv layers in tf.data", "tensorflow", keras_cv_simclr
    ),
    "keras": Implementation(
        "simaugment", "Keras layers in tf.data, zoom for crop", "tensorflow", keras_simclr
    ),
    "tf_image": Implementation(
        "simaugment", "tf.image on each image in tf.data", "tensorflow", tf_image_simclr
    ),
    "albumentations": Implementation(
        "simaugment", "albumentations, one process", "peers", albumentations_simclr, "torch"
    ),
    "kornia": Implementation("simaugment", "kornia", "peers", kornia_simclr, "torch"),
    "keras_rand_augment": Implementation(
        "rand_augment", "Keras RandAugment, one choice a batch", "tensorflow", keras_rand_augment
    ),
    "keras_rand_augment_one_by_one": Implementation(
        "rand_augment",
        "Keras RandAugment on each image",
        "tensorflow",
        functools.partial(keras_rand_augment, one_by_one=True),
    ),
    "keras_cv_rand_augment": Implementation(
        "rand_augment", "keras-cv RandAugment", "tensorflow", keras_cv_rand_augment
    ),
    "kornia_rand_augment": Implementation(
        "rand_augment",
        "kornia RandAugment, one choice a batch",
        "peers",
        kornia_rand_augment,
        "torch",
    ),
    "kornia_auto_augment": Implementation(
        "auto_augment",
        "kornia AutoAugment, one choice a batch",
        "peers",
        kornia_auto_augment,
        "torch",
    ),
}


def implementations_of(recipe: str) -> dict[str, Implementation]:
    """Returns ours in `tf.data`, ours compiled, then the peers.

    The others of the recipe are compared with the first one.
    """
    ours = {
        "tf_data": ("keras_supcon in tf.data", "tensorflow", ours_in_tf_data, "tensorflow"),
        "xla": ("keras_supcon on TensorFlow, jit_compile", "tensorflow", ours_in_xla, "tensorflow"),
        "jax": ("keras_supcon on JAX, jit", "neutral", ours_in_jax, "jax"),
        "torch": ("keras_supcon on torch", "neutral", ours_in_torch, "torch"),
    }
    return {
        f"{recipe}_{name}": Implementation(
            recipe, label, environment, functools.partial(prepare, recipe=recipe), backend
        )
        for name, (label, environment, prepare, backend) in ours.items()
    } | {name: peer for name, peer in PEERS.items() if peer.recipe == recipe}


IMPLEMENTATIONS = {
    name: implementation
    for recipe in RECIPES
    for name, implementation in implementations_of(recipe).items()
}
PACKAGES = (
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "keras-cv",
    "jax",
    "torch",
    "kornia",
    "albumentations",
    "opencv-python-headless",
    "numpy",
)


def one_image_repeated(batch_size: int, size: int) -> np.ndarray:
    """Returns a batch of equal images: different views then show that each had its own draws."""
    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), "uint8")
    return np.repeat(image, batch_size, axis=0)


def check_views(views: np.ndarray, shape: tuple[int, ...]) -> None:
    """Ends the program if these are not views: a rate would then mean nothing."""
    if views.shape != shape or views.dtype != "float32":
        raise SystemExit(
            f"the views should be float32 of shape {shape}. Received: {views.dtype} of shape "
            f"{views.shape}"
        )
    low, high = views.min(), views.max()
    if not (-1e-3 <= low <= high <= 1 + 1e-3):  # NaN is wrong too
        raise SystemExit(f"the views should be in [0, 1]. Received: views from {low} to {high}")


def window(step: Step, batch_size: int, window_seconds: float) -> dict[str, float]:
    """Takes steps for `window_seconds` or MIN_BATCHES, whichever is longer."""
    num_steps = 0
    start, cpu_start, busy_start = time.perf_counter(), time.process_time(), busy_seconds()
    while num_steps < MIN_BATCHES or time.perf_counter() - start < window_seconds:
        step()
        num_steps += 1
    # The time of the process is that of all its threads.
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    other_seconds = max(0.0, busy_seconds() - busy_start - cpu_seconds)
    return {
        "images": num_steps * batch_size,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "other_cpu_seconds": other_seconds,
    }


def busy_seconds() -> float:
    """Returns the processor time of this machine since it started.

    It is that of all processes and of the time that a hypervisor took (proc(5), stat).
    """
    jiffies = [
        int(number) for number in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]
    ]
    idle = jiffies[3] + jiffies[4]  # idle and waiting for input or output
    return (sum(jiffies) - idle) / os.sysconf("SC_CLK_TCK")


def measure(prepare: Callable, arguments: argparse.Namespace) -> dict[str, Any]:
    """Counts images in windows until there are `windows` of them.

    After `seconds` two windows are enough.
    """
    images = one_image_repeated(arguments.batch_size, arguments.input_size)
    step = prepare(images, arguments.size)
    start = time.perf_counter()
    step()  # traces and compiles
    first_step_seconds = time.perf_counter() - start
    num_distinct = 0
    for _ in range(NUM_COMPARED_BATCHES):
        views = np.asarray(step())
        check_views(views, (arguments.batch_size, arguments.size, arguments.size, 3))
        num_distinct += len({view.tobytes() for view in views})
    del views
    window(
        step, arguments.batch_size, arguments.window_seconds
    )  # caches, and what a pipeline had made in advance
    windows: list[dict[str, float]] = []
    while len(windows) < 2 or (
        len(windows) < arguments.windows
        and sum(part["seconds"] for part in windows) < arguments.seconds
    ):
        windows.append(window(step, arguments.batch_size, arguments.window_seconds))
    return {
        "windows": windows,
        "first_step_seconds": first_step_seconds,
        "distinct_views": num_distinct / (NUM_COMPARED_BATCHES * arguments.batch_size),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", choices=IMPLEMENTATIONS, required=True)
    parser.add_argument("--input_size", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--window_seconds", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    arguments = parser.parse_args()
    measurement = measure(IMPLEMENTATIONS[arguments.worker].prepare, arguments)
    print(json.dumps({**measurement, "versions": versions(PACKAGES)}))


if __name__ == "__main__":
    main()
