"""What a request may cost (issue 8): allocations and system calls, counted, since they do not depend on the machine."""

import mmap
import os
import struct
import subprocess

import pytest

from harness import tokens
from harness.world import World

SHIM = os.path.join(os.environ["PCS_BUILD_DIR"], "tests", "liballoccount.so")
REQUESTS = 2000
# Allocations of one request, on a connection that is kept. Nearly all are libmicrohttpd's (an answer and its headers:
# 13) and libraries': raise a number only for something that is worth it.
BUDGET = {"/menu": 18, "/change": 22}

pytestmark = pytest.mark.skipif(not os.path.exists(SHIM), reason="not built with sanitizers, which count for themselves")


@pytest.fixture(scope="module")
def counted(session, tmp_path_factory):
    """A service whose allocations are counted; .count() tells how many so far."""
    path = tmp_path_factory.mktemp("budget") / "allocations"
    world = World(session, start=False)
    world.counter = path
    service = world.start_service(SERVER_THREADS=1, LD_PRELOAD=SHIM, ALLOC_COUNT_FILE=path, LOG_LEVEL="info")
    world.service = service
    with open(path, "r+b") as f:
        memory = mmap.mmap(f.fileno(), 8)
    world.count = lambda: struct.unpack("<Q", memory[:8])[0]
    yield world
    world.close()


def load(world, path, line_count, **options):
    """Reads of as many lines in turn, by the benches' load generator."""
    program = os.path.join(os.environ["PCS_BUILD_DIR"], "tests", "pcs-load")
    file = os.path.join(world.folder, "requests")
    with open(file, "wb") as f:
        for n in range(line_count):
            line = f"0109{n:07d}"
            token = world.token(sub=f"budget-{n}", customerId=f"C{n}", lineNumber=tokens.dashed(line))
            text = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
            f.write(b"%d\n" % len(text) + text)
    return lambda total: subprocess.run(
        [program, "--port", str(world.service.port), "--requests", file, "--connections", "8", "--total", str(total),
         "--seconds", "60"], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("path", BUDGET)
def test_a_cached_read_allocates_no_more_than_its_budget(counted, path):
    for n in range(20):
        counted.kos.customer(f"0109{n:07d}", customerId=f"C{n}", customerName="예산", operatorCode="MVNO01",
                             lineStatus="ACTIVE", productCode="LTE_BASIC", contractDate="2023-03-01")
    read = load(counted, path, 20)
    assert f'"200":{REQUESTS}' in read(REQUESTS)  # cached, tokens known, buffers as large as they get
    before = counted.count()
    assert f'"200":{REQUESTS}' in read(REQUESTS)
    each = (counted.count() - before) / REQUESTS
    print(f"{path}: {each:.1f} allocations")
    assert each <= BUDGET[path], f"{each:.1f} allocations for GET {path}"
    assert each >= 1, "the counter counts"
