"""The configuration file: found, read, checked, and described."""

from .describe import SettingHelp, describe_config
from .load import find_config, is_loopback, load_outline, load_settings
from .model import InstanceSettings, Outline, ServerSettings, Settings, SettingsError

__all__ = [
    "InstanceSettings",
    "Outline",
    "ServerSettings",
    "SettingHelp",
    "Settings",
    "SettingsError",
    "describe_config",
    "find_config",
    "is_loopback",
    "load_outline",
    "load_settings",
]
