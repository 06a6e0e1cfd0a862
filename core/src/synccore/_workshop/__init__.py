"""What keeps no target up to date: the demo's stage, what `init` and `plugins new` write, the proof of a plugin."""
