"""The configuration file: found, read, checked, and described."""

from .describe import SettingHelp, describe_config
from .load import database_of, find_config, is_loopback, load_outline, load_settings, read_file
from .model import AlertSettings, InstanceSettings, Outline, ServerSettings, Settings, SettingsError

__all__ = [
    "AlertSettings",
    "InstanceSettings",
    "Outline",
    "ServerSettings",
    "SettingHelp",
    "Settings",
    "SettingsError",
    "database_of",
    "describe_config",
    "find_config",
    "is_loopback",
    "load_outline",
    "load_settings",
    "read_file",
]
