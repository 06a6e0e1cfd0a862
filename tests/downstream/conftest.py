"""What lies here is built, installed and tested in environments of its own; see test_downstream.py."""

collect_ignore_glob = ["*"]
