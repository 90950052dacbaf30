"""A loopback Slack that keeps what was posted.

The Web API's few methods an alert needs, file uploads among them, and an incoming webhook.

Here: accepting, checking and listing messages and files. Not here: what an alert says or when it is sent.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from expansion_platform.simulator.servers.http import LoopbackServer, Request, Response, parse_query

# Slack's limits (Block Kit reference): beyond them a message is refused whole, as invalid_blocks.
MOST_BLOCKS = 50
SECTION_TEXT = 3_000
FIELD_TEXT = 2_000
HEADER_TEXT = 150
BUTTON_TEXT = 75
BUTTON_URL = 3_000
MOST_FIELDS = 10
MOST_CONTEXT_ELEMENTS = 10
MOST_ACTIONS = 25
MESSAGE_TEXT = 40_000

_WEBHOOK_PATH = "/services/T00000000/B00000000/simulated"


_UPLOAD_PATH = "/upload/v1/"


@dataclass
class File:
    """One file: announced, then sent, then shared into a channel's thread.

    By `files.getUploadURLExternal` and `files.completeUploadExternal`.
    """

    id: str
    name: str
    length: int
    alt_text: str | None
    content: bytes | None = None
    title: str | None = None
    channel: str | None = None
    thread: str | None = None


@dataclass
class Message:
    """One posted message as a channel holds it.

    `via` is `bot` or `webhook`, `updates` counts its edits, `thread` is what it replies to.
    """

    ts: str
    channel: str
    text: str
    blocks: list[dict[str, Any]]
    metadata: dict[str, Any] | None
    via: str
    updates: int = 0
    thread: str | None = None
    broadcast: bool = False

    def shown(self, *, with_metadata: bool = False) -> dict[str, Any]:
        """The message as the API shows it."""
        shown = {"type": "message", "ts": self.ts, "text": self.text, "blocks": self.blocks}
        shown |= {"thread_ts": self.thread} if self.thread else {}
        return {**shown, "metadata": self.metadata} if with_metadata and self.metadata else shown


class SlackServer(LoopbackServer):
    """Takes messages for any channel (or for `channels` only).

    From any bot token that begins with `xoxb-` and does not contain `invalid`.

    `messages` holds what was posted, `files` what was announced, oldest first. `api_url` is the Web API's
    base, `webhook_url` an incoming webhook into `#alerts`.
    """

    def __init__(self, channels: Collection[str] | None = None) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.files: list[File] = []
        self.channels = channels
        self._refusals: list[str] = []
        self._numbers = itertools.count(1)

    @property
    def api_url(self) -> str:
        """Base of the Web API, with the trailing slash the SDK needs."""
        return f"{self.url}/api/"

    @property
    def webhook_url(self) -> str:
        """An incoming webhook."""
        return self.url + _WEBHOOK_PATH

    def refuse_next(self, error: str, times: int = 1) -> None:
        """Refuse the next `times` requests with an error of Slack's.

        Such as `channel_not_found` or `is_archived`.
        """
        self._refusals.extend([error] * times)

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        if request.path.startswith("/services/"):
            return self._webhook(request)
        if request.path.startswith(_UPLOAD_PATH):
            return self._upload(request)
        refusal = self._refusals.pop(0) if self._refusals else _token_error(request)
        if refusal is not None:
            return _refused(refusal)
        arguments = _arguments(request)
        match request.path.removeprefix("/api/"):
            case "auth.test":
                return Response(
                    {
                        "ok": True,
                        "url": self.url,
                        "team": "Simulated",
                        "user": "expansion",
                        "team_id": "T00000000",
                        "user_id": "U00000000",
                    }
                )
            case "chat.postMessage":
                return self._post(arguments)
            case "chat.update":
                return self._update(arguments)
            case "conversations.history":
                return self._history(arguments)
            case "conversations.replies":
                return self._replies(arguments)
            case "files.getUploadURLExternal":
                return self._announce(arguments)
            case "files.completeUploadExternal":
                return self._share(arguments)
        return _refused("unknown_method")

    def failure(self, status: int, message: str) -> Response:
        """Slack's bodies of 429 and 5xx."""
        return _refused("ratelimited") if status == 429 else Response(message)

    def _post(self, arguments: dict[str, Any]) -> Response:
        channel = arguments.get("channel")
        if not channel or (self.channels is not None and channel not in self.channels):
            return _refused("channel_not_found")
        problem = _problem(arguments)
        if problem is not None:
            return _refused(*problem)
        message = self._kept(channel, arguments, "bot")
        return Response(
            {"ok": True, "channel": channel, "ts": message.ts, "message": message.shown(with_metadata=True)}
        )

    def _update(self, arguments: dict[str, Any]) -> Response:
        found = next(
            (
                message
                for message in self.messages
                if (message.channel, message.ts) == (arguments.get("channel"), arguments.get("ts"))
            ),
            None,
        )
        if found is None:
            return _refused("message_not_found")
        problem = _problem(arguments)
        if problem is not None:
            return _refused(*problem)
        found.text, found.blocks = arguments.get("text", ""), arguments.get("blocks") or []
        found.metadata = arguments.get("metadata", found.metadata)
        found.updates += 1
        return Response(
            {
                "ok": True,
                "channel": found.channel,
                "ts": found.ts,
                "text": found.text,
                "message": found.shown(with_metadata=True),
            }
        )

    def _history(self, arguments: dict[str, Any]) -> Response:
        """Newest first; `oldest` is exclusive unless `inclusive`.

        Metadata only with `include_all_metadata`.
        """
        oldest, limit = str(arguments.get("oldest", "0")), int(arguments.get("limit", 100))
        inclusive, with_metadata = (
            _true(arguments.get("inclusive")),
            _true(arguments.get("include_all_metadata")),
        )
        found = [
            message.shown(with_metadata=with_metadata)
            for message in reversed(self.messages)
            if message.channel == arguments.get("channel")
            and (message.thread is None or message.broadcast)
            and (float(message.ts) > float(oldest) or (inclusive and message.ts == oldest))
        ]
        return Response({"ok": True, "messages": found[:limit], "has_more": len(found) > limit})

    def _replies(self, arguments: dict[str, Any]) -> Response:
        """A thread: its first message, then its replies, oldest first."""
        thread, channel = arguments.get("ts"), arguments.get("channel")
        found = [
            message
            for message in self.messages
            if message.channel == channel and thread in (message.ts, message.thread)
        ]
        if not found:
            return _refused("thread_not_found")
        with_metadata = _true(arguments.get("include_all_metadata"))
        return Response(
            {
                "ok": True,
                "messages": [message.shown(with_metadata=with_metadata) for message in found],
                "has_more": False,
            }
        )

    def _announce(self, arguments: dict[str, Any]) -> Response:
        name, length = arguments.get("filename"), int(arguments.get("length") or 0)
        if not name or length <= 0:
            return _refused("invalid_arguments")
        file = File(f"F{len(self.files) + 1:08d}", name, length, arguments.get("alt_txt"))
        self.files.append(file)
        return Response({"ok": True, "upload_url": f"{self.url}{_UPLOAD_PATH}{file.id}", "file_id": file.id})

    def _upload(self, request: Request) -> Response:
        """The announced address takes the bytes without a token, as many as were announced."""
        file = next((file for file in self.files if file.id == request.path.removeprefix(_UPLOAD_PATH)), None)
        if file is None or len(request.body) != file.length:
            return Response("error", 400)
        file.content = request.body
        return Response(f"OK - {file.length}")

    def _share(self, arguments: dict[str, Any]) -> Response:
        channel = arguments.get("channel_id")
        if channel is not None and self.channels is not None and channel not in self.channels:
            return _refused("channel_not_found")
        wanted = {one["id"]: one.get("title") for one in json.loads(arguments.get("files") or "[]")}
        found = [file for file in self.files if file.id in wanted and file.content is not None]
        if not wanted or len(found) != len(wanted):
            return _refused("file_not_found")
        for file in found:
            file.title, file.channel, file.thread = wanted[file.id], channel, arguments.get("thread_ts")
        return Response({"ok": True, "files": [{"id": file.id, "title": file.title} for file in found]})

    def _webhook(self, request: Request) -> Response:
        """A webhook answers in plain text, and with 4xx where the Web API says `ok: false`."""
        if request.path != _WEBHOOK_PATH:
            return Response("no_service", 404)
        if self._refusals:
            return Response(self._refusals.pop(0), 400)
        try:
            arguments = json.loads(request.body)
        except ValueError:
            return Response("invalid_payload", 400)
        problem = _problem(arguments)
        if problem is not None:
            return Response(problem[0], 400)
        self._kept("#alerts", arguments, "webhook")
        return Response("ok")

    def _kept(self, channel: str, arguments: dict[str, Any], via: str) -> Message:
        message = Message(
            ts=f"1700000000.{next(self._numbers):06d}",
            channel=channel,
            text=arguments.get("text") or "",
            blocks=arguments.get("blocks") or [],
            metadata=arguments.get("metadata"),
            via=via,
            thread=arguments.get("thread_ts"),
            broadcast=_true(arguments.get("reply_broadcast")),
        )
        self.messages.append(message)
        return message


def block_problems(blocks: Any) -> list[str]:
    """What Slack would refuse in the blocks of a message; empty when it would take them."""
    if not isinstance(blocks, list):
        return ["must be an array"]
    problems = (
        [f"no more than {MOST_BLOCKS} items allowed ({len(blocks)})"] if len(blocks) > MOST_BLOCKS else []
    )
    for number, block in enumerate(blocks):
        problems.extend(f"{problem} [json-pointer:/blocks/{number}]" for problem in _problems_of_block(block))
    return problems


def _problems_of_block(block: dict[str, Any]) -> list[str]:
    match block.get("type"):
        case "header":
            return _text_problems(block.get("text"), HEADER_TEXT, ("plain_text",))
        case "section":
            if "text" not in block and "fields" not in block:
                return ["missing required field: text or fields"]
            fields = block.get("fields", [])
            problems = _text_problems(block["text"], SECTION_TEXT) if "text" in block else []
            problems += [problem for field in fields for problem in _text_problems(field, FIELD_TEXT)]
            return problems + _count_problems("fields", fields, MOST_FIELDS)
        case "context":
            elements = block.get("elements", [])
            problems = [
                problem
                for element in elements
                if element.get("type") != "image"
                for problem in _text_problems(element, SECTION_TEXT)
            ]
            return problems + _count_problems("elements", elements, MOST_CONTEXT_ELEMENTS)
        case "actions":
            elements = block.get("elements", [])
            problems = [
                problem
                for element in elements
                for problem in _text_problems(element.get("text"), BUTTON_TEXT, ("plain_text",))
            ]
            problems += [
                f"url must be no more than {BUTTON_URL} characters"
                for element in elements
                if len(element.get("url", "")) > BUTTON_URL
            ]
            return problems + _count_problems("elements", elements, MOST_ACTIONS)
        case "divider":
            return []
    return [f"unsupported type: {block.get('type')}"]


def _text_problems(text: Any, longest: int, kinds: Collection[str] = ("plain_text", "mrkdwn")) -> list[str]:
    if not isinstance(text, dict) or text.get("type") not in kinds:
        return [f"text must be an object of type {' or '.join(kinds)}"]
    content = text.get("text")
    if not isinstance(content, str) or not content:
        return ["text must be more than 0 characters"]
    return (
        [f"text must be less than {longest + 1} characters ({len(content)})"]
        if len(content) > longest
        else []
    )


def _count_problems(name: str, elements: list[Any], most: int) -> list[str]:
    if not elements and name == "elements":
        return ["no elements"]
    return [f"no more than {most} {name} allowed ({len(elements)})"] if len(elements) > most else []


def _problem(arguments: Any) -> tuple[str, list[str]] | None:
    """Slack's error for a message, with its details; None when it takes it."""
    if not isinstance(arguments, dict):
        return "invalid_payload", []
    text, blocks = arguments.get("text"), arguments.get("blocks")
    if not text and not blocks:
        return "no_text", []
    if text and len(text) > MESSAGE_TEXT:
        return "msg_too_long", []
    problems = block_problems(blocks) if blocks is not None else []
    return ("invalid_blocks", problems) if problems else None


def _refused(error: str, details: Collection[str] = ()) -> Response:
    body: dict[str, Any] = {"ok": False, "error": error}
    if details:
        body["response_metadata"] = {"messages": [f"[ERROR] {detail}" for detail in details]}
    return Response(body)


def _token_error(request: Request) -> str | None:
    token = request.bearer
    if token is None:
        return "not_authed"
    return None if token.startswith("xoxb-") and "invalid" not in token else "invalid_auth"


def _arguments(request: Request) -> dict[str, Any]:
    """A method's arguments, from JSON, a form (whose blocks and metadata are JSON) or the query."""
    if request.body and request.headers.get("content-type", "").startswith("application/json"):
        body: dict[str, Any] = json.loads(request.body)
        return body
    form = {**request.params, **parse_query(request.body.decode())}
    return {
        name: json.loads(value) if name in ("blocks", "metadata") else value for name, value in form.items()
    }


def _true(value: Any) -> bool:
    return str(value).lower() in ("1", "true")
