"""Who is alive: silence, goodbyes, and a collector that was itself away."""

from collector.liveness import Presence

T = 1000.0
PC = 7


def at(presence: Presence, now: float) -> dict[int, tuple[float, float, float]]:
    """What is written at a moment: up, last seen, excused."""
    return {device: (row[0, 0], row[0, 1], row[0, 2]) for device, row in presence.due(now)}


def watched(interval: float = 10.0) -> Presence:
    presence = Presence()
    presence.add(PC, T, interval)
    return presence


def test_a_device_is_up_while_it_was_heard_within_three_of_its_intervals() -> None:
    presence = watched()
    presence.heard(PC, T)
    assert at(presence, T) == {PC: (1, T, 0)}
    assert presence.of(PC, T + 30).up
    assert not presence.of(PC, T + 30.1).up
    assert at(presence, T + 31) == {PC: (0, T, 0)}


def test_a_short_interval_still_gives_five_seconds() -> None:
    presence = watched(1.0)
    presence.heard(PC, T)
    assert presence.of(PC, T + 5).up
    assert not presence.of(PC, T + 5.1).up


def test_what_does_not_change_is_written_rarely() -> None:
    presence = watched(100.0)
    presence.heard(PC, T)
    assert at(presence, T)
    assert at(presence, T + 1) == {}
    presence.heard(PC, T + 2)
    assert at(presence, T + 14) == {}
    assert at(presence, T + 15) == {PC: (1, T + 2, 0)}
    assert at(presence, T + 70) == {}
    assert at(presence, T + 75) == {PC: (1, T + 2, 0)}


def test_a_goodbye_excuses_for_its_time_to_live_and_no_longer() -> None:
    presence = watched()
    presence.heard(PC, T)
    at(presence, T)
    presence.goodbye(PC, T + 1, "update", 300)
    assert at(presence, T + 1) == {PC: (0, T, 1)}
    assert presence.of(PC, T + 300).excused == "update"
    assert presence.of(PC, T + 301).excused == ""
    assert at(presence, T + 302) == {PC: (0, T, 0)}


def test_a_sign_of_life_ends_an_excuse() -> None:
    presence = watched()
    presence.goodbye(PC, T, "restart", 300)
    presence.heard(PC, T + 5)
    assert presence.of(PC, T + 6).excused == ""
    assert at(presence, T + 6) == {PC: (1, T + 5, 0)}


def test_after_a_start_nobody_is_silent_before_they_could_have_spoken() -> None:
    presence = watched()
    presence.heard(PC, T)
    presence.started(T + 10_000)
    assert at(presence, T + 10_001)[PC][0] == 1
    assert at(presence, T + 10_031)[PC][0] == 0
    assert presence.of(PC, T + 10_031).last_seen == T


def test_who_was_silent_before_a_start_is_so_until_heard() -> None:
    presence = watched()
    presence.heard(PC, T)
    assert at(presence, T + 60) == {PC: (0, T, 0)}
    presence.started(T + 70)
    assert not presence.of(PC, T + 70).up
    assert at(presence, T + 71) == {}
    presence.heard(PC, T + 80)
    assert at(presence, T + 80) == {PC: (1, T + 80, 0)}


def test_a_device_that_was_never_heard_is_not_shown_as_alive() -> None:
    presence = watched()
    assert not presence.of(PC, T).up
    assert presence.of(PC, T).last_seen is None


def test_a_device_that_is_gone_is_written_no_more_and_its_row_is_used_again() -> None:
    presence = watched()
    presence.heard(PC, T)
    presence.goodbye(PC, T, "sleep", 1e6)
    presence.remove(PC)
    presence.remove(PC)
    assert at(presence, T) == {}
    presence.add(8, T, 10.0)
    assert presence.of(8, T).excused == ""
    up, seen, excused = at(presence, T)[8]
    assert (up != up, seen != seen, excused) == (True, True, 0)  # nothing is known of what was never heard


def test_many_devices_and_a_restored_state() -> None:
    presence = Presence()
    for device in range(1, 500):
        presence.add(device, T, 10.0)
        presence.heard(device, T + device)
    presence.goodbye(400, T + 450, "stop", 60)
    assert at(presence, T + 460)[1] == (0, T + 1, 0)
    again = Presence()
    again.restore(presence.dump())
    for moment in (T + 461, T + 480, T + 1000):
        assert at(again, moment) == at(presence, moment)
        assert [again.of(d, moment) for d in range(1, 500)] == [presence.of(d, moment) for d in range(1, 500)]
