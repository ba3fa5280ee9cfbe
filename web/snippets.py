"""Commands and programs that ask the service, for people to copy."""

from __future__ import annotations


def curl(address: str) -> str:
    """A recording, and an archive of calls."""
    return (
        f"curl -F file=@recording.wav {address}/api/predict\n"
        f"curl -F file=@calls.zip {address}/api/batches\n"
        f"curl {address}/api/model"
    )


def python(address: str) -> str:
    """A program that needs `requests` alone."""
    return f"""import requests

with open("recording.wav", "rb") as recording:
    response = requests.post("{address}/api/predict", files={{"file": recording}}, timeout=60)
response.raise_for_status()
answer = response.json()
for name, probability in zip(answer["classes"], answer["predict_proba"]):
    print(f"{{name}}: {{probability:.2f}}", answer["verdicts"].get(name, ""))
for place in answer["places"]:
    print(place["class"], place["start"], place["end"])
"""
