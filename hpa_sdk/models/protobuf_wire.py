"""Iterates over the wire format of a protobuf message without copying it, for messages too large to parse completely.

The format is described at https://protobuf.dev/programming-guides/encoding: a varint key (field number and wire type),
then a varint, eight bytes, four bytes, or a varint length and that many bytes.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_LENGTH = {_FIXED64: 8, _FIXED32: 4}
_VARINT_BITS, _VARINT_MORE, _VARINT_LONGEST = 7, 0x80, 10


class MalformedMessageError(ValueError):
    """The bytes are not a protobuf message."""


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview, int]]:
    """Iterate over the fields of a message in file order.

    Yields
    ------
    number : int
        The field's number.
    value : int or memoryview
        Its integer value, or its bytes as a view into `message`.
    end : int
        Position after it, where the next field starts.

    Raises
    ------
    MalformedMessageError
        The bytes are not a message, or are truncated.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            yield number, value, position
            continue
        if wire_type == _BYTES:
            length, position = _varint(message, position)
        else:
            length = _FIXED_LENGTH.get(wire_type, 0)
        if not number or (not length and wire_type != _BYTES) or position + length > len(message):
            raise MalformedMessageError("its bytes are no protobuf message, or are cut short")
        yield number, message[position : position + length], position + length
        position += length


def messages(message: memoryview, *path: int) -> Iterator[memoryview]:
    """Yield the sub-messages (or strings) at a path of field numbers, in file order."""
    number, *below = path
    for found, value, _ in fields(message):
        if found == number and isinstance(value, memoryview):
            if below:
                yield from messages(value, *below)
            else:
                yield value


def messages_by_number(message: memoryview) -> Mapping[int, list[memoryview]]:
    """Return all sub-messages and strings by field number, in one pass; an empty list for a missing number."""
    found: defaultdict[int, list[memoryview]] = defaultdict(list)
    for number, value, _ in fields(message):
        if isinstance(value, memoryview):
            found[number].append(value)
    return found


def text(message: memoryview, number: int) -> str:
    """Return a string field, or the empty string if it is not set. Of several values, the last one counts."""
    last = deque(messages(message, number), maxlen=1)
    return str(last[0], "utf-8", "replace") if last else ""


def integer(message: memoryview, number: int) -> int:
    """Return an integer field, or 0 if it is not set. Of several values, the last one counts."""
    last = deque((value for found, value, _ in fields(message) if found == number and isinstance(value, int)), maxlen=1)
    return last[0] if last else 0


def integers(message: memoryview, number: int) -> list[int]:
    """Return a repeated integer field, packed or not, in file order."""
    found: list[int] = []
    for at, value, _ in fields(message):
        if at != number:
            continue
        if isinstance(value, int):
            found.append(value)
            continue
        position = 0
        while position < len(value):
            one, position = _varint(value, position)
            found.append(one)
    return found


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    if position < len(message) and message[position] < _VARINT_MORE:
        return message[position], position + 1  # the usual case: an ONNX file has some hundred thousand varints
    value = 0
    for offset, byte in enumerate(message[position : position + _VARINT_LONGEST]):
        value |= (byte & ~_VARINT_MORE) << (_VARINT_BITS * offset)
        if byte < _VARINT_MORE:
            return value, position + offset + 1
    raise MalformedMessageError("its bytes are no protobuf message, or are cut short")
