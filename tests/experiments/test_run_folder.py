"""The folder of a run, without the run."""

import threading

import keras
import numpy as np
import pytest

from keras_supcon.experiments import run_folder

RECORD = {"recipe": "supcon", "image_size": (32, 32), "encoder": {"depth": 10}}


def test_a_folder_knows_its_run(tmp_path):
    folder = tmp_path / "pretrain"
    run_folder.check_same_run(folder, RECORD)
    run_folder.write_record(folder, {**RECORD, "epochs": 3})
    assert run_folder.read_record(folder) == {
        "recipe": "supcon",
        "image_size": [32, 32],
        "encoder": {"depth": 10},
        "epochs": 3,
    }
    run_folder.check_same_run(folder, RECORD)
    with pytest.raises(
        ValueError,
        match=r"another run: image_size \[32, 32\] instead of \[8, 8\]; seed None instead of 1",
    ):
        run_folder.check_same_run(folder, {**RECORD, "image_size": (8, 8), "seed": 1})


def test_a_record_of_the_version_before_is_compared_in_what_it_holds(tmp_path):
    run_folder.write_record(tmp_path, {**RECORD, "epochs": 3})  # without `host_crops`
    run_folder.check_same_run(tmp_path, {**RECORD, "host_crops": True})
    run_folder.write_record(tmp_path, {**RECORD, "host_crops": False, "epochs": 3})
    with pytest.raises(ValueError, match="host_crops False instead of True"):
        run_folder.check_same_run(tmp_path, {**RECORD, "host_crops": True})


def test_no_file_is_needed_to_go_on_that_can_be_made_again(tmp_path, capsys):
    """A damaged record is that of the newest checkpoint; without one nothing was trained, and the
    next start writes it.
    """
    folder = tmp_path / "pretrain"
    trained = run_folder.checkpoint_of(folder)
    trained.notes["record"] = record = {**RECORD, "image_size": [32, 32], "epochs": 3}
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    for damage in ("{", "[1, 2]", "", '{"recipe": "supcon"}', '{"epochs": "3"}', "\0", None):
        run_folder.write_record(folder, record)
        path = folder / "run.json"
        path.unlink() if damage is None else path.write_text(damage)
        assert run_folder.read_record(folder) is None
        run_folder.check_same_run(folder, {**RECORD, "seed": 1})
    assert "run.json' is damaged; that of this start takes its place." in capsys.readouterr().err
    trained.fit(model, lambda start: tf_batches(), epochs=1, steps_per_epoch=1, verbose=0)
    for damage in ("[1, 2]", None):
        path.unlink(missing_ok=True) if damage is None else path.write_text(damage)
        assert run_folder.read_record(folder) == record
        with pytest.raises(ValueError, match="holds another run: seed None instead of 1"):
            run_folder.check_same_run(folder, {**RECORD, "seed": 1})
    assert capsys.readouterr().err.count("that of the newest checkpoint takes its place.") == 1
    (tmp_path / run_folder.ENCODER).touch()
    run_folder.check_run_folder(
        tmp_path, "pretrain", {"pretrain": 3}, {"pretrain": RECORD}
    )  # its encoder is of this run
    with pytest.raises(ValueError, match="holds the encoder of another run"):
        run_folder.check_run_folder(
            tmp_path, "cross_entropy", {"cross_entropy": 3}, {"cross_entropy": RECORD}
        )
    assert (
        run_folder.next_position(tmp_path, {"pretrain": 1, "linear": 1})
        == "in linear, from the start"
    )


def tf_batches():
    import tensorflow as tf

    return tf.data.Dataset.from_tensors((np.ones((2, 2)), np.ones((2, 1))))


def test_a_truncated_encoder_is_damaged_and_not_missing(tmp_path):
    path = tmp_path / run_folder.ENCODER
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.save(path)
    assert run_folder.weights_digest(
        run_folder.load_encoder(path, "pretrain")
    ) == run_folder.weights_digest(model)
    content = path.read_bytes()
    for damaged in (b"", content[:100], content[:-9], content[:200] + bytes(50) + content[250:]):
        path.write_bytes(damaged)
        with pytest.raises(
            RuntimeError,
            match="encoder.keras' is damaged or not whole.*mode='pretrain' .* writes it again",
        ):
            run_folder.load_encoder(path, "pretrain")


def test_a_start_is_seen_when_its_record_appears_and_no_other(tmp_path, monkeypatch):
    run_folder.write_record(tmp_path, {"epochs": 1, "start": 1})
    later = threading.Timer(0.3, run_folder.write_record, (tmp_path, {"epochs": 1, "start": 2}))
    later.start()
    assert run_folder.wait_for_record(tmp_path, 2)
    later.join()
    monkeypatch.setattr(run_folder, "_SECONDS_TO_APPEAR", 0.2)
    assert not run_folder.wait_for_record(tmp_path, 1)
    assert not run_folder.wait_for_record(tmp_path / "elsewhere", 2)


def test_digests_tell_weights_apart():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    before = run_folder.weights_digest(model)
    assert run_folder.weights_digest(model) == before
    model.layers[0].bias.assign([0.0, 0.0, 1e-7])
    assert run_folder.weights_digest(model) != before
