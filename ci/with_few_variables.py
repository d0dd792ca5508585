"""Runs Python again, with no variables of the job but those that an installation needs.

`python -I ci/with_few_variables.py ci/install_pinned.py`: what downloads and builds packages gets no key, whatever its
variable is called, and no variable that decides what is installed, like PIP_FIND_LINKS or PIP_CONFIG_FILE. Nor does it
get HOME: pip looks for its settings in the home folder that the system knows, and in those of the machine and of the
Python that runs it.
"""

import os
import sys

KEPT = (
    *("PATH", "LD_LIBRARY_PATH", "TMPDIR", "LANG", "LC_ALL"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
"""Where programs, libraries and temporary files are, the language, and what a way to the network needs."""

INDEX = "INSTALL_INDEX_URL"
"""The index of packages that the job names, where it names one."""


def main() -> None:
    """Take the place of this process. Python starts with -I, too: without modules of the working folder."""
    environ = {name: os.environ[name] for name in KEPT if name in os.environ}
    if os.environ.get(INDEX):
        # A variable: there may be a password in it, and everybody can read the arguments of a process.
        environ["PIP_INDEX_URL"] = os.environ[INDEX]
    os.execve(sys.executable, [sys.executable, "-I", *sys.argv[1:]], environ)  # noqa: S606  # no shell is meant


main()
