"""A child process: started with its output in a file, ended by its pid, dead with its parent."""

import ctypes
import os
import signal as signals
import subprocess
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

# Marks of a sanitizer, an assertion or glibc noticing damage.
CRASH_MARKS = (
    "AddressSanitizer",
    "LeakSanitizer",
    "ThreadSanitizer",
    "MemorySanitizer",
    "runtime error:",
    "Assertion `",
    "assertion failed",
    "*** stack smashing",
    "free(): ",
    "malloc(): ",
    "double free",
)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signals.SIGKILL)


class Process:
    """Runs argv; stdout and stderr end up in `<folder>/<name>.log`."""

    def __init__(self, name, argv, folder, env=None, user=None, cwd=None):
        self.name = name
        self.log_path = os.path.join(folder, f"{name}.log")
        self._log = open(self.log_path, "ab")
        more = {"user": user, "group": user, "extra_groups": []} if user else {}
        self.popen = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            preexec_fn=_die_with_parent,
            **more,
        )

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait(self, seconds):
        """The exit code; None when it is still running after that time."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, number=signals.SIGTERM, seconds=10):
        """Ends it in order; the exit code. Fails if it does not end."""
        self.signal(number)
        code = self.wait(seconds)
        if code is None:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {seconds} s; log:\n{self.log()[-4000:]}")
        self._log.close()
        return code

    def kill(self):
        if self.running():
            self.popen.kill()
            self.popen.wait(10)
        self._log.close()

    def crash_marks(self):
        text = self.log()
        return [line for line in text.splitlines() if any(m in line for m in CRASH_MARKS)]


def wait_until_up(process, probe, seconds=15):
    """Calls probe() until it gives something true; fails at once if the process ends."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        if not process.running():
            raise AssertionError(
                f"{process.name} ended with {process.popen.returncode} while starting:\n{process.log()[-4000:]}"
            )
        try:
            if probe():
                return
        except Exception as e:  # refused, not yet: any reason to ask again
            last = e
        time.sleep(0.02)
    raise AssertionError(f"{process.name} not up within {seconds} s ({last}):\n{process.log()[-4000:]}")
