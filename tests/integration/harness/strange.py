"""A KOS-Order that is not the simulator: raw sockets, so that a test says every byte of an answer. Written from
CONTRACT.md 2 alone. One thread a connection; answers() may be exchanged for one line and one operation."""

import json
import socket
import struct
import threading
import time

from . import ports

OPERATIONS = {
    ("POST", "/api/v1/kos/product/inquiry"): "inquiry",
    ("GET", "/api/v1/kos/product/list"): "list",
    ("POST", "/api/v1/kos/product/change"): "change",
}


class Request:
    """What came, as it came, and how to answer it."""

    def __init__(self, kos, peer, number, head, body):
        self.kos, self.peer, self.number, self.raw = kos, peer, number, body
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = lines[0].split(" ")
        self.headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        self.operation = OPERATIONS.get((self.method, self.path))
        self.body = json.loads(body) if body else {}
        self.line = self.body.get("lineNumber")

    def say(self, data, piece=None):
        for i in range(0, len(data), piece or len(data)):
            self.peer.sendall(data[i:i + (piece or len(data))])

    def whole(self, body, status=200, http="1.1", length=None, **headers):
        """A whole answer, as bytes."""
        body = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        lines = [f"HTTP/{http} {status} X", "Content-Type: application/json", f"Content-Length: {len(body) if length is None else length}"]
        lines += [f"{k.replace('_', '-')}: {v}" for k, v in headers.items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def answer(self):
        """What a KOS that works says: an envelope."""
        return getattr(self.kos, self.operation)(self)

    def reset(self):
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.peer.close()


def envelope(data, code="0000", **more):
    return {"success": code == "0000", "resultCode": code, "resultMessage": "안내", "data": data, **more}


class StrangeKos:
    def __init__(self):
        self.port = ports.take()
        self.url = f"http://127.0.0.1:{self.port}"
        self.lines, self.plans, self.requests, self.connections = {}, {}, [], 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def plan(self, operation, line, answer):
        """answer(request) says what it wants; what it returns as true ends the connection."""
        self.plans[operation, line] = answer

    def got(self, operation, line):
        with self.lock:
            return [r for r in self.requests if r.operation == operation and r.line == line]

    # --- a KOS that works ---

    def inquiry(self, r):
        return envelope({"requestId": r.body["requestId"], "resultCode": "0000",
                         "productInfo": {"lineNumber": r.line, "currentProductCode": self.lines[r.line], "currentProductName": "이름",
                                         "monthlyFee": "45000.00", "productStatus": "ACTIVE", "contractDate": "20230301"},
                         "customerInfo": {"customerName": "통합시험", "customerId": "CUST-1", "operatorCode": "MVNO01", "lineStatus": "ACTIVE"}})

    def list(self, _):
        return envelope({"result_code": "0000", "products": [
            {"product_code": code, "product_name": code, "monthly_fee": fee, "status": "ACTIVE"} for code, fee in (("A", 45000), ("B", "55000"))]})

    def change(self, r):
        self.lines[r.line] = r.body["targetProductCode"]
        return envelope({"requestId": r.body["requestId"], "resultCode": "0000", "changeInfo": {
            "lineNumber": r.line, "newProductCode": r.body["targetProductCode"], "kosOrderNumber": "KO-1"}})

    # --- sockets ---

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data, number = b"", 0
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    more = peer.recv(65536)
                    if not more:
                        return
                    data += more
                head, _, data = data.partition(b"\r\n\r\n")
                length = next((int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), 0)
                while len(data) < length:
                    data += peer.recv(65536)
                request = Request(self, peer, number, head, data[:length])
                data, number = data[length:], number + 1
                with self.lock:
                    self.requests.append(request)
                plan = self.plans.get((request.operation, request.line))
                if plan(request) if plan else request.say(request.whole(request.answer())):
                    return
        except OSError:
            pass
        finally:
            peer.close()


def later(request, data, seconds):
    """Says that on the request's connection after a while, whether or not anybody has asked."""
    def run():
        time.sleep(seconds)
        try:
            request.say(data)
        except OSError:
            pass
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
