"""The fixtures of cluster.py, where pytest looks for them."""

from cluster import certificates, cluster, db, extension, kms, silent, work  # noqa: F401
