"""Every operation at five magnitudes and every policy six times, on two images.

    python examples/show_augmentations.py --output_dir=build/augmentations
    python examples/show_augmentations.py --images=digits

It needs no network and half a minute. The photographs are those that scikit-learn ships, the digits
those of this package.
"""

import pathlib

import start  # noqa: F401, before the packages that it watches

# isort: split

import numpy as np
from absl import app, flags
from keras import ops
from matplotlib.figure import Figure

from keras_supcon import augmentation, data
from keras_supcon.experiments import make_writable, one_line_errors, whole_file

_IMAGES = flags.DEFINE_enum(
    "images", "photographs", ["photographs", "digits"], "What is augmented."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "build/augmentations", "Folder for operations.jpg and recipes.jpg."
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the random numbers.")
_SIZE = flags.DEFINE_integer("size", 96, "Height and width of each small picture.", lower_bound=24)

MAGNITUDES = (0.0, 0.25, 0.5, 0.75, 1.0)
NUM_VIEWS = 6

# From a magnitude from 0 to 1 to the arguments of a layer whose strength has another name.
STRENGTHS = {
    "RandomColorJitter": lambda m: {
        "brightness": 0.8 * m,
        "contrast": 0.8 * m,
        "saturation": 0.8 * m,
        "hue": 0.2 * m,
    },
    "RandomGaussianBlur": lambda m: {"sigma": (0.1 + 1.9 * m, 0.1 + 1.9 * m), "kernel_size": 9},
    "RandomGrayscale": lambda m: {},
    "RandomSolarize": lambda m: {"threshold": 1 - m},
    "RandomWarp": lambda m: {"max_length": 0.2 * m},
}
WITH_MAGNITUDE = (
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "Posterize",
    "Solarize",
    "SolarizeAdd",
    "Color",
    "Contrast",
    "Brightness",
    "Sharpness",
    "Cutout",
)
WITHOUT_MAGNITUDE = ("AutoContrast", "Equalize", "Invert")
OPERATIONS = (*WITH_MAGNITUDE, *WITHOUT_MAGNITUDE, *STRENGTHS)


def read_images(kind: str, size: int) -> list[np.ndarray]:
    """Returns two square uint8 images `(size, size, 3)`: photographs of scikit-learn, or digits."""
    square = augmentation.CenterCropResize((size, size), crop_padding=0)
    if kind == "digits":
        images = np.repeat(data.load_arrays("digits", "test")[0][:2], 3, axis=-1)
    else:
        from sklearn.datasets import load_sample_images

        images = np.stack(load_sample_images().images)
    return list(np.round(255 * ops.convert_to_numpy(square(images))).astype("uint8"))


def make_operation(name: str, magnitude: float, seed: int) -> augmentation.RandomApply:
    """Returns the layer of an operation at a magnitude from 0 (left) to 1 (right)."""
    arguments = {"magnitude": magnitude} if name in WITH_MAGNITUDE else {}
    arguments = STRENGTHS[name](magnitude) if name in STRENGTHS else arguments
    return getattr(augmentation, name)(**arguments, probability=1.0, seed=seed)


def show_operations(images: list[np.ndarray], seed: int) -> list[tuple[str, list[np.ndarray]]]:
    """Returns for every operation its name and five pictures; the images take turns by row."""
    rows = []
    for row, name in enumerate(OPERATIONS):
        image = images[row % len(images)]
        pictures = [
            ops.convert_to_numpy(make_operation(name, m, seed)(image, training=True)) / 255
            for m in MAGNITUDES
        ]
        rows.append((name, pictures))
    return rows


def show_policies(
    images: list[np.ndarray], size: int, seed: int
) -> list[tuple[str, list[np.ndarray]]]:
    """Returns for every policy its name and some views of each image."""
    policies = {
        "CenterCropResize": augmentation.CenterCropResize((size, size)),
        "SimAugment": augmentation.SimAugment((size, size), seed=seed),
        "SimAugment, strength 0.5": augmentation.SimAugment((size, size), strength=0.5, seed=seed),
        "AutoAugment, imagenet": augmentation.AutoAugment((size, size), seed=seed),
        "AutoAugment, cifar10": augmentation.AutoAugment((size, size), policy="cifar10", seed=seed),
        "AutoAugment, svhn": augmentation.AutoAugment((size, size), policy="svhn", seed=seed),
        "RandAugment, magnitude 0.9": augmentation.RandAugment(
            (size, size), magnitude=0.9, seed=seed
        ),
        "StackedRandAugment": augmentation.StackedRandAugment((size, size), seed=seed),
    }
    repeated = np.repeat(np.stack(images), NUM_VIEWS, axis=0)
    return [
        (name, list(ops.convert_to_numpy(policy(repeated, training=True))))
        for name, policy in policies.items()
    ]


def draw(rows: list[tuple[str, list[np.ndarray]]], blocks: int, path: pathlib.Path) -> None:
    """Writes named rows of pictures, in some blocks side by side, without resizing them."""
    per_row = max(len(pictures) for _, pictures in rows)
    size, label, gap, dots = rows[0][1][0].shape[0], 15, 3, 100
    rows_in_block = -(-len(rows) // blocks)
    block_width = per_row * (size + gap) + 12
    width, height = blocks * block_width, rows_in_block * (size + gap + label)
    figure = Figure(figsize=(width / dots, height / dots), dpi=dots)
    for index, (name, pictures) in enumerate(rows):
        block, row = divmod(index, rows_in_block)
        left, top = block * block_width + 4, row * (size + gap + label)
        figure.text(left / width, 1 - (top + label - 3) / height, name, fontsize=8, va="baseline")
        for column, picture in enumerate(pictures):
            x, y = left + column * (size + gap), height - top - label - size
            axes = figure.add_axes((x / width, y / height, size / width, size / height))
            axes.imshow(np.clip(picture, 0, 1), interpolation="nearest")
            axes.set_axis_off()
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, pil_kwargs={"quality": 92, "subsampling": 0})


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    folder, size, seed = pathlib.Path(_OUTPUT_DIR.value), _SIZE.value, _SEED.value
    small, large = (read_images(_IMAGES.value, pixels) for pixels in (size, 2 * size))
    with one_line_errors():
        make_writable(folder)
        draw(show_operations(small, seed), 2, folder / "operations.jpg")
        draw(show_policies(large, size, seed), 1, folder / "recipes.jpg")
    print(f"Operations at magnitudes {MAGNITUDES} and recipes: {folder}")


if __name__ == "__main__":
    app.run(main)
