"""The source of product usage that the settings name.

Here: which one, with its keys. Not here: any of them.
"""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from expansion_platform.domain.core.canonical import content_hash
from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.settings import Settings
from expansion_platform.sources.analytics.usage import UsageSource

_NEEDED = {
    "posthog": ("posthog_host", "posthog_project_id", "posthog_api_key"),
    "mixpanel": ("mixpanel_host", "mixpanel_project_id", "mixpanel_username", "mixpanel_secret"),
    "amplitude": ("amplitude_host", "amplitude_api_key", "amplitude_secret_key"),
    "warehouse": ("expansion_tracks_mapping", "expansion_warehouse_url"),
}
"""The settings of each source; the first one says that it is configured."""
_PROJECTS = {
    "posthog": ("posthog_project_id",),
    "mixpanel": ("mixpanel_project_id", "mixpanel_timezone"),
    "amplitude": ("amplitude_host",),
    "warehouse": ("expansion_tracks_mapping", "expansion_tracks_schema"),
}
"""What says whose events they are, beside keys, which may change, and addresses of our own stand-ins."""


def usage_from(settings: Settings) -> str | None:
    """The name of the source, None where none is configured.

    Raises:
        ConfigurationError: several are configured and none is chosen, or a setting of it is missing.
    """
    configured = [name for name, (first, *_) in _NEEDED.items() if getattr(settings, first) is not None]
    chosen = settings.expansion_usage_from
    if chosen is None and len(configured) > 1:
        raise ConfigurationError(
            f"product usage is configured for {' and '.join(configured)}: set EXPANSION_USAGE_FROM to one "
            "of them"
        )
    name = chosen or (configured[0] if configured else None)
    if name is None:
        return None
    missing = [setting.upper() for setting in _NEEDED[name] if getattr(settings, setting) is None]
    if missing:
        raise ConfigurationError(f"product usage from {name} needs {' and '.join(missing)} too")
    return name


def counted_by(settings: Settings, definition: SignalDefinition) -> str:
    """Hash of whose events are counted, and as what. Another one: stored usage is not comparable."""
    name = usage_from(settings)
    project = [] if name is None else [str(getattr(settings, setting)) for setting in _PROJECTS[name]]
    return content_hash([str(name), *project, definition.counting_hash])


def usage_source(settings: Settings, definition: SignalDefinition) -> UsageSource | None:
    """The configured source of product usage, None where there is none.

    Raises:
        ConfigurationError: as `usage_from`.
    """
    name = usage_from(settings)
    return None if name is None else _MAKERS[name](settings, definition)


def _posthog(settings: Any, definition: SignalDefinition) -> UsageSource:
    from expansion_platform.sources.analytics.posthog import PostHog

    return PostHog(
        settings.posthog_host, settings.posthog_project_id, _secret(settings.posthog_api_key), definition
    )


def _mixpanel(settings: Any, definition: SignalDefinition) -> UsageSource:
    from expansion_platform.sources.analytics.mixpanel import Mixpanel

    return Mixpanel(
        settings.mixpanel_host,
        settings.mixpanel_project_id,
        settings.mixpanel_username,
        _secret(settings.mixpanel_secret),
        definition,
        timezone=settings.mixpanel_timezone,
    )


def _amplitude(settings: Any, definition: SignalDefinition) -> UsageSource:
    from expansion_platform.sources.analytics.amplitude import Amplitude

    return Amplitude(
        settings.amplitude_host,
        _secret(settings.amplitude_api_key),
        _secret(settings.amplitude_secret_key),
        definition,
    )


def _tracks(settings: Any, definition: SignalDefinition) -> UsageSource:
    from expansion_platform.sources.analytics.tracks import Tracks
    from expansion_platform.sources.analytics.tracks_mapping import mapping

    return Tracks(
        _secret(settings.expansion_warehouse_url),
        mapping(settings.expansion_tracks_mapping),
        settings.expansion_tracks_schema,
        definition,
    )


_MAKERS = {"posthog": _posthog, "mixpanel": _mixpanel, "amplitude": _amplitude, "warehouse": _tracks}


def _secret(value: SecretStr) -> str:
    return value.get_secret_value()
