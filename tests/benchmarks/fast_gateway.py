"""A gateway for thousands of keys, over TLS: prints its URL, and answers each question after some seconds.

    fast_gateway.py FOLDER SECONDS

One process serves all connections side by side. In FOLDER it writes `ca-PORT.pem`: the usual authorities and its own,
so that clients have as much to read as they usually have.
"""

import asyncio
import contextlib
import ssl
import sys
from functools import partial
from pathlib import Path

import certifi
import trustme

BODY = b'{"success":true,"remain_balance":10.5,"used_balance":2.3,"unlimited_quota":false}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


async def answer(latency: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Give every question of a connection the same answer."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(latency)
            writer.write(ANSWER)
            await writer.drain()
    writer.close()


async def main(folder: str, latency: str) -> None:
    """Serve until the process is ended."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(partial(answer, float(latency)), "127.0.0.1", 0, ssl=context, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    trusted = Path(certifi.where()).read_bytes() + authority.cert_pem.bytes()
    Path(folder, f"ca-{port}.pem").write_bytes(trusted)
    print(f"https://127.0.0.1:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
