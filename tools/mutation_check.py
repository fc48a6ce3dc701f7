"""Breaks laws of the package on purpose, one at a time, and shows that tests of `make test` fail.

    python tools/mutation_check.py --neutral_python=.venv-neutral/bin/python
    python tools/mutation_check.py --only=positives_cap_off_by_one,queue_takes_gradient
    python tools/mutation_check.py --list

Works on a temporary copy of the files that git knows or would know, so that the working tree may
be edited meanwhile. The tests of a mutation first have to pass without it. Mutations for JAX and
PyTorch run under --neutral_python and are left out without it. Prints a Markdown table at the end.
The exit code is 1 if a mutation is missed or could not be judged.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Literal

from absl import app, flags

_ONLY = flags.DEFINE_list("only", [], "Names of the mutations to run; all if empty.")
_LIST = flags.DEFINE_bool("list", False, "Prints names and laws, and runs nothing.")
_NEUTRAL_PYTHON = flags.DEFINE_string("neutral_python", None, "Python with keras, jax and torch.")
_SKIP_BASELINE = flags.DEFINE_bool("skip_baseline", False, "Trusts that the tests pass unchanged.")

ROOT = pathlib.Path(__file__).resolve().parent.parent
# A run that takes longer hangs.
_MOST_SECONDS = 1200
_TESTS_FAILED = 1


@dataclasses.dataclass(frozen=True)
class Mutation:
    """Describes a slip that a maintainer could make, and the tests that should fail then.

    Args:
        name: Name for `--only`.
        law: Law that it breaks.
        file: Changed file, relative to the root.
        before: Text that occurs once in the file.
        after: Text in its place.
        tests: Tests that notice it in `make test`: files, folders or, in slow files, `file::test`.
        backend: Backend of Keras on which they do.
    """

    name: str
    law: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    backend: Literal["tensorflow", "jax", "torch"] = "tensorflow"


_REPLICAS = "tests/distribution/test_replicas.py"
_UNEVEN_SHARES = (
    f"{_REPLICAS}::test_uneven_shares_have_the_gradient_of_the_global_mean_and_values_of_their_own"
)
_CONTINUAL = "tests/experiments/test_continual.py"
_EVERY_CLASS = "tests/package/test_every_class.py"
_ARGUMENTS_IN_CONFIG = f"{_EVERY_CLASS}::test_every_argument_of_the_constructor_is_in_the_config"

MUTATIONS = (
    # ops
    Mutation(
        name="positives_cap_off_by_one",
        law="An anchor has no more than `max_samples` other samples of its class as positives.",
        file="keras_supcon/ops/pairs.py",
        before="rank < self.max_samples",
        after="rank <= self.max_samples",
        tests=("tests/ops/test_pair_sum.py",),
        backend="torch",
    ),
    Mutation(
        name="mirrored_pairs_without_gradient",
        law="A row takes gradient as an anchor and as a contrast of the others.",
        file="keras_supcon/ops/pair_sum.py",
        before="return rows * (upstream[i] + ops.transpose(upstream[j]))",
        after="return rows * upstream[i]",
        tests=("tests/ops/test_pair_sum.py",),
        backend="torch",
    ),
    Mutation(
        name="mirrored_pairs_have_the_same_weight",
        law="A pair and its mirror image may have different weights.",
        file="keras_supcon/ops/pair_weighting.py",
        before="self._weight(products, _transposed(of_j[0]), of_i[1])",
        after="self._weight(products, of_i[0], _transposed(of_j[1]))",
        tests=("tests/ops/test_pair_weighting.py",),
        backend="torch",
    ),
    Mutation(
        name="normalization_passes_gradient_through",
        law="The gradient of a normalized row is tangent to the sphere.",
        file="keras_supcon/ops/normalization.py",
        before="tangent = upstream - unit * ops.sum(unit * upstream, axis=axis, keepdims=True)",
        after="tangent = upstream",
        tests=("tests/ops/test_normalization.py",),
        backend="jax",
    ),
    Mutation(
        name="long_rows_have_no_reciprocal",
        law="Rows up to the largest float32 keep their direction.",
        file="keras_supcon/ops/normalization.py",
        before="ops.full_like(magnitude, 1 / _STEP), ops.full_like(magnitude, _STEP)",
        after="ops.ones_like(magnitude), ops.ones_like(magnitude)",
        tests=("tests/ops/test_normalization.py",),
        backend="jax",
    ),
    Mutation(
        name="anchor_is_its_own_positive",
        law="A row is never a positive of itself.",
        file="keras_supcon/ops/contrast.py",
        before="of_class if self._are_keys else of_class - anchors",
        after="of_class",
        tests=("tests/losses/test_supcon.py",),
        backend="torch",
    ),
    Mutation(
        name="queue_takes_gradient",
        law="The rows of a queue take no gradient.",
        file="keras_supcon/ops/contrast.py",
        before="part_order.take(ops.stop_gradient(part) if is_constant else part)",
        after="part_order.take(part)",
        tests=("tests/losses/test_supcon_modes.py",),
        backend="torch",
    ),
    Mutation(
        name="keys_take_gradient",
        law="Keys take no gradient.",
        file="keras_supcon/ops/contrast.py",
        before="projections = ops.stop_gradient(projections) if are_constant else projections",
        after="pass",
        tests=("tests/losses/test_keys_and_queue.py",),
        backend="torch",
    ),
    Mutation(
        name="targets_take_gradient",
        law="The targets of NegativeCosineLoss take no gradient.",
        file="keras_supcon/losses/negative_cosine.py",
        before='ops.stop_gradient(standardize_keys(y_true, predictions, "y_true"))',
        after='standardize_keys(y_true, predictions, "y_true")',
        tests=("tests/losses/test_negative_cosine.py",),
        backend="torch",
    ),
    Mutation(
        name="trainable_keys_are_constant",
        law="Trainable keys take the gradient of the formula.",
        file="keras_supcon/ops/contrast.py",
        before="are_constant = are_keys and not trainable_keys",
        after="are_constant = are_keys",
        tests=("tests/losses/test_keys_and_queue.py",),
        backend="torch",
    ),
    Mutation(
        name="options_of_a_call_are_ignored",
        law="Options of a call take the place of those of the constructor.",
        file="keras_supcon/losses/base.py",
        before="{**options, **inputs}",
        after="{**inputs, **options}",
        tests=("tests/losses/test_keys_and_queue.py",),
        backend="torch",
    ),
    Mutation(
        name="batch_is_constant",
        law="The rows of the batch take gradient as contrasts, also where not all are anchors.",
        file="keras_supcon/ops/contrast.py",
        before="is_constant=are_constant",
        after="is_constant=True",
        tests=("tests/losses/test_supcon_modes.py",),
        backend="torch",
    ),
    Mutation(
        name="nan_is_hidden",
        law="A projection that is not finite makes the losses of its batch NaN.",
        file="keras_supcon/ops/contrast.py",
        before='one * float("nan")',
        after="one",
        tests=(
            "tests/losses/test_supcon_modes.py::test_a_row_that_is_not_finite_makes_all_losses_nan",
        ),
        backend="torch",
    ),
    Mutation(
        name="ignored_rows_are_negatives",
        law="Samples of the ignored class are no negatives of others.",
        file="keras_supcon/ops/blocks.py",
        before="if rows.present is None",
        after="if True",
        tests=("tests/losses/test_ignored.py",),
        backend="torch",
    ),
    Mutation(
        name="ignored_rows_take_gradient",
        law="The rows of ignored samples take no gradient, and give none.",
        file="keras_supcon/ops/contrast.py",
        before="projections, present = _without_ignored(class_ids, projections, is_ignored)",
        after="_, present = _without_ignored(class_ids, projections, is_ignored)",
        tests=("tests/losses/test_ignored.py",),
        backend="torch",
    ),
    Mutation(
        name="own_key_is_no_positive",
        law="The key in the place of an anchor is one of its positives.",
        file="keras_supcon/ops/contrast.py",
        before="self._anchor_rows = self._anchor_rows._replace(index=nowhere)",
        after="pass",
        tests=("tests/losses/test_keys_and_queue.py",),
        backend="torch",
    ),
    Mutation(
        name="keys_of_others_are_candidates",
        law="With `in_batch_keys=False` an anchor is contrasted with its own keys and the queue.",
        file="keras_supcon/ops/contrast.py",
        before="own_only=own_keys_only",
        after="own_only=False",
        tests=("tests/losses/test_keys_and_queue.py",),
        backend="torch",
    ),
    Mutation(
        name="empty_slots_are_negatives",
        law="Empty slots of a queue change nothing.",
        file="keras_supcon/ops/standardize.py",
        before="is_ignored = is_empty",
        after="is_ignored = ops.zeros_like(is_empty)",
        tests=("tests/losses/test_keys_and_queue.py",),
        backend="torch",
    ),
    Mutation(
        name="empty_slots_are_not_cleared",
        law="An empty slot of a queue may hold anything.",
        file="keras_supcon/ops/standardize.py",
        before="queue = ops.where(is_empty[:, None], ops.zeros((), dtype=queue.dtype), queue)",
        after="pass",
        tests=("tests/losses/test_keys_and_queue.py",),
        backend="torch",
    ),
    Mutation(
        name="the_last_of_the_nearest",
        law="Of equally near rows the nearest is the first.",
        file="keras_supcon/ops/pair_sum.py",
        before="maxima > row_maxima",
        after="maxima >= row_maxima",
        tests=("tests/ops/test_pair_sum.py",),
        backend="torch",
    ),
    # losses
    Mutation(
        name="bias_has_twice_its_gradient",
        law="A bias with gradient has the slope of the float64 sum over pairs.",
        file="keras_supcon/ops/bias.py",
        before="1.0 + (bias - now) / 2",
        after="1.0 + (bias - now)",
        tests=("tests/losses/test_ntlogistic.py",),
        backend="torch",
    ),
    Mutation(
        name="ignored_rows_move_the_bias",
        law="Ignored samples have no part in the gradient of a bias.",
        file="keras_supcon/ops/contrast.py",
        before="anchors = _zero_where_absent(part.rows, anchors)",
        after="pass",
        tests=("tests/losses/test_ntlogistic.py",),
        backend="torch",
    ),
    Mutation(
        name="one_learned_option_replaces_the_other",
        law="A temperature and a bias are learned together.",
        file="keras_supcon/losses/learned_options.py",
        before="_IN_USE.set((*_IN_USE.get(), (loss, options)))",
        after="_IN_USE.set(((loss, options),))",
        tests=("tests/models/test_bias.py",),
        backend="torch",
    ),
    Mutation(
        name="finer_levels_do_not_bind",
        law="No level of a hierarchy counts as less than a finer one.",
        file="keras_supcon/losses/level_constraint.py",
        before="is_larger = means[level] >= largest",
        after="is_larger = means[level] >= 0",
        tests=("tests/losses/test_level_constraint.py",),
        backend="torch",
    ),
    Mutation(
        name="levels_are_compared_within_a_replica",
        law="The losses of levels are compared over the batch of all replicas.",
        file="keras_supcon/losses/level_constraint.py",
        before="whole_batch_mean(losses) if gather",
        after="whole_batch_mean(losses) if not gather",
        tests=(f"{_REPLICAS}::test_levels_are_compared_over_all_replicas",),
    ),
    Mutation(
        name="queue_without_temperature",
        law="Logits of the queue are cosines over the temperature, as those of the batch.",
        file="keras_supcon/losses/loss_contrast.py",
        before="scaled(rows) if is_known",
        after="limited(rows) if is_known",
        tests=("tests/losses/test_supcon_modes.py",),
        backend="torch",
    ),
    Mutation(
        name="queue_takes_half_of_the_temperature",
        law="The gradient of the temperature is that of all logits, those of the queue too.",
        file="keras_supcon/losses/loss_contrast.py",
        before="queue_scale=None if is_known else 1.0 / root",
        after="queue_scale=None if is_known else ops.stop_gradient(1.0 / root)",
        tests=("tests/losses/test_temperature.py",),
        backend="torch",
    ),
    Mutation(
        name="options_are_set_silently",
        law="An option of a loss is set once.",
        file="keras_supcon/losses/replica_scaled.py",
        before="if name in self._set_once:",
        after="if False:",
        tests=(f"{_EVERY_CLASS}::test_options_of_losses_are_set_once",),
        backend="torch",
    ),
    Mutation(
        name="class_does_not_check_options",
        law="A class refuses the options that its function refuses.",
        file="keras_supcon/losses/function_loss.py",
        before="options = self.function.check_options(options)",
        after="options = dict(options)",
        tests=("tests/losses/test_options.py",),
        backend="torch",
    ),
    Mutation(
        name="keys_without_temperature",
        law="The gradient of the temperature is that of all logits, those of keys too.",
        file="keras_supcon/ops/contrast.py",
        before="scale=queue_scale if are_constant else None",
        after="scale=None",
        tests=("tests/losses/test_keys_and_queue.py",),
        backend="torch",
    ),
    Mutation(
        name="names_are_unknown_to_keras",
        law="`keras.losses.get` knows every loss by its name.",
        file="keras_supcon/losses/names.py",
        before="name_loss(loss.__name__, loss)",
        after="pass",
        tests=("tests/losses/test_options.py",),
        backend="torch",
    ),
    Mutation(
        name="slope_of_a_share",
        law="The slope of a pair sum is the derivative of its value.",
        file="keras_supcon/losses/supcon.py",
        before="relative_share(margin, log_largest) * ops.sigmoid(-margin)",
        after="relative_share(margin, log_largest)",
        tests=("tests/losses/test_supcon_modes.py",),
        backend="torch",
    ),
    Mutation(
        name="sign_of_the_triplet_gradient",
        law="The triplet loss falls where a positive comes nearer.",
        file="keras_supcon/losses/triplet.py",
        before="add_in_rows(slopes, self.columns, -of_part)",
        after="add_in_rows(slopes, self.columns, of_part)",
        tests=("tests/losses/test_every_loss.py",),
        backend="torch",
    ),
    Mutation(
        name="semi_hard_takes_ties",
        law="A negative as far as the positive is not farther.",
        file="keras_supcon/losses/triplet.py",
        before="count_below(positives.ascending, negatives)",
        after="count_below(positives.ascending, negatives, or_equal=True)",
        tests=("tests/losses/test_every_loss.py",),
        backend="torch",
    ),
    Mutation(
        name="triplets_of_the_first_positives",
        law="All positives of a large class are in triplets.",
        file="keras_supcon/ops/whole_rows.py",
        before="(most + _NUM_POSITIVES - 1) // _NUM_POSITIVES",
        after="1",
        tests=("tests/losses/test_triplet.py",),
        backend="torch",
    ),
    Mutation(
        name="equal_negatives_take_the_slope_twice",
        law="Negatives at equal distances share the slope of a semi-hard triplet.",
        file="keras_supcon/losses/triplet.py",
        before="ops.cond(has_ties, shares, lambda: uses)",
        after="uses",
        tests=("tests/losses/test_triplet.py",),
        backend="torch",
    ),
    Mutation(
        name="labels_through_float32",
        law="Class ids above 2^24 stay apart.",
        file="keras_supcon/losses/base.py",
        before="values = self.call(y_true, ",
        after="values = self.call(ops.convert_to_tensor(y_true, dtype=self.dtype), ",
        tests=("tests/losses/test_every_loss.py",),
        backend="torch",
    ),
    # metrics
    Mutation(
        name="tie_counts_as_right",
        law="A negative as near as the nearest positive is an error.",
        file="keras_supcon/metrics/contrastive_accuracy.py",
        before="batch.pair_max(batch.positives) > batch.pair_max(batch.negatives)",
        after="batch.pair_max(batch.positives) >= batch.pair_max(batch.negatives)",
        tests=("tests/metrics/test_metrics.py",),
        backend="torch",
    ),
    # layers
    Mutation(
        name="head_forgets_an_argument",
        law="The configuration of a layer holds every argument.",
        file="keras_supcon/layers/projection_head.py",
        before='            "batch_norm": self.batch_norm,\n',
        after="",
        tests=(_ARGUMENTS_IN_CONFIG,),
        backend="torch",
    ),
    # encoders
    Mutation(
        name="block_starts_at_random",
        law="A residual block starts as its shortcut.",
        file="keras_supcon/encoders/resnet.py",
        before='last = {**batch_norm, "gamma_initializer": "zeros"}',
        after="last = batch_norm",
        tests=("tests/encoders/test_resnet.py::test_a_new_block_starts_as_its_shortcut",),
        backend="torch",
    ),
    # models
    Mutation(
        name="learned_temperature_decays",
        law="A learned temperature does not decay.",
        file="keras_supcon/_keras_internals.py",
        before="{*excluded, optimizer._var_key(variable)}",
        after="{*excluded}",
        tests=("tests/models/test_temperature.py",),
        backend="torch",
    ),
    Mutation(
        name="logits_are_scaled_without_limit",
        law="A learned temperature scales logits by no more than 100.",
        file="keras_supcon/models/temperature.py",
        before="return ops.clip(log_scale, min(smallest, 0.0), max(largest, 0.0))",
        after="return log_scale",
        tests=("tests/models/test_temperature.py",),
        backend="torch",
    ),
    Mutation(
        name="evaluation_moves_the_seeds",
        law="Training goes on after an evaluation as if there had been none.",
        file="keras_supcon/models/seed_states.py",
        before="kept = [ops.copy(state) for state in states]",
        after="kept = states",
        tests=(
            "tests/models/test_contrastive.py::test_training_goes_on_after_an_evaluation_as_if_there_had_been_none",
        ),
        backend="torch",
    ),
    Mutation(
        name="synchronization_gets_lost",
        law="Synchronized batch normalization reaches every layer of the encoder.",
        file="keras_supcon/encoders/resnet.py",
        before='"synchronized": synchronized_batch_norm,',
        after='"synchronized": False,',
        tests=(
            "tests/encoders/test_resnet.py::test_synchronized_batch_normalization_reaches_every_layer",
        ),
    ),
    Mutation(
        name="frozen_encoder_trains",
        law="The encoder of a linear classifier runs in inference mode, and its averages stay.",
        file="keras_supcon/models/linear_classifier.py",
        before="training=bool(training) and self._fits_in_training_mode",
        after="training=bool(training)",
        tests=("tests/models/test_linear_classifier.py",),
        backend="torch",
    ),
    Mutation(
        name="recipes_scale_for_one_stage",
        law="Pixels reach the encoder in the range that they come in, in training too.",
        file="keras_supcon/augmentation/pixel_range.py",
        before="stretched = images * (high - low)",
        after="stretched = images * 1.0",
        tests=("tests/models/test_pixels.py",),
        backend="torch",
    ),
    Mutation(
        name="blocks_are_all_trained",
        law="A number of blocks trains the last ones alone.",
        file="keras_supcon/models/fine_tuning.py",
        before="blocks[-trainable_encoder:]",
        after="blocks",
        tests=("tests/models/test_fine_tuning.py",),
        backend="torch",
    ),
    Mutation(
        name="unlabelled_are_one_class",
        law="Without labels every image is a class of its own.",
        file="keras_supcon/models/pretraining.py",
        before='[0],), -1, dtype="int32")',
        after='[0],), 0, dtype="int32")',
        tests=("tests/metrics/test_metrics.py",),
        backend="torch",
    ),
    Mutation(
        name="second_pass_draws_anew",
        law="A micro-batch draws in its second pass what it drew in the first.",
        file="keras_supcon/models/micro_batches.py",
        before="            present += zip(self._handed_on, state.handed_on, strict=True)\n",
        after="",
        tests=("tests/models/test_micro_batches.py",),
    ),
    Mutation(
        name="seeds_share_memory",
        law="The second pass begins with the seeds from before the step.",
        file="keras_supcon/models/micro_batches.py",
        before="handed_on = [ops.copy(one) for one in self._handed_on]",
        after="handed_on = [ops.convert_to_tensor(one) for one in self._handed_on]",
        tests=("tests/models/test_micro_batches.py",),
        backend="torch",
    ),
    Mutation(
        name="micro_batches_draw_alike",
        law="Micro-batches draw different numbers.",
        file="keras_supcon/models/micro_batches.py",
        before="handed_on = handed_on or trace.handed_on",
        after="handed_on = state.handed_on",
        tests=("tests/models/test_micro_batches.py",),
        backend="jax",
    ),
    Mutation(
        name="averages_move_by_the_sum",
        law="Moving averages move by the mean over micro-batches.",
        file="keras_supcon/models/micro_batches.py",
        before="return ops.divide_no_nan(change, ops.cast(self.num_passes, change.dtype))",
        after="return change",
        tests=("tests/models/test_micro_batches.py",),
        backend="torch",
    ),
    Mutation(
        name="no_gradient_becomes_zeros",
        law="Weights that the networks do not use have no gradient, so they do not decay.",
        file="keras_supcon/models/micro_batches.py",
        before="if id(one) in trace.read",
        after="if True",
        tests=("tests/models/test_micro_batches.py",),
    ),
    Mutation(
        name="half_precision_is_summed",
        law="Projections of micro-batches are of at least float32.",
        file="keras_supcon/models/micro_batches.py",
        before='keras.backend.result_type(tensor.dtype, "float32")',
        after="tensor.dtype",
        tests=("tests/models/test_micro_batches.py",),
        backend="torch",
    ),
    Mutation(
        name="evaluation_fills_the_queue",
        law="A queue is filled in training steps alone.",
        file="keras_supcon/models/pretraining.py",
        before="self.is_training_step, self.step_inputs = bool(training), x",
        after="self.is_training_step, self.step_inputs = True, x",
        tests=("tests/models/test_step_protocol.py",),
        backend="torch",
    ),
    Mutation(
        name="a_batch_is_cut_at_the_end_of_the_ring",
        law="A queue is a ring: rows beyond its end go to its beginning.",
        file="keras_supcon/layers/queue.py",
        before="(ops.take(pointer, rings) + ranks) % length",
        after="ops.minimum(ops.take(pointer, rings) + ranks, length - 1)",
        tests=("tests/layers/test_queue.py",),
        backend="torch",
    ),
    Mutation(
        name="unlabeled_rows_are_of_class_0",
        law="A ring a class holds rows of its class alone.",
        file="keras_supcon/layers/queue.py",
        before="ops.full_like(labels, self._num_rings), labels)",
        after="ops.zeros_like(labels), labels)",
        tests=("tests/layers/test_queue.py",),
        backend="torch",
    ),
    Mutation(
        name="the_key_of_the_own_view",
        law="A query is contrasted with the key of the other view.",
        file="keras_supcon/models/moco.py",
        before="keys = ops.flip(keys, axis=1)",
        after="keys = ops.copy(keys)",
        tests=("tests/models/test_moco.py",),
        backend="torch",
    ),
    Mutation(
        name="the_second_key_is_forgotten",
        law="With both directions the keys of both views go into the queue.",
        file="keras_supcon/models/moco.py",
        before="            for place in range(num_directions):\n                self.queue",
        after="            for place in range(1):\n                self.queue",
        tests=("tests/models/test_moco.py",),
        backend="torch",
    ),
    Mutation(
        name="groups_of_one_image_twice",
        law="Shuffled groups of a small batch hold two images each.",
        file="keras_supcon/models/moco.py",
        before="(group + 1) % num_rows",
        after="group % num_rows",
        tests=("tests/models/test_moco.py",),
        backend="torch",
    ),
    Mutation(
        name="second_networks_add_to_the_loss",
        law="What layers add to the loss counts for the trained networks alone.",
        file="keras_supcon/models/network_copy.py",
        before="forget_added_losses(self)",
        after="pass",
        tests=("tests/models/test_momentum.py",),
        backend="torch",
    ),
    Mutation(
        name="copies_forget_what_was_adapted",
        law="A copy normalizes as its network was adapted.",
        file="keras_supcon/models/network_copy.py",
        before="                _adapt(follower, layer)",
        after="                pass",
        tests=("tests/models/test_momentum.py",),
        backend="tensorflow",
    ),
    Mutation(
        name="copies_of_other_options_pass",
        law="A copy with other options than its network is refused.",
        file="keras_supcon/models/network_copy.py",
        before="if _description(network) != _description(follower):",
        after="if len(network.weights) != len(follower.weights):",
        tests=("tests/models/test_momentum.py",),
        backend="torch",
    ),
    Mutation(
        name="ids_that_nobody_reads_are_labels",
        law="Labels that the loss does not read are ids where they can be, and else none.",
        file="keras_supcon/ops/standardize.py",
        before="is_id = ops.logical_and(is_id, labels >= 0)",
        after="is_id = ops.logical_and(is_id, labels >= -9)",
        tests=("tests/ops/test_standardize.py",),
        backend="torch",
    ),
    Mutation(
        name="weights_of_unlabeled_samples_are_dropped",
        law="Weights of samples without labels count.",
        file="keras_supcon/models/pretraining.py",
        before="if sample_weight is None:\n            return None",
        after="return None",
        tests=("tests/models/test_methods.py",),
        backend="torch",
    ),
    Mutation(
        name="unknown_batches_are_not_checked",
        law="A batch of unknown size that does not fit into a queue stops its step.",
        file="keras_supcon/models/queue_checks.py",
        before="num_rows <= queue_size, inputs",
        after="num_rows >= 0, inputs",
        tests=("tests/models/test_methods.py",),
    ),
    Mutation(
        name="keys_stay_shuffled",
        law="Keys that were normalized in shuffled groups are put back in order.",
        file="keras_supcon/models/moco.py",
        before="places = (places % groups) * size + places // groups",
        after="places = ops.arange(size * groups)[:num_rows]",
        tests=("tests/models/test_moco.py",),
        backend="torch",
    ),
    Mutation(
        name="statistics_follow_too",
        law="Statistics of batch normalization of second networks are those of their own passes.",
        file="keras_supcon/models/momentum_copy.py",
        before="1.0 - momentum if id(weight) in averaged else 0.0",
        after="1.0 - momentum",
        tests=("tests/models/test_moco.py",),
        backend="torch",
    ),
    Mutation(
        name="momentum_of_the_coming_step",
        law="The move at the beginning of a step has the momentum of the step before.",
        file="keras_supcon/models/momentum.py",
        before="update = ops.maximum(step // batches - 1, 0)",
        after="update = step // batches",
        tests=("tests/models/test_byol.py",),
        backend="torch",
    ),
    Mutation(
        name="second_networks_are_trained",
        law="No gradient reaches the second networks.",
        file="keras_supcon/models/network_copy.py",
        before="weight.trainable = False",
        after="weight.trainable = True",
        tests=("tests/models/test_methods.py",),
        backend="torch",
    ),
    Mutation(
        name="targets_of_the_same_view",
        law="A prediction is compared with the target of the other view.",
        file="keras_supcon/models/byol.py",
        before='ops.flip(projections["target"], axis=1)',
        after='projections["target"]',
        tests=("tests/models/test_byol.py",),
        backend="torch",
    ),
    Mutation(
        name="simsiam_runs_a_second_network",
        law="Without momentum the targets are the projections of the same pass.",
        file="keras_supcon/models/byol.py",
        before="self.initial_momentum == 0 and self.total_steps is None",
        after="self.initial_momentum < 0",
        tests=("tests/models/test_byol.py",),
        backend="torch",
    ),
    Mutation(
        name="predictions_of_the_same_view",
        law="A neighbor of a view is contrasted with predictions of the other view.",
        file="keras_supcon/models/nnclr.py",
        before="predictions[:, places[-1] - place]",
        after="predictions[:, place]",
        tests=("tests/models/test_nnclr.py",),
        backend="torch",
    ),
    Mutation(
        name="neighbors_of_the_second_view_are_kept",
        law="The support set holds projections of the first view.",
        file="keras_supcon/models/nnclr.py",
        before="self.queue.enqueue(rows[:, 0], labels",
        after="self.queue.enqueue(rows[:, -1], labels",
        tests=("tests/models/test_nnclr.py",),
        backend="torch",
    ),
    Mutation(
        name="columns_take_no_gradient",
        law="Predictions take gradient as rows and as columns.",
        file="keras_supcon/models/nnclr.py",
        before="keys=prediction, trainable_keys=True",
        after="keys=prediction",
        tests=("tests/models/test_nnclr.py",),
        backend="torch",
    ),
    Mutation(
        name="the_probe_trains_the_encoder",
        law="A classifier with `stop_gradient` leaves the encoder bit by bit what it would be.",
        file="keras_supcon/models/contrastive.py",
        before="ops.stop_gradient(features) if self.stop_gradient else features",
        after="features",
        tests=("tests/models/test_joint_classifier.py",),
        backend="torch",
    ),
    Mutation(
        name="unlabeled_samples_count_in_the_mean",
        law="The cross-entropy is the mean over labeled samples.",
        file="keras_supcon/losses/subset_mean.py",
        before="ops.maximum(is_counted, _SMALL_WEIGHT)",
        after="ops.ones_like(is_counted)",
        tests=("tests/models/test_joint_classifier.py",),
        backend="torch",
    ),
    Mutation(
        name="a_teacher_takes_gradient",
        law="Distillation has no gradient to the teacher.",
        file="keras_supcon/losses/relation_distillation.py",
        before="ops.stop_gradient(targets)",
        after="targets",
        tests=("tests/losses/test_relation_distillation.py",),
        backend="torch",
    ),
    Mutation(
        name="a_row_alone_is_at_infinity",
        law="A row without others gives no loss and no gradient.",
        file="keras_supcon/losses/relation_distillation.py",
        before="ops.where(has_others, total, ops.ones_like(total))",
        after="total",
        tests=("tests/losses/test_relation_distillation.py",),
        backend="torch",
    ),
    Mutation(
        name="a_teacher_that_is_not_finite_is_not_seen",
        law="NaN in a row of the teacher makes the losses of the batch NaN.",
        file="keras_supcon/losses/relation_distillation.py",
        before="teacher.nan_unless_finite, losses.dtype",
        after="1.0, losses.dtype",
        tests=("tests/losses/test_relation_distillation.py",),
        backend="torch",
    ),
    Mutation(
        name="samples_of_the_buffer_are_anchors",
        law="Samples of earlier tasks are no anchors.",
        file="keras_supcon/models/co2l.py",
        before="if not self.asymmetric:",
        after="if True:",
        tests=("tests/models/test_co2l.py",),
        backend="torch",
    ),
    Mutation(
        name="the_teacher_keeps_its_weights",
        law="The networks become the teacher when a task begins.",
        file="keras_supcon/models/co2l.py",
        before="            self.teacher.take_weights(self._taught)",
        after="            pass",
        tests=("tests/models/test_co2l.py",),
        backend="torch",
    ),
    Mutation(
        name="the_teacher_normalizes_by_the_batch",
        law="The teacher is in inference mode.",
        file="keras_supcon/models/co2l.py",
        before='"teacher": self.teacher.project(view, training=False)',
        after='"teacher": self.teacher.project(view, training)',
        tests=("tests/models/test_co2l.py",),
        backend="torch",
    ),
    Mutation(
        name="the_teacher_shares_memory",
        law="A step on JAX may overwrite the networks and not the teacher.",
        file="keras_supcon/models/network_copy.py",
        before="own.assign(ops.copy(weight))",
        after="own.assign(weight)",
        tests=(
            "tests/models/test_co2l.py::test_the_teacher_stands_still_while_the_networks_train",
        ),
        backend="jax",
    ),
    Mutation(
        name="the_step_of_the_first_task_stays",
        law="From the second task on a step has a teacher.",
        file="keras_supcon/models/co2l.py",
        before="self.train_function = self.test_function = None",
        after="pass",
        tests=("tests/models/test_co2l.py::test_a_step_is_made_anew_where_it_has_to_be",),
        backend="tensorflow",
    ),
    Mutation(
        name="only_fit_has_a_teacher",
        law="A training loop of one's own distills too.",
        file="keras_supcon/models/co2l.py",
        before="        self._num_tasks.assign(task + 1)\n        self._choose_step()",
        after="        self._num_tasks.assign(task + 1)",
        tests=("tests/models/test_co2l.py",),
        backend="torch",
    ),
    Mutation(
        name="the_step_is_chosen_before_weights_are_loaded",
        law="Weights that are loaded when training begins choose the step.",
        file="keras_supcon/models/co2l.py",
        before="        self.model.make_train_function()",
        after="        pass",
        tests=("tests/models/test_co2l.py",),
        backend="torch",
    ),
    Mutation(
        name="copies_draw_the_same_numbers",
        law="Dropout of second networks draws other numbers than that of the trained ones.",
        file="keras_supcon/models/network_copy.py",
        before="        _draw_other_numbers(self.copies)",
        after="        pass",
        tests=("tests/models/test_momentum.py",),
        backend="torch",
    ),
    Mutation(
        name="normalization_of_copies_stays_frozen",
        law="Second networks normalize as the trained ones do, also where those were frozen.",
        file="keras_supcon/models/momentum_copy.py",
        before="set_own_trainable(follower, layer.trainable)",
        after="pass",
        tests=("tests/models/test_momentum.py",),
        backend="torch",
    ),
    Mutation(
        name="averages_move_with_every_batch",
        law="With gradient accumulation second networks move once for each update.",
        file="keras_supcon/models/momentum.py",
        before="if batches > 1:",
        after="if False:",
        tests=("tests/models/test_momentum.py",),
        backend="torch",
    ),
    Mutation(
        name="averages_of_views_move_by_half",
        law="In micro-batches the moving averages of a view change by the mean of its passes.",
        file="keras_supcon/models/micro_batches.py",
        before="passes.end_function(state, cut.num_parts * num_views)",
        after="passes.end_function(state, 2 * cut.num_parts * num_views)",
        tests=("tests/models/test_methods.py",),
        backend="torch",
    ),
    Mutation(
        name="ignored_samples_are_candidates",
        law="Samples that the loss ignores leave the slots of a queue empty.",
        file="keras_supcon/models/queue_checks.py",
        before="ops.equal(ops.reshape(y, (-1,)), ignore_class)",
        after="ops.reshape(y, (-1,)) < -(2**30)",
        tests=("tests/models/test_moco.py",),
        backend="torch",
    ),
    Mutation(
        name="a_third_view_is_taken",
        law="A method of two views refuses other numbers before anything changes.",
        file="keras_supcon/models/pretraining.py",
        before="if wanted in (None, num_views) or",
        after="if num_views or",
        tests=("tests/models/test_methods.py",),
        backend="torch",
    ),
    # distribution
    Mutation(
        name="uneven_replicas_weigh_alike",
        law="The gradient of replicas with uneven shares is that of the global batch.",
        file="keras_supcon/distribution/gather.py",
        before="count * tf.cast(context.num_replicas_in_sync, count.dtype)",
        after="total",
        tests=(_UNEVEN_SHARES,),
    ),
    Mutation(
        name="weight_of_a_replica_in_the_value",
        law="A replica reports its own mean, which Keras weighs by the shares.",
        file="keras_supcon/losses/replica_scaled.py",
        before="of_gradient * values + ops.stop_gradient((of_value - of_gradient) * values)",
        after="of_gradient * values",
        tests=(_UNEVEN_SHARES,),
    ),
    Mutation(
        name="uneven_weights_count_rows",
        law="With weights that sum to other totals, replicas weigh by these.",
        file="keras_supcon/losses/replica_scaled.py",
        before="whole_batch_factor(ops.sum(ops.cast(sample_weight, values.dtype)))",
        after="whole_batch_factor(rows)",
        tests=(_UNEVEN_SHARES,),
    ),
    Mutation(
        name="reported_loss_of_uneven_replicas",
        law="Keras reports the loss of the global batch, whatever the reduction and the shares.",
        file="keras_supcon/losses/replica_scaled.py",
        before="if is_in_compiled_loss():",
        after="if False:",
        tests=("tests/distribution/test_reported_loss.py",),
    ),
    Mutation(
        name="another_scope_of_the_compiled_loss",
        law="A loss knows whether it is called by what `compile` made of it.",
        file="keras_supcon/distribution/reporting.py",
        before='_SCOPE = "compile_loss"',
        after='_SCOPE = "compiled_loss"',
        tests=("tests/distribution/test_reporting.py",),
        backend="torch",
    ),
    Mutation(
        name="offset_of_equal_shares",
        law="The rows of a replica come after those of the replicas before it, however many.",
        file="keras_supcon/distribution/gather.py",
        before="return gathered, tf.reduce_sum(lengths[: context.replica_id_in_sync_group])",
        after="return gathered, tf.shape(tensors[0])[0] * context.replica_id_in_sync_group",
        tests=("tests/distribution/test_replicas.py",),
    ),
    Mutation(
        name="a_placeholder_row_counts",
        law="A replica without rows adds nothing to synchronized statistics.",
        file="keras_supcon/distribution/empty_replicas.py",
        before="call(_rows(is_empty, inputs), *args[1:], **kwargs)",
        after="call(inputs, *args[1:], **kwargs)",
        tests=("tests/distribution/test_empty_replicas.py",),
    ),
    Mutation(
        name="a_placeholder_row_moves_averages",
        law="The moving averages of a replica without rows stay where they are.",
        file="keras_supcon/distribution/empty_replicas.py",
        before="average.assign(tf.where(is_empty, value, average.value))",
        after="average.assign(average.value)",
        tests=("tests/distribution/test_empty_replicas.py",),
    ),
    Mutation(
        name="layers_of_a_user_stay_wrapped",
        law="What is wrapped within a step is restored.",
        file="keras_supcon/_keras_internals.py",
        before="        if count == 0:\n",
        after="        if count == -1:\n",
        tests=("tests/package/test_keras_internals.py",),
        backend="torch",
    ),
    Mutation(
        name="a_derived_seed_is_another",
        law="Seeds are derived as in the versions before.",
        file="keras_supcon/seeds.py",
        before="_PART_STRIDE = 15_485_863",
        after="_PART_STRIDE = 15_485_867",
        tests=("tests/package/test_seeds.py",),
        backend="torch",
    ),
    Mutation(
        name="replicas_draw_alike",
        law="Replicas draw different numbers.",
        file="keras_supcon/augmentation/layers/image_augmentation.py",
        before="self.generator = ReplicaSeedGenerator(",
        after="self.generator = keras.random.SeedGenerator(",
        tests=("tests/distribution/test_replicas.py",),
    ),
    # optimizers
    Mutation(
        name="decay_outside_the_trust_ratio",
        law="The weight decay of LARS is part of the gradient whose norm is taken.",
        file="keras_supcon/optimizers/lars.py",
        before="""\
        if self._decays[index]:
            gradient = gradient + self.coupled_weight_decay * weights
        addend = gradient
        if self.classic_momentum:
            addend = learning_rate * self._adapted(index, weights, gradient)
""",
        after="""\
        addend = gradient
        if self.classic_momentum:
            addend = learning_rate * self._adapted(index, weights, gradient)
        if self._decays[index]:
            addend = addend + learning_rate * self.coupled_weight_decay * weights
""",
        tests=("tests/optimizers/test_lars.py",),
        backend="torch",
    ),
    Mutation(
        name="warm_up_shortens_the_schedule",
        law="A schedule counts its steps from the end of the warm-up.",
        file="keras_supcon/optimizers/schedules.py",
        before="self._rate_after(ops.maximum(step - self.warmup_steps, 0))",
        after="self._rate_after(step)",
        tests=("tests/optimizers/test_schedules.py",),
        backend="torch",
    ),
    # augmentation
    Mutation(
        name="views_in_the_wrong_order",
        law="Each view has the recipe of its place.",
        file="keras_supcon/augmentation/layers/multi_view.py",
        before="for augmenter in self.augmenters]\n        dtypes",
        after="for augmenter in reversed(self.augmenters)]\n        dtypes",
        tests=("tests/augmentation/layers/test_multi_view.py",),
        backend="torch",
    ),
    Mutation(
        name="augments_unless_told",
        law="A layer that is not told whether it trains does not augment.",
        file="keras_supcon/augmentation/layers/image_augmentation.py",
        before="training = always_augments(self.entry_layer())",
        after="training = True",
        tests=("tests/augmentation/layers/test_every_layer.py",),
        backend="torch",
    ),
    Mutation(
        name="augments_at_inference",
        law="When not training, a view is the inference form of the image.",
        file="keras_supcon/augmentation/any_layer.py",
        before="layer(images, training=training) if takes_training(layer) else layer(images)",
        after="layer(images)",
        tests=("tests/models/test_contrastive.py",),
        backend="torch",
    ),
    Mutation(
        name="foreign_layers_are_called_without_their_adapter",
        law="The adapter of a package is asked about its layers within containers too.",
        file="keras_supcon/augmentation/adapters.py",
        before="return next(filter(None, map(adapter_of, layers_within(layer))), None)",
        after="return adapter_of(layer)",
        tests=("tests/augmentation/test_adapters.py",),
        backend="torch",
    ),
    Mutation(
        name="other_seeds_than_before",
        law="A seed repeats the views of earlier versions.",
        file="keras_supcon/seeds.py",
        before="_PART_STRIDE = 15_485_863",
        after="_PART_STRIDE = 15_485_864",
        tests=("tests/package/test_seeds.py",),
        backend="torch",
    ),
    Mutation(
        name="keras_does_not_see_the_arguments",
        law="Layers of Keras may have constructors that take old positional arguments.",
        file="keras_supcon/deprecation.py",
        before="call.__signature__ = signature",
        after="call.__doc__ = function.__doc__",
        tests=("tests/package/test_deprecation.py",),
        backend="torch",
    ),
    Mutation(
        name="nan_is_a_level",
        law="NaN stays NaN where levels are looked up in tables.",
        file="keras_supcon/augmentation/layers/operations.py",
        before="changed + nan_unless_finite(levels)",
        after="changed",
        tests=("tests/augmentation/layers/test_every_layer.py",),
        backend="torch",
    ),
    Mutation(
        name="nan_leads_to_the_table_of_another_image",
        law="NaN does not change other images.",
        file="keras_supcon/augmentation/operations/tone.py",
        before="levels = numpy.bitwise_and(levels, _LEVELS - 1)",
        after="levels = levels + 0",
        tests=("tests/augmentation/layers/test_every_layer.py",),
        backend="torch",
    ),
    Mutation(
        name="infinity_is_a_pixel",
        law="What is not finite becomes NaN.",
        file="keras_supcon/augmentation/layers/image_augmentation.py",
        before="images = images + nan_unless_finite(images)",
        after="images = images + 0",
        tests=("tests/augmentation/layers/test_every_layer.py",),
        backend="torch",
    ),
    Mutation(
        name="a_recipe_hides_nan",
        law="NaN stays NaN after operations that lose it, and where a compiler does.",
        file="keras_supcon/augmentation/policies/augmentation_policy.py",
        before="nan_unless_finite(pixels), axis=(1, 2, 3), keepdims=True",
        after="self.backend.numpy.zeros_like(pixels), axis=(1, 2, 3), keepdims=True",
        tests=("tests/augmentation/layers/test_every_layer.py",),
        backend="torch",
    ),
    Mutation(
        name="infinity_is_a_mean",
        law="What is not finite becomes NaN.",
        file="keras_supcon/augmentation/layers/color.py",
        before="mean = mean + nan_unless_finite(mean)",
        after="mean = mean + 0",
        tests=("tests/augmentation/layers/test_color.py",),
        backend="torch",
    ),
    Mutation(
        name="one_input_is_warned_of_twice",
        law="Layers that get one input warn of it once.",
        file="keras_supcon/augmentation/input_warnings.py",
        before="if 0 < highest <= 1 and value_range not in warned_of:",
        after="if 0 < highest <= 1:",
        tests=("tests/augmentation/layers/test_every_layer.py",),
        backend="torch",
    ),
    Mutation(
        name="program_takes_no_other_number_of_images",
        law="A program that PyTorch exports takes batches of any size.",
        file="keras_supcon/augmentation/tracing.py",
        before="return torch is not None and torch.compiler.is_compiling()",
        after="return False",
        tests=("tests/augmentation/layers/test_every_layer.py",),
        backend="torch",
    ),
    Mutation(
        name="warning_of_a_line_of_keras",
        law="Warnings show the line of the user.",
        file="keras_supcon/user_lines.py",
        before="level, frame = level + 1, frame.f_back",
        after="frame = frame.f_back",
        tests=("tests/models/test_pixels.py",),
        backend="torch",
    ),
    Mutation(
        name="equalize_counts_the_level_itself",
        law="Equalize maps a level by the number of pixels below it.",
        file="keras_supcon/augmentation/operations/tone.py",
        before="numpy.cumsum(counts, axis=2) - counts",
        after="numpy.cumsum(counts, axis=2)",
        tests=("tests/augmentation/layers/test_operations.py",),
        backend="torch",
    ),
    Mutation(
        name="posterize_rounds_up",
        law="Posterize keeps `floor(4 magnitude)` bits.",
        file="keras_supcon/augmentation/operations/tone.py",
        before="backend.numpy.floor(4.0 * magnitude)",
        after="backend.numpy.round(4.0 * magnitude)",
        tests=("tests/augmentation/layers/test_operations.py",),
        backend="torch",
    ),
    Mutation(
        name="seed_is_not_advanced",
        law="The draws for one element of a data set differ from one another.",
        file="keras_supcon/augmentation/stateless_seeds.py",
        before="self._num_drawn += 1",
        after="self._num_drawn += 0",
        tests=("tests/data/test_with_views.py",),
    ),
    Mutation(
        name="views_of_byol_have_the_saturation_of_simclr",
        law="The two policies of BYOL are those of the paper.",
        file="keras_supcon/augmentation/policies/byol_views.py",
        before='"saturation": 0.4 * strength',
        after='"saturation": 0.8 * strength',
        tests=("tests/augmentation/policies/test_byol_views.py",),
        backend="torch",
    ),
    # data
    Mutation(
        name="folder_repeats_its_order",
        law="Each epoch of a folder has its own order",
        file="keras_supcon/data/folder.py",
        before="rerandomize_each_iteration=True",
        after="rerandomize_each_iteration=False",
        tests=("tests/data/test_folder.py",),
    ),
    Mutation(
        name="damaged_file_is_left_out",
        law="A file that is damaged later is named",
        file="keras_supcon/data/folder.py",
        before="tf.reduce_all(is_right)",
        after="tf.constant(True)",
        tests=("tests/data/test_folder.py",),
    ),
    Mutation(
        name="last_file_is_left_out",
        law="A file at the end of an epoch that is damaged later is named",
        file="keras_supcon/data/folder.py",
        before=" & ~is_short",
        after="",
        tests=("tests/data/test_folder.py",),
    ),
    Mutation(
        name="split_follows_the_number_of_files",
        law="A file keeps its split when others are added",
        file="keras_supcon/data/splits.py",
        before="places = [_place(name, key) for name in names]",
        after="places = [_place(name, key) * len(names) % 1 for name in names]",
        tests=("tests/data/test_splits.py",),
    ),
    Mutation(
        name="orientation_is_ignored",
        law="Images are turned as EXIF says",
        file="keras_supcon/data/reading_plan.py",
        before="turn_upright(image, tf.gather(self._orientations, index)) if self._is_turned else",
        after="image if True else",
        tests=("tests/data/test_image_files.py",),
    ),
    Mutation(
        name="mirrored_window_is_not",
        law="The crop is that of the upright image",
        file="keras_supcon/data/reading_plan.py",
        before="np.where(is_mirrored, whole - sizes - begins, begins)",
        after="begins",
        tests=("tests/data/test_reading_plan.py",),
    ),
    Mutation(
        name="alpha_is_cut_off",
        law="Transparent pixels have the color of the background",
        file="keras_supcon/data/decode.py",
        before="tf.reduce_all(tf.equal(opacity, 255))",
        after="tf.constant(True)",
        tests=("tests/data/test_image_files.py",),
    ),
    Mutation(
        name="jpeg_is_halved_too_often",
        law="A JPEG file is not made smaller than the target",
        file="keras_supcon/data/reading_plan.py",
        before="factors >= ratio",
        after="factors + 1 >= ratio",
        tests=("tests/data/test_reading_plan.py",),
    ),
    Mutation(
        name="linked_loop_is_followed",
        law="A folder that is reached again is left out",
        file="keras_supcon/data/class_folders.py",
        before="if place in seen:",
        after="if len(seen) > 50:",
        tests=("tests/data/test_class_folders.py",),
    ),
    Mutation(
        name="resume_starts_one_batch_late",
        law="The first batch after a restart is the first that was not done.",
        file="keras_supcon/data/epochs.py",
        before="done = min(start[0] * steps + start[1], epochs * steps)",
        after="done = min(start[0] * steps + start[1] + 1, epochs * steps)",
        tests=("tests/data/test_epochs.py",),
    ),
    Mutation(
        name="places_count_from_the_restart",
        law="The draws for an example depend on its place in the epoch, not on the restart.",
        file="keras_supcon/data/epochs.py",
        before=".enumerate().skip(skipped)",
        after=".skip(skipped).enumerate()",
        tests=("tests/data/test_epochs.py",),
    ),
    Mutation(
        name="epochs_read_the_files_in_one_order",
        law="Each epoch takes the files of a data set in an order of its own.",
        file="keras_supcon/data/epochs.py",
        before="own.read(shuffle_files=True, seed=order, reshuffle=False)",
        after="own.read()",
        tests=("tests/data/test_epochs.py",),
    ),
    Mutation(
        name="buffer_counts_decoded_bytes",
        law="The shuffle buffer is filled with encoded images.",
        file="keras_supcon/data/pipeline.py",
        before="num_bytes = num_bytes or (1 if decode else shape.num_elements())",
        after="num_bytes = shape.num_elements() or 1",
        tests=("tests/data/test_prepared.py",),
    ),
    Mutation(
        name="label_is_ignored",
        law="`label` chooses one of several class labels.",
        file="keras_supcon/data/prepared.py",
        before="labels = [named[label]]",
        after="labels = labels[:1]",
        tests=("tests/data/test_prepared.py",),
    ),
    Mutation(
        name="copies_in_both_splits",
        law="Images with a mark in common are in one split.",
        file="tools/choose_test_images.py",
        before="if earlier < later:",
        after="if earlier > later:",
        tests=("tests/tools/test_choose_test_images.py",),
    ),
    Mutation(
        name="any_archive_is_unpacked",
        law="A package with another digest is not unpacked.",
        file="tools/fetch_npm_package.py",
        before='if f"sha512-{found}" != integrity:',
        after="if not found:",
        tests=("tests/tools/test_fetch_npm_package.py",),
    ),
    Mutation(
        name="other_pixels_without_a_word",
        law="Other pixels than the documented ones bring a warning.",
        file="tools/tfds_folder.py",
        before="if content.sha256 not in (None, found):",
        after="if not found:",
        tests=("tests/tools/test_tfds_folder.py",),
    ),
    Mutation(
        name="transparent_is_black",
        law="What is transparent in a picture is white.",
        file="tools/small_images.py",
        before='(side, side), "white")',
        after='(side, side), "black")',
        tests=("tests/tools/test_small_images.py",),
    ),
    Mutation(
        name="woman_and_man_in_two_splits",
        law="The woman, the man and the person of an emoji are in one split.",
        file="tools/prepare_emoji.py",
        before='_SIGNS.sub("", codepoints)',
        after="codepoints",
        tests=("tests/tools/test_prepare_emoji.py",),
    ),
    Mutation(
        name="sizes_of_other_splits",
        law="A copy needs the files of the split in use alone.",
        file="keras_supcon/data/prepared.py",
        before="os.fspath(file)).length for file in files)",
        after="os.fspath(file)).length for file in lengths)",
        tests=("tests/data/test_prepared.py",),
    ),
    Mutation(
        name="kept_downloads_want_a_network",
        law="What TFDS has downloaded before is prepared without a network.",
        file="keras_supcon/data/downloads.py",
        before="if set(kept) & set(urls):",
        after="if set(kept) > set(urls):",
        tests=("tests/data/test_prepared.py",),
    ),
    Mutation(
        name="buffer_keeps_the_newest",
        law="Within a class, each sample seen so far is kept with the same probability.",
        file="keras_supcon/data/replay_buffer.py",
        before='np.argsort(keys[members], kind="stable")',
        after="np.argsort(-members)",
        tests=("tests/data/test_replay_buffer.py",),
    ),
    Mutation(
        name="buffer_slots_go_to_the_first_class",
        law="The slots that remain go to classes in an order that the seed draws.",
        file="keras_supcon/data/replay_buffer.py",
        before='turns[members] = derive_seed(self.seed, "turn", int(one))',
        after="turns[members] = one",
        tests=("tests/data/test_replay_buffer.py",),
    ),
    Mutation(
        name="reservoir_favors_the_late",
        law="A reservoir keeps each sample seen so far with the same probability.",
        file="keras_supcon/data/replay_buffer.py",
        before="(keys * (places + 1)).astype(int)",
        after="(keys * (len(keys) + 1)).astype(int)",
        tests=("tests/data/test_replay_buffer.py",),
    ),
    Mutation(
        name="loaded_buffer_draws_again",
        law="A loaded buffer goes on as the saved one would have.",
        file="keras_supcon/data/replay_buffer.py",
        before='buffer._generator.bit_generator.state = state["generator"]',
        after="pass",
        tests=("tests/data/test_replay_buffer.py",),
    ),
    Mutation(
        name="buffer_smaller_than_the_classes",
        law="A class-balanced buffer has a slot for each class.",
        file="keras_supcon/data/replay_buffer.py",
        before="len(classes) > self.size",
        after="len(classes) > 2 * self.size",
        tests=("tests/data/test_replay_buffer.py",),
    ),
    Mutation(
        name="balanced_batches_begin_anew",
        law="Batches of all epochs begin at any position.",
        file="keras_supcon/data/balanced_batches.py",
        before="divmod(self._done + number, self.steps_per_epoch)",
        after="divmod(number, self.steps_per_epoch)",
        tests=("tests/data/test_balanced_data_sets.py",),
    ),
    Mutation(
        name="balanced_batches_of_the_order_read",
        law="Balanced batches do not depend on the order of a data set.",
        file="keras_supcon/data/sample_store.py",
        before="places = np.lexsort((np.asarray(records[_DIGEST]), labels))",
        after='places = np.argsort(labels, kind="stable")',
        tests=("tests/data/test_balanced_data_sets.py",),
    ),
    Mutation(
        name="one_epoch_is_read_once",
        law="Every epoch reads all batches of a `PyDataset` of one epoch.",
        file="keras_supcon/callbacks/epoch_reader.py",
        before="begin = first if self._is_one_epoch else done",
        after="begin = done",
        tests=("tests/callbacks/test_py_datasets.py",),
    ),
    Mutation(
        name="replicas_miss_what_was_read_ahead",
        law="Training on replicas takes a step on each batch of a `PyDataset`.",
        file="keras_supcon/callbacks/checkpoint.py",
        before="if strategy_of(model) is not None:",
        after="if False:",
        tests=("tests/callbacks/test_py_datasets.py",),
    ),
    Mutation(
        name="training_ends_with_its_data",
        law="Data that end before the last epoch raise an error.",
        file="keras_supcon/callbacks/checkpoint.py",
        before="if self._runs_own_fit and not is_whole and not self.model.stop_training:",
        after="if False:",
        tests=("tests/callbacks/test_py_datasets.py",),
    ),
    Mutation(
        name="one_hot_rows_read_as_batches",
        law="One-hot rows of single samples are never taken for class ids of batches.",
        file="keras_supcon/data/sample_store.py",
        before="        if may_be_one_hot:",
        after="        if False:",
        tests=("tests/data/test_balanced_data_sets.py",),
    ),
    Mutation(
        name="list_of_samples_read_as_inputs",
        law="A list with an entry for each label is a list of samples.",
        file="keras_supcon/data/sample_arrays.py",
        before="if isinstance(part, (list, tuple)) and len(part) == number else None",
        after="if False else None",
        tests=("tests/data/test_balanced_batches.py",),
        backend="torch",
    ),
    Mutation(
        name="class_without_weight_is_ignored",
        law="A class that `class_weight` does not name has the weight 1.",
        file="keras_supcon/models/class_weights.py",
        before="weights = [class_weight.get(int(name), 1.0) for name in names]",
        after="weights = [class_weight.get(int(name), 0.0) for name in names]",
        tests=("tests/models/test_class_weight.py",),
    ),
    Mutation(
        name="class_weight_of_the_next_class",
        law="A class of tf.data that `class_weight` does not name has the weight 1.",
        file="keras_supcon/models/class_weights.py",
        before="tf.where(is_named, tf.gather(weights, places), tf.ones((), weights.dtype))",
        after="tf.gather(weights, places)",
        tests=("tests/models/test_class_weight.py",),
    ),
    Mutation(
        name="unlabeled_samples_are_a_class",
        law="Unlabeled samples are no positives of one another in the warning of few positives.",
        file="keras_supcon/models/positive_warnings.py",
        before="is_labeled = (ids >= 0)",
        after="is_labeled = (ids >= -1)",
        tests=("tests/models/test_positive_warnings.py",),
    ),
    Mutation(
        name="tasks_may_overlap",
        law="Each class is in one task.",
        file="keras_supcon/data/tasks.py",
        before="if (counts > 1).any():",
        after="if False:",
        tests=("tests/data/test_tasks.py",),
    ),
    Mutation(
        name="domains_share_their_classes",
        law="The same class in two domains is two classes for the loss.",
        file="keras_supcon/data/tasks.py",
        before="return index * len(classes) + np.searchsorted(classes, labels)",
        after="return np.searchsorted(classes, labels)",
        tests=("tests/data/test_tasks.py",),
    ),
    Mutation(
        name="images_turn_clockwise",
        law="A rotation is counter-clockwise, as that of SciPy.",
        file="keras_supcon/data/rotation.py",
        before="np.deg2rad(degrees)",
        after="np.deg2rad(-degrees)",
        tests=("tests/data/test_tasks.py",),
    ),
    # callbacks
    Mutation(
        name="checkpoint_without_slots",
        law="A checkpoint holds the moments of the optimizer.",
        file="keras_supcon/callbacks/training_state.py",
        before="for variable in (*model.variables, *optimizer.variables):",
        after="for variable in (*model.variables, optimizer.iterations):",
        tests=("tests/callbacks/test_checkpoint.py",),
        backend="torch",
    ),
    Mutation(
        name="checkpoint_without_the_batch",
        law="Training goes on within the epoch that was begun.",
        file="keras_supcon/callbacks/checkpoint.py",
        before='self._position = Position(*description["position"])',
        after='self._position = Position(description["position"][0])',
        tests=("tests/callbacks/test_checkpoint.py",),
        backend="torch",
    ),
    Mutation(
        name="checkpoint_of_a_negative_position",
        law="What a checkpoint does not hold as it should is refused before anything is restored.",
        file="keras_supcon/callbacks/checkpoint_file.py",
        before="all(is_whole(part, 0) for part in value)",
        after="all(is_whole(part) for part in value)",
        tests=("tests/callbacks/test_directory.py",),
        backend="torch",
    ),
    Mutation(
        name="checkpoint_forgets_its_notes",
        law="Notes come back with the position that they were of.",
        file="keras_supcon/callbacks/checkpoint.py",
        before='self.notes = description["notes"]',
        after="pass",
        tests=("tests/callbacks/test_directory.py",),
        backend="torch",
    ),
    Mutation(
        name="two_trainings_in_a_directory",
        law="A directory is of one training at a time.",
        file="keras_supcon/files.py",
        before="if error.errno in _HELD_ELSEWHERE:",
        after="if False:",
        tests=("tests/callbacks/test_directory.py",),
        backend="torch",
    ),
    Mutation(
        name="lost_locks_stay_lost",
        law="A lock that the system has dropped is taken again before each write.",
        file="keras_supcon/files.py",
        before="descriptor = _lock_again(self.directory, self._descriptor)",
        after="descriptor = self._descriptor",
        tests=("tests/callbacks/test_directory.py",),
        backend="torch",
    ),
    Mutation(
        name="checkpoints_beside_those_of_another_training",
        law="Where another training has got further nothing is written.",
        file="keras_supcon/callbacks/checkpoint.py",
        before="        self._check_not_overtaken()\n",
        after="",
        tests=("tests/callbacks/test_directory.py",),
        backend="torch",
    ),
    Mutation(
        name="writers_share_an_unfinished_file",
        law="Writers of a file at the same time do not share an unfinished one.",
        file="keras_supcon/files.py",
        before="secrets.token_hex(4)",
        after="secrets.token_hex(4)[8:]",
        tests=("tests/package/test_files.py",),
        backend="torch",
    ),
    Mutation(
        name="links_are_replaced",
        law="A link stays one, and its target is written.",
        file="keras_supcon/files.py",
        before="target = pathlib.Path(os.path.realpath(path))",
        after="target = path",
        tests=("tests/package/test_files.py",),
        backend="torch",
    ),
    Mutation(
        name="schedule_misses_traced_steps",
        law="Steps from before see the temperature of the epoch.",
        file="keras_supcon/callbacks/temperature_schedule.py",
        before="state.value.assign(temperature)",
        after="pass",
        tests=("tests/callbacks/test_temperature_schedule.py",),
        backend="torch",
    ),
    # evaluation
    Mutation(
        name="neighbors_by_distance",
        law="Neighbors are those of the largest cosine, whatever the lengths of the embeddings.",
        file="keras_supcon/evaluation/protocols/knn.py",
        before="test, train = normalize_rows(splits.test), normalize_rows(splits.train)",
        after="test, train = splits.test, splits.train",
        tests=("tests/evaluation/protocols/test_knn.py",),
        backend="tensorflow",
    ),
    Mutation(
        name="names_are_formulas",
        law="A report shows names as they are.",
        file="keras_supcon/evaluation/reporting/names.py",
        before='"parse_math": False',
        after='"parse_math": True',
        tests=("tests/evaluation/reporting/test_run_report.py",),
        backend="torch",
    ),
    Mutation(
        name="numbered_name_is_that_of_another",
        law="A report shows different names by different texts.",
        file="keras_supcon/evaluation/reporting/names.py",
        before="while text in used:",
        after="if text in used:",
        tests=("tests/evaluation/reporting/test_run_report.py",),
        backend="torch",
    ),
    Mutation(
        name="test_images_choose",
        law="Test images choose nothing.",
        file="keras_supcon/evaluation/protocols/linear.py",
        before="predictions = probe.predict(of_validation[0])",
        after="predictions = probe.predict(splits.test[: len(of_validation[0])])",
        tests=("tests/evaluation/protocols/test_linear.py",),
        backend="tensorflow",
    ),
    Mutation(
        name="border_in_the_bin_below",
        law="A confidence on a border is in the bin above it.",
        file="keras_supcon/evaluation/scores/calibration.py",
        before="np.floor(confidence * num_bins)",
        after="np.ceil(confidence * num_bins) - 1",
        tests=("tests/evaluation/scores/test_calibration.py",),
        backend="tensorflow",
    ),
    Mutation(
        name="ties_are_matches",
        law="An image of another class that is as near counts as nearer.",
        file="keras_supcon/evaluation/scores/ranking.py",
        before="np.searchsorted(others, matches - _EQUAL)",
        after="np.searchsorted(others, matches + _EQUAL)",
        tests=("tests/evaluation/scores/test_ranking.py",),
        backend="tensorflow",
    ),
    Mutation(
        name="fine_tuning_keeps_its_weights",
        law="Protocols leave an encoder bit for bit as it was.",
        file="keras_supcon/evaluation/protocols/fine_tuning_trial.py",
        before="variable.assign(value)",
        after="pass",
        tests=("tests/evaluation/test_encoder_stays.py",),
        backend="torch",
    ),
    Mutation(
        name="report_parses_html",
        law="A report shows texts verbatim.",
        file="keras_supcon/evaluation/reporting/html_page.py",
        before="autoescape=True",
        after="autoescape=False",
        tests=("tests/evaluation/reporting/test_report.py",),
        backend="tensorflow",
    ),
    Mutation(
        name="corruption_depends_on_the_batch",
        law="The corruption of an image does not depend on the others in its batch.",
        file="keras_supcon/evaluation/corruptions/streams.py",
        before='["counter"][2] = image',
        after='["counter"][2] = image - self._images[0]',
        tests=("tests/evaluation/corruptions/test_arrays.py",),
        backend="tensorflow",
    ),
    Mutation(
        name="pairs_of_views_count_once",
        law="Metrics of pairs are means over all pairs.",
        file="keras_supcon/metrics/pair_metric.py",
        before="batch.per_sample(number) * y_pred.shape[1]",
        after="batch.per_sample(ops.ones_like(number))",
        tests=("tests/metrics/test_geometry.py",),
        backend="torch",
    ),
    Mutation(
        name="probes_draw_from_the_training",
        law="Probes never touch the state of the training.",
        file="keras_supcon/callbacks/probe.py",
        before="with fixed_seeds(layer):",
        after="with contextlib.nullcontext():",
        tests=("tests/callbacks/test_probes.py",),
        backend="torch",
    ),
    Mutation(
        name="balanced_classes_in_the_loss_alone",
        law="The gradient of balanced classes is that of their loss.",
        file="keras_supcon/evaluation/protocols/logistic_regression.py",
        before="exponentials *= self._row_weights[:, None]",
        after="pass",
        tests=("tests/evaluation/protocols/test_continual.py",),
    ),
    Mutation(
        name="task_accuracy_among_all_classes",
        law="Task-IL predicts among the classes of the task.",
        file="keras_supcon/evaluation/protocols/continual.py",
        before="np.where(is_of_task, logits, -np.inf)",
        after="logits",
        tests=("tests/evaluation/protocols/test_continual.py",),
    ),
    Mutation(
        name="continual_probe_is_not_balanced",
        law="The classifier of the last task and the buffer counts classes alike.",
        file="keras_supcon/evaluation/protocols/continual.py",
        before="fit_probe(splits.train, splits.train_labels, chosen, standardizer, balanced=True)",
        after="fit_probe(splits.train, splits.train_labels, chosen, standardizer)",
        tests=("tests/evaluation/protocols/test_continual.py",),
    ),
    Mutation(
        name="forgetting_counts_the_first",
        law="Forgetting is the best accuracy before the last task minus that after it.",
        file="keras_supcon/evaluation/scores/continual.py",
        before="lower[j:last, j].max()",
        after="lower[j, j]",
        tests=("tests/evaluation/protocols/test_continual.py",),
    ),
    # cli
    Mutation(
        name="failed_checks_are_no_failure",
        law="The exit code tells whether all went well.",
        file="keras_supcon/cli/doctor.py",
        before="return 1 if failed else 0",
        after="return 0",
        tests=("tests/cli/test_commands.py",),
        backend="torch",
    ),
    # experiments
    Mutation(
        name="momentum_of_an_earlier_seed",
        law="A trial begins with the state of a new model and a new optimizer.",
        file="keras_supcon/experiments/trials/trainer.py",
        before="zip(target.optimizer.variables, source.optimizer.variables, strict=True)",
        after="()",
        tests=("tests/experiments/trials/test_trainer.py",),
    ),
    Mutation(
        name="trial_of_other_images_is_taken",
        law="A result counts for the images that it was measured on alone.",
        file="keras_supcon/experiments/trials/store.py",
        before='"data": data,',
        after="",
        tests=("tests/experiments/trials/test_trials.py",),
    ),
    Mutation(
        name="measured_numbers_are_forgotten",
        law="Another measurement of a trial leaves what was measured before.",
        file="keras_supcon/experiments/trials/store.py",
        before="{**earlier.get(name, {}), **one}",
        after="{**one}",
        tests=("tests/experiments/trials/test_trials.py",),
    ),
    Mutation(
        name="interval_of_the_normal_distribution",
        law="The interval of few seeds is Student's.",
        file="keras_supcon/experiments/trials/paired.py",
        before="stats.t.ppf((1 + CONFIDENCE) / 2, number - 1)",
        after="1.96",
        tests=("tests/experiments/trials/test_paired.py",),
    ),
    Mutation(
        name="lower_counts_as_higher",
        law="A claim that a number is lower is contradicted by a higher one.",
        file="keras_supcon/experiments/claims/claim.py",
        before='(-high, -low) if self.expected == "lower" else (low, high)',
        after="(low, high)",
        tests=("tests/experiments/claims/test_claims.py",),
    ),
    Mutation(
        name="as_good_as_needs_no_margin",
        law="As good as holds above minus the margin.",
        file="keras_supcon/experiments/claims/claim.py",
        before="low > -self.margin, high < -self.margin",
        after="low > 0, high < 0",
        tests=("tests/experiments/claims/test_claims.py",),
    ),
    Mutation(
        name="table_of_the_first_comparison",
        law="The table shows a comparison that has the verdict of the claim.",
        file="keras_supcon/experiments/claims/outcome.py",
        before="if one.verdict == self.verdict",
        after="",
        tests=("tests/experiments/claims/test_claims.py",),
    ),
    Mutation(
        name="diverged_rate_is_chosen",
        law="A learning rate with which training diverges is not chosen.",
        file="keras_supcon/experiments/claims/claims.py",
        before="nan=-math.inf",
        after="nan=math.inf",
        tests=("tests/experiments/claims/test_claims.py",),
    ),
    Mutation(
        name="report_of_another_tier_is_replaced",
        law="A tier does not replace the report of another one.",
        file="keras_supcon/experiments/claims/claims.py",
        before="if known != tier:",
        after="if False:",
        tests=("tests/experiments/claims/test_claims.py",),
    ),
    Mutation(
        name="other_images_of_a_measurement_count",
        law="A measurement counts for the images of other data sets that it was made on alone.",
        file="keras_supcon/experiments/trials/trials.py",
        before='return results["images"].get(name) == digest_of_others(reader, name, training)',
        after="return True",
        tests=("tests/experiments/trials/test_trials.py",),
    ),
    Mutation(
        name="finer_label_chooses_images",
        law="A finer label leaves the images as they are.",
        file="keras_supcon/experiments/trials/images.py",
        before="return pixels, found[0], found[-1]",
        after="return pixels, found[-1], found[-1]",
        tests=("tests/experiments/trials/test_images.py",),
    ),
    Mutation(
        name="validation_images_of_the_chosen_ones",
        law="Validation images are the same for any number of training images.",
        file="keras_supcon/experiments/trials/images.py",
        before="is_held_out = hold_out(labels, _VALIDATION, _SPLIT_SEED)",
        after="is_held_out = hold_out(labels, _VALIDATION, images.train_images or _SPLIT_SEED)",
        tests=("tests/experiments/trials/test_images.py",),
    ),
    Mutation(
        name="process_outlives_its_parent",
        law="Processes of training end with their parent, however that ends.",
        file="keras_supcon/experiments/trials/trials.py",
        before="    os._exit(1)",
        after="    return",
        tests=("tests/experiments/trials/test_processes.py",),
    ),
    Mutation(
        name="settings_are_chosen_on_test_images",
        law="Test images have no part in the choice of a learning rate.",
        file="keras_supcon/experiments/claims/claims.py",
        before='measured_on="validation"',
        after='measured_on="test"',
        tests=("tests/experiments/claims/test_claims.py",),
    ),
    Mutation(
        name="curves_of_the_rest_of_an_epoch",
        law="The curves of a training that was stopped are those of one that was not.",
        file="keras_supcon/experiments/epoch_log.py",
        before='parts = notes.get("epochs", []), notes.pop("begun", [])',
        after='parts = notes.get("epochs", []), []',
        tests=("tests/experiments/test_epoch_log.py",),
    ),
    Mutation(
        name="run_forgotten_with_its_record",
        law="A run knows itself by its checkpoints when run.json is damaged.",
        file="keras_supcon/experiments/run_folder.py",
        before='checkpoint_of(folder).read_notes().get("record")',
        after="None",
        tests=("tests/experiments/test_run_folder.py",),
    ),
    Mutation(
        name="signals_are_forgotten",
        law="A signal ends training between two steps.",
        file="keras_supcon/experiments/stopping.py",
        before="self.model.stop_training = True",
        after="pass",
        tests=("tests/experiments/test_stopping.py",),
    ),
    Mutation(
        name="figures_of_half_a_validation",
        law="What a validation that was cut short has measured is not that of the epoch.",
        file="keras_supcon/experiments/stopping.py",
        before="if self._validation_was_cut else set()",
        after="if False else set()",
        tests=("tests/experiments/test_stopping.py",),
    ),
    Mutation(
        name="older_curves_are_replaced",
        law="An older file of curves is kept, and replaces none.",
        file="keras_supcon/experiments/epoch_log.py",
        before="if not os.path.lexists(path)",
        after="if path",
        tests=("tests/experiments/test_epoch_log.py",),
    ),
    Mutation(
        name="hosts_evaluate_the_same_images",
        law="Hosts that evaluate together score each image once.",
        file="keras_supcon/experiments/image_batches.py",
        before=".shard(count, index)",
        after="",
        tests=("tests/experiments/test_image_batches.py",),
    ),
    Mutation(
        name="tracebacks_are_hidden",
        law="An error that this package did not raise keeps its traceback.",
        file="keras_supcon/experiments/stopping.py",
        before='.startswith("keras_supcon.")',
        after='.startswith("")',
        tests=("tests/experiments/test_stopping.py",),
    ),
    Mutation(
        name="precision_outlives_the_run",
        law="The global dtype policy after a run is that before it.",
        file="keras_supcon/experiments/two_stage.py",
        before="keras.config.set_dtype_policy(before)",
        after="pass",
        tests=("tests/experiments/test_two_stage.py::test_the_precision_of_a_run_ends_with_it",),
    ),
    Mutation(
        name="records_of_before_are_refused",
        law="The folder of a run of the version before holds the same run.",
        file="keras_supcon/experiments/run_folder.py",
        before='    "host_crops",\n',
        after="",
        tests=("tests/experiments/test_settings.py",),
        backend="torch",
    ),
    Mutation(
        name="crops_of_the_host_are_cut_at_one",
        law="The encoder sees crops of the host in the range of whole images.",
        file="keras_supcon/experiments/image_views.py",
        before="crop_area=(1.0, 1.0), **arguments",
        after="crop_area=(1.0, 1.0), value_range=(0, 1), **arguments",
        tests=("tests/experiments/test_image_views.py",),
    ),
    Mutation(
        name="crops_of_the_host_share_their_colors",
        law="Each view of a sample of crops has its own colors.",
        file="keras_supcon/experiments/image_views.py",
        before='derive_seed(self.seed, "view", view) for view',
        after="self.seed for view",
        tests=("tests/experiments/test_image_views.py",),
    ),
    Mutation(
        name="momentum_rises_within_an_epoch",
        law="The momentum of BYOL rises over all steps of the plan.",
        file="keras_supcon/experiments/two_stage.py",
        before='total_steps=stage.epochs * self.steps_per_epoch["pretrain"]',
        after='total_steps=self.steps_per_epoch["pretrain"]',
        tests=("tests/experiments/test_two_stage.py::test_the_model_has_the_numbers_of_the_plan",),
    ),
    Mutation(
        name="queue_of_the_recipe_is_kept",
        law="The settings replace the size of the queue.",
        file="keras_supcon/experiments/plan.py",
        before='arguments={**model.arguments, "queue_size": queue_size}',
        after="arguments=model.arguments",
        tests=("tests/experiments/test_two_stage.py::test_the_model_has_the_numbers_of_the_plan",),
    ),
    Mutation(
        name="results_of_other_settings_are_kept",
        law="The table of methods has figures of its own settings alone.",
        file="keras_supcon/experiments/methods.py",
        before='if entry.get("record") != record:',
        after="if not entry:",
        tests=("tests/experiments/test_methods.py",),
    ),
    Mutation(
        name="order_of_an_epoch_repeats_itself",
        law="The batches from a position on are those of a run without a restart.",
        file="keras_supcon/experiments/continual_run.py",
        before="first = position.batch if epoch == position.epoch else 0",
        after="first = 0",
        tests=(f"{_CONTINUAL}::test_killed_again_and_again_it_ends_with_the_same_bits",),
    ),
    Mutation(
        name="arms_without_buffer_replay",
        law="Arms without the buffer train on the current task alone.",
        file="keras_supcon/experiments/continual_run.py",
        before="if self._arm.replays and len(buffer):",
        after="if len(buffer):",
        tests=(f"{_CONTINUAL}::test_arms_train_on_what_they_say_and_share_the_rest",),
        backend="torch",
    ),
    Mutation(
        name="other_settings_are_mixed",
        law="Figures of other settings are in a folder of their own.",
        file="keras_supcon/experiments/continual_run.py",
        before="_LATER if self._name == FIRST_TASK else ()",
        after="_LATER",
        tests=(
            f"{_CONTINUAL}::test_what_is_done_is_not_done_again_and_other_settings_mix_with_nothing",
        ),
    ),
    Mutation(
        name="probe_sees_domains_as_classes",
        law="Domains are classes of their own for the loss and not for the probe.",
        file="keras_supcon/experiments/continual_run.py",
        before="classes = self._streams.train.class_of(buffer.labels)",
        after="classes = buffer.labels",
        tests=(
            f"{_CONTINUAL}::test_domains_are_classes_of_their_own_for_the_loss_and_not_for_the_probe",
        ),
        backend="torch",
    ),
    # kinds of labels, through all rooms
    Mutation(
        name="weights_of_pairs_are_symmetric",
        law="A function of labels need not be symmetric.",
        file="keras_supcon/ops/pair_weighting.py",
        before="        return weights, ops.transpose(self.of_tile(j, i))",
        after="        return weights, weights",
        tests=("tests/losses/test_positives.py::test_a_function_need_not_be_symmetric",),
        backend="torch",
    ),
    Mutation(
        name="own_views_have_weight_1",
        law="Views of a sample have the weight of the sample with itself.",
        file="keras_supcon/ops/weighted_contrast.py",
        before="return others + self._own_weights * of(POSITIVES, None)",
        after="return others + of(POSITIVES, None)",
        tests=("tests/losses/test_positives.py",),
        backend="torch",
    ),
    Mutation(
        name="own_views_have_weight_1_in_a_mean",
        law="Views of a sample have the weight of the sample with itself.",
        file="keras_supcon/ops/weighted_contrast.py",
        before="total = total + self._own_weights * self.own_view_sum()",
        after="total = total + self.own_view_sum()",
        tests=("tests/losses/test_positives.py",),
        backend="torch",
    ),
    Mutation(
        name="views_share_the_weight_of_a_sample",
        law="Each view of a sample has the weight of its labels.",
        file="keras_supcon/ops/contrast.py",
        before="vectors = ops.sum(ops.reshape(vectors, (-1, views, vectors.shape[1])), axis=1)",
        after="vectors = ops.mean(ops.reshape(vectors, (-1, views, vectors.shape[1])), axis=1)",
        tests=("tests/losses/test_positives.py",),
        backend="torch",
    ),
    Mutation(
        name="rows_take_the_gradient_of_their_own_weights",
        law="A row takes gradient by the weights that others give it.",
        file="keras_supcon/ops/weighted_row_sum.py",
        before="lambda rows, columns: (columns, rows)",
        after="lambda rows, columns: (rows, columns)",
        tests=("tests/ops/test_weighted_row_sum.py",),
        backend="torch",
    ),
    Mutation(
        name="maximum_over_pairs_without_weight",
        law="Low temperatures stay finite where positives are far.",
        file="keras_supcon/ops/pair_sum.py",
        before="                mask = ops.logical_and(weights.of_tile(i, j) > 0, mask)",
        after="                mask = ops.logical_and(weights.of_tile(i, j) >= 0, mask)",
        tests=("tests/losses/test_positives.py",),
        backend="torch",
    ),
    Mutation(
        name="epsilon_leaves_the_numerator",
        law="SINCERE with a margin is the loss of its paper.",
        file="keras_supcon/losses/supcon.py",
        before="        return total / batch.positive_divisor - epsilon",
        after="        return total / batch.positive_divisor",
        tests=("tests/losses/test_every_loss.py",),
        backend="torch",
    ),
    Mutation(
        name="a_view_is_its_own_view",
        law="The second term of L_spread asks for the other views of a sample.",
        file="keras_supcon/ops/contrast.py",
        before="            products = ops.where(is_self, zero, products)\n",
        after="",
        tests=("tests/losses/test_spread.py",),
        backend="torch",
    ),
    Mutation(
        name="keys_of_other_replicas",
        law="Among the keys of all replicas an anchor finds those of its own sample.",
        file="keras_supcon/ops/contrast.py",
        before="            contrasts = ops.take(contrasts, self._own_places, axis=0)\n",
        after="            contrasts = contrasts[: ops.shape(anchors)[0]]\n",
        tests=(
            f"{_REPLICAS}::test_loss_and_gradient_of_uneven_shares_are_those_of_the_whole_batch"
            "[spread with trainable keys]",
        ),
    ),
    Mutation(
        name="a_single_view_spreads_nothing",
        law="L_spread refuses samples that have no view of their own.",
        file="keras_supcon/losses/spread.py",
        before="        if batch.num_own_views == 0:",
        after="        if False:",
        tests=("tests/losses/test_spread.py",),
        backend="torch",
    ),
    Mutation(
        name="own_class_by_its_rows",
        law="Each class counts by the mean of its rows, that of the anchor too.",
        file="keras_supcon/ops/contrast.py",
        before="of_others + of_own / self.positive_divisor",
        after="of_others + of_own",
        tests=("tests/losses/test_balanced.py",),
        backend="torch",
    ),
    Mutation(
        name="center_of_an_ignored_class_stays",
        law="The center of an ignored class is in no sum.",
        file="keras_supcon/losses/loss_contrast.py",
        before="ops.equal(ids, ignore_class)",
        after="ops.equal(ids, -1)",
        tests=("tests/losses/test_balanced.py",),
        backend="torch",
    ),
    Mutation(
        name="rare_classes_are_likely",
        law="Who knows the sizes of classes need not learn that large ones are likely.",
        file="keras_supcon/losses/logit_adjusted.py",
        before="return logits + ops.convert_to_tensor(priors",
        after="return logits - ops.convert_to_tensor(priors",
        tests=("tests/losses/test_balanced.py",),
        backend="torch",
    ),
    Mutation(
        name="one_factor_for_all_losses",
        law="Losses with several factors have the gradient of their weighted sum.",
        file="keras_supcon/ops/whole_rows.py",
        before="ops.all(are_equal),",
        after="ops.any(are_equal),",
        tests=("tests/ops/test_whole_rows.py",),
        backend="torch",
    ),
    Mutation(
        name="tables_between_other_marks",
        law="Tables of claims go between the marks of their own claim.",
        file="keras_supcon/experiments/claims/document.py",
        before="return [name for name in names if _marks(name)[0] in content]",
        after="return list(names)",
        tests=("tests/experiments/claims/test_claims.py",),
        backend="tensorflow",
    ),
    Mutation(
        name="classes_twice_in_a_batch",
        law="A batch has different classes, each drawn as often as any other.",
        file="keras_supcon/data/balanced_order.py",
        before="        if begun:  # the group",
        after="        if False:  # the group",
        tests=("tests/data/test_balanced_batches.py",),
        backend="torch",
    ),
    Mutation(
        name="labels_of_other_kinds_in_a_queue",
        law="Models that keep class ids refuse losses of other labels.",
        file="keras_supcon/models/queue_checks.py",
        before='    if positives != "class":',
        after="    if False:",
        tests=("tests/models/test_label_kinds.py",),
        backend="torch",
    ),
    Mutation(
        name="arms_are_checked_when_they_train",
        law="Every arm of every claim is checked before the first training.",
        file="keras_supcon/experiments/claims/claims.py",
        before="        self._check()\n",
        after="",
        tests=(
            "tests/experiments/claims/test_claims.py::test_every_arm_is_checked_before_the_first_training",
        ),
    ),
    # recipes
    Mutation(
        name="recipes_are_shared",
        law="A change of a recipe does not change the next one of that name.",
        file="keras_supcon/recipes/registry.py",
        before="return copy.deepcopy(_RECIPES[name])",
        after="return _RECIPES[name]",
        tests=("tests/recipes/test_recipes.py",),
        backend="torch",
    ),
)


@dataclasses.dataclass(frozen=True)
class Run:
    """Describes how a run of pytest ended.

    Args:
        code: Exit code; None for a run that hung.
        seconds: Duration of the run.
        failure: First test that failed, or None.
        output: Output of the run.
    """

    code: int | None
    seconds: float
    failure: str | None
    output: str


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Says if a mutation was `caught` by a test, missed or, with `problem`, not judged."""

    mutation: Mutation
    seconds: float = 0.0
    caught: str | None = None
    problem: str | None = None

    def __str__(self) -> str:
        if self.problem is not None:
            return f"ERROR: {self.problem}"
        return "MISSED" if self.caught is None else f"caught by {self.caught}"


def mutate(source: str, mutation: Mutation) -> str:
    """Makes the change of a mutation in the text of its file.

    Raises:
        ValueError: If `before` does not occur exactly once.
    """
    count = source.count(mutation.before)
    if count != 1:
        raise ValueError(f"`before` should occur once in {mutation.file}. Received: {count} times")
    return source.replace(mutation.before, mutation.after)


class Workshop:
    """Copies the working tree, and runs tests in the copy.

    Args:
        folder: Empty folder for the copy.
        interpreters: Python interpreter of each backend.
    """

    def __init__(self, folder: pathlib.Path, interpreters: dict[str, str]) -> None:
        self._folder, self._interpreters = folder, interpreters
        self._baselines: dict[tuple[str, tuple[str, ...]], Run] = {}
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():  # not what git knows and the working tree has lost
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)

    def check_imports(self, backend: str) -> None:
        """Raises `RuntimeError` if tests would see another installation than the copy."""
        code = "import keras_supcon; print(keras_supcon.__file__)"
        printed = subprocess.run(
            [self._interpreters[backend], "-c", code],
            cwd=self._folder,
            env=self._environment(backend),
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()[-1]
        if not pathlib.Path(printed).resolve().is_relative_to(self._folder.resolve()):
            raise RuntimeError(f"keras_supcon should come from {self._folder}. Received: {printed}")

    def problem_of_baseline(self, mutation: Mutation) -> str | None:
        """Runs the tests of a mutation without it, once for all that share them.

        Returns:
            None if they pass, else the problem.
        """
        key = mutation.backend, mutation.tests
        if key not in self._baselines:
            run = self._baselines[key] = self._run_tests(mutation)
            outcome = "pass" if run.code == 0 else "FAIL"
            tests = " ".join(mutation.tests)
            print(f"({outcome} unchanged in {run.seconds:.0f} s: {tests})", flush=True)
        run = self._baselines[key]
        if run.code == 0:
            return None
        return f"the tests do not pass without it: {run.failure or describe_end(run)}"

    def judge(self, mutation: Mutation) -> Verdict:
        """Makes the change, runs the tests, and reverts the change."""
        path = self._folder / mutation.file
        source = path.read_text()
        try:
            mutated = mutate(source, mutation)
        except ValueError as error:
            return Verdict(mutation, problem=str(error))
        path.write_text(mutated)
        try:
            run = self._run_tests(mutation)
        finally:
            path.write_text(source)
        if run.code == 0:
            return Verdict(mutation, run.seconds)
        if run.code == _TESTS_FAILED and run.failure is not None:
            return Verdict(mutation, run.seconds, caught=run.failure)
        return Verdict(mutation, run.seconds, problem=describe_end(run))

    def _run_tests(self, mutation: Mutation) -> Run:
        # The same tests as `make test`: all on TensorFlow, the neutral ones on the other backends.
        marks = [] if mutation.backend == "tensorflow" else ["-m", "neutral"]
        options = ["-q", "-x", "-p", "no:cacheprovider", "-rfE", *marks]
        start = time.monotonic()
        process = subprocess.Popen(
            [self._interpreters[mutation.backend], "-m", "pytest", *options, *mutation.tests],
            cwd=self._folder,
            env=self._environment(mutation.backend),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # to end the programs that tests start along with them
        )
        try:
            output, _ = process.communicate(timeout=_MOST_SECONDS)
            code = process.returncode
        except subprocess.TimeoutExpired:
            output, code = "", None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        seconds = time.monotonic() - start
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", output, re.MULTILINE)
        return Run(code, seconds, failed[1] if failed else None, output)

    def _environment(self, backend: str) -> dict[str, str]:
        path = [str(self._folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            "TF_CPP_MIN_LOG_LEVEL": "2",
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": os.pathsep.join(path),
            # The cache of modules takes two changes of one length within a second for one file.
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def describe_end(run: Run) -> str:
    """Says how a run ended that neither passed nor failed."""
    if run.code is None:
        return f"the tests did not end within {_MOST_SECONDS} s"
    lines = [line for line in run.output.splitlines() if line.strip()]
    return f"pytest ended with exit code {run.code}: {' '.join(lines[-1:])}"


def check(mutations: Sequence[Mutation], workshop: Workshop, skip_baseline: bool) -> list[Verdict]:
    """Judges mutations one after the other, and prints a line for each."""
    for backend in dict.fromkeys(mutation.backend for mutation in mutations):
        workshop.check_imports(backend)
    verdicts = []
    for mutation in mutations:
        problem = None if skip_baseline else workshop.problem_of_baseline(mutation)
        verdict = Verdict(mutation, problem=problem) if problem else workshop.judge(mutation)
        print(f"{mutation.name}: {verdict} in {verdict.seconds:.0f} s", flush=True)
        verdicts.append(verdict)
    return verdicts


def markdown_table(verdicts: Sequence[Verdict]) -> str:
    """Formats verdicts as a Markdown table."""
    rows = [("mutation", "law", "backend", "outcome", "seconds"), ("---",) * 5]
    for verdict in verdicts:
        mutation, outcome = verdict.mutation, str(verdict).replace("|", "\\|")
        seconds = f"{verdict.seconds:.0f}"
        rows.append((mutation.name, mutation.law, mutation.backend, outcome, seconds))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(argv: Sequence[str]) -> int:
    """Runs the chosen mutations; returns 1 if one is missed or could not be judged."""
    del argv
    unknown = set(_ONLY.value) - {mutation.name for mutation in MUTATIONS}
    if unknown:
        names = ", ".join(sorted(unknown))
        raise app.UsageError(f"--only should hold names of --list. Received: {names}")
    wanted = set(_ONLY.value) or {mutation.name for mutation in MUTATIONS}
    chosen = [mutation for mutation in MUTATIONS if mutation.name in wanted]
    if _LIST.value:
        for mutation in chosen:
            print(f"{mutation.name} ({mutation.backend}): {mutation.law}")
        return 0
    interpreters = {"tensorflow": sys.executable}
    if _NEUTRAL_PYTHON.value:
        interpreters |= dict.fromkeys(("jax", "torch"), os.path.abspath(_NEUTRAL_PYTHON.value))
    left_out = [mutation.name for mutation in chosen if mutation.backend not in interpreters]
    if left_out:
        print(f"Left out, for want of --neutral_python: {', '.join(left_out)}.")
    chosen = [mutation for mutation in chosen if mutation.backend in interpreters]
    with tempfile.TemporaryDirectory(prefix="keras_supcon-mutations-") as folder:
        verdicts = check(chosen, Workshop(pathlib.Path(folder), interpreters), _SKIP_BASELINE.value)
    print(f"\n{markdown_table(verdicts)}")
    num_caught = sum(verdict.caught is not None for verdict in verdicts)
    print(f"\n{num_caught} of {len(verdicts)} caught.")
    return int(num_caught < len(verdicts))


if __name__ == "__main__":
    app.run(main)
