"""Loading of plugins, and one typed method or attribute per hook."""

from .loader import Plugins, PluginStatus, load_plugins

__all__ = ["PluginStatus", "Plugins", "load_plugins"]
