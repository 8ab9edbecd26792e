"""Whether a sentence is English, by py3langid's naive Bayes model (offline, read without pickle)."""

import re
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

# Names and slogans in other tongues belong to English posts; they say nothing of the sentence's own language.
_ASIDE = re.compile(r"[@#]\w+|https?://\S+")

# Nigerian Pidgin is close enough to English that plain headlines come out as it.
_NEAR_ENGLISH = {"en", "pcm"}

SHORTEST = 40
"""Fewer characters are not judged: headlines of mostly names, and quoted slogans, look like any language."""

MARGIN = 1.0
"""How far another language must lead, in nats a character. Sentences in eight other languages led by 1.5 to 9; among
15,836 records with at least `SHORTEST` characters none led by more than 0.23."""


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE)


def other_language(text: str) -> str | None:
    """The ISO 639 code of the language where a sentence is clearly not English; None otherwise."""
    text = " ".join(_ASIDE.sub(" ", text).split())
    if len(text) < SHORTEST:
        return None
    scores: dict[str, float] = dict(_identifier().rank(text))
    best = max(scores.keys() - _NEAR_ENGLISH, key=scores.__getitem__)
    return best if scores[best] - scores["en"] > MARGIN * len(text) else None
