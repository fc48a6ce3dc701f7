"""The choice of a strategy, in processes of their own where devices are set up."""

import json
import subprocess
import sys
import types

import keras
import pytest

from keras_supcon import distribution
from keras_supcon.distribution import strategies
from tests.distribution.engines import ROOT

pytestmark = pytest.mark.neutral

BACKEND = keras.backend.backend()
of_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="of tf.distribute")
WORKERS = ["127.0.0.1:2222", "127.0.0.1:2223"]


def tf_config(**changes):
    return json.dumps(
        {"cluster": {"worker": WORKERS}, "task": {"type": "worker", "index": 1}, **changes}
    )


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv("TPU_NAME", raising=False)


def test_one_device_needs_no_distribution():
    for kind in ("default", "auto"):
        strategy = distribution.strategy(kind)
        assert (distribution.num_replicas(strategy), distribution.worker(strategy)) == (1, (0, 1))
        with strategy.scope():
            keras.layers.Dense(1).build((None, 2))


def test_an_unknown_kind_is_refused():
    with pytest.raises(
        ValueError, match="`kind` should be one of 'auto', .* Received: kind='mirrord'"
    ):
        distribution.strategy("mirrord")


@of_tensorflow
@pytest.mark.parametrize(
    ("environment", "tpu", "gpus", "kind"),
    [
        ({}, None, 0, "default"),
        ({}, None, 1, "default"),
        ({}, None, 4, "mirrored"),
        ({"TF_CONFIG": tf_config()}, None, 4, "multi_worker"),
        (
            {
                "TF_CONFIG": tf_config(
                    cluster={"worker": WORKERS[:1]}, task={"type": "worker", "index": 0}
                )
            },
            None,
            4,
            "mirrored",
        ),
        ({"TPU_NAME": "pod"}, None, 0, "tpu"),
        ({"TF_CONFIG": tf_config()}, "local", 0, "tpu"),
    ],
)
def test_auto_reads_the_environment(monkeypatch, environment, tpu, gpus, kind):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert strategies._kind_of_environment(tpu, gpus) == kind


@pytest.mark.slow
@of_tensorflow
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{'cluster': 1}", "it is not JSON"),
        ("", "it is not set"),
        ("[]", "it lacks `cluster` or `task`"),
        ('{"cluster": {"worker": []}}', "it lacks `cluster` or `task`"),
        (
            tf_config(cluster={"worker": "127.0.0.1:2222"}),
            "`cluster.worker` is not a list of addresses",
        ),
        (tf_config(task={"type": "worker", "index": 2}), "index 2, of which `cluster` has 2"),
        (
            tf_config(task={"type": "chief", "index": 0}),
            "type 'chief' and index 0, of which `cluster` has 0",
        ),
        (tf_config(task={"type": "worker", "index": "1"}), "index '1'"),
        (tf_config(task={"type": ["worker"], "index": 1}), "type ['worker'] and index 1"),
    ],
)
def test_a_wrong_tf_config_is_refused_before_anything_is_set_up(monkeypatch, text, reason):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG should be JSON") as error:
        distribution.strategy("multi_worker")
    assert reason in str(error.value)
    assert f"Received: TF_CONFIG={text!r}" in str(error.value)


@of_tensorflow
@pytest.mark.parametrize(
    "tpu", ["local", "no-such-tpu", "grpc://127.0.0.1:1", "grpc://127.0.0.1:port"]
)
def test_a_tpu_that_cannot_be_reached_is_refused_soon(tpu):
    with pytest.raises(
        RuntimeError, match="`tpu` should be a TPU that can be reached. Received: tpu="
    ):
        distribution.strategy("tpu", tpu=tpu)


@of_tensorflow
def test_a_tpu_belongs_to_the_kind_tpu():
    with pytest.raises(ValueError, match="`tpu` should be None unless `kind` is 'tpu' or 'auto'"):
        distribution.strategy("mirrored", tpu="local")


@of_tensorflow
def test_devices_cannot_be_split_after_tensorflow_started():
    keras.ops.zeros(1)
    with pytest.raises(
        RuntimeError, match="`num_virtual_cpus` should be given before TensorFlow computes anything"
    ):
        distribution.strategy("mirrored", num_virtual_cpus=3)
    with pytest.raises(
        ValueError, match="`num_virtual_cpus` should be a whole number of at least 1"
    ):
        distribution.strategy("mirrored", num_virtual_cpus=0)


@pytest.mark.slow
@of_tensorflow
def test_the_processor_can_be_split(tmp_path):
    code = (
        "from keras_supcon import distribution\n"
        "strategy = distribution.strategy('mirrored', num_virtual_cpus=3)\n"
        "print(type(strategy).__name__, distribution.num_replicas(strategy), "
        "distribution.worker(strategy))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == "MirroredStrategy 3 (0, 1)"


@of_tensorflow
@pytest.mark.parametrize(
    ("task", "jobs", "expected"),
    [
        (("worker", 0), {"worker": WORKERS}, (0, 2)),
        (("worker", 1), {"worker": WORKERS}, (1, 2)),
        (("chief", 0), {"worker": WORKERS, "chief": ["127.0.0.1:1"]}, (0, 3)),
        (("worker", 0), {"worker": WORKERS, "chief": ["127.0.0.1:1"]}, (1, 3)),
    ],
)
def test_the_first_worker_is_the_chief(task, jobs, expected):
    cluster = types.SimpleNamespace(as_dict=lambda: jobs)
    resolver = types.SimpleNamespace(
        task_type=task[0], task_id=task[1], cluster_spec=lambda: cluster
    )
    strategy = types.SimpleNamespace(cluster_resolver=resolver)
    assert distribution.worker(strategy) == expected


@pytest.mark.skipif(BACKEND == "tensorflow", reason="of the other backends")
def test_the_other_backends_have_no_flags_of_tensorflow():
    with pytest.raises(
        ValueError, match="`num_virtual_cpus` and `tpu` should be None on other backends"
    ):
        distribution.strategy("mirrored", num_virtual_cpus=2)


@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch")
def test_torch_has_one_replica():
    with pytest.raises(ValueError, match="`kind` should be 'auto' or 'default' on PyTorch"):
        distribution.strategy("mirrored")


@pytest.mark.skipif(BACKEND != "jax", reason="of JAX")
def test_jax_without_a_tpu_refuses_one():
    with pytest.raises(
        RuntimeError,
        match="`kind` should be 'tpu' only where JAX has a TPU. Received: kind='tpu'. JAX says",
    ):
        distribution.strategy("tpu")
