from __future__ import annotations

from api.worker.attempts import FIRST_PAUSE, LONGEST_PAUSE, Attempts


def test_another_bundle_is_tried_at_once_and_the_same_one_when_its_files_changed() -> None:
    attempts = Attempts()
    assert attempts.due("a", "files", 0.0)
    attempts.failed(False, 0.0)
    assert not attempts.due("a", "files", 1_000.0)  # nothing is different
    assert not attempts.due("a", "others", FIRST_PAUSE / 2)
    assert attempts.due("a", "others", FIRST_PAUSE)
    attempts.failed(False, FIRST_PAUSE)
    assert attempts.due("b", "files", FIRST_PAUSE)


def test_a_fault_that_may_pass_is_tried_ever_more_rarely() -> None:
    attempts, now, pauses = Attempts(), 0.0, []
    for _ in range(9):
        began = now
        while not attempts.due("a", "files", now):
            now += FIRST_PAUSE
        pauses.append(now - began)
        attempts.failed(True, now)
    assert pauses == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_PAUSE, LONGEST_PAUSE]


def test_what_was_forgotten_is_tried_at_once() -> None:
    attempts = Attempts()
    assert attempts.due("a", "files", 0.0)
    attempts.failed(False, 0.0)
    attempts.forget()
    assert attempts.due("a", "files", 0.0)
