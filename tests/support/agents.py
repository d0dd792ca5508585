"""The client of the official SDK, of either version, and one that writes the lines of the protocol itself."""

import json
import shutil
import subprocess
import sysconfig
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar

import anyio

T = TypeVar("T")


class Session:
    """A session of the SDK's client; results are the JSON of the protocol, whatever the version."""

    def __init__(self, session: Any, began: Any) -> None:
        self._session = session
        self.began: Mapping[str, Any] = _as_json(began)
        """The answer to `initialize`."""

    async def tools(self) -> list[Mapping[str, Any]]:
        """Return the tools that are listed."""
        return list(_as_json(await self._session.list_tools())["tools"])

    async def call(self, name: str, **arguments: object) -> Mapping[str, Any]:
        """Call a tool, and return its result. The client holds it against the schema of the tool."""
        return _as_json(await self._session.call_tool(name, arguments))


def talk(
    command: str,
    environment: Mapping[str, str],
    steps: Callable[[Session], Awaitable[T]],
    *,
    folder: Path,
    errors: IO[str],
) -> T:
    """Start `apimart mcp` as a client does, and return what the steps return."""
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    async def run() -> T:
        server = StdioServerParameters(command=command, args=["mcp"], env=dict(environment), cwd=folder)
        async with (
            stdio_client(server, errlog=errors) as (reading, writing),
            ClientSession(reading, writing) as session,
        ):
            began = await session.initialize()
            return await steps(Session(session, began))

    return anyio.run(run)


def _as_json(result: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = result.model_dump(mode="json", by_alias=True)
    return found


class Pipe:
    """`apimart mcp` with its streams in pipes: lines in, lines out."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def send(self, **message: object) -> None:
        """Send one message."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps({'jsonrpc': '2.0', **message})}\n")
        self.process.stdin.flush()

    def receive(self) -> Mapping[str, Any]:
        """Return the next message."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the server has ended"
        found: Mapping[str, Any] = json.loads(line)
        return found

    def begin(self) -> None:
        """Shake hands."""
        about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        self.send(id=0, method="initialize", params=about)
        assert self.receive()["id"] == 0
        self.send(method="notifications/initialized")

    def call(self, number: int, tool: str, **arguments: object) -> None:
        """Send a call of a tool."""
        self.send(id=number, method="tools/call", params={"name": tool, "arguments": arguments})


@contextmanager
def piped(environment: Mapping[str, str], folder: Path, *options: str) -> Iterator[Pipe]:
    """Start `apimart mcp`, and kill it when the block is left."""
    command = shutil.which("apimart", path=sysconfig.get_path("scripts"))
    assert command is not None
    process = subprocess.Popen(
        [command, "mcp", *options],
        env=environment,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        yield Pipe(process)
    finally:
        process.kill()
        # A broken pipe may still have something to be flushed.
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()
        process.wait()
