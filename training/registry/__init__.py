"""The registry: every candidate under its version with its report, and which of them answers.

The models lie in BentoML's model store, `$BENTOML_HOME/models/communique/VERSION`: the artefact folder in `artefact/`,
the report of its evaluation beside it. `model.present` reads what is written here.
"""
