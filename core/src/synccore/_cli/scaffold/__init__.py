"""What `init` and `plugins new` write: a first configuration, and a plugin to begin with."""
