"""The composition root: settings, plugins, store and instances, opened once and handed around."""
