"""Redis and PostgreSQL 15, private and on free ports."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile

import psycopg2
import redis as redis_client

from . import ports
from .proc import Process, wait_until_up

PG_BIN = os.environ.get("PCS_PG_BIN", "/usr/lib/postgresql/15/bin")
SUPERUSER, SUPERPASS = "postgres", "super-password"
# The two roles of CONTRACT.md 5.
MIGRATE_ROLE, MIGRATE_PASS = "pcs_migrate", "migrate-password"
SERVICE_ROLE, SERVICE_PASS = "pcs_service", "service-password"


class Redis:
    """A redis-server that wants a password; stop() and start() keep the port, not the data."""

    password = "redis-password-of-the-tests"

    def __init__(self, folder):
        self.folder = folder
        self.port = ports.take()
        self.process = None
        self.start()

    def start(self):
        argv = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                "--databases", "64", "--requirepass", self.password, "--dir", self.folder, "--enable-debug-command", "yes"]
        self.process = Process(f"redis-{self.port}", argv, self.folder)
        wait_until_up(self.process, lambda: self.client(0).ping())

    def client(self, database):
        return redis_client.Redis("127.0.0.1", self.port, database, self.password, socket_timeout=5)

    def stop(self):
        self.process.stop(seconds=10)

    def pause(self):
        self.process.signal(signal.SIGSTOP)

    def resume(self):
        self.process.signal(signal.SIGCONT)

    def close(self):
        if self.process.running():
            self.resume()
            self.process.stop(seconds=10)


class Postgres:
    """A cluster of its own, run by the user postgres when we are root."""

    def __init__(self, folder, durable=False):
        self.log_folder = folder
        self.fsync = "on" if durable else "off"  # tests lose nothing when the machine dies
        self.user = "postgres" if os.geteuid() == 0 else None
        self.folder = tempfile.mkdtemp(prefix="pcs-itest-pg-", dir="/tmp")
        self.data = os.path.join(self.folder, "data")
        pwfile = os.path.join(self.folder, "pw")
        with open(pwfile, "w") as f:
            f.write(SUPERPASS + "\n")
        os.chmod(pwfile, 0o644)
        if self.user:
            who = pwd.getpwnam(self.user)
            os.chown(self.folder, who.pw_uid, who.pw_gid)
        self.port = ports.take()
        init = subprocess.run(
            [f"{PG_BIN}/initdb", "-D", self.data, "-U", SUPERUSER, "--pwfile", pwfile, "-A", "scram-sha-256",
             "-E", "UTF8", "--locale=C", "--no-sync"],
            cwd=self.folder, capture_output=True, text=True,
            **({"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}))
        if init.returncode:
            raise AssertionError(f"initdb: {init.stderr}")
        self.process = None
        self.start()

    def start(self):
        argv = [f"{PG_BIN}/postgres", "-D", self.data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                "-c", f"unix_socket_directories={self.folder}", "-c", f"fsync={self.fsync}", "-c", "shared_buffers=32MB",
                "-c", "max_connections=200", "-c", "log_min_messages=warning", "-c", "timezone=Asia/Seoul"]
        self.process = Process(f"postgres-{self.port}", argv, self.log_folder, user=self.user, cwd=self.folder)
        wait_until_up(self.process, lambda: self.connect("postgres").close() or True)

    def connect(self, database, user=SUPERUSER, password=SUPERPASS):
        c = psycopg2.connect(host="127.0.0.1", port=self.port, dbname=database, user=user, password=password,
                             connect_timeout=5)
        c.autocommit = True
        return c

    def execute(self, sql, database="postgres"):
        c = self.connect(database)
        try:
            c.cursor().execute(sql)
        finally:
            c.close()

    def make_roles(self):
        for role, password in ((MIGRATE_ROLE, MIGRATE_PASS), (SERVICE_ROLE, SERVICE_PASS)):
            self.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")

    def make_database(self, name, template=None):
        """A database that the migrating role owns: empty, or a copy of a migrated one."""
        more = f" TEMPLATE {template}" if template else ""
        self.execute(f"CREATE DATABASE {name} OWNER {MIGRATE_ROLE}{more}")
        return Database(self, name)

    def stop(self):
        """Fast shutdown: connections are cut, what is committed is there at the next start."""
        self.process.stop(signal.SIGINT, seconds=20)

    def close(self):
        if self.process.running():
            self.process.stop(signal.SIGQUIT, seconds=20)  # at once: nobody wants its data any more
        shutil.rmtree(self.folder, ignore_errors=True)


class Database:
    def __init__(self, server, name):
        self.server, self.name = server, name

    def rows(self, sql, *args):
        """A query as the superuser: every row as a dict."""
        c = self.server.connect(self.name)
        try:
            cursor = c.cursor()
            cursor.execute(sql, args or None)
            if cursor.description is None:
                return []
            names = [d.name for d in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]
        finally:
            c.close()

    def history(self, request_id=None, line=None):
        if request_id:
            return self.rows("SELECT * FROM product_change.product_change_history WHERE request_id = %s", request_id)
        return self.rows("SELECT * FROM product_change.product_change_history WHERE line_number = %s"
                         " ORDER BY requested_at", line)

    def calls(self, request_id):
        return self.rows("SELECT * FROM product_change.kos_integration_log WHERE request_id = %s ORDER BY at, seq",
                         request_id)

    def as_service(self):
        return self.server.connect(self.name, SERVICE_ROLE, SERVICE_PASS)
