"""A study of one factor, in this process: on the digits, with the smallest numbers."""

import json

import pytest

from keras_supcon.experiments import FACTORS, Study, StudySettings
from keras_supcon.experiments.trials import trials as trials_module

pytestmark = pytest.mark.neutral

GIVEN = {"dataset": "digits", "train_images": 100, "batch_size": 32, "epochs": 1, "seeds": 2}


def settings(tmp_path, factor="temperature", values=(0.1, 0.5), **fields):
    return StudySettings(
        factor=factor, values=values, output_dir=tmp_path, **{**GIVEN, "verbose": False, **fields}
    )


VALUES = {
    "temperature": (0.1, "1e-1", 0.5),
    "positives_cap": ("0", 2, "4"),
    "summation": ("out", "in"),
    "denominator": ("all", "one_positive"),
    "loss": ("SupConLoss", "NTXentLoss"),
    "learning_rate": ("1e-3", 0.01),
    "optimizer": ("Adam", "SGD"),
    "epochs": (1, "2"),
    "batch_size": (16, 32),
    "num_views": (2, 3),
    "strength": (0, "0.5"),
    "projection_dim": (8, 16),
    "encoder_width": (0.125, 0.25),
    "train_images": (50, 100),
}


@pytest.mark.parametrize("factor", FACTORS)
def test_each_value_changes_the_training_in_its_factor_alone(factor, tmp_path):
    values = VALUES[factor]
    values = (values[0], *values[-1:])
    trainings = list(settings(tmp_path, factor, values).trainings.values())
    first, second = (one.record for one in trainings)
    assert first != second
    differing = [name for name in first if first[name] != second[name]]
    assert len(differing) == 1


@pytest.mark.quickest
@pytest.mark.slow
def test_a_value_that_diverges_is_reported(tmp_path):
    result = Study(
        settings(tmp_path, "learning_rate", (1e-3, 1e30), measurement="calibration")
    ).run()
    rows = {(row["learning rate"], row["number"]): row for row in result.rows()}
    wild = rows["1e+30", "calibration error"]
    assert wild["mean"] == wild["deviation"] == wild["minus 0.001"] == "diverged"
    # A likelihood is no share: it is not in hundredths.
    mean = sum(result.numbers[1e-3]["negative_log_likelihood"]) / 2
    assert rows["0.001", "negative log likelihood"]["mean"] == f"{mean:.2f}"
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"factor": "color"}, "`factor` should be"),
        ({"values": (0.1,)}, "`values` should be at least two different ones"),
        ({"values": (0.1, "0.10")}, "`values` should be at least two different ones"),
        ({"values": (0.1, "x")}, "`values` should be a sequence of one or more numbers"),
        ({"values": (0.1, float("nan"))}, "`values` should be a sequence of one or more numbers"),
        ({"factor": "epochs", "values": (1, 1.5)}, "whole numbers"),
        ({"factor": "epochs", "values": (1, True)}, "whole numbers"),
        ({"factor": "epochs", "values": (1, 0)}, "`epochs` should be"),
        ({"factor": "loss", "values": ("SupConLoss", "")}, "names"),
        ({"seeds": 1}, "`seeds` should be a whole number of at least 2"),
        ({"measurement": "beauty"}, "A measurement should be among"),
        ({"batch_size": 0}, "`batch_size` should be"),
    ],
)
def test_wrong_settings_are_refused(fields, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        settings(tmp_path, **fields)


@pytest.fixture
def trained(monkeypatch):
    done = []

    class Fake:
        def __init__(self, training, reader):
            self.training, self.arrays = training, reader.read(training.images)

        def check(self):
            pass

        def train(self, seed):
            done.append(seed)
            return self.training, seed

    def measure(trained, name):
        training, seed = trained
        temperature = training.loss.arguments["temperature"]
        return {"first": 0.5 + temperature / 10 + seed / 100, "second": 0.5 - seed / 100}

    monkeypatch.setattr(trials_module, "Trainer", Fake)
    monkeypatch.setattr(trials_module, "measure", measure)
    return done


def test_values_are_compared_with_the_first_seed_by_seed(tmp_path, trained, capsys):
    result = Study(settings(tmp_path, values=(0.1, 0.5), seeds=3, seed=4, verbose=True)).run()
    assert trained == [4, 5, 6] * 2
    assert "trainings: 6 of 6" in capsys.readouterr().out
    found = result.difference(0.5, "first")
    assert found.mean == pytest.approx(0.04)
    assert found.high - found.low < 1e-12  # the seeds are paired
    rows = result.rows()
    assert [row["temperature"] for row in rows] == ["0.1", "0.1", "0.5", "0.5"]
    assert rows[2]["minus 0.1"] == "+4.00 (+4.00 to +4.00)"
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["results"][0]["protocol"]["factor"] == "temperature"
    assert (tmp_path / "report.html").exists()
    # One more value costs its own seeds alone.
    Study(settings(tmp_path, values=(0.1, 0.5, 1.0), seeds=3, seed=4)).run()
    assert len(trained) == 9


def test_names_are_drawn_as_bars(tmp_path, trained):
    result = Study(settings(tmp_path, "optimizer", ("Adam", "SGD"))).run()
    assert result.plot().axes
    assert result.plot(narrow=True).axes
