"""The properties of every public class, by the line that it has in `tests/public_classes.py`."""

import inspect

import numpy as np
import pytest

import keras_supcon
from tests.covering import representatives
from tests.harness import (
    check_compiles,
    check_config,
    check_layer,
    check_loss,
    check_metric,
    check_model,
)
from tests.package.test_public_names import KERAS_CLASSES
from tests.public_classes import (
    CLASS_IDS,
    CLASSIFIER_LOSSES,
    LAYERS,
    LOSS_OF_MODEL,
    LOSSES,
    MEMORIES,
    METRICS,
    MODELS,
    OPTIMIZERS,
    OTHER_METRICS,
    TARGET_LOSSES,
    normal,
)

pytestmark = pytest.mark.neutral

TABLES = {
    **CLASSIFIER_LOSSES,
    **LAYERS,
    **LOSSES,
    **MEMORIES,
    **METRICS,
    **MODELS,
    **OPTIMIZERS,
    **OTHER_METRICS,
    **TARGET_LOSSES,
}
# Arguments of a base that a class sets for good.
SET_BY_CLASS = {
    keras_supcon.BYOL: {"num_views"},
    keras_supcon.MoCo: {"num_views"},
    keras_supcon.NNCLR: {"num_views"},
    keras_supcon.layers.PredictionHead: {"normalize"},
}


def test_every_public_class_has_its_line():
    assert {case.cls for case in TABLES.values()} == set(KERAS_CLASSES.values())


@pytest.mark.parametrize("name", TABLES)
def test_every_argument_of_the_constructor_is_in_the_config(name):
    case = TABLES[name]
    config = case.make().get_config()
    for base in case.cls.__mro__:
        is_ours = base.__module__.startswith("keras_supcon.") and "__init__" in vars(base)
        if is_ours and "ContrastiveLoss" not in base.__name__:
            parameters = inspect.signature(base.__init__).parameters.values()
            named = [
                one.name
                for one in parameters
                if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
            ]
            assert {*named} - {"self", *SET_BY_CLASS.get(case.cls, ())} <= set(config), base


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, tmp_path):
    check_layer(LAYERS[name], tmp_path)


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, tmp_path):
    check_loss(LOSSES[name], CLASS_IDS, normal(len(CLASS_IDS), 2, 4), tmp_path)


@pytest.mark.parametrize("name", CLASSIFIER_LOSSES)
def test_losses_of_classifiers(name, tmp_path):
    check_loss(CLASSIFIER_LOSSES[name], np.arange(9) % 3, np.abs(normal(9, 3)), tmp_path)


@pytest.mark.parametrize("name", TARGET_LOSSES)
def test_losses_of_targets(name, tmp_path):
    check_loss(TARGET_LOSSES[name], normal(9, 2, 4)[::-1], normal(9, 2, 4), tmp_path)


@pytest.mark.parametrize("name", MEMORIES)
def test_memories(name):
    check_config(MEMORIES[name])


@pytest.mark.parametrize("name", {**LOSSES, **CLASSIFIER_LOSSES, **TARGET_LOSSES})
def test_options_of_losses_are_set_once(name):
    """A compiled step would not see another value."""
    loss = TABLES[name].make()
    config = loss.get_config()
    for option, value in config.items():
        with pytest.raises(
            AttributeError,
            match=f"`{option}` of a `{type(loss).__name__}` is set once.*make a new loss",
        ) as error:
            setattr(loss, option, value)
        assert ("keras_supcon.callbacks.TemperatureSchedule" in str(error.value)) == (
            option == "temperature"
        )
    assert loss.get_config() == config
    loss.of_others = 1  # what is no option is none of its business


@pytest.mark.parametrize("name", METRICS)
def test_metrics(name):
    check_metric(
        METRICS[name],
        (np.array([0, 0]), np.eye(2, dtype="float32")),
        (np.array([0, 0, 1, 1, 2]), normal(5, 2, 3)),
    )


@pytest.mark.parametrize("name", OTHER_METRICS)
def test_metrics_of_other_sums(name):
    check_config(OTHER_METRICS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_models(name, tmp_path):
    case = MODELS[name]
    loss = LOSS_OF_MODEL.get(name, LOSS_OF_MODEL[case.cls])
    check_model(case, loss(), np.arange(8) % 4, tmp_path)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    check_config(OPTIMIZERS[name])


# Augmentations follow one another in one program, which compiles in half the time; the policies
# have one each, that of SimAugment with several views.
POLICIES = [name for name in LAYERS if name.endswith("Augment")]
SEQUENCE = [
    name
    for name, case in LAYERS.items()
    if case.maps_data and name not in POLICIES and "MultiView" not in name
]
PROGRAMS = [
    [*SEQUENCE, "ImageStandardization"],
    ["AutoAugment"],
    ["RandAugment"],
    ["StackedRandAugment"],
    ["MultiView of one recipe"],
    ["ResNet", "ProjectionHead", "PredictionHead"],
]


@pytest.mark.slow
@pytest.mark.tpu
@representatives("names", PROGRAMS, [[name] for name in LAYERS if [name] not in PROGRAMS])
def test_xla_compiles_a_step_through_every_layer(names):
    inputs = LAYERS[names[0]].inputs()
    check_compiles([LAYERS[name].make() for name in names], inputs)
