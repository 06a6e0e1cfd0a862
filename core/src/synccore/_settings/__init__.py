"""The configuration file: found, read, checked, described and written."""

from .describe import SettingHelp, describe_config
from .load import find_config, load_settings
from .model import InstanceSettings, ServerSettings, Settings, SettingsError
from .sample import Sample, make_sample, write_sample

__all__ = [
    "InstanceSettings",
    "Sample",
    "ServerSettings",
    "SettingHelp",
    "Settings",
    "SettingsError",
    "describe_config",
    "find_config",
    "load_settings",
    "make_sample",
    "write_sample",
]
