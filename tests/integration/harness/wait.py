"""Waiting for a condition with a deadline; never for a while."""

import time


def until(condition, seconds=5.0, what="", every=0.02):
    """Calls condition() until it is true and returns what it gave; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        seen = condition()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not seen within {seconds} s: {what or condition}; last: {seen!r}")
        time.sleep(every)


def stays(condition, seconds=0.5, what="", every=0.05):
    """condition() holds, and goes on holding for `seconds`: for "nothing happens" only."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        seen = condition()
        assert seen, f"ended within {seconds} s: {what or condition}; last: {seen!r}"
        time.sleep(every)
