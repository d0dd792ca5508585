"""Coverage-guided fuzzing: the parser and the gate against the oracle, for as long as one likes.

    python3 -m pip install '.[deep]'
    python3 tests/hostile/fuzz/fuzz_parser.py -max_total_time=600

Takes libFuzzer's options, and a folder to keep the corpus in, if one is named. Ends with an error at the first answer
that the project and the oracle judge differently, or that raises anything but one of the project's own errors; the
answer is kept as `crash-…` in the current folder, and is replayed by naming that file. Make a named test of it.
"""

import gzip
import json
import random
import re
import runpy
import sys
import tempfile
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import atheris

TESTS = Path(__file__).parent.parent.parent
sys.path.insert(0, str(TESTS))
runpy.run_path(str(TESTS / "support" / "guard" / "sitecustomize.py"))

# The oracle is instrumented as well: it reads JSON byte by byte, where the parser calls a library that cannot be, and
# so leads the fuzzer through every turn that a document can take.
with atheris.instrument_imports(include=["apimart_cli", "hostile.oracle"]):
    from hostile import agreement, answers

THRESHOLDS = (None, None, *answers.THRESHOLDS)
STATUSES = (201, 204, 301, 304, 400, 401, 402, 403, 404, 408, 418, 429, 500, 502, 503, 504, 599, 999)
ENCODINGS: Sequence[Mapping[str, str]] = (
    {}, {}, {}, {"Content-Encoding": "gzip"}, {"Content-Encoding": "identity"}, {"Content-Encoding": "br"},
)  # fmt: skip
CONTROLS = 5
"""How many bytes in front of the body choose the rest of the question."""


def question(data: bytes) -> agreement.Question:
    """Make a question of any bytes: a few choose status, header, thresholds and options, the rest is the body."""
    status, header, least, most_used, flags = data[:CONTROLS].ljust(CONTROLS, b"\0")
    return agreement.Question(
        [
            agreement.Answered(
                STATUSES[status % len(STATUSES)] if status >= 0xE0 else 200,
                ENCODINGS[header % len(ENCODINGS)],
                data[CONTROLS:],
                reason=data[CONTROLS : CONTROLS + 20].decode("latin-1"),
            )
        ],
        least=_amount(least),
        most_used=_amount(most_used),
        unlimited_passes=bool(flags & 1),
        fail_open=bool(flags & 2),
    )


def _amount(choice: int) -> Decimal | None:
    text = THRESHOLDS[choice % len(THRESHOLDS)]
    return None if text is None else Decimal(text)


def seed(corpus: Path) -> None:
    """Write the recorded payloads as the first inputs, plain and compressed."""
    for path in sorted((TESTS / "support" / "recorded").glob("*.json")):
        body = json.loads(path.read_text("utf-8"))["body"].encode()
        (corpus / path.stem).write_bytes(b"\0\0\3\0\0" + body)
        (corpus / f"{path.stem}.gzip").write_bytes(b"\0\3\3\0\0" + gzip.compress(body, mtime=0))


def test_one_input(data: bytes) -> None:
    """Hold the project to the oracle."""
    agreement.check_alike(question(data))


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Change an input: its bytes as libFuzzer does, or its members as someone does who knows JSON and the contract."""
    choose = answers.Choices(random.Random(seed).randbytes(64))
    if choose.one_in(2):
        return bytes(atheris.Mutate(data, max_size))
    pieces = re.split(rb"([,{}\[\]])", data[CONTROLS:])  # members at even places, what stands between them at odd ones
    members = [piece for piece in pieces[::2] if piece] or [b'"success":true']
    place = 2 * choose.number(len(pieces) // 2)
    match choose.number(4):
        case 0:  # another value under its name
            value = answers.amount(choose).encode("utf-8", "surrogatepass")
            pieces[place] = pieces[place].partition(b":")[0] + b":" + value
        case 1:  # one more member, which was there before
            pieces[place] = choose.of(members) + b"," + pieces[place]
        case 2:  # another member in its place
            pieces[place] = choose.of(members)
        case 3:  # one level deeper
            pieces[place] = pieces[place].replace(b":", b":[", 1) + b"]"
        case 4:  # another answer, under thresholds near its amounts
            around = choose.of(answers.THRESHOLDS)
            place = THRESHOLDS.index(around)
            controls = bytes((0, 0, choose.of((place, 0)), choose.of((0, place)), choose.number(3)))
            kind = choose.of(tuple(answers.ANSWERS.values()))
            return (controls + kind(choose, around).body)[:max_size]
    return (data[:CONTROLS] + b"".join(pieces))[:max_size]


def main() -> None:
    """Fuzz until an option of libFuzzer or a disagreement says stop."""
    is_replay = any(Path(argument).is_file() for argument in sys.argv[1:])
    options = [f"-dict={Path(__file__).with_name('parser.dict')}", "-max_len=2048", "-timeout=10"]
    with tempfile.TemporaryDirectory() as seeds:
        seed(Path(seeds))
        atheris.Setup([*sys.argv, *options, *([] if is_replay else [seeds])], test_one_input, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
