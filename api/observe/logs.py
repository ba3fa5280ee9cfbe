"""How the service's log lines look: text for people, or one JSON object a line for machines.

A record may bring fields of its own as `extra={"fields": {...}}`. Each line made while a request is answered names
that request.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Literal

from api.observe.requests import current_id

LogFormat = Literal["text", "json"]


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, request_id, what the record brings, exception."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := current_id():
            entry["request_id"] = request
        entry |= {name: value for name, value in _fields(record).items() if name not in entry}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """Time, level, logger, message, then what the record brings and the request's id; a traceback follows."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s [%(levelname)s] %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def formatMessage(self, record: logging.LogRecord) -> str:
        # A message may quote what a client or a file holds; only a traceback may begin another line.
        record.message = record.message.replace("\r", "\\r").replace("\n", "\\n")
        fields = {name: value for name, value in _fields(record).items() if value is not None}
        if request := current_id():
            fields["request_id"] = request
        return " ".join([super().formatMessage(record), *(f"{name}={value}" for name, value in fields.items())])


def configure(form: LogFormat) -> None:
    """Have every handler that the server set up write its lines in this form."""
    formatter = JsonFormatter() if form == "json" else TextFormatter()
    root, named = logging.getLogger(), [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    for logger in (root, *named):
        for handler in list(logger.handlers):
            handler.setFormatter(formatter)
            # BentoML hangs one handler on the root and on loggers that hand their lines up: each would come twice.
            if logger is not root and logger.propagate and handler in root.handlers:
                logger.removeHandler(handler)
    logging.captureWarnings(form == "json")  # or Python writes them past the log


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    return dict(fields) if isinstance(fields, dict) else {}
