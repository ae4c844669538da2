"""What can be set, as data: default, range and help text of every option, written once."""

from divmix.settings.model import (
    DetectSettings,
    DetectTableSettings,
    FitSettings,
    Settings,
    TableSettings,
    convert,
    explain,
    flag,
    limits,
    types,
    unknown_setting,
)
