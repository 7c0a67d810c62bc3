"""An HTTP proxy in front of a store that breaks what it is told to break, and notes what passed."""

import http.client
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
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
    drip: float = 0  # seconds between single bytes
    corrupt_at: int = -1  # this byte of the body is inverted
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
    timeout = 60

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, BrokenPipeError, TimeoutError):
            pass

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


class FaultProxy:
    def __init__(self, upstream_port):
        self.upstream_port = upstream_port
        self.faults = []
        self.seen = []
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
        return Fault()
