"""Settings of the service, each an environment variable `COMMUNIQUE_...`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What an operator can set; `communique serve --help` and the README name the same variables."""

    model_config = SettingsConfigDict(env_prefix="COMMUNIQUE_", frozen=True)

    model: Path | None = Field(None, description="Model folder; the released model when unset.")
    threads: int | None = Field(None, ge=1, description="CPU threads of the engine; all available when unset.")
    max_sentences: int = Field(4096, ge=1, description="Most sentences in one request.")
