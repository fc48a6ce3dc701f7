"""Claims: declarations, verdicts, runs and documents."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from keras_supcon.experiments import Images, PairedDifference, Training
from keras_supcon.experiments.claims import (
    TIERS,
    Arm,
    Claim,
    Claims,
    ClaimsSettings,
    Comparison,
    cross_entropy,
    rows,
    with_loss,
)
from keras_supcon.experiments.claims import claims as module
from keras_supcon.experiments.claims.claim import joint_verdict
from keras_supcon.experiments.claims.document import arm_rows, write_between
from keras_supcon.experiments.claims.outcome import Outcome, compare_arms
from keras_supcon.experiments.claims.rows import read_claims
from keras_supcon.experiments.claims.rows.hard_and_easy_pairs import gradient_length
from keras_supcon.experiments.trials import trials as trials_module
from keras_supcon.recipes import Component

TRAINING = Training(images=Images(dataset="digits", train_images=100), batch_size=32)
CLAIM = Claim(
    title="Two epochs are better than one",
    group="training",
    source="A test",
    published="no figure",
    expectation="Holds.",
    arms=lambda tier: {
        f"SupCon {epochs}": Arm(dataclasses.replace(TRAINING, epochs=epochs)) for epochs in (1, 2)
    },
    comparisons=(Comparison("SupCon 2", "SupCon 1"),),
    axis="epochs",
    is_prominent=True,
)
CHOOSING = dataclasses.replace(
    CLAIM,
    title="A learning rate is chosen",
    axis=None,
    arms=lambda tier: {
        "fixed": Arm(TRAINING),
        "chosen": Arm(TRAINING, (1e-3, 1e-2, 2e-3)),
        "chosen within": Arm(TRAINING, (1e-3, 1e-2, 2e-2)),
    },
    comparisons=(Comparison("chosen", "fixed"), Comparison("fixed", "chosen", "equal", margin=0.1)),
)


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("comparison", "low", "high", "verdict"),
    [
        (Comparison("a", "b"), 0.01, 0.02, "holds"),
        (Comparison("a", "b"), -0.01, 0.02, "not shown"),
        (Comparison("a", "b"), -0.02, -0.01, "contradicted"),
        (Comparison("a", "b", "lower"), -0.02, -0.01, "holds"),
        (Comparison("a", "b", "lower"), 0.01, 0.02, "contradicted"),
        (Comparison("a", "b", "lower"), -0.01, 0.01, "not shown"),
        (Comparison("a", "b", "equal", margin=0.01), -0.01, 0.01, "holds"),
        (Comparison("a", "b", "equal", margin=0.01), -0.02, 0.0, "not shown"),
        (Comparison("a", "b", "equal", margin=0.01), 0.011, 0.02, "contradicted"),
        (Comparison("a", "b", "equal", margin=0.01), -0.03, -0.02, "contradicted"),
        (Comparison("a", "b"), 0.0, 0.0, "not shown"),
        (Comparison("a", "b", "not lower", margin=0.01), -0.009, 0.3, "holds"),
        (Comparison("a", "b", "not lower", margin=0.01), -0.02, 0.3, "not shown"),
        (Comparison("a", "b", "not lower", margin=0.01), -0.03, -0.011, "contradicted"),
        (Comparison("a", "b"), np.nan, np.nan, "not shown"),
        (Comparison("a", "b", "equal", margin=0.01), np.nan, np.nan, "not shown"),
    ],
)
def test_verdicts_follow_the_interval(comparison, low, high, verdict):
    assert comparison.verdict(PairedDifference((low, high), low, high)) == verdict


@pytest.mark.neutral
def test_a_claim_is_as_good_as_its_worst_comparison():
    assert joint_verdict(["holds", "holds"]) == "holds"
    assert joint_verdict(["holds", "not shown"]) == "not shown"
    assert joint_verdict(["holds", "contradicted", "not shown"]) == "contradicted"


@pytest.mark.neutral
def test_the_table_shows_the_comparison_that_decided():
    found = {"a": (0.5, 0.6), "b": (0.4, 0.5), "c": (0.6, 0.7), "d": (0.7, 0.4)}
    for names, verdict in [("abc", "contradicted"), ("abd", "not shown"), ("ab", "holds")]:
        claim = dataclasses.replace(
            CLAIM, comparisons=tuple(Comparison("a", other) for other in names[1:])
        )
        compared = compare_arms(claim, {name: {"accuracy": found[name]} for name in names})
        outcome = Outcome("name", claim, compared)
        assert outcome.verdict == outcome.decisive.verdict == verdict
        assert outcome.decisive.comparison.second == names[-1]


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dataclasses.replace(CLAIM, seeds=4), "`seeds` should be a whole number of at"),
        (lambda: dataclasses.replace(CLAIM, comparisons=()), "either `arms` and `comparisons`"),
        (lambda: dataclasses.replace(CLAIM, expectation=" "), "`expectation` should not be blank"),
        (lambda: dataclasses.replace(CLAIM, group="other"), "`group` should be"),
        (lambda: Comparison("a", "b", "above"), "`expected` should be"),
        (lambda: Comparison("a", "b", "equal"), "`margin` should be positive"),
        (lambda: Comparison("a", "b", "not lower"), "`margin` should be positive"),
        (lambda: Comparison("a", "b", "lower", margin=0.1), "`margin` should be positive"),
        (lambda: dataclasses.replace(CLAIM, measurements=("f1",)), "A measurement should be"),
        (
            lambda: dataclasses.replace(CLAIM, measurements=("linear",)).checked_arms(None),
            "should be of the numbers \\['linear'\\].*Received: 'accuracy'",
        ),
        (
            lambda: dataclasses.replace(
                CLAIM,
                arms=lambda tier: {"SupCon": Arm(TRAINING), "SupCon 1": Arm(TRAINING)},
                comparisons=(Comparison("SupCon", "SupCon 1"),),
            ).checked_arms(None),
            "should end in a space and a number. Received: 'SupCon'",
        ),
        (
            lambda: dataclasses.replace(
                CLAIM, comparisons=(Comparison("SupCon 1", "SupCon 3"),)
            ).checked_arms(None),
            "should be of the arms .*Received: 'SupCon 3'",
        ),
        (lambda: Comparison("a", "b", "equal", margin=1.5), "`margin` should be .* below 1"),
        (
            lambda: dataclasses.replace(CLAIM, comparisons=Comparison("SupCon 2", "SupCon 1")),
            "`comparisons` should be a sequence of `Comparison`, with a comma",
        ),
        (
            lambda: dataclasses.replace(CLAIM, measurements="knn"),
            "`measurements` should be a sequence of names",
        ),
        (
            lambda: dataclasses.replace(CLAIM, arms=lambda tier: {"a": TRAINING}).checked_arms(
                None
            ),
            "`arms` should return names with their `Arm`",
        ),
        (
            lambda: dataclasses.replace(CLAIM, arms=lambda tier: None).checked_arms(None),
            "`arms` should return names with their `Arm`. Received: None",
        ),
        (lambda: Arm(TRAINING, 1e-3), "`learning_rates` should be a sequence of positive"),
        (lambda: Arm(TRAINING, (1e-3, 0)), "`learning_rates` should be a sequence of positive"),
        (lambda: Arm(()), "`training` should be a `Training` or several"),
        (lambda: ClaimsSettings(claims=["none"]), "`claims` should be"),
        (lambda: ClaimsSettings(tier="huge"), "`tier` should be"),
    ],
)
def test_wrong_declarations_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.neutral
@pytest.mark.parametrize("tier", TIERS.values(), ids=TIERS)
def test_every_claim_can_be_made_in_every_tier(tier):
    for name, claim in read_claims().items():
        for arm_name, arm in claim.checked_arms(tier).items():
            for training in arm.trainings:
                assert json.loads(json.dumps(training.record)) == training.record, (name, arm_name)


@pytest.mark.neutral
def test_arms_that_are_compared_share_their_images_and_encoder():
    """All that a claim says is equal: no arm has other images, or another network."""
    for name, claim in read_claims().items():
        trainings = [
            training
            for arm in claim.checked_arms(TIERS["small"]).values()
            for training in arm.trainings
        ]
        assert len({(one.images, str(one.encoder)) for one in trainings}) <= 1, name


@pytest.mark.neutral
def test_a_claim_is_one_file_of_under_sixty_lines():
    for path in pathlib.Path(rows.__file__).parent.glob("*.py"):
        assert len(path.read_text().splitlines()) < 60 or path.name == "hard_and_easy_pairs.py"


def test_the_document_shows_the_file_of_a_claim():
    page = pathlib.Path(__file__).parents[3] / "docs" / "claims.md"
    file = pathlib.Path(rows.__file__).with_name("sincere.py")
    assert f"```python\n{file.read_text()}```\n" in page.read_text()


@pytest.mark.neutral
def test_equal_views_and_equal_updates():
    same_updates = cross_entropy(TRAINING)
    same_views = cross_entropy(TRAINING, epochs=2 * TRAINING.epochs)
    views = [one.num_views * one.epochs for one in (TRAINING, same_updates, same_views)]
    assert views == [20, 10, 20]
    assert same_updates.epochs == TRAINING.epochs
    assert with_loss(TRAINING, summation="in").loss.arguments == {
        "temperature": 0.1,
        "summation": "in",
    }
    assert with_loss(TRAINING, "NPairsLoss").loss == Component("NPairsLoss")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs claims whose trainings are not run: the accuracy follows from the settings."""
    claims = {"epochs": CLAIM, "rates": CHOOSING}
    monkeypatch.setattr(module, "claim_names", lambda: tuple(claims))
    monkeypatch.setattr(
        module, "read_claims", lambda names: {name: claims[name] for name in names or claims}
    )
    trained = []

    class Fake:
        def __init__(self, training, reader):
            self.training, self.arrays = training, reader.read(training.images)

        def check(self):
            pass

        def train(self, seed):
            trained.append((self.training, seed))
            return self.training, seed

    def measure(trained, name):
        training, seed = trained
        near = -abs(training.learning_rate - 9e-3)
        return {name: 0.5 + 0.1 * training.epochs + near + 0.001 * (seed % 3)}

    monkeypatch.setattr(trials_module, "Trainer", Fake)
    monkeypatch.setattr(trials_module, "measure", measure)

    def run(**fields):
        settings = {"output_dir": tmp_path / "out", "processes": 1, "verbose": False, **fields}
        return Claims(ClaimsSettings(**settings)).run(), trained

    return run


def test_a_run_judges_and_writes(run, tmp_path):
    document, short = tmp_path / "claims.md", tmp_path / "README.md"
    document.write_text(
        "Before.\n<!-- begin claims -->\nearlier table\n<!-- end claims -->\nAfter.\n"
    )
    short.write_text("<!-- begin verdicts --><!-- end verdicts -->\n")
    outcomes, trained = run(document=document, verdicts=short, report_dir=tmp_path / "report")
    assert {one.name: one.verdict for one in outcomes} == {"epochs": "holds", "rates": "holds"}
    results = json.loads((tmp_path / "report" / "claims.json").read_text())["claims"]
    assert results["epochs"]["comparisons"][0]["mean"] == pytest.approx(0.1)
    assert len(results["epochs"]["arms"]["SupCon 1"]["accuracy"]) == 5
    text = document.read_text()
    assert text.startswith("Before.\n<!-- begin claims -->\n\n")
    assert text.endswith("<!-- end claims -->\nAfter.\n")
    assert "earlier table" not in text
    assert "### Two epochs are better than one: holds" in text
    assert "+10.00 (+10.00 to +10.00)" in text
    assert "| +0.60 (+0.60 to +0.60) |" in text
    assert "](report/figures/epochs.png)" in text
    for name in ("report.html", "figures/epochs.png", "figures/rates.png"):
        assert (tmp_path / "report" / name).stat().st_size > 1000
    assert short.read_text().count("\n| ") >= 3
    # The test images had no part in the choice, which no measured seed made.
    choosing = [(one, seed) for one, seed in trained if one.images.measured_on == "validation"]
    assert len(choosing) == 4
    assert {seed for _, seed in choosing}.isdisjoint(range(5))
    assert outcomes[1].learning_rates == {
        "fixed": "0.002",
        "chosen": "0.01 (at the end)",
        "chosen within": "0.01",
    }
    before = len(trained)
    run()
    assert len(trained) == before


def test_documents_have_all_claims_or_stay_as_they_are(run, tmp_path, monkeypatch):
    document = tmp_path / "claims.md"
    text = "<!-- begin claims -->\nearlier\n<!-- end claims -->\n"
    document.write_text(text)
    with pytest.raises(ValueError, match="`document` should be None with `claims`"):
        run(document=document, claims=["epochs"])
    run(claims=["epochs"])
    now = iter([0.0])
    with monkeypatch.context() as patch:
        patch.setattr(module.time, "time", lambda: next(now, 1e9))
        outcomes, _ = run(document=document, minutes=3)
    assert len(outcomes) == 1
    assert document.read_text() == text
    assert json.loads((tmp_path / "out" / "claims.json").read_text())["claims"].keys() == {"epochs"}
    run(document=document)
    assert "earlier" not in document.read_text()


def test_tables_of_arms_go_to_the_marks_of_their_claim(run, tmp_path):
    document = tmp_path / "labels.md"
    text = "<!-- begin {0} -->\nearlier\n<!-- end {0} -->\n"
    document.write_text(text.format("rates") + text.format("others"))
    run(arms=document, claims=["epochs", "rates"])
    written = document.read_text()
    assert written.count("earlier") == 1
    assert written.endswith(text.format("others"))
    assert "| chosen within |" in written
    assert "| chosen - fixed, accuracy |" in written
    with pytest.raises(ValueError, match="`arms` should be a document with marks of one of the"):
        run(arms=document, claims=["epochs"])


def test_all_numbers_may_be_shown(run, monkeypatch):
    claim = dataclasses.replace(CLAIM, measurements=("accuracy", "knn"), shows_all=True)
    monkeypatch.setattr(module, "read_claims", lambda names: {"epochs": claim})
    ((outcome,), _) = run()
    assert list(outcome.arms["SupCon 1"]) == ["accuracy", "knn"]
    assert [*arm_rows(outcome)[0]] == ["arm", "accuracy", "knn", "learning rate"]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_document_without_marks_is_refused_before_training(is_there, run, tmp_path):
    if is_there:
        (tmp_path / "page.md").write_text("no marks")
    with pytest.raises(ValueError, match="should have <!-- begin verdicts -->.*page.md"):
        run(verdicts=tmp_path / "page.md")
    assert not (tmp_path / "out").exists()


def test_a_report_of_another_tier_stays(run, tmp_path):
    _, trained = run()
    before, number = (tmp_path / "out" / "claims.json").read_bytes(), len(trained)
    with pytest.raises(ValueError, match="another tier. Received: .*'small', with tier='full'"):
        run(tier="full")
    assert (tmp_path / "out" / "claims.json").read_bytes() == before
    assert len(trained) == number


def test_no_minutes_read_the_images_alone(run, tmp_path):
    """Those of validation too: a machine without TensorFlow cannot read them later."""
    outcomes, trained = run(minutes=0)
    assert outcomes == trained == []
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    validation = dataclasses.replace(TRAINING.images, measured_on="validation")
    assert {path.name for path in files} == {
        f"{images.digest}.npz" for images in (TRAINING.images, validation)
    }


def test_results_say_what_they_come_from(run, tmp_path):
    run()
    results = json.loads((tmp_path / "out" / "claims.json").read_text())
    assert results["protocol"]["tier"] == "small"
    assert {"keras", "backend", "numpy"} <= results["protocol"]["versions"].keys()
    (accuracies,) = results["claims"]["rates"]["validation_accuracies"]["chosen within"]
    assert accuracies == pytest.approx({"0.001": 1.493, "0.01": 1.5, "0.02": 1.49}, abs=2e-3)
    assert "fixed" not in results["claims"]["rates"]["validation_accuracies"]


def test_a_rate_that_diverges_is_not_chosen(run, monkeypatch):
    known = trials_module.measure

    def measure(trained, name):
        diverges = trained[0].learning_rate == 1e-2
        return {name: np.nan} if diverges else known(trained, name)

    monkeypatch.setattr(trials_module, "measure", measure)
    outcomes, _ = run()
    rates = outcomes[1].learning_rates
    assert (rates["chosen"], rates["chosen within"]) == ("0.002", "0.001 (at the end)")


def test_a_run_with_a_deadline_leaves_claims_out_and_goes_on(run, monkeypatch):
    now = iter([0.0, *[100.0] * 9])
    monkeypatch.setattr(module.time, "time", lambda: next(now, 1e9))
    monkeypatch.setattr(trials_module.time, "time", lambda: next(now, 1e9))
    outcomes, trained = run(minutes=3)
    assert len(outcomes) < 2
    first = len(trained)
    monkeypatch.setattr(module.time, "time", lambda: 0.0)
    monkeypatch.setattr(trials_module.time, "time", lambda: 0.0)
    outcomes, trained = run(minutes=3)
    assert len(outcomes) == 2
    assert len(trained) == len(set(trained)) > first


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (
            dataclasses.replace(CLAIM, measurements=("accuracy", "finer:kind")),
            "claim 'late', arm 'SupCon 1': .*'kind'",
        ),
        (
            dataclasses.replace(
                CHOOSING,
                measurements=("accuracy", "projection"),
                arms=lambda tier: {
                    "fixed": Arm(TRAINING),
                    "chosen": Arm(dataclasses.replace(TRAINING, head=None), (1e-3, 2e-3)),
                },
            ),
            "claim 'late', arm 'chosen': The measurement 'projection'",
        ),
        (
            dataclasses.replace(CLAIM, comparisons=(Comparison("SupCon 2", "SupCon"),)),
            "claim 'late': `comparisons` should be of the arms",
        ),
    ],
    ids=["data", "measurement", "declaration"],
)
def test_every_arm_is_checked_before_the_first_training(claim, message, run, monkeypatch):
    claims = {"epochs": CLAIM, "rates": CHOOSING, "late": claim}
    monkeypatch.setattr(module, "read_claims", lambda names: claims)
    trained = []
    monkeypatch.setattr(module.Trials, "run", lambda *given, **more: trained.append(given))
    with pytest.raises((ValueError, RuntimeError), match=message):
        run()
    assert not trained


@pytest.mark.neutral
def test_a_file_that_is_no_claim_is_named_and_stops_itself_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "__path__", [*rows.__path__, str(tmp_path)])
    (tmp_path / "of_mine.py").write_text("CLAIM = 3\n")
    (tmp_path / "of_yours.py").write_text(
        "from keras_supcon.experiments.claims import Comparison\nComparison('a', 'b', 'best')\n"
    )
    for name in ("of_mine", "of_yours"):
        with pytest.raises(ValueError, match=f"claim '{name}': `(CLAIM|expected)` should be"):
            read_claims([name])
    with pytest.raises(ValueError, match="claim 'of_mine'"):
        read_claims()
    assert list(read_claims(["sincere", "in_below_out"])) == ["in_below_out", "sincere"]
    ClaimsSettings(claims=["sincere"])


def test_a_document_without_marks_stays_as_it_is(tmp_path):
    path = tmp_path / "page.md"
    for text in ("nothing", "<!-- begin a --><!-- end a --><!-- begin a --><!-- end a -->"):
        path.write_text(text)
        with pytest.raises(ValueError, match="once. Received"):
            write_between(path, "a", "new")
        assert path.read_text() == text


@pytest.mark.neutral
def test_what_is_computed_holds(tmp_path):
    settings = ClaimsSettings(
        claims=["hard_and_easy_pairs", "in_below_out"], output_dir=tmp_path, verbose=False
    )
    outcomes = Claims(settings).find()
    assert [one.verdict for one in outcomes] == ["holds", "holds"]


@pytest.mark.neutral
def test_the_gradient_of_a_pair_is_that_of_the_paper():
    """With one positive p and one negative n: 1/tau (1 - P_ip)(p' - n') across the anchor."""
    for positive, negative in [(0.3, -0.4), (0.9, 0.0), (0.0, -0.9)]:
        logits = np.array([positive, negative]) / 0.1
        weight = np.exp(logits[1]) / np.exp(logits).sum()
        # Across the anchor both vectors are orthogonal here, of the lengths sqrt(1 - s^2).
        length = weight / 0.1 * np.sqrt(2 - positive**2 - negative**2)
        assert gradient_length(positive, negative) == pytest.approx(length, rel=1e-3)
