"""An HTTP proxy in front of a store that breaks what it is told to break, and notes what passed."""

import http.client
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Fault:
    """What goes wrong with the next `times` requests that match."""

    times: int = 1
    method: str = ""
    contains: str = ""  # in the path
    ranged: bool = False  # only requests with a Range
    delay: float = 0  # seconds before the answer
    status: int = 0  # answered here, with an error document of this code
    code: str = ""
    headers: dict = field(default_factory=dict)
    refuse: bool = False  # reset before any answer
    lose_answer: bool = False  # the store does as it is asked, and nobody hears of it
    reset_after: int = -1  # bytes of the body; then the connection is reset
    cut_after: int = -1  # bytes of the body; then the connection is closed
    stall_after: int = -1  # bytes of the body; then nothing comes any more
    corrupt_at: int = -1  # this byte of the body is inverted
    fraction: float = -1  # of the body, instead of the bytes that the four before name
    drip: float = 0  # seconds between single bytes
    etag: str = ""  # instead of the store's
    drop_headers: tuple = ()


@dataclass
class Seen:
    method: str
    path: str
    headers: dict
    connection: tuple
    at: float
    status: int = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are written one after the other
    timeout = 60

    def log_message(self, *_):
        pass

    def handle(self):
        connections = self.server.owner.connections
        connections.add(self.connection)
        try:
            super().handle()
        except (OSError, ValueError):
            pass
        connections.discard(self.connection)

    def serve(self):
        proxy = self.server.owner
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, self.client_address, time.monotonic())
        fault = proxy.take(seen)
        if fault.delay and proxy.stopping.wait(fault.delay):
            return
        if fault.refuse:
            self.reset()
        elif fault.status:
            self.answer_error(fault, seen)
        else:
            self.forward(fault, seen, body)

    def do_CONNECT(self):
        """A tunnel, as proxies make for TLS."""
        self.server.owner.seen.append(Seen("CONNECT", self.path, dict(self.headers), self.client_address, time.monotonic()))
        host, port = self.path.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=60) as upstream:
            self.send_response_only(200)
            self.end_headers()
            back = threading.Thread(target=self.copy, args=(upstream, self.connection), daemon=True)
            back.start()
            self.copy(self.connection, upstream)
            back.join()
        self.close_connection = True

    @staticmethod
    def copy(source, target):
        try:
            while chunk := source.recv(65536):
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve

    def answer_error(self, fault, seen):
        seen.status = fault.status
        extra = fault.headers.get("document", "")
        document = f"<Error><Code>{fault.code}</Code><Message>as told</Message>{extra}</Error>" if fault.code else ""
        self.send_response_only(fault.status)
        for name, value in fault.headers.items():
            if name != "document":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(document)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(document.encode())

    def forward(self, fault, seen, body):
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.owner.upstream_port, timeout=60)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "connection":
                upstream.putheader(name, value)
        upstream.endheaders(body)
        answer = upstream.getresponse()
        seen.status = answer.status
        if fault.lose_answer:
            return self.reset()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() == "etag" and fault.etag:
                value = fault.etag
            if name.lower() not in ("connection", "transfer-encoding") and name.lower() not in fault.drop_headers:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.pass_body(fault, answer)
        return upstream.close()

    def pass_body(self, fault, answer):
        sent = 0
        if fault.fraction >= 0:
            place = int(fault.fraction * int(answer.getheader("Content-Length") or 0))
            names = ("reset_after", "cut_after", "stall_after", "corrupt_at")
            fault = replace(fault, **{name: place for name in names if getattr(fault, name) >= 0})
        while chunk := answer.read(65536):
            chunk = bytearray(chunk)
            if sent <= fault.corrupt_at < sent + len(chunk):
                chunk[fault.corrupt_at - sent] ^= 0xFF
            for limit, stop in ((fault.reset_after, self.reset), (fault.cut_after, self.cut), (fault.stall_after, self.stall)):
                if 0 <= limit < sent + len(chunk):
                    self.wfile.write(chunk[: limit - sent])
                    return stop()
            if fault.drip:
                if self.drip(chunk, fault.drip):
                    return None
            else:
                self.wfile.write(chunk)
            sent += len(chunk)
        return None

    def drip(self, chunk, interval):
        for byte in chunk:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.owner.stopping.wait(interval):
                return True
        return False

    def reset(self):
        """A reset, not an orderly end: what was sent may be lost."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def cut(self):
        self.close_connection = True

    def stall(self):
        self.close_connection = True
        self.server.owner.stopping.wait(60)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass

    def shutdown_request(self, request):
        try:
            super().shutdown_request(request)
        except OSError:
            pass


# Whatever can go wrong, each with something at random. Of those that take time, none is waited for by a client whose
# read timeout is a second.
KINDS = {
    "latency": lambda random: {"delay": random.uniform(0.01, 0.2)},
    "refused": lambda random: {"refuse": True},
    "reset": lambda random: {"reset_after": 0, "fraction": random.random()},
    "503": lambda random: {"status": 503, "code": random.choice(["SlowDown", "ServiceUnavailable", ""])},
    "500": lambda random: {"status": 500, "code": "InternalError"},
    "truncated": lambda random: {"cut_after": 0, "fraction": random.random()},
    "corrupted": lambda random: {"corrupt_at": 0, "fraction": random.random()},
    "stalled": lambda random: {"stall_after": 0, "fraction": random.random()},
    "dripping": lambda random: {"drip": 0.05},
    "ETag": lambda random: {"etag": f'"{random.getrandbits(128):032x}"'},
    "expired": lambda random: {"status": 400, "code": "ExpiredToken"},
}


class FaultyFifth:
    """Lets one in five requests for each object fail, in ways at random: never more than two of them in a row, for a storage
    that fails one request six times over has failed."""

    def __init__(self, seed, kinds=tuple(KINDS)):
        self.random = random.Random(seed)
        self.kinds = kinds
        self.left = {}  # of the five under way, for each object
        self.last = {}  # kind of failure
        self.counts = dict.fromkeys(kinds, 0)

    def __call__(self, seen):
        key = (seen.method, seen.path)
        if not self.left.get(key):
            self.left[key] = [True] + [False] * 4
            self.random.shuffle(self.left[key])
        if not self.left[key].pop():
            self.last[key] = None
            return Fault()
        # Expired credentials are renewed once for a request.
        kind = self.random.choice([kind for kind in self.kinds if kind != self.last.get(key) or kind != "expired"])
        self.last[key] = kind
        self.counts[kind] += 1
        return Fault(**KINDS[kind](self.random))


class FaultProxy:
    def __init__(self, upstream_port):
        self.upstream_port = upstream_port
        self.faults = []
        self.choose = None  # the fault of a request for which none was added
        self.seen = []
        self.connections = set()
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.owner = self
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed already

    def add(self, **settings):
        self.faults.append(Fault(**settings))

    def take(self, seen):
        with self.lock:
            self.seen.append(seen)
            for fault in self.faults:
                if (fault.times > 0 and fault.method in ("", seen.method) and fault.contains in seen.path
                        and (not fault.ranged or "range" in seen.headers)):
                    fault.times -= 1
                    return fault
            return self.choose(seen) if self.choose else Fault()
