"""The BentoML service: `bentoml serve serving.service:Communique`, or `communique serve`.

BentoML runs the process, health, readiness and metrics and builds the bento; the contract lives in `serving.app`.
"""

import os

# Before BentoML is imported: it reports usage otherwise, and takes the word "true" only.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")

import bentoml

from serving.app import Answering, create_app
from serving.settings import Settings

app = create_app()


@bentoml.service(name="communique", workers=1)
@bentoml.asgi_app(app, path="/")
class Communique:
    """Statement-stance classification."""

    def __init__(self) -> None:
        """Load and warm up; BentoML accepts no request, and `/readyz` is not 200, before this returns."""
        self._answering = Answering(Settings())
        app.state.answering = self._answering

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Finish what is waiting."""
        self._answering.scheduler.stop()
