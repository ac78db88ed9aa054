"""Files of requests, and the load generator that sends them."""

import json
import os
import subprocess

from harness import tokens

FIRST_LINE = 1010000000  # kos-sim --generate: 01010000000 and on


def line(n):
    return f"0{FIRST_LINE + n}"


def token(n, ttl=86400):
    """The n-th customer's: about 400 bytes, like the production issuer's."""
    return tokens.token(sub=f"gen{n:07d}", customerId=f"CUST{n:07d}", lineNumber=tokens.dashed(line(n)), ttl=ttl,
                        authorities=["ROLE_USER"], userName="홍길동")


def get(path, bearer, port):
    # what a gateway passes on
    return (f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n"
            f"User-Agent: bench\r\nAuthorization: Bearer {bearer}\r\n\r\n").encode()


def post(path, bearer, port, body, headers=""):
    data = json.dumps(body, separators=(",", ":")).encode()
    auth = f"Authorization: Bearer {bearer}\r\n" if bearer else ""
    return (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\nUser-Agent: bench\r\n"
            f"{auth}Content-Type: application/json\r\n{headers}Content-Length: {len(data)}\r\n\r\n").encode() + data


def write(path, requests):
    with open(path, "wb") as f:
        for r in requests:
            f.write(b"%d\n" % len(r))
            f.write(r)
    return path


class Load:
    """One run of the load generator, already started."""

    def __init__(self, build, requests, port, **options):
        argv = [os.path.join(build, "tests", "pcs-load"), "--port", str(port), "--requests", requests]
        for name, value in options.items():
            if value is True:
                argv.append(f"--{name}")
            elif value is not None:
                argv += [f"--{name}", str(value)]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def wait_for(self, word):
        """With hold: until it says "sent" or "answered"."""
        for said in self.process.stdout:
            if said.strip() == word:
                return
        raise RuntimeError(f"the load generator ended before it said {word}")

    def end(self):
        """Lets go (hold) and waits; its result."""
        out, _ = self.process.communicate()
        if self.process.returncode:
            raise RuntimeError(f"the load generator ended with {self.process.returncode}")
        return json.loads(out.splitlines()[-1])


def run(build, requests, port, expect="200", **options):
    """Loads and waits. Every answer has to have the expected status (None: whatever)."""
    result = Load(build, requests, port, **options).end()
    if expect:
        wrong = {k: v for k, v in result["statuses"].items() if k != expect}
        if wrong or result["broken"] or result["unanswered"] or not result["answers"]:
            raise RuntimeError(f"{requests}: not all were answered {expect}: {result}")
    return result
