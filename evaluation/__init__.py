"""Candidate to evidence: metrics with intervals, baselines, the report.

Import rule: `evaluation` imports `model` and nothing else of this project.
"""
