r"""SupCon on your own images: a folder with one folder of images for each class.

    python examples/own_images.py --images=path/to/folder --image_size=64 \
        --output=my_classifier.keras
    python examples/own_images.py --images=digits --image_size=16 --epochs=5

The last one needs no network and two minutes on two CPU cores: the digits of this package are first
written to build/digits, as such a folder. Ctrl-C, SIGTERM and SIGHUP save what there is: before the
classifier is trained, the pre-trained model as my_classifier-pretrained.keras.
"""

import pathlib

import start  # noqa: F401, before the packages that it watches

# isort: split

import keras
import numpy as np
from absl import app, flags

import keras_supcon
from keras_supcon.experiments import StopOnSignal, make_writable, one_line_errors

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
    """Returns the file of the pre-trained model, which is removed when the classifier is saved."""
    path = pathlib.Path(output)
    return path.with_stem(f"{path.stem}-pretrained")


def can_be_written(output: str) -> bool:
    """Returns whether both files have the right name and lie in a folder that exists."""
    targets = [pathlib.Path(output).resolve(), pretrained_path(output).resolve()]  # behind links
    are_files = all(path.parent.is_dir() and not path.is_dir() for path in targets)
    return output.endswith(".keras") and are_files


flags.register_validator(
    "output",
    can_be_written,
    "--output should end with .keras and lie in a folder that exists; neither it nor its "
    "-pretrained.keras may be a folder",
)


def write_digits(folder: pathlib.Path) -> None:
    """Writes the digits as PNG files, in a folder for each class."""
    import tensorflow as tf

    for number, (image, label) in enumerate(
        pair
        for split in ("train", "test")
        for pair in zip(*keras_supcon.data.load_arrays("digits", split), strict=True)
    ):
        path = folder / str(label) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png(np.asarray(image)).numpy())


def train(data, size: tuple[int, int], stop: StopOnSignal) -> keras_supcon.LinearClassifier:
    """Trains and saves the pre-trained model, then the classifier."""
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
    with stop.saving(model, pretrained):
        model.fit(data, epochs=_EPOCHS.value, shuffle=False, callbacks=[stop])

    classifier = keras_supcon.LinearClassifier(model.encoder, num_classes=len(data.class_names))
    classifier.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    with stop.saving(classifier, pathlib.Path(_OUTPUT.value)):
        classifier.fit(data, epochs=10, shuffle=False, callbacks=[stop])
    stop.files.remove(pretrained)
    pretrained.unlink()  # the classifier holds its encoder
    return classifier


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    folder, output = pathlib.Path(_IMAGES.value), pathlib.Path(_OUTPUT.value)
    size = (_IMAGE_SIZE.value, _IMAGE_SIZE.value)
    with one_line_errors(ValueError, OSError, ImportError):  # before training
        if _IMAGES.value == "digits":
            folder = pathlib.Path("build/digits")
            write_digits(folder)
        training, test = (
            keras_supcon.data.load_folder(folder, split, _BATCH_SIZE.value, size)
            for split in ("train", "test")
        )
        for path in (output, output.resolve()):
            make_writable(path.absolute().parent)
    print(
        f"{folder}: {len(training.class_names)} classes. Compiling the first step; this takes up "
        "to half a minute.",
        flush=True,
    )
    with StopOnSignal() as stop, one_line_errors(OSError):
        classifier = train(training, size, stop)
        accuracy = classifier.evaluate(test, verbose=0, return_dict=True)["accuracy"]
        print("test accuracy:", accuracy)


if __name__ == "__main__":
    app.run(main)
