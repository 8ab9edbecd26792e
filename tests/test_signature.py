"""Signed models: where a key is configured, nothing else is loaded."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import communique
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from model.artefact import RELEASED, open_artefact
from model.errors import ArtefactError, InputError
from model.signature import KEY_VARIABLE, sign


def write_keys(folder: Path, name: str, key=None) -> tuple[Path, Path]:
    """A private key and its public one, as openssl writes them."""
    key = key or ed25519.Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    pem, bare = serialization.Encoding.PEM, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, bare))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RELEASED, tmp_path / "model"))


def test_only_what_the_configured_key_signed_is_loaded(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = write_keys(tmp_path, "ours")
    other_private, _ = write_keys(tmp_path, "other")
    monkeypatch.setenv(KEY_VARIABLE, str(public))
    with pytest.raises(ArtefactError, match="only signed models are loaded"):
        open_artefact(model)
    sign(model / "manifest.json", other_private)
    with pytest.raises(ArtefactError, match="not a signature of"):
        open_artefact(model)
    assert communique("registry", "sign", model, "--key", private).returncode == 0
    open_artefact(model)
    refused = communique("classify", "Peru waits.")
    assert refused.returncode == 3  # the released model is not signed with it
    assert communique("classify", "--model", model, "Peru waits.").returncode == 0
    manifest = model / "manifest.json"
    content = json.loads(manifest.read_text())
    content["thresholds"]["hedge"] /= 2
    manifest.write_text(json.dumps(content))
    with pytest.raises(ArtefactError, match="not a signature of"):
        open_artefact(model)


def test_without_a_configured_key_a_signature_is_not_looked_at(model: Path, tmp_path: Path) -> None:
    sign(model / "manifest.json", write_keys(tmp_path, "ours")[0])
    assert "manifest.sig" not in open_artefact(model).files


@pytest.mark.parametrize("wrong", ["text", "curve", "missing"])
def test_a_key_that_is_none_is_one_clear_line(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    private, public = write_keys(tmp_path, "curve", ec.generate_private_key(ec.SECP256R1()))
    if wrong == "text":
        private.write_text("secret")
        public.write_text("no key")
    elif wrong == "missing":
        private.unlink()
        public.unlink()
    monkeypatch.setenv(KEY_VARIABLE, str(public))
    with pytest.raises(InputError, match=r"Ed25519 public key|cannot be read"):
        open_artefact(model)
    with pytest.raises(InputError, match=r"Ed25519 private key|cannot be read"):
        sign(model / "manifest.json", private)
