"""Runs in a folder, in this process: on the digits at their own size, with the smallest encoder."""

import json
import os
import pathlib
import shutil
import signal

import keras
import numpy as np
import pytest

from keras_supcon.experiments import EpochLog, Settings, TwoStage
from keras_supcon.files import DirectoryLock, InUseError

SUPCON = "supcontrast_supcon_cifar10_resnet50"
CROSS_ENTROPY = "supcontrast_cross_entropy_cifar10_resnet50"
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


def two_stage(folder: pathlib.Path, recipe: str = SUPCON, **fields) -> TwoStage:
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
    with pytest.raises(ValueError, match="`depth` should be one of"):
        two_stage(tmp_path / "run", encoder_depth=11).run()
    assert not (tmp_path / "run").exists()


def test_batches_divide_over_replicas_before_anything_is_read():
    from keras_supcon import recipes
    from keras_supcon.experiments.plan import Plan

    for argument in ("batch_size", "linear_batch_size"):
        settings = Settings(output_dir="build", **{**SMALL, argument: 15})
        message = f"`{argument}` should be divisible by .* replicas, 2. Received: {argument}=15"
        with pytest.raises(ValueError, match=message):
            Plan(recipes.get(SUPCON), settings).check_batch_sizes(2)


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
