"""A model that is made up: a small server of the Messages API, for coding agents that are to run one shell command.

To a first question it answers with a call of the agent's tool `Bash`, to everything after it with a word.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class MadeUpModel:
    """What the model is to have run, and what the agent told it of that."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.results: list[Mapping[str, Any]] = []
        """The results of tools that the agent sent, in the form of the Messages API."""
        self.url = ""

    def answer(self, question: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
        """Return the one block of the answer, and the reason for which it ends."""
        blocks = [block for message in question["messages"] for block in message["content"] if isinstance(block, dict)]
        results = [block for block in blocks if block["type"] == "tool_result"]
        if results:
            self.results = results
        elif any(tool.get("name") == "Bash" for tool in question.get("tools", ())):
            asked = {"command": self.command, "description": "what the test asks for"}
            return {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": asked}, "tool_use"
        return {"type": "text", "text": "done"}, "end_turn"


@contextmanager
def made_up_model(command: str) -> Iterator[MadeUpModel]:
    """Serve a model that asks for `command` to be run, on a port of this machine, until the block is left."""
    model = MadeUpModel(command)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            block, reason = model.answer(question)
            is_stream = bool(question.get("stream"))
            text = _stream(block, reason) if is_stream else json.dumps(_message([block], reason))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream" if is_stream else "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode("ascii"))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        model.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield model
        finally:
            server.shutdown()
            thread.join()


def _message(content: Sequence[Mapping[str, Any]], reason: str | None) -> Mapping[str, Any]:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "made-up", "content": content,
        "stop_reason": reason, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip


def _stream(block: Mapping[str, Any], reason: str) -> str:
    """Return the answer as server-sent events: the block begins empty, and is filled by one piece."""
    if block["type"] == "tool_use":
        empty = {**block, "input": {}}
        piece = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    else:
        empty = {**block, "text": ""}
        piece = {"type": "text_delta", "text": block["text"]}
    ending = {"stop_reason": reason, "stop_sequence": None}
    events: list[Mapping[str, Any]] = [
        {"type": "message_start", "message": _message([], None)},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "content_block_delta", "index": 0, "delta": piece},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ending, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
