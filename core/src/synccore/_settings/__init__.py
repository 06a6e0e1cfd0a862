"""The configuration file: found, read, checked, described and written."""

from .describe import SettingHelp, describe_config
from .load import find_config, is_loopback, load_outline, load_settings
from .model import InstanceSettings, Outline, ServerSettings, Settings, SettingsError
from .sample import Sample, make_sample, write_sample

__all__ = [
    "InstanceSettings",
    "Outline",
    "Sample",
    "ServerSettings",
    "SettingHelp",
    "Settings",
    "SettingsError",
    "describe_config",
    "find_config",
    "is_loopback",
    "load_outline",
    "load_settings",
    "make_sample",
    "write_sample",
]
