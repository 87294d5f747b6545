"""Fixtures for all tests that need a running server.

`instance` is shared by the tests of a module, `fresh` is one's own (for tests that stop, kill or reconfigure it).
"""

import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from instance import Instance  # noqa: E402


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(items):
    """Where tests run in several processes, those of a file stay together, and those of the extension too: they share
    its one installation and their cluster."""
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(folder if folder == "postgres" else item.path.stem))


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    made = Instance(tmp_path_factory.mktemp("keystead") / "instance").start()
    yield made
    made.stop()


@pytest.fixture
def fresh(tmp_path):
    """Not started yet, so that a test can configure it."""
    made = Instance(tmp_path / "instance")
    yield made
    try:
        made.stop()
    finally:
        if made.process is not None and made.process.poll() is None:
            made.kill()
        shutil.rmtree(made.dir, ignore_errors=True)
