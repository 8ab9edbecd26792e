"""What a stance model is: labels, records, errors, the artefact folder and the engine that answers.

Import rule: `model` imports none of its sibling packages (`training`, `evaluation`, `serving`) and nothing heavier
than NumPy, pydantic, tokenizers and OpenVINO, so that answering needs no torch. An import-linter contract in the
test run holds this.
"""
