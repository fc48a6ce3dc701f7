"""The Python of the README and the documents runs as printed, block after block."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


@pytest.mark.slow
@every_document
def test_every_python_block_runs(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)
    names = {}
    for block in blocks:
        exec(compile(block, path.name, "exec"), names)  # later blocks use the names of earlier ones
    if path.name == "README.md":
        assert names["classifier"].evaluate(names["test"], verbose=0, return_dict=True)["accuracy"] > 0.3


@every_document
def test_every_file_it_points_to_exists(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@every_document
def test_every_make_target_it_names_exists(path):
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make ([a-z-]+)", path.read_text()):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_readme_names_its_two_commands():
    assert {"demo", "test"} <= set(re.findall(r"make ([a-z-]+)", README))
