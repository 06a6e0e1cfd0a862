"""The configuration file: found, read, checked, described and written."""

from .load import find_config, load_settings
from .model import InstanceSettings, ServerSettings, Settings, SettingsError

__all__ = ["InstanceSettings", "ServerSettings", "Settings", "SettingsError", "find_config", "load_settings"]
