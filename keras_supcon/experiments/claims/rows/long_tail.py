"""Classes of very different sizes: the balanced loss, and classifiers that know the sizes."""

import dataclasses

from keras_supcon.experiments.claims import Arm, Claim, Comparison, Tier, cross_entropy, with_loss

_IMBALANCE = 100
_SUPCON, _BALANCED = "SupCon", "balanced"
_JOINT, _JOINT_BALANCED = "SupCon + adjusted", "balanced + adjusted"
_ADJUSTED = "adjusted cross-entropy"


def arms(tier: Tier) -> dict[str, Arm]:
    training = dataclasses.replace(
        tier.sweep, images=dataclasses.replace(tier.sweep.images, imbalance=_IMBALANCE)
    )
    balanced = dataclasses.replace(
        with_loss(training, "BalancedSupConLoss", temperature=0.1), class_centers=True
    )
    joint = {"joint_classifier": True, "classifier_trains_encoder": True, "logit_adjusted": True}
    equal_views = {"epochs": 2 * training.epochs}

    trainings = {
        "cross-entropy": cross_entropy(training, **equal_views),
        _ADJUSTED: cross_entropy(training, logit_adjusted=True, **equal_views),
        _SUPCON: training,
        _BALANCED: balanced,
        _JOINT: dataclasses.replace(training, **joint),
        _JOINT_BALANCED: dataclasses.replace(balanced, **joint),
    }
    return {name: Arm(training, tier.learning_rates) for name, training in trainings.items()}


CLAIM = Claim(
    title="The balanced loss is more accurate than SupCon on a long tail",
    group="beyond the paper",
    source="Zhu et al., Balanced Contrastive Learning, CVPR 2022",
    published="57.2 on ImageNet-LT, ResNeXt-50, beside a cross-entropy",
    expectation=(
        "Not shown: with 10 classes and batches of 64 most classes are in most batches, so that "
        "centers bring little. What knows the sizes of the classes gains many points on the few, "
        "whatever the loss."
    ),
    equal=(
        "Views of images, and the choice among four learning rates. Sizes fall by 100 from the "
        "first class to the last; test images are balanced. Adjusted accuracies are of "
        "classifiers that know the sizes, in training or afterwards."
    ),
    arms=arms,
    measurements=("accuracy", "class_sizes"),
    shows_all=True,
    comparisons=(
        Comparison(_BALANCED, _SUPCON, "higher", "adjusted_accuracy"),
        Comparison(_JOINT_BALANCED, _JOINT, "higher", "adjusted_accuracy"),
        Comparison(_JOINT_BALANCED, _ADJUSTED, "higher", "adjusted_accuracy"),
        Comparison(_JOINT_BALANCED, _ADJUSTED, "higher", "adjusted_few"),
    ),
)
