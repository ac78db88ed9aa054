"""The operator's side: the admin API on its Unix socket or on TCP, and the program's commands."""

import http.client
import json
import os
import socket

import requests

from . import checks
from .client import Reply


class _Local(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def socket_of(service, slot=0):
    return os.path.join(service.env["JOURNAL_PATH"], str(slot), "admin.sock")


class Admin:
    """Requests on the Unix socket of a service; every answer is checked for its envelope."""

    def __init__(self, path):
        self.path = path

    def __call__(self, method, path, body=None, **headers):
        connection = _Local(self.path)
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            reply = Reply(answer.status, requests.structures.CaseInsensitiveDict(answer.getheaders()), answer.read())
        finally:
            connection.close()
        check(reply)
        return reply

    def get(self, path, **more):
        return self("GET", path, **more)

    def post(self, path, body=None, **more):
        return self("POST", path, body, **more)

    def put(self, path, body, **more):
        return self("PUT", path, body, **more)

    def breaker(self, name):
        return {b["name"]: b for b in self.get("/admin/breakers").data["breakers"]}[name]

    def switch(self, name, action, **more):
        return self.put(f"/admin/breakers/{name}", {"action": action, **more})

    def doubts(self):
        return {d["requestId"]: d for d in self.get("/admin/doubts").data["doubts"]}

    def settle(self, request_id, outcome, actor="kim", reason="checked at KOS"):
        return self.post(f"/admin/changes/{request_id}/settle", {"outcome": outcome, "actor": actor, "reason": reason})

    def deliveries(self, **query):
        text = "&".join(f"{k}={v}" for k, v in query.items())
        return self.get("/admin/deliveries" + (f"?{text}" if text else "")).data["deliveries"]

    def replay(self, seq, **body):
        return self.post(f"/admin/deliveries/{seq}/replay", body)

    def trace(self, **query):
        return self.get("/admin/trace?" + "&".join(f"{k}={v}" for k, v in query.items()))


def check(reply):
    if reply.headers.get("Content-Type", "").startswith("text/plain"):
        return
    value = reply.json
    if reply.status < 400:
        assert set(value) == {"success", "data"} and value["success"] is True, reply
        checks.no_nulls(value["data"])
    else:
        assert set(value) == {"success", "error"} and value["success"] is False, reply
        checks.error(value["error"])
