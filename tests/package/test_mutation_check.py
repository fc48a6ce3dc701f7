"""The table of tools/mutation_check.py fits the source, so that it cannot rot silently."""

import ast
import dataclasses

import pytest

from tools.mutation_check import MUTATIONS, ROOT, Mutation, Verdict, markdown_table, mutate

every_mutation = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)


@every_mutation
def test_it_changes_the_program_and_still_compiles(mutation):
    source = (ROOT / mutation.file).read_text()
    assert source.count(mutation.before) == 1
    mutated = mutate(source, mutation)
    compile(mutated, mutation.file, "exec")
    # More than a comment or a space.
    assert ast.dump(ast.parse(mutated)) != ast.dump(ast.parse(source))


@every_mutation
def test_its_tests_exist_and_run_on_its_backend(mutation):
    assert mutation.tests
    for name in mutation.tests:
        file, _, function = name.partition("::")
        path = ROOT / file
        assert path.exists()
        files = [path] if path.is_file() else list(path.rglob("test_*.py"))
        if function:
            assert f"def {function.partition('[')[0]}(" in path.read_text()
        if mutation.backend != "tensorflow":
            assert any("mark.neutral" in file.read_text() for file in files)


def test_names_are_unique():
    names = [mutation.name for mutation in MUTATIONS]
    assert len(set(names)) == len(names)


def test_every_room_and_every_backend_has_one():
    rooms = {path.parent.name for path in (ROOT / "keras_supcon").glob("*/__init__.py")}
    assert rooms <= {
        mutation.file.split("/")[1] for mutation in MUTATIONS
    }  # and there are those of single files and programs
    assert {mutation.backend for mutation in MUTATIONS} == {"tensorflow", "jax", "torch"}


def test_a_text_that_is_gone_or_there_twice_is_refused():
    mutation = dataclasses.replace(MUTATIONS[0], before="a + b", after="a - b")
    assert mutate("a + b + c", mutation) == "a - b + c"
    for source, count in (("a", 0), ("a + b + a + b", 2)):
        with pytest.raises(ValueError, match=f"once in {mutation.file}. Received: {count} times"):
            mutate(source, mutation)


def test_the_table_says_what_became_of_each():
    mutation = Mutation("name", "A law.", "file.py", "before", "after", ("tests",))
    caught, missed = Verdict(mutation, 2.4, caught="test[a|b]"), Verdict(mutation, 3.0)
    table = markdown_table([caught, missed, Verdict(mutation, problem="it hung")])
    assert [row.split(" | ", 3)[3] for row in table.splitlines()[2:]] == [
        "caught by test[a\\|b] | 2 |",
        "MISSED | 3 |",
        "ERROR: it hung | 0 |",
    ]
