"""What a family of devices has to offer: one YAML file each in `profiles/`, read into typed, checked structures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import yaml
from msgspec import Meta

from collector.snmp.errors import ProfileError

FOLDER: Final = Path(__file__).parent / "profiles"
FALLBACK: Final = "generic"
INDEX_TYPES: Final = ("integer", "ip", "mac", "string", "text", "rest", "inet")

Number = Annotated[str, Meta(pattern=r"^1(\.\d+){3,}$")]
Column = Annotated[str, Meta(pattern=r"^(index|1(\.\d+){3,})$")]
Label = Annotated[str, Meta(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
Name = Annotated[str, Meta(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"values": "is"}):
    """A part of a profile."""


class Where(_Part, frozen=True, rename={"values": "is", "others": "not"}):
    """Only rows in which this column (or `index`: the first part of the index) has one of these values, or none."""

    oid: Column
    values: list[int | str] | None = None
    others: list[int | str] | None = None


class Exponent(_Part, frozen=True):
    """The power of ten of a sensor (ENTITY-SENSOR-MIB): its scale, 9 for units, and its digits behind the point."""

    scale: Number
    precision: Number


class Metric(_Part, frozen=True):
    """One series for each row, or for the device.

    The value is `oid × scale`; with `map`, what the map says; with `of` the share of that column, with `plus` the
    share of the sum of both, with `complement` 1 minus it. `bits` makes a series of each bit, named in the label
    `bit`. `text` takes the first number in a string. `absent` values are none.
    """

    metric: Name
    oid: Number
    type: Literal["gauge", "counter", "counter64"] = "gauge"
    scale: float = 1.0
    map: dict[int, float] | None = None
    other: float | None = None  # for values that the map does not have
    of: Number | None = None
    plus: Number | None = None
    complement: bool = False
    bits: list[str] | None = None
    bit: Label = "bit"
    text: bool = False
    octets: bool = False  # a counter of bytes: it cannot outrun the speed of its port
    absent: list[int] = []
    where: list[Where] = []
    exponent: Exponent | None = None
    labels: dict[Label, str] = {}
    always: bool = False  # also of rows that are skipped


class Table(_Part, frozen=True):
    """Metrics with a row each for an index.

    `index` are the names of its parts, `name` or `name:type`; those named `_` become no label. A label's value is the
    first of its columns that has one in that row; `index` stands for the whole index.
    """

    index: list[str]
    metrics: list[Metric]
    labels: dict[Label, list[str] | str] = {}
    skip: list[Where] = []
    speed: Number | None = None  # column in Mbit/s
    discontinuity: Number | None = None
    port: bool = False  # rows are ports, known by their ifName for ever, whatever their ifIndex


class Match(_Part, frozen=True, rename={"descr": "sysDescr", "objects": "sysObjectID"}):
    """Which devices are of the family: of the profiles that match, the one with the longest sysObjectID."""

    objects: list[Number] = []
    descr: str = ""


class Profile(_Part, frozen=True, rename={"klass": "class", "name": "profile"}):
    """A family of devices."""

    name: str
    title: str
    klass: Literal["desktop", "server", "network", "ups", "printer", ""] = ""
    inherits: list[str] = []
    match: Match = Match()
    scalars: list[Metric] = []
    tables: list[Table] = []


def read(text: str, file: str) -> Profile:
    """Return the profile of a YAML text.

    Raises:
        ProfileError: what is wrong, with the file.
    """
    try:
        profile = msgspec.convert(yaml.safe_load(text), Profile)
    except yaml.YAMLError as error:
        raise ProfileError(f"{file}: not YAML: {error}.") from error
    except (msgspec.ValidationError, RecursionError) as error:
        raise ProfileError(f"{file}: {error}.") from error
    _check(profile, file)
    return profile


def _check(profile: Profile, file: str) -> None:
    try:
        re.compile(profile.match.descr)
    except re.error as error:
        raise ProfileError(f"{file}: sysDescr: {error}.") from error
    for table in profile.tables:
        for part in table.index:
            kind = part.partition(":")[2]
            if kind and kind not in INDEX_TYPES:
                raise ProfileError(f"{file}: {part}: the types are {', '.join(INDEX_TYPES)}.")
        for label, columns in table.labels.items():
            for column in [columns] if isinstance(columns, str) else columns:
                if column != "index" and not re.fullmatch(r"1(\.\d+){3,}", column):
                    raise ProfileError(f"{file}: label {label}: {column!r} is no OID.")


class Profiles:
    """The profiles of a folder; those that come along, unless another is given."""

    def __init__(self, profiles: Iterable[Profile]) -> None:
        """Take them up.

        Raises:
            ProfileError: two of one name, or one that inherits from what is not there, or in a circle.
        """
        self.by_name: dict[str, Profile] = {}
        for profile in profiles:
            if profile.name in self.by_name:
                raise ProfileError(f"There are two profiles named {profile.name}.")
            self.by_name[profile.name] = profile
        self._whole = {name: self._inherited(name, ()) for name in self.by_name}

    @classmethod
    def load(cls, folder: Path = FOLDER, *more: Path) -> Profiles:
        """Read all profiles of a folder, and of further ones (which may be absent).

        Raises:
            ProfileError: one cannot be used.
        """
        found = []
        for place in (folder, *more):
            for path in sorted(place.glob("*.yml")) if place.is_dir() else ():
                try:
                    found.append(read(path.read_text(encoding="utf-8"), path.name))
                except (OSError, UnicodeDecodeError) as error:
                    raise ProfileError(f"{path} cannot be read: {error}.") from error
        return cls(found)

    def get(self, name: str) -> Profile:
        """Return a profile with all that it inherits.

        Raises:
            ProfileError: there is none of this name.
        """
        if name not in self._whole:
            raise ProfileError(f"There is no profile {name}; there are {', '.join(sorted(self._whole))}.")
        return self._whole[name]

    def match(self, object_id: str, descr: str) -> Profile:
        """Return the profile of a device by its sysObjectID and sysDescr, or the fallback."""
        best, length = FALLBACK, 0
        for profile in self.by_name.values():
            match = profile.match
            if match.descr and not re.search(match.descr, descr, re.IGNORECASE):
                continue
            fits = [len(prefix) for prefix in match.objects if f"{object_id}.".startswith(f"{prefix}.")]
            score = max(fits, default=0) * 2 + bool(match.descr)
            if (fits or (match.descr and not match.objects)) and score > length:
                best, length = profile.name, score
        return self.get(best)

    def _inherited(self, name: str, heirs: tuple[str, ...]) -> Profile:
        profile = self.by_name.get(name)
        if profile is None:
            raise ProfileError(f"{heirs[-1]} inherits from {name}, which is not there.")
        if name in heirs:
            raise ProfileError(f"{name} inherits from itself.")
        scalars: dict[tuple[str, str], Metric] = {}
        tables: list[Table] = []
        klass = profile.klass
        for parent in (self._inherited(above, (*heirs, name)) for above in profile.inherits):
            scalars |= {_key(metric): metric for metric in parent.scalars}
            tables += [table for table in parent.tables if table not in tables]
            klass = klass or parent.klass
        scalars |= {_key(metric): metric for metric in profile.scalars}
        own = {metric.metric for table in profile.tables for metric in table.metrics}
        own |= {metric.metric for metric in profile.scalars}
        return msgspec.structs.replace(
            profile,
            klass=klass,
            scalars=[metric for metric in scalars.values() if metric in profile.scalars or _free(metric, own)],
            tables=[*(_without(table, own) for table in tables), *profile.tables],
        )


def _key(metric: Metric) -> tuple[str, str]:
    return metric.metric, metric.oid


def _free(metric: Metric, own: set[str]) -> bool:
    """Whether an inherited metric stays: what a maker has of its own replaces the generic `watchdesk_…`."""
    return not (metric.metric.startswith("watchdesk_") and metric.metric in own)


def _without(table: Table, own: set[str]) -> Table:
    return msgspec.structs.replace(table, metrics=[metric for metric in table.metrics if _free(metric, own)])


def names(profile: Profile) -> Mapping[str, str]:
    """Return the metrics of a profile and their types."""
    rows = [metric for table in profile.tables for metric in table.metrics]
    return {metric.metric: metric.type for metric in (*profile.scalars, *rows)}
