"""Looking after the annotated dataset: check, count, exchange, add, and look for errors and shortcuts.

The records themselves are `model.records`; the three files and their basic rules are `training.dataset`.
"""
