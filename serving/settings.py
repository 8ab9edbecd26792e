"""Settings of the service, each an environment variable `COMMUNIQUE_...`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from model.classifier import CPU, MAX_CHARACTERS
from model.errors import InputError
from model.present import bentoml_home

PREFIX = "COMMUNIQUE_"


class Settings(BaseSettings):
    """What an operator can set; `communique serve --help` and `docs/serving.md` list the same variables."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    model: str | None = Field(None, description="Model folder or tag communique:VERSION; the present model when unset.")
    poll_seconds: float = Field(5, gt=0, description="How often to look for a newly promoted model.")
    workers: int = Field(
        1, ge=1, description="Processes that answer; each has an engine, they share the mapped weights."
    )
    threads: int | None = Field(None, ge=1, description="CPU threads of an engine; the cores divided by the workers.")
    device: str = Field(
        CPU, description="cpu, or cuda or cuda:1 for torch on a GPU, from a model that has its torch weights."
    )
    max_body_bytes: int = Field(4 << 20, ge=1, description="Longest request body, in bytes.")
    max_sentences: int = Field(4096, ge=1, description="Most sentences in one request.")
    max_characters: int = Field(MAX_CHARACTERS, ge=1, description="Longest sentence, in characters.")
    max_tokens: int | None = Field(
        None, ge=3, description="Longest sentence, in word pieces; what the model was made for."
    )
    max_waiting_tokens: int = Field(
        1 << 19, ge=1, description="Most padded word pieces waiting in a worker; beyond it requests get 429."
    )
    max_seconds: float = Field(60, gt=0, description="Longest time for one request, its body included.")
    keys: Path | None = Field(None, description="File of API keys that `communique key` wrote; no keys when unset.")
    feedback: Path = Field(
        default_factory=lambda: bentoml_home() / "communique-feedback.jsonl",
        description="JSONL file that corrections are appended to; beside the promoted models when unset.",
    )
    max_feedback_bytes: int = Field(1 << 28, ge=1, description="Longest feedback file; beyond it corrections get 503.")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Web origins that may call from a browser, separated by commas; none when unset."
    )
    otlp_endpoint: str | None = Field(
        None, description='OpenTelemetry collector for traces, such as http://localhost:4318/v1/traces; needs "[otel]".'
    )
    drain_seconds: int = Field(30, ge=1, description="How long a stopping service lets requests finish.")

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _commas(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


def load_settings() -> Settings:
    """The settings of this environment.

    Raises:
        InputError: a variable has a value that it cannot have.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = f"{PREFIX}{first['loc'][0]}".upper()
        raise InputError(f"{name}: {first['msg'].lower()}, found {first['input']!r}") from None


def describe_settings() -> list[tuple[str, str]]:
    """Name and meaning of each variable, with its default."""
    return [(f"{PREFIX}{name}".upper(), _describe(field)) for name, field in Settings.model_fields.items()]


def _describe(field: FieldInfo) -> str:
    unset = field.default in (None, ()) or field.default_factory
    return str(field.description) + ("" if unset else f"  [default: {field.default}]")
