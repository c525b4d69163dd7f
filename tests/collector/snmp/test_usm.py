"""SNMPv3 against net-snmp and pysnmp: every protocol, wrong keys, and answers that somebody changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyasn1.type import univ
from pysnmp.entity import engine as _engine  # noqa: F401 - its modules have to be loaded in its order
from pysnmp.proto.secmod.eso.priv import aes192, aes256
from pysnmp.proto.secmod.rfc3414.auth import hmacmd5, hmacsha
from pysnmp.proto.secmod.rfc7860.auth import hmacsha2

from collector.snmp import ber, ciphers, oid, pdu
from collector.snmp.channel import Channel, ask
from collector.snmp.ciphers import AUTHS, PRIVS, Privacy
from collector.snmp.errors import CredentialError, Forged, Malformed, Refused, SnmpError
from collector.snmp.usm import Again, User, Usm
from tests.collector.snmp.helpers import channel, run
from tests.collector.snmp.snmpd import snmpd, users

NAME = pdu.binds([oid.encode("1.3.6.1.2.1.1.5.0")])
ENGINE = bytes.fromhex("8000000001020304")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with snmpd(tmp_path_factory.mktemp("snmpd")) as port:
        yield port


async def name_of(through: Channel, port: int, user: User) -> object:
    return (await ask(through, ("127.0.0.1", port), Usm(user, 1), pdu.GET, NAME)).values[0]


def test_every_protocol_that_net_snmp_speaks(port: int) -> None:
    async def work() -> None:
        with channel() as through:
            for user in users():
                if not user.priv.endswith("C"):  # of Debian's snmpd they are not a part
                    assert await name_of(through, port, user) == b"sw-1", user.name
            assert through.counters.forged == 0

    run(work())


@pytest.mark.parametrize("auth", AUTHS)
def test_localised_keys_are_those_of_pysnmp(auth: str) -> None:
    services = {"MD5": hmacmd5.HmacMd5(), "SHA": hmacsha.HmacSha()}
    numbers = {
        "SHA224": hmacsha2.HmacSha2.SHA224_SERVICE_ID,
        "SHA256": hmacsha2.HmacSha2.SHA256_SERVICE_ID,
        "SHA384": hmacsha2.HmacSha2.SAH384_SERVICE_ID,
        "SHA512": hmacsha2.HmacSha2.SHA512_SERVICE_ID,
    }
    service = services.get(auth) or hmacsha2.HmacSha2(numbers[auth])
    hashed = AUTHS[auth].hash
    expected = bytes(service.localize_key(service.hash_passphrase(b"maplesyrup"), univ.OctetString(ENGINE)))
    assert ciphers.localise(ciphers.stretch(b"maplesyrup", hashed), ENGINE, hashed) == expected


def test_the_key_of_rfc_3414() -> None:
    engine = bytes.fromhex("000000000000000000000002")
    key = ciphers.localise(ciphers.stretch(b"maplesyrup", "md5"), engine, "md5")
    assert key.hex() == "526f5eed9fcce26f8964c2930787d82b"


@pytest.mark.parametrize(
    ("priv", "peer"),
    [
        ("AES192", aes192.AesBlumenthal192()),
        ("AES256", aes256.AesBlumenthal256()),
        ("AES192C", aes192.Aes192()),
        ("AES256C", aes256.Aes256()),
    ],
    ids=["AES192", "AES256", "AES192C", "AES256C"],
)
def test_both_ways_to_lengthen_a_key_are_those_of_pysnmp(priv: str, peer: object) -> None:
    number = hmacsha.HmacSha.SERVICE_ID
    stretched = peer.hash_passphrase(number, b"privpass123")  # type: ignore[attr-defined]
    expected = bytes(peer.localize_key(number, stretched, univ.OctetString(ENGINE)))  # type: ignore[attr-defined]
    assert ciphers.privacy_key(b"privpass123", ENGINE, "sha1", PRIVS[priv]) == expected


@pytest.mark.parametrize("priv", PRIVS)
def test_what_is_encrypted_is_decrypted(priv: str) -> None:
    privacy = Privacy(PRIVS[priv], ciphers.privacy_key(b"privpass123", ENGINE, "sha1", PRIVS[priv]))
    encrypted, salt = privacy.encrypt(b"a scoped PDU", 3, 77, 12345)
    assert privacy.decrypt(encrypted, 3, 77, salt)[:12] == b"a scoped PDU"
    with pytest.raises(Malformed):
        privacy.decrypt(encrypted, 3, 77, salt[1:])


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"auth_password": "wrongpass1"}, "authentication password"), ({"name": "nobody"}, "does not know the user")],
    ids=["wrong password", "unknown user"],
)
def test_wrong_credentials_are_told_apart(port: int, change: dict[str, str], reason: str) -> None:
    async def work() -> None:
        with channel() as through:
            with pytest.raises(Refused, match=reason):
                await name_of(
                    through, port, User("u-SHA-AES", "SHA", "authpass123", "AES", "privpass123")._replace(**change)
                )
            assert through.counters.sent <= 3

    run(work())


@pytest.mark.parametrize(
    "user",
    [User("u", "SHA", "short"), User("u", "SHB", "authpass123"), User("u", "", "", "AES", "privpass123")],
    ids=["short", "unknown", "privacy alone"],
)
def test_a_user_that_cannot_be(user: User) -> None:
    with pytest.raises(CredentialError):
        Usm(user, 0)


class Engine:
    """An engine of our own making: answers as one that holds the keys, and then may change the bytes."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.manager = Usm(user, 1)
        self.agent = Usm(user, 2)
        for side in (self.manager, self.agent):
            side.meet(ENGINE)
        self.agent._boots, self.agent._time = 5, 1000

    def answer(self, *, time: int = 1000, boots: int = 5) -> bytes:
        self.agent._boots, self.agent._time = boots, time
        bound = pdu.bindings([(oid.encode("1.3.6.1.2.1.1.5.0"), ber.tlv(4, b"sw-1"))])
        return self.agent.pack(9, pdu.RESPONSE, 0, 0, bound, 0.0)


PRIVATE = User("operator", "SHA256", "authpass123", "AES", "privpass123")


@pytest.mark.parametrize("user", [PRIVATE, PRIVATE._replace(priv=""), PRIVATE._replace(auth="MD5", priv="DES")])
def test_no_changed_byte_of_an_answer_is_taken(user: User) -> None:
    engine = Engine(user)
    good = engine.answer()
    for at in range(len(good)):
        changed = good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :]
        try:
            found = engine.manager.open(changed, 0.0)
        except (SnmpError, Again):
            continue
        pytest.fail(f"byte {at} was changed, and {found} taken")
    assert engine.manager.open(good, 0.0).values == [b"sw-1"]


def test_an_answer_without_protection_is_not_taken() -> None:
    engine = Engine(PRIVATE)
    for weaker in (User("operator"), PRIVATE._replace(priv="")):
        other = Engine(weaker)
        with pytest.raises(Forged):
            engine.manager.open(other.answer(), 0.0)


def test_an_old_answer_is_a_replay() -> None:
    engine = Engine(PRIVATE)
    old = engine.answer(time=1000)
    engine.manager.open(engine.answer(time=1500), 0.0)
    with pytest.raises(Forged, match="past"):
        engine.manager.open(old, 0.0)
    with pytest.raises(Forged, match="past"):
        engine.manager.open(engine.answer(boots=4, time=9000), 0.0)
    assert engine.manager.open(engine.answer(boots=6, time=1), 0.0).values == [b"sw-1"]


def test_a_report_about_time_counts_only_with_a_digest() -> None:
    engine = Engine(PRIVATE)
    name = oid.encode("1.3.6.1.6.3.15.1.1.2.0")
    body = pdu.encode(pdu.REPORT, 9, 0, 0, pdu.bindings([(name, ber.integer(1, 0x41))]))
    bare = engine.agent._message(9, 0, ENGINE, 99, 99, b"operator", body, False)
    with pytest.raises(Refused):
        engine.manager.open(bare, 0.0)
    assert engine.manager._boots == 0
    engine.agent._flags, engine.agent._privacy = 1, None
    with pytest.raises(Again):
        engine.manager.open(engine.agent._message(9, 1, ENGINE, 99, 99, b"operator", body, True), 0.0)
    assert engine.manager._boots == 99


def test_fuzz_v3_messages() -> None:
    import random

    engine = Engine(PRIVATE._replace(auth="", priv=""))
    dice = random.Random(3)
    good = engine.answer()
    for _ in range(3_000):
        data = bytearray(good)
        for _ in range(dice.randint(1, 5)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            engine.manager.open(bytes(data[: dice.randint(1, len(data))]), 0.0)
        except (SnmpError, Again):
            continue


def test_a_device_that_restarts_is_met_anew(tmp_path: Path) -> None:
    async def work() -> None:
        with channel(1.0, 2.0, 20.0) as through:
            speaker = Usm(User("u-SHA-AES", "SHA", "authpass123", "AES", "privpass123"), 1)
            (tmp_path / "other").mkdir()
            for folder in (tmp_path, tmp_path, tmp_path / "other"):
                with snmpd(folder) as port:
                    if folder is not tmp_path:  # another engine at the same address
                        with pytest.raises(Refused, match="another engine"):
                            await ask(through, ("127.0.0.1", port), speaker, pdu.GET, NAME)
                        speaker.forget()
                    answer = await ask(through, ("127.0.0.1", port), speaker, pdu.GET, NAME)
                    assert answer.values == [b"sw-1"]

    run(work())
