"""Fixtures: the servers of tests/integration, in front of them the auth simulator and the gateway, and one browser.

A module sets ENV = {...} for its service. PCS_ITEST_KEEP=1 keeps logs and journals."""

import os
import shutil
import sys
import tempfile

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "integration")]
sys.dont_write_bytecode = True

from browser import Browser, Page  # noqa: E402
from harness.world import Session  # noqa: E402
from stage import Site  # noqa: E402


@pytest.fixture(scope="session")
def session():
    build = os.environ["PCS_BUILD_DIR"]
    folder = tempfile.mkdtemp(prefix="pcs-web-", dir="/tmp")
    os.chmod(folder, 0o755)
    s = Session(build, folder)
    yield s
    s.close()
    if os.environ.get("PCS_ITEST_KEEP"):
        print(f"\nkept: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def site(request, session):
    s = Site(session, getattr(request.module, "ENV", {}))
    yield s
    s.close()


@pytest.fixture(scope="session")
def browser():
    b = Browser()
    yield b
    b.close()


@pytest.fixture
def kos(site):
    yield site.world.kos
    site.world.kos.clear()


@pytest.fixture
def customer(site):
    """A new customer on LTE_BASIC who can log in."""
    return site.customer()


@pytest.fixture
def page(request, site, browser, kos):
    """A new tab of nobody, in Korean and phone size; what it logs must be clean."""
    p = Page(browser, site)
    yield p
    failed = getattr(request.node, "failed", False)
    p.close(check=not failed)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what was on the page."""
    outcome = yield
    report = outcome.get_result()
    item.failed = report.failed
    page = getattr(item, "funcargs", {}).get("page")
    if report.failed and page and call.when == "call":
        report.sections.append(("page", page.describe()))
        page.picture(f"failed-{item.name}")
