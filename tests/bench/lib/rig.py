"""Starts what a part needs: the service as it is shipped, and its neighbours, on free ports."""

import os
import shutil
import signal
import subprocess
import tempfile

import requests

from harness import ports, servers, tokens, world
from harness.proc import Process, wait_until_up
from harness.sims import DATA, Simulator

from . import cpu


class Kos(Simulator):
    program = "kos-sim"

    def __init__(self, build, folder, customers, delay_ms, dedup=False, max_orders=None):
        argv = ["--data", os.path.join(DATA, "kos.json"), "--generate", str(customers), "--delay-ms", str(delay_ms)]
        argv += ["--dedup"] if dedup else []
        argv += ["--max-orders", str(max_orders)] if max_orders else []
        super().__init__(build, folder, argv)


class Mvno(Simulator):
    program = "mvno-sim"
    secret = "webhook-secret-of-the-benches-0123456789"

    def __init__(self, build, folder):
        super().__init__(build, folder, [], {"MVNO_WEBHOOK_SECRET": self.secret})


class Service:
    """The service; its log goes into a file, as it would behind a supervisor."""

    def __init__(self, rig, env, name="service"):
        self.port = ports.take()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **env, "SERVER_PORT": str(self.port),
                    "SERVER_BIND": "127.0.0.1"}
        self.rig, self.name, self.starts = rig, name, 0
        self.start()

    def start(self, wait=True):
        self.starts += 1
        self.process = Process(f"{self.name}-{self.port}-{self.starts}", [world.program(self.rig.build)],
                               self.rig.folder, self.env)
        if not wait:
            return
        with requests.Session() as s:
            s.trust_env = False
            wait_until_up(self.process, lambda: s.get(self.url + "/health/ready", timeout=5).status_code == 200, 60)

    @property
    def pid(self):
        return self.process.pid

    def cpu(self):
        return cpu.threads(self.pid)

    def metrics(self):
        """{sample with labels: value}"""
        with requests.Session() as s:
            s.trust_env = False
            text = s.get(self.url + "/metrics", timeout=10).text
        out = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                out[name] = float(value)
        return out

    def metric(self, name, **labels):
        """Sum of the samples of that name whose labels contain these."""
        return pick(self.metrics(), name, **labels)

    def stop(self):
        if self.process.running():
            code = self.process.stop(signal.SIGTERM, 30)
            if code:
                raise RuntimeError(f"the service ended with {code}:\n{self.process.log()[-3000:]}")

    def kill(self):
        self.process.kill()


def pick(samples, name, **labels):
    return sum(v for k, v in samples.items()
               if k.split("{")[0] == name and all(f'{a}="{b}"' in k for a, b in labels.items()))


class Rig:
    """Everything of one part; close() ends it all."""

    def __init__(self, build, name):
        self.build = build
        self.folder = tempfile.mkdtemp(prefix=f"pcs-bench-{name}-", dir=os.environ.get("PCS_BENCH_TMP", "/var/tmp"))
        os.chmod(self.folder, 0o755)
        self.started = []
        self.redis = self.postgres = self.kos = self.mvno = None
        self.journals = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for thing in reversed(self.started):
            try:
                thing.kill() if isinstance(thing, Service) else thing.close()
            except Exception as e:
                print(f"  (while ending {thing}: {e})")
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, thing):
        self.started.append(thing)
        return thing

    def start_redis(self):
        self.redis = self.add(servers.Redis(self.folder))

    def start_postgres(self, database="bench"):
        """With fsync, as in production."""
        self.postgres = self.add(servers.Postgres(self.folder, durable=True))
        self.postgres.make_roles()
        self.postgres.make_database(database)
        world.migrate(self.build, self.postgres, database)
        self.db = servers.Database(self.postgres, database)

    def start_kos(self, customers, delay_ms=0, **more):
        self.kos = self.add(Kos(self.build, self.folder, customers, delay_ms, **more))

    def start_mvno(self):
        self.mvno = self.add(Mvno(self.build, self.folder))

    def env(self, journal=None, **more):
        """Shipped defaults, except where the neighbours are, how many reactors, and a rate limit that one load
        generator would hit."""
        if journal is None:
            self.journals += 1
            journal = os.path.join(self.folder, f"journal-{self.journals}")
        os.makedirs(journal, exist_ok=True)
        env = {**world.EXAMPLES, "KOS_BASE_URL": self.kos.url if self.kos else "http://127.0.0.1:1", "JWT_SECRET": tokens.SECRET,
               "JWT_ISSUER": tokens.ISSUER, "JOURNAL_PATH": journal, "SERVER_THREADS": "1",
               "DB_MIGRATIONS": os.path.join(os.path.dirname(__file__), "..", "..", "..", "sql")}
        if self.redis:
            env |= {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(self.redis.port), "REDIS_PASSWORD": self.redis.password}
        if self.postgres:
            env |= world.db_env(self.postgres, self.db.name)
        else:
            env |= {"DB_HOST": "127.0.0.1", "DB_PORT": "1"}
        if self.mvno:
            env |= {"MVNO_BASE_URL": self.mvno.url, "MVNO_WEBHOOK_SECRET": self.mvno.secret}
        return {**env, **{k: str(v) for k, v in more.items()}}

    def command(self, service, *argv):
        """An operator's command to the running service."""
        run = subprocess.run([world.program(self.build), *argv], capture_output=True, text=True, env=service.env, timeout=30)
        if run.returncode:
            raise RuntimeError(f"{' '.join(argv)}: {run.stdout}{run.stderr}")

    def service(self, journal=None, name="service", **more):
        return self.add(Service(self, self.env(journal, **more), name))
