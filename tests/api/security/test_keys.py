"""The list of keys: what it holds, what it never holds, and how a worker follows it."""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import yaml

from api.security import keyring
from api.security import keys as keys_module
from api.security.commands import main
from api.security.keyring import Keyring
from api.security.keys import PREFIX, Key, KeyFileError, find, keys_file, make_key, read_keys, revoke_key
from speech.home import Home


def test_a_key_is_random_shown_once_and_kept_as_a_salted_hash(data_home: Home) -> None:
    first, second = make_key(data_home, "анна"), make_key(data_home, "boris", "admin", 7)
    assert first.startswith(PREFIX)
    assert len(first) >= len(PREFIX) + 43  # 256 bits in base 64
    assert first != second
    text = keys_file(data_home).read_text(encoding="utf-8")
    assert first.removeprefix(PREFIX) not in text
    anna, boris = read_keys(data_home)
    assert (anna.name, anna.role, anna.per_minute, anna.revoked) == ("анна", "predict", 60, None)
    assert (boris.role, boris.per_minute) == ("admin", 7)
    assert anna.salt != boris.salt
    assert anna.created.endswith("+00:00")


def test_only_its_owner_reads_the_list_before_and_after_a_change(data_home: Home) -> None:
    make_key(data_home, "anna")
    assert stat.S_IMODE(keys_file(data_home).stat().st_mode) == 0o600
    keys_file(data_home).chmod(0o644)
    revoke_key(data_home, "anna")
    assert stat.S_IMODE(keys_file(data_home).stat().st_mode) == 0o600
    assert sorted(path.name for path in data_home.root.iterdir()) == ["keys.lock", "keys.yaml"]


def test_a_key_is_found_whole_and_every_one_is_compared(data_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [make_key(data_home, f"key {number}") for number in range(4)]
    revoke_key(data_home, "key 2")
    keys = read_keys(data_home)
    compared: list[str] = []
    opens = Key.opens
    monkeypatch.setattr(Key, "opens", lambda key, token: (compared.append(key.name), opens(key, token))[1])
    for token, name in [*((token, f"key {number}") for number, token in enumerate(tokens)), ("vny_unknown", None)]:
        compared.clear()
        found = find(keys, token)
        assert (found and found.name) == name
        assert compared == [key.name for key in keys]
    for almost in (tokens[0][:-1], tokens[0] + "A", tokens[0].removeprefix(PREFIX), tokens[0].swapcase(), "", "é"):
        assert find(keys, almost) is None


def test_hashes_are_compared_in_constant_time(data_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    token = make_key(data_home, "anna")
    key = read_keys(data_home)[0]
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(keys_module.hmac, "compare_digest", lambda a, b: (asked.append((a, b)), a == b)[1])
    assert key.opens(token)
    assert not key.opens("vny_other")
    assert [b for _, b in asked] == [key.hash, key.hash]


def test_a_name_is_taken_until_its_key_is_revoked_and_the_old_entry_stays(data_home: Home) -> None:
    old = make_key(data_home, "anna")
    with pytest.raises(KeyFileError, match="'anna' already"):
        make_key(data_home, "anna")
    revoke_key(data_home, "anna")
    new = make_key(data_home, "anna")
    keys = read_keys(data_home)
    assert [find(keys, token) for token in (old, new)] == keys
    assert [key.revoked is None for key in keys] == [False, True]
    revoked = keys[0].revoked
    revoke_key(data_home, "anna")
    assert [key.revoked is None for key in read_keys(data_home)] == [False, False]
    assert read_keys(data_home)[0].revoked == revoked
    with pytest.raises(KeyFileError, match="no key named 'anna' to revoke; there are: none"):
        revoke_key(data_home, "anna")


@pytest.mark.parametrize("name", ["", " anna", "a" * 65, "a\nb", "a/b", "--help"])
def test_a_name_that_would_confuse_is_refused(data_home: Home, name: str) -> None:
    with pytest.raises(KeyFileError, match="cannot name a key"):
        make_key(data_home, name)
    assert not keys_file(data_home).exists()


def test_keys_made_at_once_are_all_kept(data_home: Home) -> None:
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda number: make_key(data_home, f"key {number}"), range(16)))
    keys = read_keys(data_home)
    assert len(keys) == 16
    assert all(find(keys, token) for token in tokens)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keys: [", "cannot be read"),
        ("", "holds no list"),
        ("keys: {}", "holds no list"),
        ("keys: [1]", "key 1"),
        ("keys: [{name: a}]", "key 1, role"),
        ("keys: []\nother: 1", "holds no list"),
    ],
)
def test_a_broken_list_is_said_with_its_place_and_never_written_over(data_home: Home, text: str, message: str) -> None:
    data_home.root.mkdir()
    keys_file(data_home).write_text(text)
    with pytest.raises(KeyFileError, match=message):
        read_keys(data_home)
    with pytest.raises(KeyFileError, match=message):
        make_key(data_home, "anna")
    assert keys_file(data_home).read_text() == text


@pytest.mark.parametrize(
    ("field", "value"), [("role", "root"), ("per_minute", 0), ("hash", "ab"), ("salt", "zz"), ("extra", 1)]
)
def test_a_wrong_field_of_an_entry_is_named(data_home: Home, field: str, value: object) -> None:
    make_key(data_home, "anna")
    content = yaml.safe_load(keys_file(data_home).read_text())
    content["keys"][0][field] = value
    keys_file(data_home).write_text(yaml.safe_dump(content))
    with pytest.raises(KeyFileError, match=rf"keys\.yaml, key 1, {field}"):
        read_keys(data_home)


@pytest.fixture
def ring(data_home: Home) -> Iterator[Keyring]:
    with closing(Keyring(data_home)) as ring:
        yield ring


def test_a_worker_follows_the_list(data_home: Home, ring: Keyring) -> None:
    assert list(ring.current()) == []
    make_key(data_home, "anna")
    assert [key.name for key in ring.current()] == ["anna"]
    revoke_key(data_home, "anna")
    assert [key.revoked is None for key in ring.current()] == [False]
    keys_file(data_home).unlink()
    assert list(ring.current()) == []


def test_an_unchanged_list_is_read_once(data_home: Home, ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    make_key(data_home, "anna")
    ring.current()
    monkeypatch.setattr("api.security.keyring.read_keys", lambda _: pytest.fail("read again"))
    assert len(ring.current()) == 1


def test_a_list_that_breaks_leaves_the_last_good_keys_in_force_and_is_logged_once(
    data_home: Home, ring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    make_key(data_home, "anna")
    ring.current()
    good = keys_file(data_home).read_text()
    keys_file(data_home).write_text("keys: [")
    with caplog.at_level(logging.ERROR, "vnyatno.service"):
        assert [key.name for key in ring.current()] == ["anna"]
        assert [key.name for key in ring.current()] == ["anna"]
    assert len(caplog.records) == 1
    assert "keys.yaml" in caplog.text
    keys_file(data_home).write_text(good.replace("anna", "olga"))
    assert [key.name for key in ring.current()] == ["olga"]


def test_a_worker_that_never_saw_a_good_list_has_no_keys_to_go_by(data_home: Home, ring: Keyring) -> None:
    data_home.root.mkdir()
    keys_file(data_home).write_text("keys: [")
    for _ in range(2):
        with pytest.raises(KeyFileError, match=r"keys\.yaml"):
            ring.current()
    keys_file(data_home).write_text("keys: []\n")
    assert list(ring.current()) == []


def test_a_folder_in_the_place_of_the_list_is_no_open_door(data_home: Home, ring: Keyring) -> None:
    keys_file(data_home).mkdir(parents=True)
    with pytest.raises(KeyFileError, match=r"keys\.yaml"):
        ring.current()


def test_a_closed_ring_is_read_anew_when_it_is_asked_after_all(data_home: Home, ring: Keyring) -> None:
    assert list(ring.current()) == []
    ring.close()
    make_key(data_home, "anna")
    assert [key.name for key in ring.current()] == ["anna"]


def test_the_first_look_at_a_slow_disk_is_waited_for(
    data_home: Home, ring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(data_home, "anna")
    read = keyring.read_keys
    monkeypatch.setattr(keyring, "read_keys", lambda home: (time.sleep(2 * keyring.LOOK_SECONDS), read(home))[1])
    assert [key.name for key in ring.current()] == ["anna"]


def test_the_commands_show_a_key_once_and_never_again(data_home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert "everybody may predict" in capsys.readouterr().out
    assert main(["make", "--role", "admin", "--rate", "5", "--", "anna"]) == 0
    made = capsys.readouterr()
    token = made.out.strip()
    assert find(read_keys(data_home), token)
    assert "shown this once" in made.err
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert listed.splitlines()[1].split()[:3] == ["anna", "admin", "5"]
    assert token not in listed
    assert read_keys(data_home)[0].hash not in listed
    assert main(["revoke", "--", "anna"]) == 0
    assert read_keys(data_home)[0].revoked


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["make", "a/b"], "cannot name a key"),
        (["make", "--rate", "0", "anna"], "per_minute: .*greater than or equal to 1"),
        (["revoke", "anna"], "no key named 'anna'"),
    ],
)
def test_what_the_commands_refuse_is_one_line(
    data_home: Home, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert re.search(message, said)
    assert said.count("\n") == 1


def test_the_commands_say_where_a_folder_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VNYATNO_HOME", os.devnull + "/home")
    assert main(["make", "anna"]) == 1
    assert os.devnull in capsys.readouterr().err
