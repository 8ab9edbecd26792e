"""Annotations to candidate model: validate, split, fine-tune, calibrate, export.

Import rule: `training` imports `model` and `evaluation`; nobody imports `training`.
"""
