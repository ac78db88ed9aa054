"""Customers of docker/test.sh, each of whom wants one change, and is patient: load.py GATEWAY SECONDS <tokens >records

Reads tokens, one per line. Eight customers at a time, for SECONDS; each goes on until the own change has ended. Like a
real client it repeats a request that got no answer, or a 502/503/504, under the same Idempotency-Key, and never under
another. Prints one JSON record a customer: line, target, requestId, what it was told at the end, and how often what
happened on the way. Judging is for the caller."""

import base64
import collections
import http.client
import json
import sys
import threading
import time
import urllib.parse

GIVE_UP = 90  # seconds one customer goes on trying


class Customer:
    def __init__(self, gateway, token):
        where = urllib.parse.urlsplit(gateway)
        self.host, self.port = where.hostname, where.port
        self.token = token
        payload = token.split(".")[1]
        self.line = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["lineNumber"].replace("-", "")
        self.met = collections.Counter()
        self.connection = None

    def ask(self, method, path, body=None, **headers):
        """Status and answer; (0, reason) when the connection broke."""
        try:
            if not self.connection:
                self.connection = http.client.HTTPConnection(self.host, self.port, timeout=45)
            self.connection.request(method, path, json.dumps(body) if body else None,
                                    {"Authorization": "Bearer " + self.token, "Content-Type": "application/json", **headers})
            answer = self.connection.getresponse()
            text = answer.read()
            self.met[str(answer.status)] += 1
            return answer.status, json.loads(text)
        except (OSError, http.client.HTTPException, ValueError) as e:
            self.met[type(e).__name__] += 1
            self.connection = None
            return 0, {"error": {"code": type(e).__name__}}

    def until(self, wanted, method, path, body=None, **headers):
        while time.monotonic() < self.end:
            status, answer = self.ask(method, path, body, **headers)
            if wanted(status):
                return status, answer
            time.sleep(0.3)
        return 0, {"error": {"code": "GAVE_UP"}}

    def run(self):
        self.end = time.monotonic() + GIVE_UP
        record = {"line": self.line, "target": None, "requestId": None, "told": None}
        status, screen = self.until(lambda s: s == 200, "GET", "/product/change")
        if status == 200:
            data = screen["data"]
            record["target"] = data["products"][0]["productCode"]
            body = {"lineNumber": self.line, "currentProductCode": data["currentProduct"]["productCode"],
                    "targetProductCode": record["target"]}
            self.change(record, body)
        record["met"] = dict(self.met)
        return record

    def change(self, record, body):
        key = '"load-%s"' % self.line
        while time.monotonic() < self.end:
            status, answer = self.until(lambda s: s not in (0, 429, 502, 503, 504), "POST", "/product/request", body,
                                        **{"Idempotency-Key": key})
            if status in (200, 202):
                result = answer["data"]
                record["requestId"] = result["requestId"]
                while result["processStatus"] in ("PENDING", "PROCESSING") and time.monotonic() < self.end:
                    status, answer = self.until(lambda s: s in (200, 404), "GET", "/product/request/%s?wait=5" % result["requestId"])
                    if status != 200:
                        record["told"] = "lost sight of: %s" % answer["error"]["code"]
                        return
                    result = answer["data"]
                record["told"] = result["processStatus"] + " " + result["resultCode"]
                return
            code = answer["error"]["code"]
            if code != "CHANGE_IN_PROGRESS":
                # An earlier attempt that got no answer has taken effect; the truth is in the history.
                record["told"] = code
                return
            time.sleep(0.5)
        record["told"] = "gave up"


def main():
    gateway, seconds = sys.argv[1], float(sys.argv[2])
    tokens = collections.deque(sys.stdin.read().split())
    end, lock = time.monotonic() + seconds, threading.Lock()

    def customers():
        while time.monotonic() < end:
            with lock:
                if not tokens:
                    return
                token = tokens.popleft()
            record = Customer(gateway, token).run()
            with lock:
                print(json.dumps(record), flush=True)

    threads = [threading.Thread(target=customers) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


main()
