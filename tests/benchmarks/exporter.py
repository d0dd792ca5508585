"""What an exporter of many keys costs: run `python3 tests/benchmarks/exporter.py`.

A gateway over TLS, in a process of its own, answers each question after some time. An exporter asks it for so many
keys, while its page is read again and again, as Prometheus does. Told are how long the first round took, what the
exporter needed afterwards (processor, memory, descriptors, threads), how long a scrape took, and how old the oldest
reading was. Nothing is left afterwards.

    --keys N          keys (default 1000)
    --interval S      seconds between two questions for one key (default 60)
    --latency S       seconds that the gateway takes (default 0.3)
    --concurrency N   questions under way at once (default 128)
    --seconds S       how long to look after the first round (default two intervals)
    --every S         seconds between two scrapes (default 1)
    --burst N         scrapes at once, five times at the end (default 50)
    --half-dead       have as many keys again at a gateway that never answers
"""

import argparse
import gzip
import os
import re
import resource
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import speed

START_SECONDS = 300


class Usage(NamedTuple):
    """What a process has used, and has, at one moment."""

    at: float
    cpu: float
    rss: int
    descriptors: int
    threads: int


@contextmanager
def exporter(options: Sequence[str], environment: Mapping[str, str]) -> Iterator[tuple[str, psutil.Process]]:
    """Run an exporter; give its URL."""
    command = [speed.installed(), "exporter", "--listen", "127.0.0.1:0", *options]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            found = re.search(r"http://[^/]+", line)
            assert found, line
            threading.Thread(target=_show, args=(process.stderr,), daemon=True).start()
            yield found[0], psutil.Process(process.pid)
        finally:
            process.terminate()


def _show(lines: Iterator[str]) -> None:
    for line in lines:
        print(f"  stderr: {line.rstrip()}")


def get(url: str) -> bytes:
    """Return an answer, whatever its status, uncompressed as it came."""
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError:
        return b""


def usage(process: psutil.Process) -> Usage:
    """Return what a process has used by now."""
    times = process.cpu_times()
    memory = process.memory_info().rss
    return Usage(time.monotonic(), times.user + times.system, memory, process.num_fds(), process.num_threads())


def oldest(url: str) -> tuple[float, int, int]:
    """Return the age of the oldest reading, how many there are, and how many of them succeeded."""
    page = gzip.decompress(get(f"{url}/metrics")).decode()
    stamps = [float(value) for value in re.findall(r"(?m)^apimart_reading_timestamp_seconds\{.*\} (\S+)$", page)]
    successes = [float(value) for value in re.findall(r"(?m)^apimart_reading_success\{.*\} (\S+)$", page)]
    return time.time() - min(stamps, default=time.time()), len(successes), int(sum(successes))


def write_config(folder: Path, url: str, dead: str | None, keys: int) -> str:
    """Write a config file with so many profiles, and return its path."""
    lines = [f'base_url = "{url}"', 'unit = "USD"', "min = 5"]
    for number in range(keys):
        lines += [f"[profiles.team-{number:05d}]", f'api_key = "sk-{number:020d}"']
        if dead is not None:
            lines += [f"[profiles.dead-{number:05d}]", f'api_key = "sk-{number:020d}"', f'base_url = "{dead}"']
    path = folder / "config.toml"
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return str(path)


def scrape(url: str) -> float:
    """Return how many seconds a scrape took."""
    began = time.monotonic()
    get(f"{url}/metrics")
    return time.monotonic() - began


def told(name: str, seconds: Sequence[float]) -> str:
    """Return how long scrapes took, in words."""
    milliseconds = sorted(1000 * each for each in seconds)
    most = milliseconds[min(len(milliseconds) - 1, len(milliseconds) * 99 // 100)]
    median = statistics.median(milliseconds)
    return f"{name}: median {median:.0f} ms, 99th percentile {most:.0f} ms, slowest {milliseconds[-1]:.0f} ms"


def measure(url: str, process: psutil.Process, options: argparse.Namespace) -> None:
    """Look at a running exporter, and tell what was seen."""
    began = time.monotonic()
    while get(f"{url}/-/ready") != b"ready\n":
        assert time.monotonic() - began < START_SECONDS, "it does not become ready"
        time.sleep(0.1)
    print(f"first round: {time.monotonic() - began:.1f} s")
    before, scrapes, ages, peak = usage(process), list[float](), list[float](), 0
    seconds = options.seconds or 2 * options.interval
    while time.monotonic() - before.at < seconds:
        start = time.monotonic()
        scrapes.append(scrape(url))
        # After one interval: whoever was asked first in a hurry is in the rhythm by then.
        if time.monotonic() - before.at > min(options.interval + 10, seconds / 2):
            ages.append(oldest(url)[0])
        now = usage(process)
        peak = max(peak, now.rss)
        time.sleep(max(0.0, options.every - (time.monotonic() - start)))
    after = usage(process)
    elapsed = after.at - before.at
    age, count, succeeded = oldest(url)
    print(f"readings: {count}, {succeeded} of them with a balance; the oldest of all looks: {max([age, *ages]):.1f} s")
    share = (after.cpu - before.cpu) / elapsed
    print(f"processor: {100 * share:.0f} % of one core, {1000 * share * options.interval / count:.1f} ms a question")
    print(f"memory: {peak / 2**20:.0f} MiB at most; descriptors: {after.descriptors}; threads: {after.threads}")
    print(told(f"{len(scrapes)} scrapes", scrapes))
    with ThreadPoolExecutor(options.burst) as pool:
        at_once = [seconds for _ in range(5) for seconds in pool.map(scrape, [url] * options.burst)]
    print(told(f"{options.burst} scrapes at once, five times", at_once))
    print(f"memory after that: {usage(process).rss / 2**20:.0f} MiB")


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=60)
    parser.add_argument("--latency", type=float, default=0.3)
    parser.add_argument("--concurrency", type=int, default=128)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--every", type=float, default=1)
    parser.add_argument("--burst", type=int, default=50)
    parser.add_argument("--half-dead", action="store_true")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 8192), hard), hard))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; {options}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with speed.tls_server(folder, options.latency) as url, speed.tls_server(folder, 3600) as silent:
            ca = folder / "authorities.pem"
            ca.write_bytes(b"".join(path.read_bytes() for path in folder.glob("ca-*.pem")))
            environment = {
                **speed.environment(folder, url),
                "APIMART_CONFIG": write_config(folder, url, silent if options.half_dead else None, options.keys),
                "APIMART_HISTORY": str(folder / "history.db"),
                "REQUESTS_CA_BUNDLE": str(ca),
            }
            del environment["APIMART_API_KEY"], environment["APIMART_BASE_URL"]
            ask = ["--interval", f"{options.interval:g}s", "--concurrency", str(options.concurrency)]
            with exporter(ask, environment) as (page, process):
                measure(page, process, options)
    print(f"load {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
