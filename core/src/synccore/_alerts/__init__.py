"""Telling somebody: the channels core brings."""
