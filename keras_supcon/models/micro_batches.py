"""Runs the networks of a model over one micro-batch after the other, in the memory of one.

Each pass over a micro-batch is rematerialized: it keeps no activations, and the backward pass of
the step runs it again to get them. So the loss sees the projections of the whole batch, while
activations exist for one micro-batch at a time. Passes run in a loop of the backend, which traces
a pass once, however many there are.

The state of the model is given to each pass and taken from it. So a second run of a pass draws and
normalizes as the first one did.

Reference: Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup,
RepL4NLP 2021.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
from keras import ops, tree

from keras_supcon._keras_internals import is_tracing_for_xla, without_autocast
from keras_supcon.distribution.batch_normalization import batch_normalizations
from keras_supcon.distribution.empty_replicas import is_on_placeholder_row
from keras_supcon.distribution.replicas import replica_context
from keras_supcon.models.view_groups import ViewGroup, join_views
from keras_supcon.typing import Tensor, TensorTree


def map_micro_batches(
    projections: list[tuple[Callable[[TensorTree], TensorTree], list[ViewGroup]]],
    model: keras.Model,
    batch: TensorTree,
    size: int,
) -> TensorTree:
    """Maps functions over the views of a batch, one view of `size` samples at a time.

    Each function stands for one pass over all of its views. So floating-point state that it
    changes, such as moving averages, changes once, by the mean over its passes, before the next
    function begins. Other state, such as that of seed generators, goes from pass to pass. Losses
    that layers add are means over the rows of a pass. The model gets their mean over the rows of
    each function.

    Args:
        projections: Functions, each of which maps a view `(rows, ...)` to a tensor `(rows, ...)`,
            or a structure of them, by layers of the model; and their views of the batch.
        model: The model.
        batch: What the groups make views of: a structure of tensors with the samples on axis 0.
        size: Samples of a micro-batch.

    Returns:
        What the functions give, `(batch, views, ...)`, in float32 or a wider dtype.
    """
    passes, cut = _Passes(model), _cut(batch, size)
    state, views = passes.first_state, []

    def of_group(
        function: Callable[[TensorTree], TensorTree], group: ViewGroup, state: _State
    ) -> tuple[_State, TensorTree]:
        def run(part: TensorTree, view: Tensor | int, state: _State) -> tuple[_State, list[Tensor]]:
            return passes.run(lambda: function(group.make(part, view)), state)

        passes.begin_group()
        state, rows = cut.run(run, group.num_views, state)
        rows = [ops.moveaxis(one, 0, 1) for one in rows]
        return state, tree.pack_sequence_as(passes.structure, rows)

    for function, groups in projections:
        num_views = sum(group.num_views for group in groups)
        passes.begin_function(cut.num_rows * num_views)
        for group in groups:
            state, outputs = of_group(function, group, state)
            views.append(outputs)
        state = passes.end_function(state, cut.num_parts * num_views)
    passes.finish(state)
    return join_views(views)


class _State(NamedTuple):
    """What a pass hands to the next one."""

    averaged: list[Tensor]
    """First values of the floating-point state, plus the changes of the passes of a function."""
    handed_on: list[Tensor]
    """Present values of the other state."""
    added_loss: Tensor
    """Losses that layers added, means over the rows of each function."""


class _Trace:
    """What is known of a pass once it has been traced."""

    def __init__(self) -> None:
        self.structure: TensorTree = None
        """Structure of the outputs."""
        self.read: set[int] = set()
        """Identities of the variables that it reads."""
        self.changed: list[int] = []
        """Places of the floating-point state that it changes."""
        self.handed_on: list[Tensor] = []
        """Other state after it."""


class _Passes:
    """The passes over a batch; those of a function begin with the state after the one before."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.structure: TensorTree = None  # known when a pass has been traced
        self._changed: set[int] = set()  # by the present function
        self._num_rows: Tensor | int = 0  # of the present function
        self._adds_losses = False

        self._trained = self._all_trained = model.trainable_variables
        known = {id(one) for one in (*self._trained, *model.metrics_variables)}
        state = {id(one): one for one in model.variables if id(one) not in known}.values()
        self._averaged = [one for one in state if _is_float(one)]
        self._handed_on = [one for one in state if not _is_float(one)]
        # On TensorFlow Keras takes its variables for tensors.
        read = ops.copy if keras.backend.backend() == "tensorflow" else ops.convert_to_tensor
        with without_autocast():
            self._values = {id(one): read(one) for one in self._trained}
            self._first = [read(one) for one in self._averaged]
            # Copies, since a tensor may share the memory of its variable.
            handed_on = [ops.copy(one) for one in self._handed_on]
        self.first_state = _State(list(self._first), handed_on, ops.zeros(()))

    def begin_group(self) -> None:
        """Begins with views whose networks may read other weights than those of earlier ones."""
        self._trained = self._all_trained

    def begin_function(self, num_rows: Tensor | int) -> None:
        """Begins with the views of a function."""
        self._changed, self._num_rows = set(), num_rows

    def run(self, project: Callable[[], TensorTree], state: _State) -> tuple[_State, list[Tensor]]:
        """Runs a pass, and returns the outputs as a list.

        On PyTorch `project` is called again in the backward pass of the step.
        """
        trained, trace, first = self._trained, _Trace(), list(self._first)

        def one_pass(*weights: Tensor) -> tuple[list[Tensor], ...]:
            present = [*zip(trained, weights, strict=True)]
            present += zip(self._handed_on, state.handed_on, strict=True)
            present += zip(self._averaged, first, strict=True)
            outputs, changed, handed_on, losses = self._run(project, present, trace)
            if keras.backend.backend() == "tensorflow":
                # `tf.recompute_grad` refuses results without a gradient. It calls this function
                # in the same graph.
                trace.handed_on, handed_on = handed_on, []
            return outputs, changed, handed_on, losses

        weights = [self._values[id(one)] for one in trained]
        outputs, changed, handed_on, losses = keras.remat(one_pass)(*weights)
        handed_on = handed_on or trace.handed_on
        # A loop of TensorFlow would give the others a gradient of zeros in place of none.
        self._trained = [one for one in trained if id(one) in trace.read]
        self.structure = trace.structure
        self._changed |= {*trace.changed}
        self._adds_losses |= bool(losses)
        averaged, added_loss = list(state.averaged), state.added_loss
        for place, value in zip(trace.changed, changed, strict=True):
            change = ops.stop_gradient(value - first[place])
            averaged[place] = averaged[place] + change
        for loss in losses:
            rows = ops.cast(ops.shape(outputs[0])[0], added_loss.dtype)
            share = rows / ops.cast(self._num_rows, added_loss.dtype)
            added_loss = added_loss + share * ops.cast(loss, added_loss.dtype)
        return _State(averaged, handed_on, added_loss), outputs

    def _run(
        self, project: Callable[[], TensorTree], present: list[tuple[Any, Tensor]], trace: _Trace
    ) -> tuple[list[Tensor], ...]:
        scope = _Scope(present, collect_losses=True, initialize_variables=False)
        before = [scope.get_current_value(one) for one in self._averaged]
        with _statistics_of_micro_batches(self.model), scope:
            trace.structure = project()
        trace.read = scope.read
        after = [scope.get_current_value(one) for one in self._averaged]
        trace.changed = [place for place, one in enumerate(after) if one is not before[place]]
        return (
            [_at_least_float32(output) for output in tree.flatten(trace.structure)],
            [after[place] for place in trace.changed],
            [scope.get_current_value(one) for one in self._handed_on],
            list(scope.losses),
        )

    def end_function(self, state: _State, num_passes: Tensor | int) -> _State:
        """Gives the model the floating-point state after the passes of a function.

        Returns:
            The state that the next function begins with.
        """
        count, averaged = _Count(self.model, num_passes), list(state.averaged)
        for place in sorted(self._changed):
            variable, first = self._averaged[place], self._first[place]
            moved = first + count.mean(variable, averaged[place] - first)
            # A copy, since the variable may share the memory of what it is given.
            self._first[place] = averaged[place] = ops.copy(moved)
            variable.assign(moved)
        return state._replace(averaged=averaged)

    def finish(self, state: _State) -> None:
        """Gives the model the other state after all passes and the losses of its layers."""
        for variable, value in zip(self._handed_on, state.handed_on, strict=True):
            variable.assign(value)
        if self._adds_losses:
            self.model.add_loss(state.added_loss)


class _Scope(keras.StatelessScope):
    """Notes which variables are read."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.read: set[int] = set()

    def get_current_value(self, variable: keras.Variable) -> Tensor | None:
        self.read.add(id(variable))
        return super().get_current_value(variable)


class _Count:
    """The number of passes: of all replicas for the averages that replicas share."""

    def __init__(self, model: keras.Model, num_passes: Tensor | int) -> None:
        self.context = replica_context()
        self.num_passes = ops.cast(num_passes, "float32")
        self.shared: set[int] = set()
        if self.context is not None:
            layers = _synchronized(model)
            self.shared = {id(one) for layer in layers for one in layer.non_trainable_weights}
            is_real = 1.0 - ops.cast(is_on_placeholder_row(), "float32")
            self.num_all_passes = self._sum_over_replicas(is_real * self.num_passes)

    def mean(self, variable: keras.Variable, change: Tensor) -> Tensor:
        """Returns the mean change of a variable from the sum of its changes."""
        if id(variable) not in self.shared:
            return ops.divide_no_nan(change, ops.cast(self.num_passes, change.dtype))
        change = self._sum_over_replicas(change)
        return ops.divide_no_nan(change, ops.cast(self.num_all_passes, change.dtype))

    def _sum_over_replicas(self, tensor: Tensor) -> Tensor:
        import tensorflow as tf

        return self.context.all_reduce(tf.distribute.ReduceOp.SUM, tensor)


def _cut(batch: TensorTree, size: int) -> Any:
    if keras.backend.backend() == "jax":
        return _CutForScan(batch, size)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if not tf.executing_eagerly():
            return _CutForWhileLoop(batch, size)
    return _Cut(batch, size)


class _Cut:
    """A batch in micro-batches, over which a loop of Python runs. The last one may be smaller."""

    def __init__(self, batch: TensorTree, size: int) -> None:
        self.batch = batch
        self.num_rows = tree.flatten(batch)[0].shape[0]
        self.size = min(size, max(self.num_rows, 1))
        self.num_parts = -(-self.num_rows // self.size)

    def run(self, run: Callable[..., Any], num_views: int, state: _State) -> Any:
        """Runs the passes over views of all parts.

        Args:
            run: `run(part, view, state)` returns the next state and a list of `(rows, ...)`.
            num_views: Number of views.
            state: State before the first pass.

        Returns:
            The state after the last pass, and a list of `(views, batch, ...)`.
        """
        rows = []
        for view in range(num_views):
            for start in range(0, max(self.num_rows, 1), self.size):  # one pass on no rows
                part = tree.map_structure(
                    lambda tensor, start=start: tensor[start : start + self.size], self.batch
                )
                state, outputs = run(part, view, state)
                rows.append(outputs)
        joined = [ops.concatenate(one, axis=0) for one in zip(*rows, strict=True)]
        return state, [_split_views(one, num_views) for one in joined]


class _CutForScan:
    """A batch in micro-batches of every so-many-th row, for `keras.ops.scan`.

    Rows that `keras.distribution` has laid out over devices stay where they are, and every device
    has a share of each micro-batch. The remainder is a pass of its own.
    """

    def __init__(self, batch: TensorTree, size: int) -> None:
        self.batch = batch
        self.num_rows = tree.flatten(batch)[0].shape[0]
        self.size = min(size, self.num_rows)
        self.count, self.remainder = divmod(self.num_rows, self.size)
        self.num_parts = self.count + bool(self.remainder)

    def run(self, run: Callable[..., Any], num_views: int, state: _State) -> Any:
        parts = tree.map_structure(self._parts, self.batch)

        def step(state: _State, index: Tensor | int) -> tuple[_State, list[Tensor]]:
            part = tree.map_structure(lambda one: ops.take(one, index % self.count, axis=0), parts)
            return run(part, index // self.count, state)

        state, rows = ops.scan(step, state, ops.arange(self.count * num_views, dtype="int32"))
        rows = [self._joined(one, num_views) for one in rows]
        if not self.remainder:
            return state, rows
        last = tree.map_structure(lambda tensor: tensor[-self.remainder :], self.batch)
        tails = []
        for view in range(num_views):
            state, outputs = run(last, view, state)
            tails.append(outputs)
        tails = [ops.stack(one) for one in zip(*tails, strict=True)]
        pairs = zip(rows, tails, strict=True)
        return state, [ops.concatenate(pair, axis=1) for pair in pairs]

    def _parts(self, tensor: Tensor) -> Tensor:
        """Rows that fill micro-batches, `(count, size, ...)`."""
        full = tensor[: self.count * self.size]
        full = ops.reshape(full, (self.size, self.count, *tensor.shape[1:]))
        return ops.moveaxis(full, 1, 0)

    def _joined(self, rows: Tensor, num_views: int) -> Tensor:
        rows = ops.reshape(rows, (num_views, self.count, *rows.shape[1:]))
        rows = ops.moveaxis(rows, 1, 2)
        return ops.reshape(rows, (num_views, self.size * self.count, *rows.shape[3:]))


class _CutForWhileLoop:
    """A batch in micro-batches for `tf.while_loop`, in graphs.

    All are alike if the size of the batch is static and divisible. Otherwise the last one may be
    smaller. `keras.ops.scan` on TensorFlow wants outputs of the shapes of the state.
    """

    def __init__(self, batch: TensorTree, size: int) -> None:
        import tensorflow as tf

        self.batch, first = batch, tree.flatten(batch)[0]
        length = first.shape[0]
        self.num_rows = tf.shape(first)[0] if length is None else length
        self.size = size if length is None else min(size, length)
        self.is_even = length is not None and length % self.size == 0
        self.num_parts = -(-self.num_rows // self.size)
        if not self.is_even and is_tracing_for_xla():
            raise ValueError(
                "Programs for XLA should get batches of a static size that `micro_batch_size` "
                "divides, as of `dataset.batch(size, drop_remainder=True)`; "
                "`compile(jit_compile=False)` does without XLA. "
                f"Received: micro_batch_size={size}, a batch of {length}"
            )

    def run(self, run: Callable[..., Any], num_views: int, state: _State) -> Any:
        import tensorflow as tf

        found: dict[str, Any] = {}
        leaves = tree.flatten(state)

        def trace() -> None:
            after, outputs = run(self._part(0), 0, state)
            pairs = zip(leaves, tree.flatten(after), strict=True)
            found["changes"] = [one is not other for one, other in pairs]
            found["outputs"] = [(output.dtype, output.shape[1:]) for output in outputs]

        # Traced, not run: it tells what a loop has to carry.
        tf.function(trace, autograph=False).get_concrete_function()
        changes = found["changes"]

        def changing(whole: _State) -> list[tf.Tensor]:
            return [one for one, does in zip(tree.flatten(whole), changes, strict=True) if does]

        def whole(changing: list[tf.Tensor]) -> _State:
            new, pairs = iter(changing), zip(leaves, changes, strict=True)
            return tree.pack_sequence_as(state, [next(new) if does else one for one, does in pairs])

        def step(index: tf.Tensor, carried: list[tf.Tensor], rows: list[Any]) -> tuple[Any, ...]:
            part, view = self._part(index % self.num_parts), index // self.num_parts
            after, outputs = run(part, view, whole(carried))
            rows = [one.write(index, out) for one, out in zip(rows, outputs, strict=True)]
            return index + 1, changing(after), rows

        num_passes = self.num_parts * num_views
        rows = [
            tf.TensorArray(
                dtype,
                num_passes,
                infer_shape=self.is_even,
                element_shape=(self.size if self.is_even else None, *shape),
            )
            for dtype, shape in found["outputs"]
        ]
        _, carried, rows = tf.while_loop(
            lambda index, *_: index < num_passes,
            step,
            (tf.constant(0), changing(state), rows),
            parallel_iterations=1,
            maximum_iterations=num_passes,
        )
        joined = [one.concat() for one in rows]
        return whole(carried), [
            tf.ensure_shape(
                _split_views(one, num_views),
                (num_views, tree.flatten(self.batch)[0].shape[0], *shape),
            )
            for one, (_, shape) in zip(joined, found["outputs"], strict=True)
        ]

    def _part(self, index: Tensor | int) -> TensorTree:
        return tree.map_structure(lambda tensor: self._rows(tensor, index), self.batch)

    def _rows(self, tensor: Tensor, index: Tensor | int) -> Any:
        import tensorflow as tf

        start = index * self.size
        if not self.is_even:
            return tensor[start : tf.minimum(start + self.size, self.num_rows)]
        rest = tensor.shape.rank - 1
        return tf.slice(tensor, (start, *[0] * rest), (self.size, *[-1] * rest))


def _split_views(rows: Tensor, num_views: int) -> Tensor:
    return ops.reshape(rows, (num_views, -1, *rows.shape[1:]))


def _is_float(variable: keras.Variable) -> bool:
    return "float" in keras.backend.standardize_dtype(variable.dtype)


def _at_least_float32(tensor: Tensor) -> Tensor:
    """Half precision would round the gradient between the passes, and the sums over rows."""
    if "float" not in keras.backend.standardize_dtype(tensor.dtype):
        raise ValueError(
            "`project` should return floating-point tensors for micro-batches. "
            f"Received: dtype={keras.backend.standardize_dtype(tensor.dtype)}"
        )
    return ops.cast(tensor, keras.backend.result_type(tensor.dtype, "float32"))


def _synchronized(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [layer for layer in batch_normalizations(model) if layer.synchronized]


@contextlib.contextmanager
def _statistics_of_micro_batches(model: keras.Model) -> Iterator[None]:
    """Takes the statistics of synchronized batch normalization from one replica.

    TensorFlow cannot gather within a loop. The moving averages are gathered after it.
    """
    layers = _synchronized(model) if replica_context() is not None else []
    for layer in layers:
        layer.synchronized = False
    try:
        yield
    finally:
        for layer in layers:
            layer.synchronized = True
