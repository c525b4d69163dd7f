"""Samples in OpenMetrics or Prometheus text, every one with a timestamp: a reader that takes a chunk at a time.

Text is read by columns: the ends of all lines, the places of value and timestamp in all of them, and then numbers of
like shape (so many digits, the point there) together, exactly: a mantissa below 2^53 over a power of ten is correctly
rounded. What has another shape (exponents, NaN, exemplars, more than one space) is read one by one.

OpenMetrics (github.com/prometheus/OpenMetrics: specification/OpenMetrics.md) gives timestamps in seconds and ends with
`# EOF`, Prometheus' own format gives milliseconds and just ends. What is from 1e11 on is taken as milliseconds: as
seconds it would be the year 5138. A sample without a timestamp is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from rules.errors import SampleError
from rules.labels import NAME, Labels

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]
Floats = NDArray[np.float64]
Columns = tuple[NDArray[np.int32], Floats, Floats]  # number of the series, Unix seconds, value

CHUNK: Final = 1 << 20  # what the processor's caches hold
MAX_LINE: Final = 4 << 20
MAX_SERIES: Final = 5_000_000

_NUMBER: Final = re.compile(rb"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[iI]nf(?:inity)?|NaN|nan")
_TIME: Final = re.compile(rb"-?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")
_MANY: Final = {form: re.compile(rb"(?:%b)(?:\n(?:%b))*+" % (form.pattern, form.pattern)) for form in (_NUMBER, _TIME)}
_NAME: Final = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(rb'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\\n]|\\[\\"n])*)"[ \t]*')
_MILLISECONDS: Final = 1e11  # timestamps from here on
_SPACES: Final = re.compile(rb"[ \t\r]+")
_PERHAPS: Final = re.compile(rb" # \{")  # an exemplar, unless a label's value looks like one
_EXEMPLAR: Final = re.compile(rb"(.*?\S) (\S+) (\S+) # \{[^}]*\} \S+(?: \S+)?")


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples as they stand in the text: the number of the series, Unix seconds, the value.

    `whole` tells that `# EOF` stood at the end.
    """

    names: list[Labels]
    series: NDArray[np.int32]
    times: Floats
    values: Floats
    whole: bool = True

    def __len__(self) -> int:
        return len(self.times)


def read(stream: BinaryIO, name: str = "") -> Samples:
    """All samples of a text; SampleError with its name and the line where it cannot be read."""
    reader = _Reader()
    try:
        parts = list(reader.chunks(stream))
    except SampleError as error:
        raise SampleError(error.line, error.message, name) from None
    if not parts:
        parts = [(np.zeros(0, np.int32), np.zeros(0), np.zeros(0))]
    series, times, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    late = times >= _MILLISECONDS
    if late.any():
        times[late] /= 1000
    return Samples(reader.names, series, times, values, whole=reader.ended)


class _Reader:
    def __init__(self) -> None:
        self.names: list[Labels] = []
        self._known: dict[bytes, int] = {}
        self._numbered: dict[Labels, int] = {}  # the same labels in another order are the same series
        self._line = 0  # lines before this chunk
        self.ended = False
        self._patience = 64

    def chunks(self, stream: BinaryIO) -> Iterator[Columns]:
        """The samples of some whole lines at a time."""
        rest = b""
        while block := stream.read(CHUNK):
            cut = block.rfind(b"\n") + 1
            if cut:
                yield self._chunk(rest + block[:cut])
                rest = block[cut:]
            else:
                rest += block
            if len(rest) > MAX_LINE:
                raise SampleError(self._line + 1, f"a line is longer than {MAX_LINE:,} bytes")
        if rest:  # a last line without an end
            yield self._chunk(rest + b"\n")

    def _chunk(self, text: bytes) -> Columns:
        if self.ended:
            raise SampleError(self._line + 1, "there is something behind # EOF")
        data = np.frombuffer(text, np.uint8)
        # What parts a line from its end: newline, perhaps a point, space, perhaps a point, space.
        marks = np.flatnonzero((data <= 32) | (data == 46))
        kinds = data[marks]
        last = np.flatnonzero(kinds == 10)
        ends = marks[last]
        starts = np.empty_like(ends)
        starts[0], starts[1:] = 0, ends[:-1] + 1
        if len(marks) < 5:  # what is looked at below
            return self._one_by_one(text, starts, ends)
        before = last - 1
        dotted = kinds[before] == 46
        time_points = np.where(dotted, ends - marks[before], 0)
        before -= dotted
        seconds = marks[before]
        good = kinds[before] == 32
        before -= 1
        dotted = kinds[before] == 46
        value_points = np.where(dotted, seconds - marks[before], 0)
        before -= dotted
        firsts = marks[before]
        good &= (kinds[before] == 32) & (firsts > starts) & (data[starts] != 35) & (data[firsts - 1] > 32)
        good &= (seconds - firsts > 1) & (ends - seconds > 1)
        for match in _PERHAPS.finditer(text):
            good[np.searchsorted(ends, match.start())] = False
        lines = np.arange(self._line + 1, self._line + 1 + len(ends))
        extra: list[tuple[int, int, float, float]] = []
        if not good.all():
            extra = self._odd_lines(text, starts, ends, np.flatnonzero(~good))
            starts, firsts, seconds, ends, lines = (a[good] for a in (starts, firsts, seconds, ends, lines))
            time_points, value_points = time_points[good], value_points[good]
        self._line += len(last)
        made = (
            lines,
            self._series(text, data, starts, firsts, lines),
            self._numbers(text, data, (seconds + 1, ends, time_points), lines, _TIME),
            self._numbers(text, data, (firsts + 1, seconds, value_points), lines, _NUMBER),
        )
        return _merged(made, extra) if extra else made[1:]

    def _one_by_one(self, text: bytes, starts: Places, ends: Places) -> Columns:
        found = self._odd_lines(text, starts, ends, np.arange(len(starts)))
        self._line += len(starts)
        _, series, times, values = zip(*found, strict=True) if found else ((), (), (), ())
        return np.array(series, np.int32), np.array(times, np.float64), np.array(values, np.float64)

    # -- odd lines -----------------------------------------------------------------------------------------------

    def _odd_lines(self, text: bytes, starts: Places, ends: Places, odd: Places) -> list[tuple[int, int, float, float]]:
        """Comments, and samples with an exemplar: (line, series, time, value) of the latter."""
        found = []
        for at in odd.tolist():
            raw = text[int(starts[at]) : int(ends[at])]
            line = self._line + at + 1
            if raw == b"# EOF":
                if at + 1 < len(starts):
                    raise SampleError(line + 1, "there is something behind # EOF")
                self.ended = True
            elif raw.strip() and not raw.startswith(b"#"):
                found.append((line, *self._slow(raw, line)))
        return found

    def _slow(self, raw: bytes, line: int) -> tuple[int, float, float]:
        """A sample that may have an exemplar, or look as if it had one; or that has more space than needed."""
        words = [part for part in _split(raw.strip()) if part]
        if len(words) == 3 and _is_series(words[0], line):
            name, value, time = words
        elif match := _EXEMPLAR.fullmatch(raw):
            name, value, time = match.groups()
        elif len(words) == 2 and _is_series(words[0], line) and _NUMBER.fullmatch(words[1]):
            raise SampleError(line, "a sample has no timestamp")
        else:
            raise SampleError(line, f"not a sample: {_shown(raw)}")
        return self._number(name, line), _parsed(time, _TIME, line), _parsed(value, _NUMBER, line)

    # -- numbers -------------------------------------------------------------------------------------------------

    def _numbers(
        self, text: bytes, data: Bytes, where: tuple[Places, Places, Places], lines: Places, form: re.Pattern[bytes]
    ) -> Floats:
        """The numbers between places: those of like shape (length, point from the end, sign) together."""
        starts, ends, points = where
        made = np.empty(len(starts))
        if not len(starts):
            return made
        shapes = np.minimum(ends - starts, 31) * 64 + points % 32 * 2 + (data[starts] == 45)
        if (shapes == shapes[0]).all():
            groups: list[Places] = [np.arange(len(starts))]
        else:
            shapes = shapes.astype(np.int16)
            groups = [np.flatnonzero(shapes == shape) for shape in np.flatnonzero(np.bincount(shapes)).tolist()]
        rest: list[Places] = []
        for chosen in groups:
            shape = int(shapes[chosen[0]])
            found = _of_shape(data, starts[chosen], shape // 64, shape // 2 % 32, shape % 2)
            if found is None:
                rest.append(chosen)
            else:
                made[chosen] = found
        if rest:
            chosen = np.concatenate(rest)
            raw = [text[i:j] for i, j in zip(starts[chosen].tolist(), ends[chosen].tolist(), strict=True)]
            made[chosen] = _all_parsed(raw, form, lines[chosen])
        return made

    # -- series --------------------------------------------------------------------------------------------------

    def _series(self, text: bytes, data: Bytes, starts: Places, ends: Places, lines: Places) -> NDArray[np.int32]:
        """The number of each line's series: by runs of lines that begin alike, or one by one."""
        made = np.empty(len(starts), np.int32)
        lengths = ends - starts
        at, count = 0, len(starts)
        runs = 0
        while at < count:
            name = text[int(starts[at]) : int(ends[at])]
            end = _run(data, starts, lengths, at, name)
            made[at:end] = self._number(name, int(lines[at]))
            runs += 1
            at = end
            if runs >= self._patience and at < runs * 16:
                self._patience = 4  # short runs: the text is in the order of time
                break
        raw = [text[start:end] for start, end in zip(starts[at:].tolist(), ends[at:].tolist(), strict=True)]
        numbers = [-1 if number is None else number for number in map(self._known.get, raw)]
        if -1 in numbers:
            numbers = [self._number(name, line) for name, line in zip(raw, lines[at:].tolist(), strict=True)]
        made[at:] = numbers
        return made

    def _number(self, raw: bytes, line: int) -> int:
        number = self._known.get(raw)
        if number is None:
            if len(self.names) >= MAX_SERIES:
                raise SampleError(line, f"more than {MAX_SERIES:,} series")
            labels = _labels(raw, line)
            number = self._known[raw] = self._numbered.setdefault(labels, len(self.names))
            if number == len(self.names):
                self.names.append(labels)
        return number


def _split(raw: bytes) -> list[bytes]:
    """The series, and what stands behind it."""
    end = raw.rfind(b"}") + 1
    return [raw[:end].strip(), *_SPACES.split(raw[end:])] if end else _SPACES.split(raw)


def _parsed(token: bytes, form: re.Pattern[bytes], line: int) -> float:
    if not form.fullmatch(token):
        what = "a timestamp" if form is _TIME else "a value"
        raise SampleError(line, f"{_shown(token)} is not {what}")
    return float(token)


def _all_parsed(raw: list[bytes], form: re.Pattern[bytes], lines: Places) -> list[float]:
    """The numbers of many tokens; SampleError for the first that is none."""
    if not _MANY[form].fullmatch(b"\n".join(raw)):
        return [_parsed(token, form, line) for _, line, token in sorted(zip(lines, lines.tolist(), raw, strict=True))]
    return list(map(float, raw))


def _of_shape(data: Bytes, starts: Places, length: int, point: int, sign: int) -> Floats | None:
    """Numbers of `length` characters, the point `point` from the end (0: none); None if one is not just digits."""
    digits = length - sign - (point > 0)
    if not 0 < digits <= 15 or point == length - sign or length > 17:
        return None
    table = sliding_window_view(data, length)[starts]
    if point:
        table[:, length - point] = 48
    if sign:
        table[:, 0] = 48
    table -= 48
    if table.max() > 9:
        return None
    weights = np.zeros(length)
    places = [i for i in range(sign, length) if not point or i != length - point]
    weights[places] = 10.0 ** np.arange(digits - 1, -1, -1)
    made: Floats = table.astype(np.float64) @ weights
    if point > 1:
        made /= 10.0 ** (point - 1)
    return -made if sign else made


def _run(data: Bytes, starts: Places, lengths: Places, at: int, name: bytes) -> int:
    """Where the run of lines that begin with this name ends."""
    wanted = np.frombuffer(name, np.uint8)
    windows = sliding_window_view(data, len(name))
    size, count = 16, len(starts)
    end = at + 1
    while end < count:
        until = min(end + size, count)
        alike = lengths[end:until] == len(name)
        stop = until if alike.all() else end + int(alike.argmin())
        same = windows[starts[end:stop]] == wanted
        if not same.all():
            return end + int(same.all(axis=1).argmin())
        if stop < until:
            return stop
        end = until
        size *= 4
    return end


def _labels(raw: bytes, line: int) -> Labels:
    """The label set of `name{a="b"}`."""
    match = _NAME.match(raw)
    if match is None:
        raise SampleError(line, f"{_shown(raw)} does not begin with a metric name")
    own = {NAME: match[0].decode("ascii")}
    at = match.end()
    while raw[at : at + 1] in {b" ", b"\t"}:
        at += 1
    if at == len(raw):
        return Labels(own)
    if raw[at : at + 1] != b"{" or raw[-1:] != b"}":
        raise SampleError(line, f"{_shown(raw)} is not a series")
    at += 1
    while raw[at:-1].strip():
        label = _LABEL.match(raw, at)
        if label is None or (name := label[1].decode("ascii")) in own:
            raise SampleError(line, f"{_shown(raw)} has a label that is none, or twice")
        own[name] = _text(label[2], line)
        at = label.end()
        if raw[at : at + 1] == b",":
            at += 1
        elif at != len(raw) - 1:
            raise SampleError(line, f"{_shown(raw)} is not a series")
    return Labels({name: text for name, text in own.items() if text})


def _is_series(raw: bytes, line: int) -> bool:
    try:
        _labels(raw, line)
    except SampleError:
        return False
    return True


def _text(raw: bytes, line: int) -> str:
    if b"\\" in raw:
        raw = re.sub(rb'\\([\\"n])', lambda m: b"\n" if m[1] == b"n" else m[1], raw)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise SampleError(line, "a label value is not UTF-8") from None


def _merged(made: tuple[Places, *Columns], extra: list[tuple[int, int, float, float]]) -> Columns:
    """The samples with those that were read one by one, in the order of their lines."""
    others: list[NDArray[Any]] = [np.array(column) for column in zip(*extra, strict=True)]
    whole: list[NDArray[Any]] = [
        np.concatenate((column, more)) for column, more in zip(list[Any](made), others, strict=True)
    ]
    order = np.argsort(whole[0], kind="stable")
    return whole[1][order].astype(np.int32), whole[2][order], whole[3][order]


def _shown(raw: bytes) -> str:
    return repr(raw[:80].decode("utf-8", "replace"))
