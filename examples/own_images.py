"""SupCon on your own images: a folder with one folder of images for each class.

    python examples/own_images.py --images=path/to/folder --image_size=64
    --output=my_classifier.keras python examples/own_images.py --images=digits --image_size=16
    --epochs=5  # no network, two CPU cores, two minutes

With --images=digits the digits of this package are first written to build/digits, as such a folder.
Ctrl-C, SIGTERM and SIGHUP save what there is: before the classifier is trained, the pre-trained
model as my_classifier-pretrained.keras.
"""

import pathlib
from typing import Any

import start  # noqa: F401, before the packages that it watches

# isort: split

import keras
import numpy as np
from absl import app, flags
from stopping import StopOnSignal, one_line_errors

import keras_supcon
from keras_supcon.extras import require_extra
from keras_supcon.files import make_writable, whole_file

_IMAGES = flags.DEFINE_string(
    "images",
    None,
    "Folder with one folder of images for each class; 'digits' makes one.",
    required=True,
)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Height and width that the encoder sees.")
_EPOCHS = flags.DEFINE_integer("epochs", 50, "Epochs of contrastive pre-training.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 128, "Images in a batch; the more, the better the contrast."
)
_OUTPUT = flags.DEFINE_string("output", "own_images.keras", "File for the trained classifier.")


def pretrained_path(output: str) -> pathlib.Path:
    """The file that holds the pre-trained model until the classifier is saved."""
    path = pathlib.Path(output)
    return path.with_stem(f"{path.stem}-pretrained")


def _can_be_a_file(path: pathlib.Path) -> bool:
    target = path.resolve()  # where a link leads
    return target.parent.is_dir() and not target.is_dir()


flags.register_validator(
    "output",
    lambda path: (
        path.endswith(".keras")
        and all(_can_be_a_file(one) for one in (pathlib.Path(path), pretrained_path(path)))
    ),
    "--output should end with .keras and lie in a folder that exists; neither it nor its "
    "-pretrained.keras may be a folder",
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


def fit(
    model: keras.Model, train: Any, epochs: int, stop: StopOnSignal, path: pathlib.Path
) -> None:
    """Trains and saves; at Ctrl-C, SIGTERM and SIGHUP the model as it is, and ends the program."""
    with stop.hold():
        model.fit(train, epochs=epochs, shuffle=False, callbacks=[stop])
        save(model, path, stop)  # within `hold`, so that a signal waits for it
    if stop.received is not None:
        stop.end()


def save(model: keras.Model, path: pathlib.Path, stop: StopOnSignal) -> None:
    with one_line_errors(OSError), whole_file(path) as unfinished:
        model.save(unfinished)
    stop.files.append(path)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    folder, size, output = (
        pathlib.Path(_IMAGES.value),
        (_IMAGE_SIZE.value, _IMAGE_SIZE.value),
        pathlib.Path(_OUTPUT.value),
    )
    with one_line_errors(ValueError, OSError, ImportError):  # before training
        require_extra("tensorflow", "tensorflow", by="Reading images")
        if _IMAGES.value == "digits":
            folder = pathlib.Path("build/digits")
            write_digits(folder)
        train = keras_supcon.data.load_folder(folder, "train", _BATCH_SIZE.value, size)
        test = keras_supcon.data.load_folder(folder, "test", _BATCH_SIZE.value, size)
        for path in (output, output.resolve()):
            make_writable(path.absolute().parent)
    print(
        f"{folder}: {len(train.class_names)} classes. Compiling the first step; this takes up to "
        "half a minute.",
        flush=True,
    )

    with StopOnSignal() as stop:
        model = keras_supcon.ContrastiveModel(
            keras_supcon.encoders.ResNet(
                depth=18, width=0.5, stem="cifar" if size[0] <= 64 else "imagenet"
            ),
            keras_supcon.ProjectionHead(output_dim=128, hidden_units=(512,)),
            augmenter=keras_supcon.augmentation.SimAugment(image_size=size),
        )
        model.compile(
            optimizer=keras.optimizers.Adam(1e-3), loss=keras_supcon.SupConLoss(temperature=0.1)
        )
        pretrained = pretrained_path(_OUTPUT.value)
        fit(model, train, _EPOCHS.value, stop, pretrained)

        classifier = keras_supcon.LinearClassifier(
            model.encoder, num_classes=len(train.class_names)
        )
        classifier.compile(
            optimizer=keras.optimizers.Adam(1e-2),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        fit(classifier, train, 10, stop, output)
        stop.files.remove(pretrained)
        pretrained.unlink()  # the classifier holds its encoder
        print("test accuracy:", classifier.evaluate(test, verbose=0, return_dict=True)["accuracy"])


if __name__ == "__main__":
    app.run(main)
