"""Who vouches for a model: an Ed25519 signature of its manifest, which names every other file by its digest.

S. Josefsson and I. Liusvaara, RFC 8032. Keys are PEM files, as `openssl genpkey -algorithm ed25519` makes them.
"""

import base64
import binascii
import os
from pathlib import Path
from typing import Any

from model.errors import ArtefactError, InputError, MissingExtraError
from model.files import write_aside

SIGNATURE = "manifest.sig"
"""File beside the manifest: the signature in Base64."""

KEY_VARIABLE = "COMMUNIQUE_PUBLIC_KEY"
"""Environment variable with the path of the public key. Where it is set, nothing unsigned is loaded."""


def _serialization() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ModuleNotFoundError:
        raise MissingExtraError("sign", "cryptography") from None
    return serialization


def _key(path: Path, private: bool) -> Any:
    serialization = _serialization()
    from cryptography.hazmat.primitives.asymmetric import ed25519

    kind = "private" if private else "public"
    try:
        data = path.read_bytes()
        key = serialization.load_pem_private_key(data, None) if private else serialization.load_pem_public_key(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):  # a password is asked for with a TypeError
        raise InputError(f"{path}: expected an Ed25519 {kind} key as PEM, without a password") from None
    if not isinstance(key, ed25519.Ed25519PrivateKey if private else ed25519.Ed25519PublicKey):
        raise InputError(f"{path}: expected an Ed25519 {kind} key, found {type(key).__name__}")
    return key


def sign(manifest: Path, key: Path) -> None:
    """Write the signature of a manifest beside it.

    Args:
        key: file with the private key.

    Raises:
        InputError: it holds no such key.
        MissingExtraError: `cryptography` is not installed.
    """
    signature = _key(key, private=True).sign(manifest.read_bytes())
    with write_aside(manifest.with_name(SIGNATURE)) as stream:
        stream.write(base64.b64encode(signature).decode() + "\n")


def check_signature(manifest: Path) -> None:
    """Hold a manifest to the configured key; without one nothing is asked.

    Raises:
        ArtefactError: it is not signed, or not by that key, or has been changed since.
        InputError: the configured file holds no public key.
        MissingExtraError: a key is configured, and `cryptography` is not installed.
    """
    configured = os.environ.get(KEY_VARIABLE)
    if not configured:
        return
    key = _key(Path(configured), private=False)
    from cryptography.exceptions import InvalidSignature

    path = manifest.with_name(SIGNATURE)
    try:
        key.verify(base64.b64decode(path.read_bytes(), validate=False), manifest.read_bytes())
    except FileNotFoundError:
        raise ArtefactError(f"{path}: missing; {KEY_VARIABLE} is set, so that only signed models are loaded") from None
    except (InvalidSignature, binascii.Error):
        raise ArtefactError(f"{path}: not a signature of {manifest.name} by {configured}; nothing was loaded") from None
