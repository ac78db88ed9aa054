"""CPU time of a process, by thread, in microseconds: the scheduler's own account, exact to the nanosecond."""

import os


def threads(pid):
    """{name of thread: microseconds}, threads of one name together."""
    out = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                ns = int(f.read().split()[0])
            with open(f"/proc/{pid}/task/{task}/comm") as f:
                name = f.read().strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        out[name] = out.get(name, 0) + ns / 1000
    return out


def since(before, after):
    return {name: after[name] - before.get(name, 0) for name in after}


def total(by_thread):
    return sum(by_thread.values())


def resident(pid):
    """Resident bytes."""
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def machine():
    """One paragraph about where this was measured."""
    model = "unknown"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) / 1048576
    with open("/proc/loadavg") as f:
        load = f.read().split()[0]
    return (f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux {os.uname().release}, "
            f"load average at the start {load}")
