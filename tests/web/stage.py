"""What the page is served by and speaks to: a World of the integration tests, the auth simulator, the gateway."""

import os
import shutil
import subprocess
import tempfile

import requests

from harness import ports, tokens
from harness.proc import Process, wait_until_up
from harness.sims import Auth
from harness.world import World

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
PASSWORD = "password1!"


class Gateway:
    """nginx with the template, as ./dev up runs it."""

    def __init__(self, folder, auth_port, service_port):
        self.port = ports.take()
        self.url = f"http://127.0.0.1:{self.port}"
        self.state = tempfile.mkdtemp(prefix="gateway-", dir=folder)
        os.chmod(self.state, 0o755)
        web = os.path.join(folder, "web")
        if not os.path.isdir(web):
            # nginx's workers may be unable to enter the checkout.
            shutil.copytree(os.path.join(ROOT, "web"), web)
        script = '. dev.d/common.sh; . dev.d/gateway.sh; gateway_render "$@"'
        text = subprocess.run(
            ["bash", "-euc", script, "bash", str(self.port), self.state, str(auth_port), str(service_port)], cwd=ROOT, check=True,
            capture_output=True, text=True, env={**os.environ, "DEV_ROOT": ROOT, "PCS_WEB": web}).stdout
        conf = os.path.join(self.state, "nginx.conf")
        with open(conf, "w") as f:
            f.write(text)
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        self.process = Process(f"gateway-{self.port}", [nginx, "-p", self.state + "/", "-e", self.state + "/error.log", "-c", conf],
                               folder, {**os.environ, "TZ": "UTC"})
        wait_until_up(self.process, lambda: requests.get(self.url + "/healthz", timeout=2).status_code == 200)

    def close(self):
        self.process.stop()


class Site:
    def __init__(self, session, env):
        self.world = World(session, env={"SERVER_PUBLIC_PREFIX": "/product", "LIMITS_RATE": 0, **env})
        self.auth = Auth(self.world.build, self.world.folder, tokens.SECRET)
        self.gateway = Gateway(session.folder, self.auth.port, self.world.service.port)
        self.url = self.gateway.url

    def customer(self, product="LTE_BASIC", **members):
        """A customer of a line of their own, known to KOS and to the auth service."""
        c = self.world.customer(product, **members)
        self.auth.control("PUT", f"users/{c.subject}", {
            "password": PASSWORD, "customer_id": c.customer_id, "line_number": c.line, "user_name": "통합시험", "account_status": "ACTIVE",
            "permissions": ["PRODUCT_CHANGE"]})
        c.password = PASSWORD
        return c

    def close(self):
        self.gateway.close()
        self.auth.close()
        self.world.close()
