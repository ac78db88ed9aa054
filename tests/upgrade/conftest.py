"""The harness of the integration tests, with two programs."""

import os
import shutil
import sys
import tempfile

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

from harness.world import Session  # noqa: E402


@pytest.fixture(scope="session")
def builds():
    """(old, new): folders with a product-change-service; old's migrations are in ../source/sql."""
    return os.path.join(os.environ["PCS_OLD"], "build"), os.environ["PCS_BUILD_DIR"]


@pytest.fixture(scope="session")
def session(builds):
    folder = tempfile.mkdtemp(prefix="pcs-upgrade-", dir="/tmp")
    os.chmod(folder, 0o755)
    s = Session(builds[1], folder)
    yield s
    s.close()
    if os.environ.get("PCS_ITEST_KEEP"):
        print(f"\nkept: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
