"""SupCon on your own images: a folder with one folder of images for each class.

    python examples/own_images.py --images=path/to/folder --image_size=64 --output=my_classifier.keras
    python examples/own_images.py --images=digits --image_size=16 --epochs=5  # no network, two CPU cores, two minutes

With --images=digits the digits of this package are first written to build/digits, as such a folder.
"""

import pathlib
import sys

import start  # noqa: F401, before the packages that it watches

# isort: split

import keras
import numpy as np
from absl import app, flags

import keras_supcon
from keras_supcon.extras import require_extra

_IMAGES = flags.DEFINE_string(
    "images", None, "Folder with one folder of images for each class; 'digits' makes one.", required=True
)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Height and width that the encoder sees.")
_EPOCHS = flags.DEFINE_integer("epochs", 50, "Epochs of contrastive pre-training.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images in a batch; the more, the better the contrast.")
_OUTPUT = flags.DEFINE_string("output", "own_images.keras", "File for the trained classifier.")
flags.register_validator(
    "output",
    lambda path: path.endswith(".keras") and pathlib.Path(path).absolute().parent.is_dir(),
    "--output should end with .keras and lie in a folder that exists",
)


def write_digits(folder: pathlib.Path) -> None:
    """Writes the digits as PNG files, in a folder for each class."""
    import tensorflow as tf

    images, labels = map(np.concatenate, zip(*map(read_digits, ("train", "test")), strict=True))
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / str(label) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png(image).numpy())


def read_digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    return keras_supcon.data.load_arrays("digits", split)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    folder, size = pathlib.Path(_IMAGES.value), (_IMAGE_SIZE.value, _IMAGE_SIZE.value)
    try:
        require_extra("tensorflow", "tensorflow", by="Reading images")
        if _IMAGES.value == "digits":
            folder = pathlib.Path("build/digits")
            write_digits(folder)
        train = keras_supcon.data.load_folder(folder, "train", _BATCH_SIZE.value, size)
        test = keras_supcon.data.load_folder(folder, "test", _BATCH_SIZE.value, size)
    except (ValueError, OSError, ImportError) as error:  # before training
        sys.exit(f"own_images.py: {error}")
    print(f"{folder}: {len(train.class_names)} classes. Compiling the first step; this takes up to half a minute.", flush=True)

    model = keras_supcon.ContrastiveModel(
        keras_supcon.encoders.ResNet(depth=18, width=0.5, stem="cifar" if size[0] <= 64 else "imagenet"),
        keras_supcon.ProjectionHead(output_dim=128, hidden_units=(512,)),
        augmenter=keras_supcon.augmentation.SimAugment(image_size=size),
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=keras_supcon.SupConLoss(temperature=0.1))
    model.fit(train, epochs=_EPOCHS.value, shuffle=False)

    classifier = keras_supcon.LinearClassifier(model.encoder, num_classes=len(train.class_names))
    classifier.compile(optimizer=keras.optimizers.Adam(1e-2), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    classifier.fit(train, epochs=10, shuffle=False)
    print("test accuracy:", classifier.evaluate(test, verbose=0, return_dict=True)["accuracy"])
    classifier.save(_OUTPUT.value)


if __name__ == "__main__":
    app.run(main)
