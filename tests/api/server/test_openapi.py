"""The document that clients are written and generated from."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from api.intake.problems import MEDIA_TYPE
from api.schemas import examples
from api.schemas.predict import Health, ModelCard, Prediction, ProblemDocument, RecogniserCard, Transcript


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    return client.get("/api/openapi.json").json()


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {operation["operationId"]: operation for path in document["paths"].values() for operation in path.values()}


def test_operations_have_plain_names(document: dict[str, Any]) -> None:
    assert {"predict", "model", "health"} <= set(operations(document))


def test_forms_hold_their_fields_and_no_others(document: dict[str, Any]) -> None:
    forms = {}
    for name, operation in operations(document).items():
        form = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data")
        if form:
            reference = form["schema"].get("$ref")
            schema = document["components"]["schemas"][_name(reference)] if reference else form["schema"]
            forms[name] = schema["additionalProperties"]
    assert forms == dict.fromkeys(("predict", "transcribe", "create_transcription", "create_batch"), False)


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def test_every_route_has_an_example_of_its_answer_and_of_each_failure(document: dict[str, Any]) -> None:
    defined = document["components"]["schemas"]
    for operation in operations(document).values():
        for status, response in operation["responses"].items():
            several = {"batch_results": 3, "create_transcription": 3}.get(operation["operationId"])
            if several and status == "200":
                assert len(response["content"]) == several
                continue
            ((kind, content),) = response["content"].items()
            if status in ("200", "202"):
                named = [_name(each["$ref"]) for each in content["schema"].get("anyOf", [content["schema"]])]
                for name, example in [(one, each) for one in named for each in defined[one]["examples"]]:
                    assert set(example) <= set(defined[name]["properties"])
                    for field in set(defined[name]["required"]) - set(example):  # FastAPI leaves out what is null
                        assert {"type": "null"} in defined[name]["properties"][field]["anyOf"]
            elif content["schema"] == {"$ref": "#/components/schemas/OpenAIError"}:
                for code, example in content["examples"].items():
                    assert set(example["value"]["error"]) | {"param"} == {"message", "type", "param", "code"}
                    assert example["value"]["error"]["code"] == code
            else:
                assert kind == MEDIA_TYPE
                assert content["schema"] == {"$ref": "#/components/schemas/ProblemDocument"}
                assert content["examples"]
                for code, example in content["examples"].items():
                    assert (example["value"]["code"], str(example["value"]["status"])) == (code, status)
                    ProblemDocument.model_validate(example["value"])


def test_requests_have_examples_of_fields_that_exist(document: dict[str, Any]) -> None:
    form = operations(document)["predict"]["requestBody"]["content"]["multipart/form-data"]
    fields = document["components"]["schemas"][form["schema"]["$ref"].rpartition("/")[2]]["properties"]
    assert len(form["examples"]) >= 2
    for example in form["examples"].values():
        assert example["summary"]
        assert "file" in example["value"]
        assert set(example["value"]) <= set(fields)
    assert (fields["peaks"]["default"], fields["peaks"]["minimum"], fields["peaks"]["maximum"]) == (400, 0, 2000)


def test_examples_are_what_the_service_could_answer() -> None:
    TypeAdapter(ModelCard).validate_python(examples.MODEL_CARD)
    TypeAdapter(RecogniserCard).validate_python(examples.RECOGNISER_CARD)
    TypeAdapter(Transcript).validate_python(examples.TRANSCRIPT)
    TypeAdapter(Health).validate_python(examples.HEALTH)
    (prediction,) = Prediction.model_config["json_schema_extra"]["examples"]  # type: ignore[call-overload,index]
    fields = dict(prediction)
    fields["class_"] = fields.pop("class")
    fields["places"] = [{**place, "class_": place["class"]} for place in fields["places"]]
    assert Prediction.model_validate(fields).warnings[0].code == "noisy"


def test_the_problem_document_is_the_same_each_time_it_is_asked_for(client: TestClient) -> None:
    assert client.get("/api/openapi.json").json() == client.get("/api/openapi.json").json()
