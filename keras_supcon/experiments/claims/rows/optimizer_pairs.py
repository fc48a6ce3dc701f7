"""The optimizers of both stages."""

from keras_supcon.experiments.claims import Claim, Comparison
from keras_supcon.experiments.claims.rows.optimizers import arms

_BEST = "then_rmsprop"

CLAIM = Claim(
    title="LARS in the first stage and RMSprop in the second is the best pair",
    group="training",
    source="Khosla et al., 2020, supplement on optimizers",
    published=(
        "LARS then LARS 78.2, RMSprop 78.7, momentum 77.6; RMSprop then RMSprop 77.8; momentum "
        "then momentum 77.7"
    ),
    expectation=(
        "Not shown: a linear classifier is a convex problem, which each optimizer comes near to "
        "the optimum of, so that second optimizers differ by less than a point."
    ),
    equal=(
        "Everything else; first optimizers choose among four learning rates, second ones among "
        "three."
    ),
    arms=arms,
    measurements=("second_optimizer",),
    comparisons=(
        Comparison("LARS", "LARS", "higher", _BEST, "then_lars"),
        Comparison("LARS", "LARS", "higher", _BEST, "then_momentum"),
        Comparison("LARS", "RMSprop", "higher", _BEST),
        Comparison("LARS", "momentum", "higher", _BEST, "then_momentum"),
    ),
)
