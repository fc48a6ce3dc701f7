"""Several methods on one data set, each by its small recipe: one table."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import keras

from keras_supcon import data, encoders, evaluation, recipes
from keras_supcon.arguments import check_choice
from keras_supcon.experiments.comparison_table import markdown_table
from keras_supcon.experiments.from_recipe import make_component
from keras_supcon.experiments.image_batches import in_color
from keras_supcon.experiments.run_folder import ENCODER, load_encoder, write_json
from keras_supcon.experiments.settings import Settings
from keras_supcon.experiments.two_stage import TwoStage
from keras_supcon.extras import require_extra
from keras_supcon.files import DirectoryLock, whole_file
from keras_supcon.recipes import Recipe
from keras_supcon.typing import Dataset

METHODS = (
    "simclr",
    "supcon",
    "supcon_joint",
    "moco",
    "moco_supcon",
    "byol",
    "nnclr",
    "cross_entropy",
    "cross_entropy_two_stage",
    "simclr_fine_tuned",
)
_UNTRAINED = "untrained"
_COLUMNS = {
    "knn_accuracy": "kNN accuracy of the encoder",
    "accuracy": "accuracy of the classifier",
    "joint_accuracy": "of one in the first stage",
}
_NEIGHBORS = 20
_BATCH_SIZE = 256
# What a result does not depend on.
_IRRELEVANT = ("output_dir", "data_dir", "checkpoint_every", "verbose", "mode")


@dataclasses.dataclass(frozen=True)
class MethodsResult:
    """Holds what `Methods` found.

    Args:
        rows: Rows of the table, each from column to text.
        accuracies: By method, `knn_accuracy` of the encoder and, but for `"untrained"`, `accuracy`
            of the classifier; for `"supcon_joint"` also `joint_accuracy`, that of the classifier
            of the first stage.
        explanation: Sentences that say what the columns are.
    """

    rows: list[dict[str, str]]
    accuracies: dict[str, dict[str, float]]
    explanation: str

    @property
    def table(self) -> str:
        """The table in Markdown."""
        return markdown_table(self.rows)


class Methods:
    """Trains one encoder by several methods, and measures each by kNN and by a classifier.

    Each method has its small recipe, `method_small` or for the digits `method_digits_small`, and a
    folder of its own, in which `TwoStage` trains. Beside them are methods.json and methods.md with
    the table, written after each method. A run that was stopped or killed is resumed by the same
    settings; what is finished is not done again. Test images are only measured on.

    The constructor reads the description of the data set, and writes nothing.

    Args:
        methods: Some of `Methods.NAMES`, or one of them.
        settings: Data, folder and devices, and what replaces numbers of the recipes. `dataset` None
            is the digits; `image_size` None is the images' own size; `queue_size` None is that of
            the recipe, but at most a tenth of the training images, and at least a batch.

    Raises:
        ValueError: For an unknown method, a `mode` in the settings, and as by `TwoStage`.
        RuntimeError: As by `TwoStage`.
        ImportError: If scikit-learn is missing.

    Example:

    >>> from keras_supcon.experiments import Methods, Settings
    >>> methods = Methods(["moco", "byol"], Settings(output_dir="build/methods"))
    >>> methods.recipe("moco").name, methods.settings("moco").queue_size
    ('moco_digits_small', 128)
    """

    NAMES = METHODS

    def __init__(self, methods: Sequence[str] | str, settings: Settings) -> None:
        names = [methods] if isinstance(methods, str) else list(methods)
        if not names:
            raise ValueError(f"`methods` should be some of {METHODS}. Received: methods={methods}")
        for name in names:
            check_choice("methods", name, METHODS)
        if settings.mode is not None:
            raise ValueError(
                "`mode` should be None: each method has all of its stages. Received: "
                f"mode={settings.mode!r}"
            )
        require_extra("report", "sklearn", by="The kNN accuracy")
        self.methods = [name for name in METHODS if name in names]
        self.dataset = settings.dataset or "digits"
        self.output_dir = pathlib.Path(settings.output_dir)
        self._given = settings
        train = data.load_epochs(
            self.dataset, settings.train_split, 1, epochs=1, data_dir=settings.data_dir
        )
        self._num_train_images = train.num_examples
        self._own_size = tuple(train.element_spec[0].shape[1:3])
        for method in self.methods:
            self._experiment(method)  # checks everything

    def recipe(self, method: str) -> Recipe:
        """Returns the recipe of a method."""
        suffix = "digits_small" if self.dataset == "digits" else "small"
        return recipes.get(f"{method}_{suffix}")

    def settings(self, method: str) -> Settings:
        """Returns the settings of a method."""
        given = self._given
        of_recipe = self.recipe(method).model.arguments.get("queue_size")
        queue_size = given.queue_size
        if queue_size is None and of_recipe is not None:
            batch_size = given.batch_size or self.recipe(method).training.batch_size
            queue_size = max(batch_size, min(of_recipe, self._num_train_images // 10))
        return dataclasses.replace(
            given,
            dataset=self.dataset,
            output_dir=self.output_dir / method,
            image_size=given.image_size or self._own_size,
            queue_size=queue_size,
        )

    def run(self, handle_signals: bool = False) -> MethodsResult:
        """Trains and measures all methods, and writes the table.

        Args:
            handle_signals: As in `TwoStage.run`.

        Returns:
            The table.

        Raises:
            ValueError: As by `TwoStage.run`, and so the others.
            RuntimeError: If another process trains in the folder.
            OSError: If it cannot be written to.
        """
        with DirectoryLock(self.output_dir):
            earlier = self._read()
            done: dict[str, Any] = {}
            for method in (_UNTRAINED, *self.methods):
                record = self._record(method)
                entry = earlier.get(method, {})
                if entry.get("record") != record:
                    entry = {"record": record, **self._measure(method, handle_signals)}
                done[method] = entry
                self._write({**earlier, **done})
        return self._result(done)

    def _experiment(self, method: str) -> TwoStage:
        return TwoStage(self.recipe(method), self.settings(method))

    def _measure(self, method: str, handle_signals: bool) -> dict[str, float]:
        # As in a process of its own: names of layers and random numbers.
        keras.backend.clear_session()
        if method == _UNTRAINED:
            keras.utils.set_random_seed(self._given.seed)
            recipe, settings = self.recipe("simclr"), self.settings("simclr")
            given = {"depth": settings.encoder_depth, "width": settings.encoder_width}
            given = {name: value for name, value in given.items() if value is not None}
            encoder = make_component(encoders, recipe.encoder, **given)
            return {"knn_accuracy": self._knn_accuracy(encoder)}
        if self._given.verbose:
            print(f"\n== {method}", flush=True)
        results = self._experiment(method).run(handle_signals)
        encoder = load_encoder(self.output_dir / method / ENCODER, "pretrain")
        joint = results.get("pretrain", {}).get("joint")
        return {
            "knn_accuracy": self._knn_accuracy(encoder),
            "accuracy": results["top_1"],
            **({} if joint is None else {"joint_accuracy": joint["top_1"]}),
        }

    def _knn_accuracy(self, encoder: keras.Model) -> float:
        splits = self._given.train_split, self._given.eval_split or "test"
        (train, train_labels), (test, labels) = (
            evaluation.embed(encoder, self._images(split)) for split in splits
        )
        neighbors = min(_NEIGHBORS, len(train_labels))
        return evaluation.knn_accuracy(train, train_labels, test, labels, neighbors)

    def _images(self, split: str) -> Dataset:
        size = self.settings(self.methods[0]).image_size
        return in_color(
            data.load(
                self.dataset,
                split,
                _BATCH_SIZE,
                None if size == self._own_size else size,
                self._given.data_dir,
                shuffle=False,
            )
        )

    def _record(self, method: str) -> dict[str, Any]:
        """Returns what the figures of a method depend on."""
        of = "simclr" if method == _UNTRAINED else method
        settings = dataclasses.asdict(self.settings(of))
        for name in _IRRELEVANT:
            del settings[name]
        record = {"recipe": dataclasses.asdict(self.recipe(of)), "settings": settings}
        return json.loads(json.dumps(record))  # tuples are lists there

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads((self.output_dir / "methods.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _write(self, entries: dict[str, Any]) -> None:
        write_json(self.output_dir / "methods.json", entries)
        shown = {name: entries[name] for name in (_UNTRAINED, *METHODS) if name in entries}
        result = self._result(shown)
        with whole_file(self.output_dir / "methods.md") as unfinished:
            unfinished.write_text(f"{result.table}\n\n{result.explanation}\n")

    def _result(self, entries: dict[str, Any]) -> MethodsResult:
        accuracies = {
            method: {name: entry[name] for name in _COLUMNS if name in entry}
            for method, entry in entries.items()
        }
        rows = [
            {
                "method": method,
                **{
                    column: f"{numbers[name]:.2%}" if name in numbers else "-"
                    for name, column in _COLUMNS.items()
                },
            }
            for method, numbers in accuracies.items()
        ]
        return MethodsResult(rows, accuracies, self._explain())

    def _explain(self) -> str:
        settings = self.settings(self.methods[0])
        epochs = settings.epochs or self.recipe(self.methods[0]).training.epochs
        return (
            f"{self.dataset}, {epochs} epochs, seed {settings.seed}. The classifier is linear, on "
            "the frozen encoder; that of cross_entropy was trained with it, and that of "
            "simclr_fine_tuned trains it further from the first layer of the head. kNN is of the "
            "encoder without that. supcon_joint also trains a classifier beside the encoder, which "
            "gets no gradient from it. One seed says little about a difference of a few images."
        )
