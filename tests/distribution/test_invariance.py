"""The number of replicas changes nothing: same data, same weights after ten steps.

`replica_program.py` trains with several losses, a queue, synchronized batch normalization, a last
batch that cannot be shared out evenly, micro-batches, networks that move behind, a teacher and a
classifier; here its results under each engine are compared with those of one device.
"""

import functools

import keras
import numpy as np
import pytest

from tests.covering import representatives
from tests.distribution.engines import run_program, worker_environments
from tests.distribution.replica_program import CASES

pytestmark = [pytest.mark.neutral, pytest.mark.slow]

BACKEND = keras.backend.backend()
if BACKEND == "torch":
    pytest.skip("Keras does not distribute on PyTorch", allow_module_level=True)

# The largest difference seen is 2e-5, after sums in another order have gone through ten steps.
TOLERANCE = 2e-4
# One by sums over pairs, one row by row; `test_replicas.py` has the gradients of all kinds of
# losses.
SOME_LOSSES, EVERY_LOSS = "supcon,triplet", ""
# Most of the time goes into tracing a step for every replica. Of the four a last batch leaves one
# without rows, and the cases there are those that need to know: means over rows, and over batches.
SOME_CASES = {
    "mirrored 4": ("queue", "BYOL", "Co2L", "classifier"),
    "mirrored 2": ("several losses", "micro-batches", "NNCLR", "joint", "balanced"),
    "multi_worker 2": ("several losses", "queue", "micro-batches", "classifier"),
}
ENGINES = {"jax": ["mirrored 2"], "tensorflow": list(SOME_CASES)}[BACKEND]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Returns a function from the engine, the number of replicas, the losses and the cases, all if
    there are none, to the results of all workers.
    """

    @functools.cache
    def run(
        engine: str, replicas: int, losses: str, cases: tuple[str, ...] = ()
    ) -> list[dict[str, np.ndarray]]:
        folder = tmp_path_factory.mktemp(f"{engine}-{replicas}")
        environments = [{}]
        if engine == "multi_worker":
            environments = worker_environments(replicas)
        elif BACKEND == "jax":
            environments = [{"XLA_FLAGS": f"--xla_force_host_platform_device_count={replicas}"}]
        arguments = [
            f"--engine={engine}",
            f"--replicas={replicas}",
            f"--output_dir={folder}",
            f"--losses={losses}",
            f"--cases={','.join(cases)}",
        ]
        run_program("tests.distribution.replica_program", arguments, environments, folder)
        files = sorted(folder.glob("*.npz"))
        assert len(files) == len(environments)
        return [dict(np.load(file)) for file in files]

    return run


def cases_of(engine: str) -> tuple[str, ...]:
    return SOME_CASES[engine] if BACKEND == "tensorflow" else ()


@representatives(
    "engine",
    ENGINES,
    [f"{engine} with every loss and case" for engine in ENGINES],
)
def test_replicas_train_what_one_device_trains(results, engine):
    kind, count, *with_all = engine.split()
    losses, cases = (EVERY_LOSS, ()) if with_all else (SOME_LOSSES, cases_of(engine))
    (single,) = results("default", 1, losses)
    for worker in results(kind, int(count), losses, cases):
        assert worker["replicas"] == int(count)
        compared = [name for name in worker if "/" in name]
        assert set(compared) == {
            name for name in single if "/" in name and name.split("/")[0] in (cases or CASES)
        }
        for name in compared:
            np.testing.assert_allclose(
                worker[name],
                single[name],
                rtol=TOLERANCE,
                atol=TOLERANCE,
                err_msg=f"{engine}: {name}",
            )


def test_training_moves_every_weight_that_is_compared(results):
    """The comparison above would also hold for models that do not train."""
    (single,) = results("default", 1, SOME_LOSSES)
    weights = [name for name in single if "/weight" in name]
    assert len(weights) > 30
    for name in single:
        if "/history of" in name and name.endswith("loss"):
            assert abs(single[name][0] - single[name][-1]) > 1e-4, name


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of tf.distribute")
def test_keras_cannot_yet_train_on_several_workers_by_itself(results):
    """Fails when Keras no longer needs `distribution/fit.py`.

    The models are a plain one, and one with half of the workaround.
    """
    np.testing.assert_array_equal(
        results("multi_worker", 2, SOME_LOSSES, cases_of("multi_worker 2"))[0]["Keras alone fails"],
        [True, True],
    )
