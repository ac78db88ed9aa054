"""A module's world: the simulators, a Redis database, a PostgreSQL database and the service, fresh."""

import itertools
import os
import subprocess
import tempfile
import threading

import requests

from . import checks, servers, tokens
from .client import Api, Described
from .service import SANITIZER_ENV, Service, personal, program
from .sims import Kos, Mvno
from .wait import until


# The tests' secrets stand in this repository, so that the program refuses them unless it is told not to.
EXAMPLES = {"INSECURE_EXAMPLE_SECRETS": "true"}


class Session:
    """What lives as long as the test run of this process: one Redis, one PostgreSQL, a migrated template."""

    def __init__(self, build, folder):
        self.build, self.folder = build, folder
        self._redis = self._postgres = self._statuses = None
        self.described = None
        self._numbers = itertools.count(1)
        self._databases = itertools.cycle(range(1, 64))

    @property
    def redis(self):
        if not self._redis:
            self._redis = servers.Redis(self.folder)
        return self._redis

    @property
    def postgres(self):
        if not self._postgres:
            self._postgres = servers.Postgres(self.folder)
            self._postgres.make_roles()
            self._postgres.make_database("template_migrated")
            migrate(self.build, self._postgres, "template_migrated")
        return self._postgres

    def number(self):
        return next(self._numbers)

    def redis_database(self):
        return next(self._databases)

    @property
    def statuses(self):
        """The statuses that each route may answer with: from the service's own route table."""
        if self._statuses is None:
            out = subprocess.run([program(self.build), "--print-routes"], capture_output=True, text=True, check=True,
                                 env={**os.environ, **SANITIZER_ENV}).stdout
            self._statuses = {}
            for line in out.splitlines():
                method, path, statuses = line.split()
                self._statuses[method, path] = {int(s) for s in statuses.split(",")}
        return self._statuses

    def close(self):
        for server in (self._redis, self._postgres):
            if server:
                server.close()


def migrate(build, postgres, database, check=True, **env):
    """`product-change-service migrate` with both roles."""
    full = {"PATH": os.environ["PATH"], **SANITIZER_ENV, "KOS_BASE_URL": "http://127.0.0.1:1", **EXAMPLES,
            "JWT_SECRET": tokens.SECRET, **db_env(postgres, database),
            "DB_MIGRATE_USERNAME": servers.MIGRATE_ROLE, "DB_MIGRATE_PASSWORD": servers.MIGRATE_PASS,
            "DB_MIGRATIONS": os.path.join(os.path.dirname(__file__), "..", "..", "..", "sql"), **env}
    run = subprocess.run([program(build), "migrate"], capture_output=True, text=True, env=full, timeout=60)
    if check:
        assert run.returncode == 0, f"migrate: {run.returncode}\n{run.stdout}\n{run.stderr}"
    return run


def db_env(postgres, database):
    return {"DB_HOST": "127.0.0.1", "DB_PORT": str(postgres.port), "DB_NAME": database,
            "DB_USERNAME": servers.SERVICE_ROLE, "DB_PASSWORD": servers.SERVICE_PASS, "DB_SSLMODE": "disable"}


_lines = itertools.count(1)


def new_line():
    """A line that no other test of this process uses."""
    return f"0107{os.getpid() % 100:02d}{next(_lines):05d}"


class Customer:
    """A customer of one line: known to KOS, with a token and a client."""

    def __init__(self, world, line, product, subject=None):
        self.world, self.line, self.product = world, line, product
        self.customer_id = f"CUST-{line[-7:]}"
        self.subject = subject or f"user-{line[-7:]}"
        self.token = world.token(sub=self.subject, customerId=self.customer_id, lineNumber=tokens.dashed(line))
        self.api = world.api(self.token)
        self.front = self.api.on("frontend")

    def body(self, target="LTE_PLUS", current=None, **more):
        return {"lineNumber": self.line, "currentProductCode": current or self.product, "targetProductCode": target, **more}

    def change(self, target="LTE_PLUS", **more):
        """A change that has to be completed; its Result."""
        reply = self.api.change(self.body(target), **more).expect(200)
        checks.result(reply.data, "core")
        assert reply.data["processStatus"] == "COMPLETED", reply
        self.product = target
        return reply.data

    def orders(self, **more):
        return self.world.kos.orders(line=self.line, **more)

    def at_kos(self):
        return self.world.kos.product_of(self.line)


class World:
    def __init__(self, session, env=None, own_redis=False, own_postgres=False, start=True, kos_dedup=False,
                 database=None, mvno_secret=None):
        self.session = session
        self.folder = tempfile.mkdtemp(prefix=f"world-{session.number()}-", dir=session.folder)
        self.build = session.build
        self.kos = Kos(self.build, self.folder, dedup=kos_dedup)
        self.mvno = Mvno(self.build, self.folder, secret=mvno_secret)
        self.redis = servers.Redis(self.folder) if own_redis else session.redis
        self.redis_number = 0 if own_redis else session.redis_database()
        if not own_redis:
            self.cache.flushdb()
        self.postgres = session.postgres
        if own_postgres:
            self.postgres = servers.Postgres(self.folder)
            self.postgres.make_roles()
            self.postgres.make_database("template_migrated")
            migrate(self.build, self.postgres, "template_migrated")
        name = f"world_{session.number()}"
        self.db = self.postgres.make_database(name, database if database is not None else "template_migrated")
        self.env_more = env or {}
        self.services = []
        self.issued = [tokens.SECRET, servers.SERVICE_PASS, servers.Redis.password, self.mvno.secret]
        self.lock = threading.Lock()
        self.invariants = True
        self.own = (own_redis, own_postgres)
        self.service = self.start_service() if start else None

    @property
    def cache(self):
        """A client of this world's Redis database."""
        return self.redis.client(self.redis_number)

    def env(self, **more):
        full = {
            "KOS_BASE_URL": self.kos.url,
            "MVNO_BASE_URL": self.mvno.url,
            "MVNO_WEBHOOK_SECRET": self.mvno.secret,
            "MVNO_PROBE": "300ms",
            "MVNO_BREAKER_WAIT": "100ms",
            **EXAMPLES,
            "JWT_SECRET": tokens.SECRET,
            "JWT_ISSUER": tokens.ISSUER,
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self.redis.port),
            "REDIS_PASSWORD": self.redis.password,
            "REDIS_DATABASE": str(self.redis_number),
            # A machine that runs a whole test suite with sanitizers is no slow Redis.
            "REDIS_DEADLINE": "1s",
            "JOURNAL_PATH": os.path.join(self.folder, "journal"),
            # The breakers stay out of the way; test_breaker.py has the real ones.
            "KOS_BREAKER_WINDOW": "10000",
            "KOS_BREAKER_MINIMUM": "10000",
            "SERVER_THREADS": "2",
            "JOURNAL_RESERVE": "1MiB",
            **db_env(self.postgres, self.db.name),
            **{k: str(v) for k, v in self.env_more.items()},
            **{k: str(v) for k, v in more.items()},
        }
        return {k: v for k, v in full.items() if v != ""}

    def start_service(self, name="service", config=None, ready=True, **env):
        full = self.env(**env)
        os.makedirs(full["JOURNAL_PATH"], exist_ok=True)
        service = Service(self.build, self.folder, full, name, config, ready)
        service.never_in_log = self.issued
        self.services.append(service)
        return service

    def run(self, *argv, env=None, timeout=30):
        """The program with a command or an option."""
        full = {"PATH": os.environ["PATH"], **SANITIZER_ENV, **(self.env() if env is None else env)}
        return subprocess.run([program(self.build), *argv], capture_output=True, text=True, env=full, timeout=timeout)

    @property
    def described(self):
        """The service's own OpenAPI text, once a session."""
        if self.session.described is None and self.service:
            self.session.described = Described(requests.get(self.service.url + "/openapi.json", timeout=5).json())
        return self.session.described

    # --- callers ---

    def token(self, **claims):
        text = tokens.token(**claims)
        with self.lock:
            self.issued.append(text)
        return text

    def api(self, token=None, family="core", service=None):
        return Api((service or self.service).url, token, self.described, family)

    def admin(self, **claims):
        return self.api(self.token(sub="admin", role="ADMIN", **claims))

    def customer(self, product="LTE_BASIC", line=None, subject=None, **members):
        """A new customer with a line of their own, put into KOS."""
        line = line or new_line()
        c = Customer(self, line, product, subject)
        record = {"customerId": c.customer_id, "customerName": "통합시험", "operatorCode": "MVNO01",
                  "lineStatus": "ACTIVE", "productCode": product, "contractDate": "2023-03-01", **members}
        self.kos.customer(line, **{k: v for k, v in record.items() if v is not None})
        return c

    def known(self, line, customer_id="CUST-0000", **claims):
        """A customer of the simulator's data file."""
        return self.api(self.token(sub=f"known-{line}", customerId=customer_id, lineNumber=tokens.dashed(line), **claims))

    # --- what must have happened ---

    def row(self, request_id, seconds=8):
        """The history's one row of a change, waited for."""
        rows = until(lambda: self.db.history(request_id), seconds, f"history row of {request_id}")
        assert len(rows) == 1, rows
        return rows[0]

    def forwarded(self, seconds=10, service=None):
        """Waits until the journal has nothing left for any sink."""
        until(lambda: (service or self.service).metric("pcs_journal_pending") == 0, seconds, "journal forwarded")

    def check_invariants(self):
        """Nothing applied twice, no event contradicted, each change in the history at the most once."""
        kos = self.kos.stats()["change"]
        assert kos["appliedTwice"] == 0, kos
        mvno = self.mvno.stats()["results"]
        assert mvno["changedBodies"] == 0 and mvno["severalPerRequest"] == 0, mvno
        for row in self.db.rows("SELECT row_to_json(k)::text AS text FROM product_change.kos_integration_log k"):
            assert not personal(row["text"]), f"personal data in kos_integration_log: {row['text']}"
        twice = self.db.rows("SELECT request_id FROM product_change.product_change_history GROUP BY 1 HAVING count(*) > 1")
        assert not twice, twice

    def close(self):
        problems = []
        steps = [s.close for s in self.services]
        if self.invariants:
            steps.append(self.check_invariants)
        steps += [self.kos.close, self.mvno.close]
        if self.own[0]:
            steps.append(self.redis.close)
        if self.own[1]:
            steps.append(self.postgres.close)
        for step in steps:
            try:
                step()
            except Exception as e:
                problems.append(f"{step.__qualname__}: {e}")
        assert not problems, "\n".join(problems)


