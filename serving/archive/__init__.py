"""Offline scoring of archives: files in, one row a sentence out, on a laptop or a cluster."""
