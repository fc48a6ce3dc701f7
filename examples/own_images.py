"""SupCon on your own images: a folder with one folder of images for each class.

python examples/own_images.py --images=path/to/folder --image_size=64 --output=my_classifier.keras
"""

import pathlib

import keras
from absl import app, flags

import keras_supcon

_IMAGES = flags.DEFINE_string("images", None, "Folder with one folder of images for each class.", required=True)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Height and width that the encoder sees.")
_EPOCHS = flags.DEFINE_integer("epochs", 50, "Epochs of contrastive pre-training.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images in a batch; the more, the better the contrast.")
_OUTPUT = flags.DEFINE_string("output", "own_images.keras", "File for the trained classifier.")
flags.register_validator(
    "output",
    lambda path: path.endswith(".keras") and pathlib.Path(path).absolute().parent.is_dir(),
    "--output should end with .keras and lie in a folder that exists",
)


def main(argv: list[str]) -> None:
    del argv
    size = (_IMAGE_SIZE.value, _IMAGE_SIZE.value)
    train = keras_supcon.data.load_folder(_IMAGES.value, "train", _BATCH_SIZE.value, size)
    test = keras_supcon.data.load_folder(_IMAGES.value, "test", _BATCH_SIZE.value, size)

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
