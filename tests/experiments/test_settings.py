"""Settings are checked when they are made, and say what a run does without a process of its own."""

import dataclasses
import json

import keras
import pytest

from keras_supcon import recipes
from keras_supcon.experiments import ComparisonSettings, Settings, TwoStage
from keras_supcon.experiments.plan import Plan
from keras_supcon.experiments.run_folder import check_same_run

pytestmark = pytest.mark.neutral

IMAGENET = recipes.get("supcon_imagenet_resnet50")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"output_dir": ""}, "`output_dir` should be a folder of a mounted file system"),
        ({"output_dir": "gs://bucket/a"}, "Received: output_dir='gs://bucket/a'"),
        ({"epochs": 0}, "`epochs` should be None or a whole number of at least 1"),
        ({"micro_batch_size": 1.5}, "`micro_batch_size` should be None or a whole number"),
        ({"mode": "train"}, "`mode` should be one of .* Received: mode='train'"),
        ({"strategy": "gpu"}, "`strategy` should be one of .* Received: strategy='gpu'"),
        ({"mixed_precision": "float32"}, "`mixed_precision` should be one of"),
        ({"encoder_depth": 11}, "`encoder_depth` should be one of"),
        ({"encoder_width": -0.5}, "`encoder_width` should be at least 1/64"),
        ({"image_size": 32}, r"`image_size` should be \(height, width\)"),
        ({"seed": -1}, "`seed` should be a whole number of at least 0"),
    ],
)
def test_settings_refuse_what_is_out_of_range(fields, message):
    with pytest.raises(ValueError, match=message):
        Settings(**{"output_dir": "build", **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seeds": 0}, "`seeds` should be a whole number of at least 1"),
        ({"batch_size": 0}, "`batch_size` should be a whole number of at least 1"),
        ({"image_size": 0}, "`image_size` should be None or a whole number of at least 1"),
        ({"encoder": "vgg"}, "`encoder` should be one of"),
    ],
)
def test_settings_of_a_comparison_too(fields, message):
    with pytest.raises(ValueError, match=message):
        ComparisonSettings(**fields)


def test_given_numbers_replace_those_that_suit_the_data_set():
    usual, given = (ComparisonSettings(epochs=epochs).hyperparameters for epochs in (None, 3))
    assert given == dataclasses.replace(usual, epochs=3)
    assert ComparisonSettings(dataset="unknown", batch_size=7).hyperparameters.batch_size == 7


def test_a_plan_is_the_recipe_with_the_given_numbers():
    plan = Plan(IMAGENET, Settings(output_dir="build", epochs=35, batch_size=512))
    training, linear = plan.stages.values()
    assert plan.epochs == {"pretrain": 35, "linear": 90}
    assert (training.warmup_epochs, training.batch_size) == (pytest.approx(1.2), 512)
    assert linear.batch_size == 512  # at most that of pre-training
    assert (plan.dataset, plan.eval_split, plan.image_size) == (
        "imagenet2012",
        "validation",
        (224, 224),
    )
    alone = Plan(IMAGENET, Settings(output_dir="build", mode="linear", linear_batch_size=8))
    assert [stage.batch_size for stage in alone.stages.values()] == [8]


def test_records_depend_on_all_but_the_epochs_the_devices_and_the_folder():
    def records(**fields):
        return Plan(IMAGENET, Settings(**{"output_dir": "build", **fields})).records

    free = {"epochs": 3, "linear_epochs": 2, "strategy": "default", "checkpoint_every": 5}
    assert records(output_dir="other", data_dir="tfds", **free) == records()
    for fields in (
        {"batch_size": 64},
        {"seed": 1},
        {"dataset": "digits"},
        {"train_split": "train[:1%]"},
        {"image_size": (8, 8)},
        {"encoder_depth": 18},
        {"host_crops": True},
    ):
        assert records(**fields)["pretrain"] != records()["pretrain"], fields


def test_the_folder_of_a_run_of_version_0_1_holds_the_same_run(tmp_path):
    """The record is as that version wrote it."""
    record = """{
        "recipe": "supcon_imagenet_resnet50", "dataset": "digits", "train_split": "train",
        "image_size": [32, 32], "seed": 0,
        "encoder": {"depth": 10, "width": 0.25, "stem": "imagenet"},
        "loss": {"name": "SupConLoss", "arguments": {"temperature": 0.1, "summation": "out",
            "denominator": "all", "contrast_mode": "all", "scale_by_temperature": true}},
        "loss_weight": 1.0,
        "augmentation": {"name": "AutoAugment",
            "arguments": {"policy": "imagenet", "crop_area": [0.08, 1.0]}},
        "warmup_epochs": 12, "batch_size": 128, "optimizer": "lars", "base_learning_rate": 0.4,
        "learning_rate_rule": "linear", "momentum": 0.9, "nesterov": false, "rho": null,
        "epsilon": null, "decay": "cosine", "decay_rate": null, "decay_epochs": null,
        "decay_boundaries": [], "warmup_learning_rate": 0.0, "final_learning_rate": 0.0,
        "weight_decay": 0.001, "weight_decay_parts": ["encoder", "projection_head"],
        "weight_decay_exclusions": ["gamma$", "beta$"], "epochs": 2, "start": 627654970
    }"""
    (tmp_path / "run.json").write_text(record)
    settings = Settings(
        output_dir=tmp_path,
        dataset="digits",
        image_size=(32, 32),
        host_crops=True,
        batch_size=128,
        epochs=2,
        encoder_depth=10,
        encoder_width=0.25,
    )
    own = Plan(IMAGENET, settings).records["pretrain"]
    check_same_run(tmp_path, own)
    added = {"host_crops", "trust_coefficient", "model", "head", "prediction_head"}
    assert set(own) == {*json.loads(record), *added} - {"epochs", "start"}


@pytest.mark.parametrize(
    ("recipe", "mode", "other"),
    [
        ("supcon_imagenet_resnet50", "cross_entropy", "cross_entropy_imagenet_resnet50"),
        (
            "cross_entropy_imagenet_resnet50",
            "linear",
            "cross_entropy_two_stage_imagenet_resnet50",
        ),
        ("moco_imagenet_resnet50", "cross_entropy", "cross_entropy_imagenet_resnet50"),
    ],
)
def test_a_mode_of_another_method_names_a_recipe_of_it(recipe, mode, other):
    with pytest.raises(ValueError, match=f"`mode` '{mode}' needs another recipe, such as '{other}"):
        Plan(recipes.get(recipe), Settings(output_dir="build", mode=mode))


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="says what PyTorch cannot do")
def test_pytorch_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="KERAS_BACKEND should be tensorflow or jax"):
        TwoStage(IMAGENET, Settings(output_dir=tmp_path / "run"))
    assert not (tmp_path / "run").exists()
