"""The protocol, by the official SDK, over standard input and output: of its versions 1 and 2.

Standard output belongs to the protocol. What anything else writes there, a library or a command that prints a key,
goes to standard error, and nothing but the protocol reads standard input.
"""

import asyncio
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, TypeVar

from apimart_cli.agents.kept import ToolAnswer
from apimart_cli.agents.tools import INSTRUCTIONS, TOOLS
from apimart_cli.screen.writing import unwritable
from apimart_cli.version import __version__

T = TypeVar("T")

NAME = "apimart"

LINGER = 2.0
"""Most seconds for which questions that came before the end of the input are still answered."""

LONGEST_LINE = 1024 * 1024
"""Most bytes of a message. A longer one is left out, whatever it holds."""

PAUSE = 0.02
"""Seconds between two looks whether they are."""

Call = Callable[[str, dict[str, Any] | None], ToolAnswer]
"""Answers a call of a tool: its name and its arguments. It may take its time."""


@contextmanager
def standard_streams() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Give standard input and output to the block alone: for everything else there is no input, and no output."""
    source, sink = os.dup(0), os.dup(1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    # Never closed: a thread may still be reading. The process ends with the block.
    yield open(source, "rb", closefd=False), open(sink, "wb", closefd=False)  # noqa: SIM115


def serve(call: Call, streams: tuple[BinaryIO, BinaryIO]) -> None:
    """Serve one client until it goes away: its end of either stream is closed.

    Raises OutputError where an answer cannot be written for another reason.
    """
    # The SDK logs what it could not read, which may hold anything.
    logging.disable(logging.CRITICAL)
    error = asyncio.run(_serve(call, *streams))
    if error is not None:
        raise unwritable(error)


async def _serve(call: Call, source: BinaryIO, sink: BinaryIO) -> OSError | None:
    from mcp.server.stdio import stdio_server

    server = _server(call)
    wire = _Wire(source, sink)

    async def run() -> None:
        # The SDK takes what behaves like the two files of anyio that it would make itself.
        reading: Any = _OutgoingLines(wire)
        writing: Any = _Writing(wire)
        async with stdio_server(reading, writing) as (read_stream, write_stream):
            await server.run(read_stream, write_stream, server.create_initialization_options())

    serving = asyncio.create_task(run())
    over = asyncio.create_task(wire.is_over.wait())
    await asyncio.wait({serving, over}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        # It ends by itself only when it fails.
        serving.result()
    # Cancelled with what is under way: versions of the SDK differ in what they make of an end.
    return wire.error


def _server(call: Call) -> Any:
    """Return the server of the SDK that offers our tools."""
    from mcp import types
    from mcp.server.lowlevel import Server

    found = types.ListToolsResult.model_validate({"tools": [tool.document() for tool in TOOLS]})

    async def answer(params: Any) -> Any:
        answered = await _in_thread(lambda: call(params.name, params.arguments))
        text = json.dumps(answered.document)
        return types.CallToolResult.model_validate(
            {
                "content": [{"type": "text", "text": text}],
                "structuredContent": answered.document,
                "isError": answered.is_error,
            }
        )

    about = {"version": __version__, "instructions": INSTRUCTIONS}
    untyped: Any = Server
    if not hasattr(Server, "list_tools"):

        async def listed_2(_context: Any, _params: Any) -> Any:
            return found

        async def answer_2(_context: Any, params: Any) -> Any:
            return await answer(params)

        return untyped(NAME, **about, on_list_tools=listed_2, on_call_tool=answer_2)

    # Version 1. Its decorators would hide the structure of an error.
    result: Any = types.ServerResult

    async def listed_1(_request: Any) -> Any:
        return result(found)

    async def answer_1(request: Any) -> Any:
        return result(await answer(request.params))

    server = untyped(NAME, **about)
    server.request_handlers |= {types.ListToolsRequest: listed_1, types.CallToolRequest: answer_1}
    return server


class _Wire:
    """The two streams of the protocol, and which questions are still to be answered."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink
        self._open: set[str] = set()
        self.is_over = asyncio.Event()
        """Whether one of the two has ended."""
        self.error: OSError | None = None
        """Why, where the client has not just gone away."""

    async def read(self) -> str:
        """Return the next line. After the last one it is over, once what was asked is answered, or has had its time."""
        line = await _in_thread(self._line)
        if not line:
            give_up_at = asyncio.get_running_loop().time() + LINGER
            while self._open and asyncio.get_running_loop().time() < give_up_at:
                await asyncio.sleep(PAUSE)
            self.is_over.set()
            await asyncio.Event().wait()
        text = line.decode("utf-8", "replace")
        message = _message(text)
        if message.get("method") == "notifications/cancelled":
            parameters = message.get("params")
            self._open.discard(_id(parameters, "requestId"))
        elif "method" in message and "id" in message:
            self._open.add(_id(message, "id"))
        return text

    async def write(self, text: str) -> None:
        """Write lines, or drop them if the client has gone."""
        try:
            await _in_thread(lambda: self._put(text.encode("utf-8", "backslashreplace")))
        except (BrokenPipeError, ConnectionResetError):
            self.is_over.set()
        except OSError as error:
            self.error = error
            self.is_over.set()
        message = _message(text)
        if "method" not in message:
            self._open.discard(_id(message, "id"))

    def _line(self) -> bytes:
        """Return the next line; an empty one in place of one that is too long, and nothing at the end."""
        line = self._source.readline(LONGEST_LINE)
        is_whole = True
        while len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            is_whole = False
            line = self._source.readline(LONGEST_LINE)
        return line if is_whole else b"\n"

    def _put(self, data: bytes) -> None:
        self._sink.write(data)
        self._sink.flush()


def _message(line: str) -> dict[str, Any]:
    """Return the message that a line is; an empty one where it is none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _id(holder: Any, name: str) -> str:
    """Return the id of a question as text that tells 1 from "1"."""
    return json.dumps(holder.get(name)) if isinstance(holder, dict) else ""


class _OutgoingLines:
    """What the SDK reads: the lines of the client."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    def __aiter__(self) -> "_OutgoingLines":
        return self

    async def __anext__(self) -> str:
        return await self._wire.read()


class _Writing:
    """What the SDK writes to."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    async def write(self, text: str) -> None:
        await self._wire.write(text)

    async def flush(self) -> None:
        """Nothing is held back."""


async def _in_thread(work: Callable[[], T]) -> T:
    """Return what `work` returns, done in a thread of its own, which holds up neither the others nor the end.

    Where the wait is cancelled, the thread goes on, and what it returns is dropped.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # of type T where there is no error

    def run() -> None:
        try:
            result, error = work(), None
        except Exception as raised:  # noqa: BLE001  # raised again where it is waited for
            result, error = None, raised
        # The loop may have ended meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="apimart-call", daemon=True).start()
    return await done
