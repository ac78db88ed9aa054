"""nginx with one worker, answering from its configuration: the limit beside us."""

import os
import signal

import requests

from harness import ports
from harness.proc import Process, wait_until_up

CONFIG = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx-{port}.pid;
error_log {folder}/nginx-{port}.err;
worker_rlimit_nofile 20000;
events {{ worker_connections 16384; }}
http {{
    keepalive_requests 1000000000;
    keepalive_timeout 75s;
    server_tokens off;
    client_body_temp_path {folder}/nginx-{port}-body;
    log_format shipped escape=json '{{"time":"$time_iso8601","level":"info","event":"http.request",'
        '"method":"$request_method","route":"$uri","status":$status,"milliseconds":$request_time,'
        '"correlationId":"$request_id","traceId":"$request_id","line":"$remote_user"}}';
    access_log {log};
    server {{
        listen 127.0.0.1:{port} reuseport;
        {locations}
    }}
}}
"""


class Nginx:
    """answers: {path: (headers, body)}: what each path is answered with."""

    def __init__(self, folder, answers, access_log=False):
        self.port = ports.take()
        locations = ""
        for path, (headers, body) in answers.items():
            kind = headers.get("Content-Type", "application/json")
            # its own: Server, Date, Content-Length, Connection
            added = "".join(f'add_header {k} "{v}"; ' for k, v in headers.items()
                            if k.lower() not in ("date", "content-length", "connection", "content-type", "server"))
            text = body.replace("\\", "\\\\").replace("'", "\\'").replace("$", "${dollar}")
            locations += f"location = {path} {{ default_type '{kind}'; {added}return 200 '{text}'; }}\n        "
        log = f"{folder}/nginx-{self.port}.log shipped buffer=64k flush=1s" if access_log else "off"
        path = os.path.join(folder, f"nginx-{self.port}.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(folder=folder, port=self.port, locations=locations, log=log))
        self.process = Process(f"nginx-{self.port}", ["nginx", "-c", path, "-p", folder], folder)
        first = f"http://127.0.0.1:{self.port}{next(iter(answers))}"
        session = requests.Session()
        session.trust_env = False
        wait_until_up(self.process, lambda: session.get(first, timeout=2).status_code == 200)
        self.answer = session.get(first, timeout=2)

    @property
    def pid(self):
        return self.process.pid

    def close(self):
        self.process.stop(signal.SIGTERM)
