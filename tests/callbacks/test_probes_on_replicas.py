"""Figures of the embedding beside compiled steps, and under strategies with several replicas."""

import contextlib
import json

import keras
import numpy as np
import pytest

from keras_supcon.callbacks import EmbeddingProjector, KNNProbe, RepresentationMonitor
from keras_supcon.evaluation import embed
from keras_supcon.evaluation.protocols.knn import knn_evaluation
from tests.callbacks.small_training import CountsTraining, fit, images, make_model, state
from tests.distribution.engines import run_program, worker_environments

TRAIN, TEST = images(40, seed=1), images(21, seed=2)


@pytest.mark.neutral
@pytest.mark.filterwarnings("ignore:RepresentationMonitor")
def test_the_step_is_not_traced_again():
    functions = []

    def run(callbacks):
        model = make_model(lambda: [CountsTraining()], run_eagerly=False)
        remember = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: functions.append(model.train_function)
        )
        CountsTraining.number = 0
        fit(model, [*callbacks, remember])
        return CountsTraining.number

    alone = run([])
    functions.clear()
    # The pictures embed by the same code.
    probes = [KNNProbe(TRAIN, TEST, num_neighbors=5), RepresentationMonitor(TRAIN)]
    assert run(probes) == alone
    assert functions[0] is not None
    assert len({id(function) for function in functions}) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:RepresentationMonitor", "ignore:BatchNormalization layers use")
def test_replicas_give_the_figures_of_one_device_and_do_not_notice(strategy, tmp_path):
    def run(callbacks, in_scope):
        with strategy.scope():
            model = make_model(lambda: [keras.layers.Dropout(0.3)], run_eagerly=False)
        with strategy.scope() if in_scope else contextlib.nullcontext():
            history = fit(model, callbacks, epochs=2).history
        return model, history

    alone, _ = run([], in_scope=False)
    for in_scope in (False, True):
        probes = [
            KNNProbe(TRAIN, TEST, num_neighbors=5, batch_size=16),
            RepresentationMonitor(TRAIN),
            EmbeddingProjector(TRAIN, tmp_path / str(in_scope)),
        ]
        watched, history = run(probes, in_scope)
        assert state(watched) == state(alone)
        single = make_model()
        for one, other in zip(single.encoder.weights, watched.encoder.weights, strict=True):
            one.assign(other.numpy())
        rows = np.loadtxt(tmp_path / str(in_scope) / "epoch-0002.tsv")
        assert rows.shape == (40, 8)
        np.testing.assert_allclose(rows, embed(single, TRAIN)[0], rtol=1e-5)
        expected = knn_evaluation(*embed(single, TRAIN), *embed(single, TEST), num_neighbors=5)
        assert history["knn_accuracy"][-1] == expected.accuracy


@pytest.mark.slow
def test_of_several_workers_the_chief_measures_and_all_stop_together(tmp_path):
    run_program("tests.callbacks.probe_worker", [str(tmp_path)], worker_environments(2), tmp_path)
    first, second = (json.loads((tmp_path / f"history-{i}.json").read_text()) for i in range(2))
    assert first == second
    # The best epoch is the first, so that patience ends after the second.
    assert len(first["knn_accuracy"]) == 2
    assert 0 < first["knn_accuracy"][0] <= 1
    assert (tmp_path / "written-by-0" / "epoch-0001.tsv").exists()
    assert not (tmp_path / "written-by-1").exists()
