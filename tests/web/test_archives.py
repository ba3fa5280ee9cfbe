"""Archives of calls: kept, sent, watched, opened by their owner alone, and gone without a trace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from tests.web.archives import BATCH, NAMES, archive, finish, results, serve, status
from tests.web.conftest import PASSWORD
from tests.web.pages import Open, member, register, sound, words
from tests.web.service import StubService, problem
from web.calls import archives
from web.calls.people import TableError
from web.calls.results import Call
from web.database import Batch, DiscardedBatch
from web.files import FileError
from web.house import House
from web.language import LANGUAGES, text
from web.orphans import delete_orphans
from web.service import Busy, Down, OddAnswer, RecordingRefused, ServiceError
from web.visit import Member


@pytest.fixture
def anna(here: House, stub: StubService) -> Member:
    serve(stub)
    return member(here, register(here, "anna"))


def sent(seen: Member, people: bytes | None = None) -> int:
    kept = archives.keep(seen, archive(), "march.zip", False, people)
    archives.send(seen, kept)
    return kept


def ended(seen: Member, stub: StubService, people: bytes | None = None) -> Batch:
    kept = sent(seen, people)
    finish(stub)
    return archives.refresh(seen, kept)


def discarded(here: House) -> list[DiscardedBatch]:
    with here.database.read() as session:
        return list(session.scalars(select(DiscardedBatch)))


def asked(stub: StubService, method: str) -> list[str]:
    return [each.path for each in stub.asked if each.method == method]


def opened(open_page: Open, token: str, archive_id: int | str, language: str = "en") -> AppTest:
    page = open_page(token, language, "calls")
    page.query_params["archive"] = str(archive_id)
    return page.run()


def test_an_archive_is_sent_whole_and_watched_to_its_end(anna: Member, stub: StubService) -> None:
    kept = sent(anna)
    row = archives.refresh(anna, kept)
    assert (row.state, row.service_batch, row.answer["seconds_left"]) == ("running", BATCH, 600)
    body = next(each for each in stub.asked if each.method == "POST")
    assert archive().getvalue() in body.body
    assert int(body.headers["Content-Length"]) == len(body.body)
    assert b"march.zip" not in body.body  # the service needs no name that a person gave
    finish(stub)
    row = archives.refresh(anna, kept)
    calls = archives.calls_of(anna, row)
    assert [call.file for call in calls] == list(NAMES)
    assert archives.audio_of(anna, row, calls[2]) == sound()
    assert [spot.start for spot in archives.spots(anna, row, calls[0])] == [0.42]
    stub.replies.clear()  # the service forgets; what was found stays
    assert archives.calls_of(anna, archives.refresh(anna, kept)) == calls


@pytest.mark.parametrize(
    ("status_code", "code", "kind"), [(502, "", Down), (503, "no_batches", Busy), (503, "no_model", ServiceError)]
)
def test_what_the_service_does_not_take_now_is_kept(
    anna: Member, stub: StubService, status_code: int, code: str, kind: type[ServiceError]
) -> None:
    stub.reply("POST", "/api/batches", status_code, problem(status_code, code, "later"))
    kept = archives.keep(anna, archive(), "march.zip", False)
    with pytest.raises(kind):
        archives.send(anna, kept)
    row = archives.find(anna, kept)
    assert row is not None
    assert row.state == archives.KEPT
    serve(stub)
    archives.send(anna, kept)
    assert archives.refresh(anna, kept).state == "running"


def test_an_archive_whose_receipt_was_lost_is_not_sent_twice(anna: Member, stub: StubService) -> None:
    kept = archives.keep(anna, archive(), "march.zip", False)
    row = archives.find(anna, kept)
    assert row is not None
    listed = [status("done", batch="other") | {"name": "other.zip"}, status("running") | {"name": row.archive}]
    stub.reply("GET", "/api/batches", 200, {"batches": listed})
    archives.send(anna, kept)
    assert asked(stub, "POST") == []
    assert archives.refresh(anna, kept).service_batch == BATCH


def test_a_refusal_is_remembered(anna: Member, stub: StubService) -> None:
    stub.reply("POST", "/api/batches", 415, problem(415, "bad_archive", "no [zip](x)"))
    with pytest.raises(RecordingRefused):
        sent(anna)
    [row] = archives.all_of(anna)
    assert (row.state, row.answer["detail"]) == (archives.REFUSED, "no [zip](x)")


def test_a_batch_that_the_service_lost_can_be_sent_again(anna: Member, stub: StubService) -> None:
    kept = sent(anna)
    stub.reply("GET", f"/api/batches/{BATCH}", 404, problem(404, "no_batch", "gone"))
    row = archives.refresh(anna, kept)
    assert (row.state, row.service_batch, row.answer) == (archives.KEPT, "", {"lost": True})
    archives.send(anna, kept)
    assert len(asked(stub, "POST")) == 2


def test_results_that_are_none_are_asked_for_again(anna: Member, stub: StubService) -> None:
    kept = sent(anna)
    finish(stub)
    path = f"/api/batches/{BATCH}/results"
    for reply in ((200, b"<html>"), (502, b"")):
        stub.reply("GET", path, *reply)
        with pytest.raises((OddAnswer, Down)):
            archives.refresh(anna, kept)
        assert len(anna.files.names()) == 1
    stub.reply("GET", path, 200, results())
    assert archives.refresh(anna, kept).results is not None


def test_one_never_reaches_anothers(here: House, anna: Member, stub: StubService, open_page: Open) -> None:
    row = ended(anna, stub)
    token = register(here, "boris")
    boris = member(here, token)
    assert archives.all_of(boris) == []
    assert archives.find(boris, row.id) is None
    for attempt in (archives.refresh, archives.send, archives.cancel):
        with pytest.raises(FileError):
            attempt(boris, row.id)
    with pytest.raises(FileError):
        archives.tell_people(boris, row.id, b"file,operator\n1,2\n")
    call = archives.calls_of(anna, row)[0]
    for attempt_with in (archives.audio_of, archives.spots):  # a row from elsewhere names no file of one's own
        with pytest.raises(FileError):
            attempt_with(boris, row, call)
    archives.delete(boris, row.id)
    assert archives.find(anna, row.id) is not None
    assert len(anna.files.names()) == 2
    for sly in (row.id, "../1", BATCH):
        page = opened(open_page, token, sly)
        assert "march" not in words(page)
        assert page.warning[0].value == text("archive_missing", "en")


def test_a_member_of_the_zip_is_no_path(anna: Member, stub: StubService) -> None:
    row = ended(anna, stub)
    call = archives.calls_of(anna, row)[0]
    for sly in ("../../web.sqlite", "/etc/passwd", row.archive or "", ""):
        with pytest.raises(FileError):
            archives.audio_of(anna, row, Call(**{**vars(call), "file": sly}))


def test_a_table_names_who_spoke(anna: Member, stub: StubService) -> None:
    row = ended(anna, stub, f"file,operator\n{NAMES[0]},vera\n".encode())
    assert archives.calls_of(anna, row)[0].who.operator == "vera"
    with pytest.raises(TableError):
        archives.tell_people(anna, row.id, b"nothing")
    archives.tell_people(anna, row.id, f"file;operator\n{NAMES[0]};olga\n".encode())
    again = archives.find(anna, row.id)
    assert again is not None
    assert archives.calls_of(anna, again)[0].who.operator == "olga"
    assert len(anna.files.names()) == 3
    with pytest.raises(TableError):
        archives.keep(anna, archive(), "b.zip", False, b"nothing")
    assert len(anna.files.names()) == 3


def test_rows_of_the_table_that_match_nothing_are_counted_and_said(
    here: House, stub: StubService, open_page: Open
) -> None:
    serve(stub)
    token = register(here, "vera")
    vera = member(here, token)
    table = f"файл;оператор\nC:\\мои\\{NAMES[0]};вера\nnobody.wav;вера\nno_one.wav;вера\n"
    row = ended(vera, stub, table.encode("cp866"))
    assert archives.calls_of(vera, row)[0].who.operator == "вера"
    page = opened(open_page, token, row.id)
    assert not page.exception
    said = text("archive_people_strangers", "en", count=2, names="nobody.wav, no_one.wav")
    assert [each.value.replace("\\", "") for each in page.warning] == [said]


def test_quota(here: House, anna: Member) -> None:
    small = anna.files.__class__(anna.files.path, 10, 20)
    with pytest.raises(FileError, match="file_no_room"):
        small.store(archive(), "zip", 10_000_000)
    with pytest.raises(FileError, match="file_too_large"):
        small.store(archive(), "zip", 10)
    assert anna.files.names() == []


def test_deleting_takes_everything_along(here: House, anna: Member, stub: StubService) -> None:
    row = ended(anna, stub, b"file,operator\n1,2\n")
    stub.reply("DELETE", f"/api/batches/{BATCH}", 502, b"")
    archives.delete(anna, row.id)
    assert anna.files.names() == []
    assert archives.all_of(anna) == []
    here.discards.sweep()
    assert [each.service_batch for each in discarded(here)] == [BATCH]  # the service is down: later
    serve(stub)
    here.discards.sweep()
    assert discarded(here) == []


def test_an_account_takes_its_archives_along(here: House, anna: Member, stub: StubService) -> None:
    kept = archives.keep(anna, archive(), "never sent.zip", False)
    sent(anna)
    assert archives.find(anna, kept) is not None
    here.accounts.delete(anna.user, PASSWORD, datetime.now(UTC))
    assert not anna.files.path.exists()
    here.discards.sweep()
    assert asked(stub, "DELETE") == [f"/api/batches/{BATCH}"]
    assert discarded(here) == []


def test_an_archive_deleted_while_it_is_sent_does_not_stay_with_the_service(
    anna: Member, stub: StubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = archives.keep(anna, archive(), "march.zip", False)
    real = anna.service.start_batch

    def slow(*arguments: object) -> object:
        answer = real(*arguments)  # type: ignore[arg-type]
        archives.delete(anna, kept)
        return answer

    monkeypatch.setattr(anna.service, "start_batch", slow)
    archives.send(anna, kept)
    assert f"/api/batches/{BATCH}" in asked(stub, "DELETE")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_of_an_archive(here: House, stub: StubService, open_page: Open, language: str) -> None:
    serve(stub)
    token = register(here, "anna")
    seen = member(here, token, language)
    kept = sent(seen)
    shown = words(open_page(token, language, "calls"))
    assert "march\\.zip" in shown
    assert text("archive_running", language) in shown
    shown = words(opened(open_page, token, kept, language))
    assert text("archive_left", language, time="10 минут" if language == "ru" else "10 minutes") in shown
    stub.reply("GET", f"/api/batches/{BATCH}", 502, b"")
    page = opened(open_page, token, kept, language)
    assert page.warning[0].value.startswith(text("service_down", language)[:20])
    finish(stub)
    page = opened(open_page, token, kept, language)
    shown = words(page)
    for key in ("archive_shares", "archive_by_operator", "archive_by_day", "call_worst", "call_best"):
        assert text(key, language) in shown
    assert r"\*борис\*" in shown  # a name is no Markdown
    assert r"\[no\]\(http://sound\)".replace(":", r"\:") in shown
    page = page.toggle(key=f"call_open_worst_{kept}_0_None").set_value(True).run()
    assert text("training_places_hint", language) in words(page)
    page = page.text_input(key="call_search_text").set_value("нигде").run()
    assert text("call_count", language, count=0) in words(page)
    page = page.button(key=f"archive_delete_{kept}").click().run()
    assert text("archive_none", language) in words(page)
    assert seen.files.names() == []


def test_cancelling(here: House, stub: StubService, open_page: Open) -> None:
    serve(stub)
    token = register(here, "anna")
    kept = sent(member(here, token))
    stub.reply("POST", f"/api/batches/{BATCH}/cancel", 200, status("cancelled", 0.5))
    shown = words(opened(open_page, token, kept).button(key="archive_cancel").click().run())
    assert text("archive_was_cancelled", "en") in shown


def test_the_page_of_what_was_not_taken(here: House, stub: StubService, open_page: Open) -> None:
    serve(stub)
    token = register(here, "anna")
    seen = member(here, token)
    stub.reply("POST", "/api/batches", 429, problem(429, "quota_bytes", "full"))
    kept = archives.keep(seen, archive(), "march.zip", False)
    page = opened(open_page, token, kept)
    assert text("archive_kept_why", "en") in words(page)
    page = page.button(key="archive_again").click().run()
    assert page.error[0].value.startswith(text("archive_service_full", "en")[:20])
    serve(stub)
    page = page.button(key="archive_again").click().run()
    assert text("archive_may_leave", "en") in words(page)


def test_files_that_no_row_names_go_at_the_next_start(here: House, anna: Member) -> None:
    named = archives.keep(anna, archive(), "march.zip", False)
    for name in ("half.partial", f"{'0' * 32}.zip"):
        (anna.files.path / name).write_bytes(b"x")
    delete_orphans(here.database, here.files, datetime.now(UTC))
    assert len(list(anna.files.path.iterdir())) == 3  # too young
    delete_orphans(here.database, here.files, datetime.now(UTC) + timedelta(hours=2))
    row = archives.find(anna, named)
    assert row is not None
    assert [path.name for path in anna.files.path.iterdir()] == [row.archive]
    upload = here.uploads.begin("session", "a", anna.user.id)
    upload.begin(0)
    delete_orphans(here.database, here.files, datetime.now(UTC) + timedelta(hours=2))
    assert upload.path.exists()  # a page that is open for long may keep it yet
    upload.close()
