"""Writing records: in collections, each row seen through to its end."""
