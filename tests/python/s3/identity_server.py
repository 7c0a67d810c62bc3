"""Plays what hands out credentials: instance metadata, a container's endpoint, and STS."""

import json
import threading
import urllib.parse
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def serve(self):
        owner = self.server.owner
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        owner.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        if owner.delay and owner.stopping.wait(owner.delay):
            return
        status, answer = owner.answer(self.command, self.path, self.headers, body)
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    do_GET = do_PUT = do_POST = serve


class IdentityServer:
    def __init__(self, access_key, secret_key):
        self.keys = (access_key, secret_key, None)
        self.lifetime = timedelta(hours=6)
        self.failures = []  # statuses of the next answers
        self.delay = 0
        self.seen = []
        self.stopping = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.owner = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()

    def expiration(self):
        return (datetime.now(timezone.utc) + self.lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")

    def document(self):
        access, secret, token = self.keys
        return json.dumps({"Code": "Success", "AccessKeyId": access, "SecretAccessKey": secret, "Token": token, "Expiration": self.expiration()})

    def answer(self, method, path, headers, body):
        if self.failures:
            return self.failures.pop(0), "<ErrorResponse><Error><Code>Broken</Code><Message>as told</Message></Error></ErrorResponse>"
        if method == "PUT" and path == "/latest/api/token":
            return 200, "metadata-token"
        if path.startswith("/latest/meta-data"):
            if headers.get("X-aws-ec2-metadata-token") != "metadata-token":
                return 401, ""
            return 200, self.document() if path.endswith("/the-role") else "the-role"
        if path.startswith("/container"):
            return (200, self.document()) if headers.get("Authorization") in (None, "container token") else (403, "")
        if method == "POST":
            return self.assume(urllib.parse.parse_qs(body))
        return 404, ""

    def assume(self, form):
        access, secret, token = self.keys
        action = form["Action"][0]
        return 200, (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result><Credentials>'
            f"<AccessKeyId>{access}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
            f"<SessionToken>{token or 'none'}</SessionToken><Expiration>{self.expiration()}</Expiration>"
            f"</Credentials></{action}Result></{action}Response>"
        )
