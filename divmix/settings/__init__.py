"""What can be set, as data: default, range and help text of every option, written once."""

from divmix.settings.detect import DetectSettings, DetectTableSettings
from divmix.settings.fit import FitSettings
from divmix.settings.methods import (
    DEFAULT_ALPHA,
    DEFAULT_METHOD,
    METHODS,
    SELECT_SETTINGS,
    DiversifiedSettings,
    EmSettings,
    NsvgdSettings,
    fit_settings,
    methods_with,
    not_of_method,
)
from divmix.settings.option import (
    Settings,
    as_typed,
    convert,
    explain,
    flag,
    in_shell,
    limits,
    types,
    unknown_setting,
)
from divmix.settings.table import TableSettings
from divmix.settings.update import UpdateSettings

__all__ = [
    "DEFAULT_ALPHA",
    "DEFAULT_METHOD",
    "METHODS",
    "SELECT_SETTINGS",
    "DetectSettings",
    "DetectTableSettings",
    "DiversifiedSettings",
    "EmSettings",
    "FitSettings",
    "NsvgdSettings",
    "Settings",
    "TableSettings",
    "UpdateSettings",
    "as_typed",
    "convert",
    "explain",
    "fit_settings",
    "flag",
    "in_shell",
    "limits",
    "methods_with",
    "not_of_method",
    "types",
    "unknown_setting",
]
