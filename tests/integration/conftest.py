"""Fixtures: servers for the session, a world for the module.

PCS_BUILD_DIR names the build (default: build beside tests). A module sets ENV = {...} for its service and
WORLD = {...} for World's own arguments. PCS_ITEST_KEEP=1 keeps logs and journals."""

import os
import shutil
import sys
import tempfile

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from harness import service as service_module  # noqa: E402
from harness.world import Session, World  # noqa: E402


@pytest.fixture(scope="session")
def build():
    folder = os.path.abspath(os.environ.get("PCS_BUILD_DIR") or os.path.join(HERE, "..", "..", "build"))
    for program in ("product-change-service", "tests/kos-sim", "tests/mvno-sim", "tests/auth-sim"):
        if not os.access(os.path.join(folder, program), os.X_OK):
            pytest.exit(f"{folder}/{program} is missing: build first, or set PCS_BUILD_DIR", 2)
    return folder


@pytest.fixture(scope="session")
def session(build):
    folder = tempfile.mkdtemp(prefix="pcs-itest-", dir="/tmp")
    os.chmod(folder, 0o755)
    s = Session(build, folder)
    yield s
    s.close()
    if os.environ.get("PCS_ITEST_KEEP"):
        print(f"\nkept: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def world(request, session):
    w = World(session, env=getattr(request.module, "ENV", None), **getattr(request.module, "WORLD", {}))
    yield w
    w.close()


@pytest.fixture
def kos(world):
    """The KOS simulator; its faults are gone after the test."""
    yield world.kos
    world.kos.clear()


@pytest.fixture
def mvno(world):
    yield world.mvno
    world.mvno.clear()


@pytest.fixture
def customer(world):
    """A new customer on LTE_BASIC, with a line of their own."""
    return world.customer()


@pytest.fixture(params=["core", "frontend"])
def family(request):
    """Both families of paths."""
    return request.param


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what its services logged meanwhile (requests left out)."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    world = getattr(item, "funcargs", {}).get("world")
    mine = [s for s in service_module.STARTED if s.process and os.path.exists(s.process.log_path) and (s.process.running() or s is service_module.STARTED[-1])]
    for s in mine[-3:]:
        lines = [line for line in s.process.log().splitlines() if '"http.request"' not in line]
        report.sections.append((f"log of {s.name} on {s.port}", "\n".join(lines[-25:])))
    if world and world.mvno.process.running():
        report.sections.append(("MVNO AP", str(world.mvno.stats())))
