"""Model to answers: the BentoML service and the scoring of files.

Import rule: `serving` imports `model` and nothing else of this project; nobody imports `serving`. No torch here.
"""
