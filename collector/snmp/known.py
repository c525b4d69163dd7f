"""What is kept of polled devices: in the database how they speak, in a file the state of their counters."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import msgspec
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from collector.snmp.counters import Saved
from collector.snmp.device import SnmpDevice
from collector.snmp.models import PolledRow

FILE_NAME = "snmp.state"
_LOG = logging.getLogger(__name__)


class _Device(msgspec.Struct, array_like=True):
    """The memory of a device as it is written."""

    counters: Saved | None
    ports: dict[str, str]


class _File(msgspec.Struct):
    version: int
    devices: dict[int, _Device]


class Known:
    """Reads and writes what is kept."""

    def __init__(self, engine: Engine, data: Path) -> None:
        self._engine = engine
        self._path = data / FILE_NAME
        self._saved = self._load()

    def _load(self) -> dict[int, _Device]:
        try:
            file = msgspec.msgpack.decode(self._path.read_bytes(), type=_File)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            _LOG.warning("%s is not usable, counters begin anew: %s", self._path, error)
            return {}
        return file.devices if file.version == 1 else {}

    def recall(self, device: SnmpDevice) -> None:
        """Give a device back what was known of it."""
        with Session(self._engine) as session:
            row = session.get(PolledRow, device.id)
            if row is not None:
                device.credential = row.credential_id
                device.object_id, device.descr, device.name = row.object_id, row.descr, row.name
                device.tried = {int(number): float(when) for number, when in row.tried}
        saved = self._saved.pop(device.id, None)
        if saved is not None:
            device.memory.ports = dict(saved.ports)
            if saved.counters is not None:
                device.memory.totals.restore(saved.counters)

    def keep(self, device: SnmpDevice, now: float) -> None:
        """Store how a device speaks, what it is, and what was refused."""
        with Session(self._engine) as session, session.begin():
            row = session.get(PolledRow, device.id) or PolledRow(device_id=device.id)
            row.credential_id = device.credential
            row.profile = device.compiled.profile.name if device.compiled else ""
            row.object_id, row.descr, row.name = device.object_id, device.descr[:1000], device.name[:255]
            row.problem, row.tried, row.at = device.problem[:1000], list(map(list, device.tried.items())), now
            session.add(row)

    def all(self) -> dict[int, PolledRow]:
        """Return what is stored of each device."""
        with Session(self._engine, expire_on_commit=False) as session:
            return {row.device_id: row for row in session.scalars(select(PolledRow))}

    def save(self, devices: Iterable[SnmpDevice]) -> None:
        """Write the state of the counters; an earlier file stays whole if it cannot be written."""
        content = _File(1, {one.id: _Device(one.memory.totals.save(), one.memory.ports) for one in devices})
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_bytes(msgspec.msgpack.encode(content))
            temporary.replace(self._path)
        except OSError as error:
            _LOG.warning("%s was not written: %s", self._path, error)
