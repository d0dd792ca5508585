"""A server over TLS for the benchmark: prints its URL, and answers each question after some seconds.

    tls_server.py FOLDER SECONDS

In FOLDER it writes `ca-PORT.pem`: the usual authorities and its own, so that clients have as much to read as they
usually have.
"""

import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import certifi
import trustme

BODY = b'{"success":true,"remain_balance":10.5,"used_balance":2.3,"unlimited_quota":false}'


class Handler(BaseHTTPRequestHandler):
    """Gives every question the same answer, after a while."""

    protocol_version = "HTTP/1.1"
    latency = 0.0

    def do_GET(self) -> None:
        """Answer."""
        time.sleep(self.latency)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:
        """Keep no log."""


class Server(ThreadingHTTPServer):
    """Shakes hands in the thread of each connection, so that one slow client keeps no other waiting."""

    request_queue_size = 256
    daemon_threads = True


def main(folder: str, latency: str) -> None:
    """Serve until the process is ended."""
    authority = trustme.CA()
    Handler.latency = float(latency)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        trusted = Path(certifi.where()).read_bytes() + authority.cert_pem.bytes()
        Path(folder, f"ca-{server.server_port}.pem").write_bytes(trusted)
        print(f"https://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
