import keras
import numpy as np
import pytest

import keras_supcon  # registers the classes that a saved model names

PROGRAM = "own_images.py"


@pytest.mark.slow
def test_classifies_pieces_of_two_photographs(programs, photographs, tmp_path):
    from PIL import Image

    for name, photograph in zip(("temple", "flower"), photographs, strict=True):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i, (top, left) in enumerate(np.random.default_rng(0).integers(0, (380, 590), (40, 2))):
            Image.fromarray(photograph[top : top + 48, left : left + 48]).save(
                tmp_path / "images" / name / f"{i}.png"
            )
    output = tmp_path / "classifier.keras"
    flags = (
        f"--images={tmp_path / 'images'}",
        "--image_size=32",
        "--epochs=8",
        "--batch_size=32",
        f"--output={output}",
    )
    code, printed, errors = programs.run(PROGRAM, *flags)
    assert code == 0, errors
    accuracy = float(printed.rsplit("test accuracy:", 1)[1])
    assert accuracy >= 0.75  # half of it is chance
    classifier = keras.saving.load_model(output)
    assert isinstance(classifier, keras_supcon.LinearClassifier)
    assert classifier.num_classes == 2


@pytest.mark.slow
def test_an_output_that_cannot_be_written_is_refused_before_training(programs, tmp_path):
    (tmp_path / "full-pretrained.keras").mkdir()
    (tmp_path / "link.keras").symlink_to(tmp_path / "nowhere" / "classifier.keras")
    outputs = (
        "classifier.h5",
        *(str(tmp_path / name) for name in ("nowhere/a.keras", "full.keras", "link.keras")),
    )
    flags = [(f"--images={tmp_path}", f"--output={output}") for output in outputs]
    for pid in [programs.start(PROGRAM, *own) for own in flags]:
        code, printed, errors = programs.wait(pid)
        assert code != 0
        assert "--output should end with .keras and lie in a folder that exists" in printed + errors


@pytest.mark.slow
def test_a_folder_of_one_class_is_refused_before_training(programs, tmp_path):
    (tmp_path / "images" / "cat").mkdir(parents=True)
    flags = (f"--images={tmp_path / 'images'}", f"--output={tmp_path / 'classifier.keras'}")
    code, _, errors = programs.run(PROGRAM, *flags)
    assert code != 0
    assert "at least two folders, one for each class" in errors
    assert not (tmp_path / "classifier.keras").exists()
