"""Logs as JSON, one object a line on standard output: what happened and to which request, never a caller's text."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime

_access = logging.getLogger("communique.access")


class JsonFormatter(logging.Formatter):
    """One JSON object a record. Of an exception it tells class and places, not the message, which may quote text."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0]:
            kind, _, places = record.exc_info
            entry["exception"] = kind.__name__
            entry["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(places)]
        return json.dumps(entry, ensure_ascii=False)


def configure_logging() -> None:
    """Send everything, BentoML's and uvicorn's own lines too, through the formatter."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name, level in {"bentoml": "INFO", "serving": "INFO", "communique": "INFO", "uvicorn": "WARNING"}.items():
        logging.getLogger(name).setLevel(level)
    for name in ("bentoml", "uvicorn.error", "circus"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True


def log_access(**fields: object) -> None:
    """One answered request."""
    _access.info("request", extra={"fields": fields})
