"""Backups that are damaged, hostile or in the way; a PostgreSQL database there and back."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from collector import backup
from collector.backup import postgresql
from collector.database import open_database
from collector.errors import BackupError
from collector.log import Log, Reader, RecordKind
from collector.log.partitions import folder
from collector.log.record import encode
from collector.log.segments import segments
from collector.register import Register
from tests import postgres
from ticketing.database import connect

START = 1_760_000_000.0


class World:
    """A data folder with a little of everything."""

    def __init__(self, folder_: Path) -> None:
        self.data = folder_ / "data"
        self.data.mkdir()
        self.file = folder_ / "backup.tar"
        self.engine: Engine = open_database(f"sqlite:///{self.data / 'watchdesk.db'}")
        Register(self.engine).create_enrol_token("acme", "hq", now=START)
        (self.data / "pki").mkdir()
        (self.data / "pki" / "ca.key").write_text("secret")
        (self.data / "watchdesk.yml").write_text("log: {days: 5}\n")
        (self.data / "lock").write_text("")
        self.log = Log(self.data / "log", segment_bytes=500)
        for number in range(20):
            self.log.append([encode(RecordKind.TICK, 0, START + number, 0.0, b"")])
        self.partition = Log(folder(self.data / "log", 0))
        self.partition.append([encode(RecordKind.TICK, 0, START, 0.0, b"")])

    def make(self) -> None:
        backup.make(self.data, self.engine, self.file, lambda: START)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_everything_is_there_again_and_nobody_else_may_read_it(world: World, tmp_path: Path) -> None:
    last = segments(world.data / "log")[-1].path
    sound = last.read_bytes()
    last.write_bytes(sound + sound[:30])  # a group that is being written
    world.make()
    new = tmp_path / "new"
    made = backup.restore(world.file, new)
    assert world.file.stat().st_mode & 0o77 == 0
    assert (new / "pki" / "ca.key").read_text() == "secret"
    assert (new / "pki" / "ca.key").stat().st_mode & 0o77 == 0
    assert not (new / "lock").exists()
    reader = Reader(new / "log")
    numbers: list[int] = []
    while records := reader.read(world.log.head):
        numbers += [record.number for record in records]
    assert (numbers, reader.lost_bytes) == (list(range(1, 21)), 0)
    assert len(segments(folder(new / "log", 0))) == 1
    engine = open_database(f"sqlite:///{new / 'watchdesk.db'}")
    with engine.connect() as connection:
        assert connection.scalars(text("SELECT slug FROM customers")).all() == ["acme"]
    names = {path.name for path in new.iterdir() if not path.name.startswith("watchdesk.db-")}
    assert names == {name.split("/")[0] for name in made.files}
    engine.dispose()


def test_nothing_is_overwritten(world: World, tmp_path: Path) -> None:
    world.make()
    with pytest.raises(BackupError, match="there already"):
        world.make()
    with pytest.raises(BackupError, match="not empty"):
        backup.restore(world.file, world.data)
    assert not list(tmp_path.glob(".*"))


def damaged(world: World, how: str) -> bytes:
    content = bytearray(world.file.read_bytes())
    if how == "cut":
        return bytes(content[: len(content) // 2])
    if how == "flipped":
        content[content.index(b"secret")] ^= 1
    return bytes(content) if how != "none" else b"not a tar archive"


@pytest.mark.parametrize("how", ["cut", "flipped", "none"])
def test_a_damaged_backup_is_refused_and_leaves_nothing(world: World, tmp_path: Path, how: str) -> None:
    world.make()
    world.file.write_bytes(damaged(world, how))
    with pytest.raises(BackupError):
        backup.restore(world.file, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("../evil", tarfile.REGTYPE), ("/tmp/evil", tarfile.REGTYPE), ("link", tarfile.SYMTYPE), ("f", tarfile.FIFOTYPE)],
)
def test_an_archive_of_another_making_puts_nothing_anywhere(tmp_path: Path, name: str, kind: bytes) -> None:
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info, io.BytesIO(b""))
    with pytest.raises(BackupError, match="should not be in it"):
        backup.restore(tmp_path / "b.tar", tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar"]


def test_postgresql_there_and_back_without_its_programs(tmp_path: Path) -> None:
    with postgres.running() as server:
        one, other = server.database(), server.database()
        engine = open_database(one)
        register = Register(engine)
        secret = register.create_enrol_token("acme", "hq", now=START)
        device = register.enrol(secret, "pc1", os="linux", kind="server", now=START).device
        tables = postgresql.dump(engine, tmp_path)
        with engine.connect() as connection:
            revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
        copy = open_database(server.database())  # one that is in use
        with pytest.raises(BackupError, match="not empty"):
            postgresql.load(copy, tmp_path, tables, str(revision))
        restored = connect(other)
        postgresql.load(restored, tmp_path, tables, str(revision))
        assert set(inspect(restored).get_table_names()) == set(inspect(engine).get_table_names())
        again = Register(restored)
        assert again.devices() == register.devices() == [device]
        more = again.enrol(
            again.create_enrol_token("acme", "hq", now=START), "pc2", os="linux", kind="server", now=START
        )
        assert more.device.id == device.id + 1
        for each in (engine, copy, restored):
            each.dispose()
