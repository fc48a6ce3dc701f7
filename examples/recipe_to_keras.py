"""What a published recipe becomes in Keras, on every backend.

    python examples/recipe_to_keras.py --recipe=supcon_imagenet_resnet50

prints the parts of the pre-training of a recipe, and trains a small encoder with it on the digits:
no network, some ten seconds on two CPU cores. The rates of the recipes for CIFAR-10 are too high
for so few steps: the loss stays at that of chance, log(255) for 256 views.
"""

import start  # noqa: F401, before the packages that it watches

# isort: split

import numpy as np
from absl import app, flags

from keras_supcon import data, experiments, losses, recipes
from keras_supcon.recipes import Recipe

_RECIPE = flags.DEFINE_string(
    "recipe",
    "supcon_imagenet_resnet50",
    "Name in keras_supcon.recipes.names(), of any method but cross-entropy.",
)
_EPOCHS = flags.DEFINE_integer(
    "epochs", 3, "Epochs on the digits; warm-up and decay are scaled in proportion.", lower_bound=1
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 128, "Digits in a batch; the learning rate follows it.", lower_bound=1
)


def describe(recipe: Recipe) -> str:
    """Returns the parts of pre-training, a line for each."""
    stage = recipe.training
    parts = {
        "model": recipe.model,
        "encoder": recipe.encoder,
        "head": recipe.head,
        "prediction head": recipe.prediction_head,
        "augmentation": stage.augmentation,
        "loss": stage.loss,
    }
    lines = [f"{recipe.name}, {recipe.source}"]
    for name, part in parts.items():
        if part is None:
            continue
        arguments = ", ".join(f"{key}={value!r}" for key, value in part.arguments.items())
        lines.append(f"  {name}: {part.name}({arguments})")
    optimizer = type(experiments.make_optimizer(stage, steps_per_epoch=1)).__name__
    lines.append(
        f"  optimizer: {optimizer}, learning rate up to "
        f"{experiments.peak_learning_rate(stage):.4g}, "
        f"{stage.epochs} epochs of batches of {stage.batch_size}"
    )
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    images, labels = data.load_arrays("digits", "train")
    images = np.repeat(images, 3, axis=-1)  # the policies of the recipes are for color
    with experiments.one_line_errors(flags={"recipe": "recipe", "name": "recipe"}):
        recipe = recipes.get(_RECIPE.value)
        stage = experiments.rescale_stage(recipe.training, _EPOCHS.value, _BATCH_SIZE.value)
        steps = len(images) // stage.batch_size
        model = experiments.make_pretraining_model(
            recipe,
            image_size=images.shape[1:3],
            total_steps=stage.epochs * steps,
            depth=10,
            width=0.25,
            stem="cifar",
        )
    print(describe(recipe))

    print(
        f"\nThe digits, {stage.epochs} epochs of batches of {stage.batch_size}, a ResNet-10 of "
        "quarter width",
        flush=True,
    )
    model.compile(
        optimizer=experiments.make_optimizer(stage, steps),
        loss=experiments.make_component(losses, stage.loss),
        loss_weights=stage.loss_weight,
    )
    used = steps * stage.batch_size
    model.fit(images[:used], labels[:used], stage.batch_size, stage.epochs, verbose=2)


if __name__ == "__main__":
    app.run(main)
