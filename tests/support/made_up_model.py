"""A model that is made up, for real agents: it calls the tools that a test wants, one after the other, and then ends.

A small server that speaks what agents speak to models: the Messages API of Anthropic, and the Responses and the Chat
Completions API of OpenAI.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from support.scripted import served


class Wish(NamedTuple):
    """A call of a tool that the model is to make."""

    tool: str
    """The end of its name: agents put the name of the server before it, each in its own way."""
    arguments: Mapping[str, Any]
    is_optional: bool = False
    """Whether it is left out where the agent has no such tool."""


class Told(NamedTuple):
    """What the agent told the model of a call."""

    is_error: bool
    content: str


class Called(NamedTuple):
    """A call of a tool by the name that the agent gave it, and where it stands: each has an id of its own."""

    id: str
    name: str
    namespace: str | None
    """Of the Responses API: the group of tools that it is in."""
    arguments: str


class MadeUpModel:
    """What the model is to call, and what it was told of that."""

    def __init__(self, wishes: Sequence[Wish], last: str) -> None:
        self._left = list(wishes)
        self._made: list[Called] = []
        self.last = last
        """What it says at the end."""
        self.told: list[Told] = []
        """What the agent told of each call, in their order."""
        self.questions: list[Mapping[str, Any]] = []
        """Everything that the agent asked."""
        self.url = ""

    def next_call(self, told: Sequence[Told], tools: Sequence[tuple[str, str | None]]) -> Called | None:
        """Return the next call, once all before it were told of; None where nothing is to be called.

        Agents ask for other things, too, like a title for the session, without tools.
        """
        if len(told) > len(self.told):
            self.told = list(told)
        if len(told) < len(self._made):
            # The same question once more.
            return self._made[len(told)]
        while self._left and tools:
            wish = self._left[0]
            found = [each for each in tools if each[0].endswith(wish.tool)]
            if not found and not wish.is_optional:
                return None
            del self._left[0]
            if found:
                name, namespace = found[0]
                self._made.append(Called(f"call_{len(told) + 1}", name, namespace, json.dumps(wish.arguments)))
                return self._made[-1]
        return None


@contextmanager
def made_up_model(
    *wishes: Wish, on_question: Callable[[Mapping[str, Any]], None] | None = None, last: str = "done"
) -> Iterator[MadeUpModel]:
    """Serve a model that calls these tools, on a port of this machine, until the block is left.

    `on_question` is called with each question before it is answered.
    """
    model = MadeUpModel(wishes, last)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            model.questions.append(question)
            if on_question is not None:
                on_question(question)
            place = self.path.partition("?")[0]
            answer = next((answer for end, answer in _ANSWERS.items() if place.endswith(end)), None)
            is_stream = bool(question.get("stream"))
            text = "{}" if answer is None else answer(model, question, is_stream)
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Type", "text/event-stream" if is_stream else "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode("ascii"))

        def log_message(self, *_: object) -> None:
            pass

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as model.url:
        yield model


def _events(events: Sequence[Mapping[str, Any]]) -> str:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def _text_of(content: Any) -> str:
    """Return the text of a content, which is text or a list of parts."""
    if isinstance(content, list):
        return "\n".join(part.get("text", json.dumps(part)) for part in content)
    return content if isinstance(content, str) else json.dumps(content)


def _messages(model: MadeUpModel, question: Mapping[str, Any], is_stream: bool) -> str:
    blocks = [block for message in question["messages"] for block in message["content"] if isinstance(block, dict)]
    results = [block for block in blocks if block["type"] == "tool_result"]
    told = [Told(bool(each.get("is_error")), _text_of(each["content"])) for each in results]
    call = model.next_call(told, [(tool["name"], None) for tool in question.get("tools", ()) if "name" in tool])
    if call is None:
        return _as_message({"type": "text", "text": model.last}, "end_turn", is_stream)
    block = {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)}
    return _as_message(block, "tool_use", is_stream)


def _as_message(block: Mapping[str, Any], reason: str, is_stream: bool) -> str:
    if not is_stream:
        return json.dumps(_message([block], reason))
    # The block begins empty, and is filled by one piece.
    if block["type"] == "tool_use":
        empty = {**block, "input": {}}
        piece = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    else:
        empty = {**block, "text": ""}
        piece = {"type": "text_delta", "text": block["text"]}
    ending = {"stop_reason": reason, "stop_sequence": None}
    return _events(
        [
            {"type": "message_start", "message": _message([], None)},
            {"type": "content_block_start", "index": 0, "content_block": empty},
            {"type": "content_block_delta", "index": 0, "delta": piece},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": ending, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ]
    )


def _message(content: Sequence[Mapping[str, Any]], reason: str | None) -> Mapping[str, Any]:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "made-up", "content": content,
        "stop_reason": reason, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip


def _responses(model: MadeUpModel, question: Mapping[str, Any], is_stream: bool) -> str:
    results = [item for item in question["input"] if item.get("type") == "function_call_output"]
    # Whether it was an error, this API does not tell.
    told = [Told(False, _text_of(each["output"])) for each in results]
    call = model.next_call(told, list(_functions(question.get("tools", ()))))
    if call is None:
        content = [{"type": "output_text", "text": model.last, "annotations": []}]
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
    else:
        item = {"type": "function_call", "id": f"fc_{call.id}", "call_id": call.id, "name": call.name}
        item |= {"arguments": call.arguments, "status": "completed"}
        if call.namespace is not None:
            item["namespace"] = call.namespace
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    response = {"id": "resp_1", "object": "response", "status": "completed", "output": [item], "usage": usage}
    if not is_stream:
        return json.dumps(response)
    return _events(
        [
            {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": response},
        ]
    )


def _functions(tools: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str | None]]:
    """Yield the functions among tools, and those of each group, with its name."""
    for tool in tools:
        if tool["type"] == "namespace":
            yield from ((each["name"], tool["name"]) for each in tool["tools"])
        elif "name" in tool:
            yield tool["name"], None


def _completions(model: MadeUpModel, question: Mapping[str, Any], is_stream: bool) -> str:
    results = [message for message in question["messages"] if message["role"] == "tool"]
    told = [Told(False, _text_of(each["content"])) for each in results]
    call = model.next_call(told, [(tool["function"]["name"], None) for tool in question.get("tools", ())])
    message: dict[str, Any] = {"role": "assistant", "content": model.last}
    if call is not None:
        function = {"name": call.name, "arguments": call.arguments}
        message = {"role": "assistant", "content": None}
        message["tool_calls"] = [{"index": 0, "id": call.id, "type": "function", "function": function}]
    choice = {"index": 0, "finish_reason": "stop" if call is None else "tool_calls"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    answer = {"id": "chat_1", "created": 1, "model": "made-up", "usage": usage}
    if not is_stream:
        return json.dumps({**answer, "object": "chat.completion", "choices": [{**choice, "message": message}]})
    chunk = {**answer, "object": "chat.completion.chunk", "choices": [{**choice, "delta": message}]}
    return f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"


_ANSWERS = {"/messages": _messages, "/responses": _responses, "/chat/completions": _completions}
