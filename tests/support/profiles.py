"""Settings of profiles, as the command makes them of its options and a config file."""

import os
from pathlib import Path
from typing import Any

from apimart_cli.config.precedence import resolve
from apimart_cli.config.settings import Options, Setting, Settings
from support.running import KEY


def profile(
    name: str = "default", *, key: str = KEY, variables: dict[str, str] | None = None, **options: Any
) -> Settings:
    """Settings of that name, of a key, variables and options alone."""
    [settings] = resolve(Options(**options), {"APIMART_API_KEY": key, "HOME": "/nowhere", **(variables or {})})
    return settings._replace(profile=Setting(name, "test"))


def profiles(folder: Path, *tables: tuple[str, str], more: str = "", **options: Any) -> list[Settings]:
    """Settings of profiles with these names at these gateways, and what else a config file has for the last of them."""
    text = "".join(f'[profiles.{name}]\napi_key = "sk-{name}-0123456789"\nbase_url = "{url}"\n' for name, url in tables)
    path = folder / "config.toml"
    path.write_text(text + more)
    path.chmod(0o600)
    return resolve(Options(all_profiles=True, **options), {"APIMART_CONFIG": str(path), "HOME": os.environ["HOME"]})
