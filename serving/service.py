"""The BentoML service: `bentoml serve serving.service:Communique`, or `communique serve`.

BentoML runs the processes, health and readiness and builds the bento; the contract lives in `serving.app`, and
`serving.guard` stands before both. What BentoML would do around a request is switched off where the guard does it: its
errors have another shape, its metrics take every path that a caller makes up for a label, and its timeout gives the
slot back while the work goes on.

BentoML imports this module in the process that watches the workers as well, before it starts them: what only a worker
needs is imported where it is used.
"""

import gc
import os
import sys

# Before BentoML is imported: it reports usage otherwise, and takes the word "true" only.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")

from typing import TYPE_CHECKING

import bentoml
from bentoml._internal.configuration.containers import BentoMLContainer
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from serving.logs import configure_logging
from serving.settings import load_settings

if TYPE_CHECKING:
    from serving.answering import Answering

configure_logging()
settings = load_settings()
_present: "list[Answering]" = []


def _answering() -> "Answering":
    return _present[0]


def _tracing() -> dict[str, object]:
    """BentoML's own OpenTelemetry middleware: to the collector, or left out entirely."""
    if settings.otlp_endpoint is None:
        return {"excluded_urls": ".*"}
    otlp = {"protocol": "http", "endpoint": settings.otlp_endpoint}
    return {"exporter_type": "otlp", "sample_rate": 1.0, "otlp": otlp, "excluded_urls": "/livez,/readyz,/metrics"}


def _guard(app: ASGIApp) -> ASGIApp:
    """The guard around BentoML's application and ours; made once, in a worker."""
    from serving.app import create_app
    from serving.guard import Guard
    from serving.keys import KeyRing

    return Guard(
        app,
        routes=create_app(settings, _answering),
        max_body_bytes=settings.max_body_bytes,
        max_seconds=settings.max_seconds,
        keys=KeyRing(settings.keys) if settings.keys else None,
        check_room=lambda: _answering().model.scheduler.check_room(),
    )


@bentoml.service(
    name="communique",
    workers=settings.workers,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    traffic={"timeout": settings.max_seconds + 1},
    tracing=_tracing(),
)
class Communique:
    """Statement-stance classification."""

    def __init__(self) -> None:
        """Load and warm up; BentoML accepts no request, and `/readyz` is not 200, before this returns."""
        # The engine's threads have little to do in Python but must get to it at once, also while answers are written.
        sys.setswitchinterval(0.001)
        from serving import metrics
        from serving.answering import Answering

        if settings.otlp_endpoint is not None:
            # The one that BentoML's middleware has, so that both are of the same trace.
            metrics.trace_stages(BentoMLContainer.tracer_provider.get())
        _present[:] = [Answering(settings)]
        # What is here now stays: the collector need not go through it again and again while requests wait.
        gc.collect()
        gc.freeze()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Finish what is waiting."""
        _answering().stop()


if settings.cors_origins:
    # Around the guard, or a browser would not let its page read what the guard refuses.
    Communique.add_asgi_middleware(  # type: ignore[attr-defined]
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "content-type", "x-request-id"],
        expose_headers=["retry-after", "x-request-id"],
    )
Communique.add_asgi_middleware(_guard)  # type: ignore[attr-defined]
