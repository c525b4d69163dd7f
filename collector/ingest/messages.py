"""The JSON that agents send and get: bounded and typed when it is decoded, trusted behind that."""

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from agent import wire
from collector.errors import Refusal

MAX_JSON = 64 << 10
MAX_INVENTORY = 512 << 10

Text = Annotated[str, Meta(max_length=255)]
Time = Annotated[float, Meta(ge=0, le=1e11)]
Counter = Annotated[int, Meta(ge=1, le=2**63 - 1)]
AttributeName = Annotated[str, Meta(min_length=1, max_length=128)]
AttributeText = Annotated[str, Meta(max_length=4_000)]
Part = list[dict[str, Any]] | dict[str, Any]  # of an inventory: one object, or one for each of its things
Message = TypeVar("Message", bound=msgspec.Struct)


class Hello(msgspec.Struct, frozen=True):
    """What an agent says when it starts."""

    version: Text
    os: Text
    reason: Literal["boot", "start", "crash", "update"]
    interval: Annotated[float, Meta(gt=0, le=86400)]
    started: Time = 0.0
    boot: Time = 0.0


class Goodbye(msgspec.Struct, frozen=True):
    """What an agent says when it stops: for `ttl` seconds its silence is excused."""

    reason: Literal["stop", "restart", "update", "shutdown", "sleep"]
    ttl: Annotated[float, Meta(ge=0, le=366 * 86400)]


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened on a device, or (type inventory, with `data`) what the device consists of now."""

    t: Time
    type: Literal[
        "log", "kernel", "unit", "service", "hotplug", "login", "software", "config", "boot", "check", "inventory",
        "security", "agent",
    ]  # fmt: skip
    source: Annotated[str, Meta(max_length=128)] = ""
    level: Literal["critical", "error", "warning", "info"] = "info"
    text: Annotated[str, Meta(max_length=4_000)] = ""
    attributes: Annotated[dict[AttributeName, AttributeText | float], Meta(max_length=64)] = {}
    data: Annotated[dict[AttributeName, Part], Meta(max_length=64)] | None = None


class Enrolment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"kind": "class"}):
    """A machine that asks to be let into the register."""

    token: Annotated[str, Meta(min_length=16, max_length=256)]
    hostname: Annotated[str, Meta(min_length=1, max_length=253)]
    os: Literal["linux", "windows", "macos"]
    version: Text = ""
    kind: Literal["desktop", "server", ""] = ""


class JsonPush(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows in the form that curl can send: each a time and then the values; null stands for no value."""

    series: Annotated[list[str], Meta(min_length=1, max_length=wire.MAX_COLUMNS)]
    rows: Annotated[
        list[Annotated[list[float | None], Meta(min_length=2)]], Meta(min_length=1, max_length=wire.MAX_ROWS)
    ]
    epoch: Counter | None = None  # without epoch and seq a push is not told apart from an earlier one
    seq: Counter | None = None


def decode(data: bytes, kind: type[Message], path: str = "$", limit: int = MAX_JSON) -> Message:
    """Return the message.

    Raises:
        Refusal: 400, too long, not JSON, or not of this form; its path says where.
    """
    if len(data) > limit:
        raise Refusal(400, f"{len(data)} bytes of JSON, at most {limit}", path=path)
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        raise Refusal(400, message, path=path + where.rstrip("`")) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, f"not JSON: {error}", path=path) from error


def decode_event(payload: bytes, path: str = "$") -> Event:
    """Return an event.

    Raises:
        Refusal: 400, not JSON, not of this form, too long for its type, or with `data` that is no inventory.
    """
    event = decode(payload, Event, path, MAX_INVENTORY)
    if event.data is not None and event.type != "inventory":
        raise Refusal(400, "only an inventory has data", path=f"{path}.data")
    if event.data is None and len(payload) > MAX_JSON:
        raise Refusal(400, f"an event of {len(payload)} bytes, at most {MAX_JSON}", path=path)
    return event


def frames_of(push: JsonPush, epoch: int) -> bytes:
    """Return a JSON push as the frames it stands for: its schema and its rows.

    Raises:
        Refusal: 400, rows of different lengths, or a series that is not in Prometheus notation.
    """
    columns = len(push.series)
    for number, row in enumerate(push.rows):
        if len(row) != columns + 1 or row[0] is None:
            message = f"a row is a time and {columns} values, this one has {len(row)} members"
            raise Refusal(400, message, path=f"$.rows[{number}]")
    schema = wire.encode_schema(push.series)
    nan = float("nan")
    values = [[nan if value is None else value for value in row[1:]] for row in push.rows]
    rows = wire.encode_rows(wire.schema_id(schema), [row[0] or 0.0 for row in push.rows], values)
    try:
        return wire.encode(wire.Kind.SCHEMA, epoch, 0, schema) + wire.encode(wire.Kind.ROWS, epoch, push.seq or 0, rows)
    except wire.WireError as error:
        raise Refusal(413, error.message, path=error.path) from error
