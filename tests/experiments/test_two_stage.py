"""Runs in a folder, in this process: on the digits at their own size, with the smallest encoder."""

import dataclasses
import json
import os
import pathlib
import shutil
import signal

import keras
import numpy as np
import pytest

from keras_supcon import recipes
from keras_supcon.experiments import EpochLog, Settings, TwoStage
from keras_supcon.files import DirectoryLock, InUseError

SUPCON = "supcontrast_supcon_cifar10_resnet50"
CROSS_ENTROPY = "supcontrast_cross_entropy_cifar10_resnet50"
MOCO = "moco_supcon_digits_small"
EPOCHS, BATCH_SIZE, STEPS = 2, 256, 5
SMALL = {
    "dataset": "digits",
    "image_size": (8, 8),
    "batch_size": BATCH_SIZE,
    "epochs": EPOCHS,
    "linear_epochs": EPOCHS,
    "encoder_depth": 10,
    "encoder_width": 0.125,
    "verbose": False,
}


def two_stage(folder: pathlib.Path, recipe: recipes.Recipe | str = SUPCON, **fields) -> TwoStage:
    return TwoStage(recipe, Settings(output_dir=folder, **{**SMALL, **fields}), notes={"by": "me"})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run that nothing disturbed, and what it returned."""
    folder = tmp_path_factory.mktemp("finished") / "made" / "by the run"
    return folder, two_stage(folder).run()


def files(folder: pathlib.Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_the_results_are_those_of_the_file_and_of_the_saved_models(finished):
    folder, results = finished
    assert json.loads((folder / "results.json").read_text()) == json.loads(
        json.dumps(results, default=os.fspath)
    )
    assert (results["recipe"], results["mode"], results["by"]) == (
        SUPCON,
        "pretrain_then_linear",
        "me",
    )
    assert results["settings"]["encoder_depth"] == 10
    for stage, peak in (("pretrain", 0.5), ("linear", 5.0)):
        assert results[stage]["steps"] == EPOCHS * STEPS
        assert results[stage]["peak_learning_rate"] == peak
    encoder, classifier = (
        keras.saving.load_model(folder / f"{name}.keras") for name in ("encoder", "classifier")
    )
    for ours, theirs in zip(encoder.get_weights(), classifier.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)  # frozen
    from keras_supcon.data.digits import read_digits

    images, labels = read_digits("test")
    probabilities = classifier.predict(np.repeat(images, 3, axis=-1), verbose=0)
    assert results["images_evaluated"] == len(labels)
    for name, k in (("top_1", 1), ("top_5", 5)):
        in_top_k = keras.ops.convert_to_numpy(keras.ops.in_top_k(labels, probabilities, k))
        assert results[name] == pytest.approx(np.mean(in_top_k)), name


@pytest.mark.slow
def test_stage_by_stage_and_with_a_failure_between_it_ends_with_the_same_bits(
    finished, tmp_path, monkeypatch
):
    folder, results = finished
    begin_epoch = EpochLog.on_epoch_begin

    def fail_in_the_second_epoch(self, epoch, logs=None):
        begin_epoch(self, epoch, logs)
        if epoch == 1:
            raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(EpochLog, "on_epoch_begin", fail_in_the_second_epoch)
        with pytest.raises(InterruptedError):
            two_stage(tmp_path).pretrain()
    assert two_stage(tmp_path).pretrain() == results["pretrain"]
    resumed = two_stage(tmp_path, mode="linear").train_classifier()
    assert resumed["images_evaluated"] == results["images_evaluated"]
    for name in ("encoder.keras", "pretrain/epochs.csv"):
        ours, expected = (path / name for path in (tmp_path, folder))
        if name.endswith(".csv"):
            assert ours.read_text() == expected.read_text()
        else:
            ours, expected = map(keras.saving.load_model, (ours, expected))
            for one, other in zip(ours.get_weights(), expected.get_weights(), strict=True):
                assert one.tobytes() == other.tobytes()
    assert not (tmp_path / "results.json").exists()  # `run` alone writes it
    assert not list(tmp_path.rglob("unfinished-*"))
    assert not list(tmp_path.rglob("in-use.lock"))


@pytest.mark.slow
def test_a_method_with_a_queue_and_a_second_network_ends_with_the_same_bits_after_a_failure(
    tmp_path, monkeypatch
):
    """In the midst of an epoch, with crops of the host."""
    fields = {"epochs": 1, "mode": "pretrain", "queue_size": 300, "host_crops": True}
    fields["checkpoint_every"] = 2
    whole = two_stage(tmp_path / "whole", MOCO, **fields).pretrain()
    end_batch = EpochLog.on_train_batch_end

    def fail(self, batch, logs=None):
        end_batch(self, batch, logs)
        if self.start == (0, 0) and batch == 2:
            raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(EpochLog, "on_train_batch_end", fail)
        with pytest.raises(InterruptedError):
            two_stage(tmp_path / "failed", MOCO, **fields).pretrain()
    resumed = two_stage(tmp_path / "failed", MOCO, **fields).pretrain()
    assert resumed["steps"] == whole["steps"] == STEPS
    assert resumed["loss"] == pytest.approx(whole["loss"])  # a mean of means
    ours, expected = (
        np.load(next((tmp_path / folder / "pretrain" / "checkpoints").glob("epoch-0001-*")))
        for folder in ("failed", "whole")
    )
    arrays = {name: expected[name] for name in expected if isinstance(expected[name], np.ndarray)}
    assert sum(array.shape == (300, 128) for array in arrays.values()) == 1  # rows of the queue
    for name, array in arrays.items():
        assert ours[name].tobytes() == array.tobytes(), name


def test_the_model_has_the_numbers_of_the_plan(tmp_path, monkeypatch):
    models = []
    monkeypatch.setattr(TwoStage, "_fit", lambda self, name, model, *_: models.append(model) or {})
    fields = {"mode": "pretrain", "micro_batch_size": 64}
    for folder, queue_size in (("byol", None), ("nnclr", 270)):
        experiment = two_stage(
            tmp_path / folder, f"{folder}_digits_small", queue_size=queue_size, **fields
        )
        experiment.pretrain()
    byol, nnclr = models
    assert (byol.total_steps, byol.initial_momentum) == (EPOCHS * STEPS, 0.9)
    assert nnclr.queue.rows.shape == (270, 128)
    assert byol.micro_batch_size == nnclr.micro_batch_size == 64
    assert byol.prediction_head is not None


@pytest.mark.slow
def test_the_control_of_the_paper_freezes_an_encoder_of_cross_entropy(tmp_path):
    fields = {"epochs": 1, "linear_epochs": 1, "linear_train_split": "test"}
    name = "cross_entropy_two_stage_digits_small"
    with pytest.raises(ValueError, match="should hold encoder.keras, which mode='cross_entropy' w"):
        two_stage(tmp_path, name, mode="linear")
    results = two_stage(tmp_path, name, **fields).run()
    assert results["mode"] == "cross_entropy_then_linear"
    assert results["cross_entropy"]["steps"] == STEPS
    assert results["linear"]["steps"] == 355 // 64
    assert results["cross_entropy"]["top_1"] != results["top_1"]
    encoder, classifier = (
        keras.saving.load_model(tmp_path / f"{name}.keras") for name in ("encoder", "classifier")
    )
    for ours, theirs in zip(encoder.get_weights(), classifier.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_a_classifier_of_the_first_stage_is_scored_too(tmp_path):
    """That of the second stage begins anew, on the same encoder."""
    fields = {"epochs": 1, "linear_epochs": 1}
    results = two_stage(tmp_path, "supcon_joint_digits_small", **fields).run()
    joint = results["pretrain"]["joint"]
    assert joint["images_evaluated"] == results["images_evaluated"] == 355
    assert 0 < joint["top_1"] <= joint["top_5"] <= 1
    assert joint["eval_loss"] != results["eval_loss"]


@pytest.mark.slow
def test_fine_tuning_begins_with_the_first_layer_of_the_head(tmp_path):
    fields = {"epochs": 1, "linear_epochs": 1}
    two_stage(tmp_path, "simclr_fine_tuned_digits_small", **fields).run()
    encoder, joined, classifier = (
        keras.saving.load_model(tmp_path / f"{name}.keras")
        for name in ("encoder", "encoder_with_head", "classifier")
    )
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype("uint8")
    assert joined.predict(images, verbose=0).shape == (3, 256)
    before = joined.get_weights()
    for ours, theirs in zip(encoder.get_weights(), before, strict=False):
        np.testing.assert_array_equal(ours, theirs)
    assert any(np.std(weight) > 0 for weight in before[len(encoder.get_weights()) :])
    tuned = classifier.encoder.get_weights()
    changed = [not np.array_equal(one, other) for one, other in zip(before, tuned, strict=True)]
    assert all(changed[-2:])  # those of the head
    assert sum(changed) > len(changed) / 2


@pytest.mark.slow
def test_images_of_another_size_than_the_encoders_are_trained_with_cross_entropy(tmp_path):
    results = two_stage(tmp_path, CROSS_ENTROPY, epochs=1, image_size=(12, 12)).run()
    assert results["mode"] == "cross_entropy"
    assert results["cross_entropy"]["peak_learning_rate"] == 0.8
    assert 0 <= results["top_1"] <= results["top_5"] <= 1
    classifier = keras.saving.load_model(tmp_path / "classifier.keras")
    images = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 3)).astype("uint8")
    np.testing.assert_allclose(classifier.predict(images, verbose=0).sum(axis=1), 1.0, rtol=1e-5)
    encoder = keras.saving.load_model(tmp_path / "encoder.keras")
    assert encoder.predict(images, verbose=0).shape == (3, 64)


@pytest.mark.slow
def test_pretraining_may_be_prolonged_and_its_old_classifier_is_refused(finished, tmp_path, capsys):
    shutil.copytree(finished[0], tmp_path, dirs_exist_ok=True)
    longer = two_stage(tmp_path, mode="pretrain", epochs=3, verbose=True)
    assert longer.run()["pretrain"]["steps"] == 3 * STEPS
    output = capsys.readouterr().out
    assert "pretrain: 3 epochs of 5 batches of 256, from epoch 3, batch 1" in output
    assert "The learning rate is that of 3 epochs from here on; before it was that of 2." in output
    with pytest.raises(ValueError, match="holds another run: encoder_digest"):
        two_stage(tmp_path, mode="linear").train_classifier()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"encoder_width": 0.25}, "holds another run: encoder {'depth': 10, 'width': 0.125, "),
        ({"batch_size": 128}, "holds another run: batch_size 256 instead of 128"),
        ({"seed": 1}, "holds another run: seed 0 instead of 1"),
        ({"host_crops": True}, "holds another run: host_crops False instead of True"),
        ({"recipe": "supcontrast_simclr_cifar10_resnet50"}, f"recipe '{SUPCON}' instead of"),
        (
            {"linear_train_split": "test"},
            "holds another run: train_split 'train' instead of 'test'",
        ),
        ({"recipe": CROSS_ENTROPY}, "encoder of another run, which mode='cross_entropy' would rep"),
        ({"epochs": 3}, "the classifier of an encoder that was trained for 2 epochs"),
        ({"linear_epochs": 1}, "has 2 epochs. Received: 1 epochs"),
    ],
)
def test_the_folder_of_another_run_is_refused_and_kept(finished, fields, message):
    folder = finished[0]
    before = files(folder)
    with pytest.raises(ValueError) as caught:  # noqa: PT011, compared below without patterns
        two_stage(folder, **fields)
    assert message in str(caught.value)
    assert files(folder) == before


@pytest.mark.parametrize(
    ("fields", "environment", "message"),
    [
        ({"recipe": "supcon_imagenet_resnet5"}, {}, "Did you mean 'supcon_imagenet_resnet50'"),
        ({"dataset": "digit"}, {}, "Did you mean 'digits'"),
        ({"dataset": "cifar10"}, {}, "The data set 'cifar10' is not in"),
        ({"eval_split": "tests"}, {}, "`split`"),
        ({"batch_size": 1443}, {}, "`batch_size` should be at most the number of examples"),
        ({"micro_batch_size": 5}, {}, "`micro_batch_size` should divide the 256 images"),
        ({"tpu": "grpc://127.0.0.1:1"}, {}, "`tpu` should be a TPU that can be reached"),
        ({"strategy": "multi_worker"}, {"TF_CONFIG": "{worker"}, "TF_CONFIG should be JSON"),
        ({"mode": "linear"}, {}, "`output_dir` should hold encoder.keras"),
        ({"recipe": MOCO, "queue_size": 255}, {}, "`queue_size` should be at least the 256 keys"),
        ({"recipe": MOCO}, {}, "`queue_size` should be at least the 256 keys"),
        ({"mode": "cross_entropy_then_linear"}, {}, "'supcontrast_cross_entropy_two_stage_cifar10"),
    ],
)
def test_wrong_settings_are_named_and_nothing_is_written(
    tmp_path, monkeypatch, fields, environment, message
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises((ValueError, RuntimeError)) as caught:
        two_stage(tmp_path / "run", **{"data_dir": tmp_path / "empty", **fields})
    assert message in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_model_that_cannot_be_made_leaves_no_folder(tmp_path):
    encoder = recipes.Component("ResNet", {"stem": "none of them"})
    recipe = dataclasses.replace(recipes.get(SUPCON), encoder=encoder)
    with pytest.raises(ValueError, match="`stem` should be one of"):
        two_stage(tmp_path / "run", recipe).run()
    assert not (tmp_path / "run").exists()


def test_batches_divide_over_replicas_before_anything_is_read():
    from keras_supcon.experiments.plan import Plan

    for argument in ("batch_size", "linear_batch_size"):
        settings = Settings(output_dir="build", **{**SMALL, argument: 15})
        message = f"`{argument}` should be divisible by .* replicas, 2. Received: {argument}=15"
        with pytest.raises(ValueError, match=message):
            Plan(recipes.get(SUPCON), settings).check_batch_sizes(2)


def test_a_plan_has_the_stages_of_its_recipe():
    from keras_supcon.experiments.plan import Plan

    def stages(name: str, **fields) -> list[str]:
        return list(Plan(recipes.get(name), Settings(output_dir="build", **fields)).stages)

    assert stages("byol_small") == ["pretrain", "linear"]
    assert stages("byol_small", mode="pretrain") == ["pretrain"]
    assert stages("cross_entropy_small") == ["cross_entropy"]
    assert stages("cross_entropy_two_stage_small") == ["cross_entropy", "linear"]
    assert stages("cross_entropy_two_stage_small", mode="cross_entropy") == ["cross_entropy"]
    assert stages("cross_entropy_two_stage_small", mode="linear") == ["linear"]
    for mode in ("linear", "pretrain", "cross_entropy_then_linear"):
        with pytest.raises(ValueError, match=f"`mode` '{mode}' needs another recipe, such as"):
            stages("cross_entropy_small", mode=mode)


def test_a_recipe_keeps_no_more_layers_than_its_head_has():
    from keras_supcon.experiments.plan import Plan

    recipe = dataclasses.replace(recipes.get(SUPCON), head_layers=2)
    with pytest.raises(ValueError, match="`head_layers` of the recipe should be at most 1, .*: h"):
        Plan(recipe, Settings(output_dir="build"))


def test_the_record_of_a_stage_says_what_its_weights_depend_on():
    from keras_supcon.experiments.plan import Plan

    settings = Settings(output_dir="build", queue_size=512, linear_train_split="train[:1%]")
    records = Plan(recipes.get("moco_small"), settings).records
    assert records["pretrain"]["model"]["arguments"]["queue_size"] == 512
    assert records["pretrain"]["head"]["name"] == "ProjectionHead"
    assert records["pretrain"]["train_split"] == "train"
    assert records["linear"]["train_split"] == "train[:1%]"
    assert records["linear"]["head_layers"] == 0


def test_the_precision_of_a_run_ends_with_it(tmp_path):
    experiment = two_stage(tmp_path, mixed_precision="bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    with experiment._running():
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "float32"


def test_a_stage_that_the_mode_does_not_have_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`mode` should have a classifier. Received: mode='pretr"):
        two_stage(tmp_path, mode="pretrain").train_classifier()
    with pytest.raises(ValueError, match="`mode` should have pre-training. Received: mode='cross_"):
        two_stage(tmp_path, CROSS_ENTROPY).pretrain()


def test_a_folder_has_one_training_at_a_time(tmp_path):
    import threading

    experiment, caught = two_stage(tmp_path), []

    def train() -> None:
        try:
            experiment.pretrain()
        except InUseError as error:
            caught.append(error)

    with DirectoryLock(tmp_path):
        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
    assert "is in use" in str(caught[0])


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_signal_ends_a_run_with_a_checkpoint_if_that_is_asked_for(tmp_path, capfd, monkeypatch):
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    monkeypatch.setattr(
        EpochLog, "on_train_begin", lambda self, logs=None: os.kill(os.getpid(), signal.SIGTERM)
    )
    try:
        with pytest.raises(SystemExit) as caught:
            two_stage(tmp_path, mode="pretrain").run(handle_signals=True)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.value.code == 128 + signal.SIGTERM
    position = "it resumes in pretrain, from epoch 1, batch 2.\n"
    assert capfd.readouterr().err.endswith(position)
