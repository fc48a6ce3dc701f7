import os

import pytest

from tests.examples.programs import Programs


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    if not hasattr(os, "fork"):
        pytest.skip("needs processes that can be forked")
    programs = Programs(tmp_path_factory.mktemp("logs"))
    yield programs
    programs.close()
