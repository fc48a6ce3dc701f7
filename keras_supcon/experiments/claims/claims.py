"""Puts claims to the test: runs their trainings, compares, judges and writes the documents."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import time
from collections.abc import Mapping, Sequence

import numpy as np

from keras_supcon.arguments import (
    check_choice,
    check_choices,
    check_not_negative,
    check_whole_number,
)
from keras_supcon.evaluation.results import describe
from keras_supcon.experiments.claims.claim import Arm, Claim, naming
from keras_supcon.experiments.claims.document import (
    check_marks,
    named_marks,
    write_arms,
    write_documents,
    write_report,
)
from keras_supcon.experiments.claims.outcome import Outcome, compare_arms
from keras_supcon.experiments.claims.rows import claim_names, read_claims
from keras_supcon.experiments.claims.tier import TIERS
from keras_supcon.experiments.run_folder import write_json
from keras_supcon.experiments.trials import Training, Trial, TrialResults, Trials
from keras_supcon.extras import require_extra
from keras_supcon.files import DirectoryLock

RESULTS = "claims.json"
# The seed of the trainings that choose a learning rate: none of those that are measured.
_CHOOSING_SEED = 1000


@dataclasses.dataclass(frozen=True)
class _Choice:
    """The learning rate of a training, and what it was chosen by.

    Args:
        accuracies: Validation accuracy of each learning rate; NaN where training diverged.
        seconds: What the trainings took, by their digests and seeds.
    """

    accuracies: Mapping[float, float]
    seconds: Mapping[tuple[str, int], float]

    @property
    def learning_rate(self) -> float:
        """The best one, the lowest of several."""
        return max(
            sorted(self.accuracies),
            key=lambda rate: np.nan_to_num(self.accuracies[rate], nan=-math.inf),
        )


# From a training and the learning rates that it chooses from to its choice; None while a trial is
# missing.
_Chosen = dict[tuple[Training, tuple[float, ...]], _Choice | None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClaimsSettings:
    """Says which claims are put to the test, in which tier, and where the results go.

    Args:
        tier: Name of a tier: `"small"`, for two cores, or `"full"`, for an accelerator.
        output_dir: Folder for the results of single trainings.
        report_dir: Folder for claims.json and the report; None takes `output_dir`.
        claims: Names of claims; None for all.
        data_dir: Folder of TFDS data sets.
        document: Markdown file that gets everything between its marks, see `write_between`, once no
            claim is left; None for none. Not with `claims`.
        verdicts: The same for the short table of verdicts.
        arms: Markdown file with marks of single claims, by their names, which get the tables of
            their arms; also with `claims`. None for none.
        processes: Processes that train at the same time, each on one core with TensorFlow and
            PyTorch; None takes what suits the tier.
        minutes: No training is begun after so many minutes; None for no limit. Start again to go
            on. 0 reads the images alone, for a machine without TensorFlow: it finds them in
            `output_dir`.
        verbose: Whether to print the progress.

    Raises:
        ValueError: For an argument out of its range.
    """

    tier: str = "small"
    output_dir: str | os.PathLike[str] = "build/claims/small"
    report_dir: str | os.PathLike[str] | None = None
    claims: Sequence[str] | None = None
    data_dir: str | os.PathLike[str] | None = None
    document: str | os.PathLike[str] | None = None
    verdicts: str | os.PathLike[str] | None = None
    arms: str | os.PathLike[str] | None = None
    processes: int | None = None
    minutes: float | None = None
    verbose: bool = True

    def __post_init__(self) -> None:
        check_choice("tier", self.tier, tuple(TIERS))
        if self.claims is not None:
            check_choices("claims", self.claims, claim_names())
            for name in ("document", "verdicts"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"`{name}` should be None with `claims`, since it has all of them. "
                        f"Received: {name}={os.fspath(getattr(self, name))!r}"
                    )
        if self.processes is not None:
            check_whole_number("processes", self.processes, at_least=1)
        if self.minutes is not None:
            check_not_negative("minutes", self.minutes)


class Claims:
    """Puts claims of papers to the test.

    The arms of a claim are trained from the same seeds, on the same images in the same order.
    Arms that are compared at their best choose a learning rate first, each among the same ones, by
    the accuracy on a fifth of the training split, which the trainings that choose have not seen.
    Test images are measured once.

    Trainings that several claims share are run once. What is there already is not run again, and a
    run that was killed goes on; see `Trials`.

    Args:
        settings: Claims, tier and folder.

    Raises:
        ValueError: If a claim cannot be read, or an arm that is compared is missing.
        ImportError: If a package that measures or draws is missing.

    Example:

    >>> from keras_supcon.experiments import Claims, ClaimsSettings
    >>> claims = Claims(ClaimsSettings(claims=["hard_and_easy_pairs"], verbose=False))
    >>> [outcome.verdict for outcome in claims.find()]
    ['holds']
    """

    def __init__(self, settings: ClaimsSettings) -> None:
        require_extra("report", "scipy", "sklearn", "matplotlib", "jinja2", by="`Claims`")
        self.settings, self.tier = settings, TIERS[settings.tier]
        self.claims: Mapping[str, Claim] = read_claims(settings.claims)
        self._arms: dict[str, dict[str, Arm]] = {}
        for name, claim in self.claims.items():
            with naming(f"claim {name!r}"):
                self._arms[name] = claim.checked_arms(self.tier)
        self.output_dir = pathlib.Path(settings.output_dir)
        self._deadline: float | None = None
        self._trials = Trials(
            self.output_dir / "trials",
            settings.data_dir,
            processes=settings.processes or self.tier.processes,
        )

    def run(self) -> list[Outcome]:
        """Trains what is missing, judges all claims and writes the documents.

        Returns:
            What was found; of claims whose trainings are all there.

        Raises:
            ValueError: If a training and its images do not go together, a document has no marks, or
                the report is that of another tier.
            RuntimeError: If a data set is missing, or another process runs in the folder.
            OSError: If the folder cannot be written to.
        """
        settings = self.settings
        folder = pathlib.Path(settings.report_dir or self.output_dir)
        documents = {
            name: pathlib.Path(path)
            for name, path in (("claims", settings.document), ("verdicts", settings.verdicts))
            if path is not None
        }
        for name, path in documents.items():
            check_marks(path, name)
        if settings.arms is not None and not named_marks(settings.arms, self.claims):
            raise ValueError(
                "`arms` should be a document with marks of one of the claims. Received: "
                f"arms={os.fspath(settings.arms)!r}"
            )
        _check_tier(folder, self.tier.name)
        with DirectoryLock(self.output_dir):
            outcomes = self.find()
            if not outcomes:
                return outcomes
            folder.mkdir(parents=True, exist_ok=True)
            protocol = describe("claims", tier=self.tier.name, description=self.tier.description)
            found = {one.name: one.to_dict() for one in outcomes}
            write_json(folder / RESULTS, {"protocol": protocol, "claims": found})
            write_report(outcomes, self.tier, folder)
            if len(outcomes) == len(self.claims):
                write_documents(outcomes, self.tier, documents, folder)
            if settings.arms is not None:
                write_arms(outcomes, pathlib.Path(settings.arms))
        return outcomes

    def find(self) -> list[Outcome]:
        """Does what `run` does without writing documents, and without a lock of the folder."""
        minutes = self.settings.minutes
        self._deadline = None if minutes is None else time.time() + 60 * minutes
        self._check()
        if minutes == 0:
            return []
        chosen = self._choose_learning_rates()
        trials = [
            Trial(training, seed, claim.measurements)
            for name, claim in self.claims.items()
            for arm in self._arms[name].values()
            for training in self._trainings(arm, chosen)
            for seed in range(claim.seeds)
        ]
        results = self._run(trials, "trainings")
        outcomes = []
        for name, claim in self.claims.items():
            if claim.compute is not None:
                outcomes.append(Outcome(name, claim, exact=claim.compute()))
            else:
                outcome = self._outcome(name, chosen, results)
                outcomes += [] if outcome is None else [outcome]
        return outcomes

    def _check(self) -> None:
        """Reads all images, and makes the parts of all trainings, before one begins."""
        for name, claim in self.claims.items():
            for arm_name, arm in self._arms[name].items():
                with naming(f"claim {name!r}, arm {arm_name!r}"):
                    for training in arm.trainings:
                        self._trials.check_images(training, claim.measurements)
                    self._trials.check(
                        [
                            Trial(_for_validation(training, rate), _CHOOSING_SEED)
                            for training in arm.trainings
                            for rate in arm.learning_rates
                        ]
                        or [Trial(training, 0, claim.measurements) for training in arm.trainings]
                    )

    def _choose_learning_rates(self) -> _Chosen:
        """Returns the learning rate of each training that has several to choose from."""
        candidates = {
            (training, arm.learning_rates)
            for arms in self._arms.values()
            for arm in arms.values()
            for training in arm.trainings
            if arm.learning_rates
        }
        trials = {
            (training, rate): Trial(_for_validation(training, rate), _CHOOSING_SEED)
            for training, rates in candidates
            for rate in rates
        }
        results = self._run(list(trials.values()), "trainings that choose learning rates")
        chosen: _Chosen = {}
        for training, rates in candidates:
            keys = {rate: (trials[training, rate].training, _CHOOSING_SEED) for rate in rates}
            is_whole = all(results.holds(*key) for key in keys.values())
            chosen[training, rates] = None
            if is_whole:
                chosen[training, rates] = _Choice(
                    {rate: results.number(*key, "accuracy") for rate, key in keys.items()},
                    {(one.digest, seed): results.seconds(one, seed) for one, seed in keys.values()},
                )
        return chosen

    def _trainings(self, arm: Arm, chosen: _Chosen) -> tuple[Training, ...]:
        """Returns the trainings of an arm with their learning rates; none while one is missing."""
        if not arm.learning_rates:
            return arm.trainings
        choices = [chosen[training, arm.learning_rates] for training in arm.trainings]
        if None in choices:
            return ()
        return tuple(
            dataclasses.replace(training, learning_rate=choice.learning_rate)
            for training, choice in zip(arm.trainings, choices, strict=True)
        )

    def _run(self, trials: list[Trial], what: str) -> TrialResults:
        def report(done: int, total: int) -> None:
            if self.settings.verbose:
                print(f"{what}: {done} of {total}", flush=True)

        return self._trials.run(trials, self._deadline, report)

    def _outcome(self, name: str, chosen: _Chosen, results: TrialResults) -> Outcome | None:
        """Judges a claim, or returns None while trainings are missing."""
        claim, arms, rates, seconds, validation = self.claims[name], {}, {}, {}, {}
        for arm_name, arm in self._arms[name].items():
            trainings = self._trainings(arm, chosen)
            keys = [(training, seed) for training in trainings for seed in range(claim.seeds)]
            if not keys or not all(results.holds(*key) for key in keys):
                return None
            seconds |= {
                (training.digest, seed): results.seconds(training, seed) for training, seed in keys
            }
            rates[arm_name] = _rates_text(arm, trainings)
            for training in arm.trainings if arm.learning_rates else ():
                choice = chosen[training, arm.learning_rates]
                seconds |= choice.seconds
                validation.setdefault(arm_name, []).append(dict(choice.accuracies))
            arms[arm_name] = {
                number: tuple(
                    arm.combined([results.number(one, seed, number) for one in trainings])
                    for seed in range(claim.seeds)
                )
                for number in claim.numbers
                if all(results.has(*key, number) for key in keys)
            }
        return Outcome(
            name,
            claim,
            compare_arms(claim, arms),
            arms,
            rates,
            validation,
            sum(seconds.values()),
        )


def _check_tier(folder: pathlib.Path, tier: str) -> None:
    """Checks that a folder has no results of another tier.

    Raises:
        ValueError: If it has.
    """
    try:
        known = json.loads((folder / RESULTS).read_bytes())["protocol"]["tier"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if known != tier:
        raise ValueError(
            f"`report_dir` should not have the report of another tier. Received: "
            f"{os.fspath(folder)!r}, of the tier {known!r}, with tier={tier!r}"
        )


def _rates_text(arm: Arm, trainings: Sequence[Training]) -> str:
    """Returns the learning rates of an arm; one at an end of those to choose from is marked."""
    rates = sorted({one.learning_rate for one in trainings})
    ends = arm.learning_rates and {min(arm.learning_rates), max(arm.learning_rates)}
    return ", ".join(f"{rate:g}{' (at the end)' if rate in ends else ''}" for rate in rates)


def _for_validation(training: Training, learning_rate: float) -> Training:
    images = dataclasses.replace(training.images, measured_on="validation")
    return dataclasses.replace(training, images=images, learning_rate=learning_rate)
