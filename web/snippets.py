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


def curl_transcription(address: str) -> str:
    """A recording to text with words in time, in base64 within JSON, and to subtitles."""
    return (
        f"curl -F file=@recording.wav -F words=true {address}/api/transcribe\n"
        "(printf '{\"file\": \"'; base64 recording.wav | tr -d '\\n'; printf '\"}') |\n"
        f'  curl -H "Content-Type: application/json" --data @- {address}/api/transcribe\n'
        f"curl -F file=@recording.wav -F model=asr -F response_format=srt {address}/v1/audio/transcriptions"
    )


def openai_transcription(address: str) -> str:
    """A program with OpenAI's client."""
    return f"""from openai import OpenAI

client = OpenAI(base_url="{address}/v1", api_key="none")
with open("recording.wav", "rb") as recording:
    print(client.audio.transcriptions.create(file=recording, model="asr").text)
"""
