"""Real monitoring systems that run our plugin: Nagios and Icinga, in a folder of their own, ended by their id."""

import getpass
import grp
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from support.processes import wait_until
from support.programs import need
from support.servers import started

SECONDS = 90
"""Most seconds until every service was looked at: both spread the first looks over a while."""


class Seen(NamedTuple):
    """What a monitoring system made of one run of the plugin."""

    state: str
    text: str
    data: str


class Service(NamedTuple):
    """A service to look at: the arguments of the example's command, or its variables."""

    name: str
    arguments: Sequence[str] = ()
    variables: Mapping[str, str] = {}
    command: str = "check_apimart"


NAGIOS_OBJECTS = """
define timeperiod {{
  timeperiod_name 24x7
  alias always
  {days}
}}
define contact {{
  contact_name nobody
  host_notification_period 24x7
  service_notification_period 24x7
  host_notification_commands nothing
  service_notification_commands nothing
}}
define contactgroup {{
  contactgroup_name admins
  alias nobody
  members nobody
}}
define command {{
  command_name nothing
  command_line /bin/true
}}
define host {{
  host_name localhost
  address 127.0.0.1
  max_check_attempts 1
  check_period 24x7
  contact_groups admins
  notification_period 24x7
}}
"""

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")

NAGIOS_SERVICE = """
define service {{
  host_name localhost
  service_description {name}
  check_command {command}!{arguments}
  check_interval 60
  retry_interval 60
  max_check_attempts 1
  check_period 24x7
  notifications_enabled 0
  contact_groups admins
}}
"""


def nagios_config(folder: Path, objects: str) -> Path:
    """Write the configuration of a Nagios that lives in `folder`, with these objects beside a host to put them on."""
    (folder / "results").mkdir()
    days = "\n  ".join(f"{day} 00:00-24:00" for day in _DAYS)
    (folder / "objects.cfg").write_text(NAGIOS_OBJECTS.format(days=days) + objects)
    places = {
        "cfg_file": "objects.cfg", "log_file": "log", "object_cache_file": "cache", "precached_object_file": "precache",
        "status_file": "status", "command_file": "command", "lock_file": "lock", "temp_file": "temporary",
        "check_result_path": "results", "query_socket": "socket",
    }  # fmt: skip
    settings = {
        "temp_path": f"{folder}", "nagios_user": getpass.getuser(), "nagios_group": grp.getgrgid(os.getgid()).gr_name,
        "check_external_commands": "0", "use_syslog": "0", "status_update_interval": "1", "check_for_updates": "0",
        "execute_host_checks": "0", "service_inter_check_delay_method": "n", "enable_environment_macros": "0",
        "illegal_macro_output_chars": "`~$&|'\"<>",
    }  # fmt: skip
    lines = [f"{name}={folder}/{place}" for name, place in places.items()]
    path = folder / "nagios.cfg"
    path.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in settings.items()), ""]))
    return path


def nagios_sees(
    folder: Path, command: str, services: Sequence[Service], environment: Mapping[str, str]
) -> dict[str, Seen]:
    """Have a real Nagios run each service once, and return what it shows of them."""
    program = need("nagios4")
    objects = "".join(
        NAGIOS_SERVICE.format(name=each.name, command=each.command, arguments="!".join(each.arguments))
        for each in services
    )
    path = nagios_config(folder, f"{command}\n{objects}")
    status = folder / "status"
    with started([program, f"{path}"], folder, environment) as printed:

        def found() -> dict[str, Seen]:
            printed()
            text = status.read_text("utf-8", "replace") if status.exists() else ""
            return dict(filter(None, map(_seen_by_nagios, re.findall(r"servicestatus \{(.*?)\n\t\}", text, re.DOTALL))))

        wait_until(lambda: len(found()) == len(services), SECONDS)
        return found()


def _seen_by_nagios(block: str) -> tuple[str, Seen] | None:
    fields = dict(re.findall(r"^\t(\w+)=(.*)$", block, re.MULTILINE))
    if fields["has_been_checked"] == "0":
        return None
    state = ("OK", "WARNING", "CRITICAL", "UNKNOWN")[int(fields["current_state"])]
    text = "\\n".join(filter(None, (fields["plugin_output"], fields["long_plugin_output"])))
    return fields["service_description"], Seen(state, text, fields["performance_data"])


ICINGA = """
const NodeName = "tests"
const ZoneName = NodeName
include <itl>
include "{command}"
object CheckerComponent "checker" {{ }}
object PerfdataWriter "seen" {{
  host_perfdata_path = "{folder}/hosts"
  service_perfdata_path = "{folder}/services"
  host_temp_path = "{folder}/hosts.new"
  service_temp_path = "{folder}/services.new"
  rotation_interval = 1s
  service_format_template = "SEEN\\t$service.name$\\t$service.state$\\t$service.perfdata$\\t$service.output$\\tEND"
}}
object Host "localhost" {{
  check_command = "dummy"
  enable_active_checks = false
  {variables}
}}
"""


def icinga_arguments(folder: Path, config: str) -> list[str]:
    """Write a configuration of an Icinga that lives in `folder`, and return how that is started."""
    for name in ("data", "log", "cache", "spool", "run"):
        (folder / name / "icinga2").mkdir(parents=True)
    path = folder / "icinga2.conf"
    path.write_text(config)
    constants = {
        "DataDir": f"{folder}/data", "LogDir": f"{folder}/log", "CacheDir": f"{folder}/cache",
        "SpoolDir": f"{folder}/spool", "InitRunDir": f"{folder}/run", "ConfigDir": f"{folder}",
        "RunAsUser": getpass.getuser(), "RunAsGroup": grp.getgrgid(os.getgid()).gr_name,
    }  # fmt: skip
    defined = [word for name, value in constants.items() for word in ("-D", f"{name}={value}")]
    return [need("icinga2"), "daemon", "-c", f"{path}", *defined]


def icinga_sees(
    folder: Path, command: Path, services: Sequence[Service], environment: Mapping[str, str]
) -> dict[str, Seen]:
    """Have a real Icinga run each service, at least once, and return what it hands on of them."""
    variables = "".join(f'vars.apimart["{each.name}"] = {{ {_assignments(each.variables)} }}\n  ' for each in services)
    # The first look comes within one interval.
    often = folder / "often.conf"
    often.write_text(command.read_text().replace("check_interval = 5m", "check_interval = 2s"))
    arguments = icinga_arguments(folder, ICINGA.format(command=often, folder=folder, variables=variables))
    with started(arguments, folder, environment) as printed:

        def found() -> dict[str, Seen]:
            printed()
            text = "".join(path.read_text("utf-8", "replace") for path in sorted(folder.glob("services*")))
            rows = re.findall(r"SEEN\tapimart-(.*?)\t(.*?)\t(.*?)\t(.*?)\tEND", text, re.DOTALL)
            return {name: Seen(state, shown.strip(), data) for name, state, data, shown in rows}

        wait_until(lambda: len(found()) == len(services), SECONDS)
        return found()


def _assignments(variables: Mapping[str, str]) -> str:
    return "\n  ".join(f"apimart_{name} = {value}" for name, value in variables.items())
