"""Train, dev or test: decided once per group, by a hash, and never reshuffled."""

import hashlib
from typing import Literal, get_args

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


def split_of(group: str) -> Split:
    """The split of a group: about 80 % train, 10 % dev, 10 % test, by the SHA-256 of its name.

    Depends on nothing but the name, so adding records moves none of those already there.
    """
    bucket = int.from_bytes(hashlib.sha256(group.encode("utf-8")).digest()[:8], "big") % 10
    return {8: "dev", 9: "test"}.get(bucket, "train")  # type: ignore[return-value]
