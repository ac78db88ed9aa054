"""Free ports that stay ours: a lock file per port, held as long as this process lives."""

import fcntl
import os
import random
import socket

FOLDER = "/tmp/pcs-itest-ports"
# Below the range that the kernel takes for outgoing connections.
LOW, HIGH = 15000, 32000
_held = []


def _free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def take():
    if not os.path.isdir(FOLDER):
        os.makedirs(FOLDER, exist_ok=True)
        os.chmod(FOLDER, 0o1777)
    for _ in range(2000):
        port = random.randrange(LOW, HIGH)
        try:
            lock = open(os.path.join(FOLDER, str(port)), "w")
        except PermissionError:
            continue  # another user's
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        if _free(port):
            _held.append(lock)
            return port
        lock.close()
    raise RuntimeError("no free port")
