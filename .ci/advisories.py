"""RustSec's advisories as .ci/advisories.toml has them, and which crates they are of.

The copy has what it takes to judge a crate without the network, one line an advisory: the crate, the kind
of advisory, and the versions that aren't affected: those that are patched, and those that never were.
`python3 -m doctest .ci/advisories.py` tests the ranges.
"""
import io
import re
import subprocess
import tarfile
import tomllib
from datetime import date
from pathlib import Path

COPY = Path(__file__).parent / "advisories.toml"
OLD = 180                               # days after which the copy should be renewed

HEAD = """\
# The advisories of the RustSec database that aren't withdrawn. `.ci/deny --update DATABASE` writes this.
#
# https://rustsec.org/advisories/ID.html has the text of each. The database is in the public domain (CC0
# 1.0), but for what it took from GitHub's, which is under CC BY 4.0 and has its source there.

"""


def version(text):
    """A version in a form that sorts as semver orders versions.

    >>> ordered = ["1.0.0-0", "1.0.0-2", "1.0.0-10", "1.0.0-rc", "1.0.0-rc.1", "1.0.0-rc.a", "1.0.0", "1.0.10+b"]
    >>> sorted(reversed(ordered), key=version) == ordered
    True
    >>> version("1.0.0+a") == version("1.0.0+b")
    True
    """
    numbers, _, before = text.strip().partition("+")[0].partition("-")
    words = [(0, int(word), "") if word.isdigit() else (1, 0, word) for word in before.split(".") if word]
    # A release comes after all that lead up to it.
    return [*map(int, numbers.split("."))], words or [(2, 0, "")]


def bounds(comparison):
    """The first version that a comparison takes, and the first that it doesn't; None where there is no such.

    What leads up to a release, such as 2.0.0-rc, doesn't belong to `^1`, but to `<2.0.0`: it comes before.

    >>> bounds("^1.2.3"), bounds("^0.2.3"), bounds("^0.0.3")
    (('1.2.3', '2.0.0-0'), ('0.2.3', '0.3.0-0'), ('0.0.3', '0.0.4-0'))
    >>> bounds("1.2"), bounds("^0"), bounds("^0.0"), bounds("~1.2.3"), bounds("~1")
    (('1.2.0', '2.0.0-0'), ('0.0.0', '1.0.0-0'), ('0.0.0', '0.1.0-0'), ('1.2.3', '1.3.0-0'), ('1.0.0', '2.0.0-0'))
    >>> bounds(">= 0.7"), bounds("> 1.2"), bounds("> 1.2.3"), bounds("<1.2.0-rc"), bounds("<= 1.2.3")
    (('0.7.0', None), ('1.3.0-0', None), ('1.2.3.0', None), (None, '1.2.0-rc'), (None, '1.2.3.0'))
    >>> bounds("=1.2.3"), bounds("= 1.2"), bounds("=1.2.3-rc.1"), bounds("*")
    (('1.2.3', '1.2.3.0'), ('1.2.0', '1.3.0-0'), ('1.2.3-rc.1', '1.2.3-rc.1.0'), (None, None))
    >>> bounds("about 1")
    Traceback (most recent call last):
    ValueError: a range of versions: about 1
    """
    if comparison.strip() == "*":
        return None, None
    found = re.fullmatch(r"\s*(\^|~|>=|<=|>|<|=|)\s*(\d+(?:\.\d+){0,2})(-[\w.-]+)?(?:\+[\w.-]+)?\s*", comparison)
    if not found:
        raise ValueError(f"a range of versions: {comparison}")
    operator, given, before = found[1] or "^", [*map(int, found[2].split("."))], found[3] or ""
    first = ".".join(map(str, (given + [0, 0])[:3])) + before

    def next_of(place):
        """The first of all versions in which a number, and none before it, is higher."""
        place = min(place, len(given) - 1)
        return ".".join(map(str, ([*given[:place], given[place] + 1, 0, 0])[:3])) + "-0"

    # `1.2.3.0` is the version directly after 1.2.3, which no crate can have. So is `-rc.1.0` after `-rc.1`.
    after = f"{first}.0" if len(given) == 3 else next_of(len(given) - 1)
    leftmost = next((place for place, number in enumerate(given) if number), len(given) - 1)
    return {
        "^": (first, next_of(leftmost)),
        "~": (first, next_of(1)),
        "=": (first, after),
        ">=": (first, None),
        ">": (after, None),
        "<": (None, first),
        "<=": (None, after),
    }[operator]


def takes(requirement, wanted):
    """Whether a list of comparisons with commas, all of which must hold, takes a version.

    A version that leads up to a release is compared as any other. Cargo takes one only where it is named,
    but an advisory is of every version.

    >>> [takes(">= 1.2.0, < 1.3", text) for text in ("1.1.9", "1.2.0-rc", "1.2.0", "1.2.9", "1.3.0")]
    [False, False, True, True, False]
    >>> [takes(">1.2.3", text) for text in ("1.2.3", "1.2.4-rc", "1.2.4")]
    [False, True, True]
    >>> [takes("<=1.2.3", text) for text in ("1.2.3-rc", "1.2.3", "1.2.4-0")]
    [True, True, False]
    >>> [takes("^0.2.3", text) for text in ("0.2.2", "0.2.3", "0.2.10+b", "0.3.0-rc", "0.3.0")]
    [False, True, True, False, False]
    >>> takes("=1.2.3", "1.2.3"), takes("=1.2.3", "1.2.3-rc"), takes("=1.2.3", "1.2.30"), takes("*", "0.0.0")
    (True, False, False, True)
    """
    for comparison in requirement.split(","):
        first, end = bounds(comparison)
        if first is not None and version(wanted) < version(first):
            return False
        if end is not None and version(wanted) >= version(end):
            return False
    return True


def advisories(database):
    """Yields what the copy has of each advisory, from a git repository, bare or not."""
    packed = subprocess.check_output(["git", "-C", database, "archive", "HEAD", "crates"])
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            if not member.name.endswith(".md"):
                continue
            text = archive.extractfile(member).read().decode()
            head = tomllib.loads(re.match(r"```toml\n(.*?)\n```", text, re.DOTALL)[1])
            of, versions = head["advisory"], head["versions"]
            if "withdrawn" not in of:
                safe = [*versions["patched"], *versions.get("unaffected", [])]
                yield of["id"], of["package"], of.get("informational", "vulnerability"), safe


def update(database):
    """Writes the copy anew."""
    made = subprocess.check_output(["git", "-C", database, "log", "-1", "--format=%cs"], text=True).strip()
    lines = [HEAD, f"date = {made}\n\n[advisories]\n"]
    for name, crate, kind, safe in sorted(advisories(database)):
        for requirement in safe:
            takes(requirement, "0.0.0")  # so that what can't be read is seen now
        ranges = ", ".join(f'"{" ".join(requirement.split())}"' for requirement in safe)
        lines.append(f'{name} = {{ crate = "{crate}", kind = "{kind}", safe = [{ranges}] }}\n')
    COPY.write_text("".join(lines))


def met(crates):
    """Yields each of the crates that an advisory is of, and its name and what the copy has of it.

    >>> old = [{"name": "time", "version": "0.1.43"}, {"name": "time", "version": "0.2.6"}]
    >>> [crate["version"] for crate, name, _ in met(old) if name == "RUSTSEC-2020-0071"]
    ['0.1.43']
    """
    for name, advisory in tomllib.loads(COPY.read_text())["advisories"].items():
        for crate in crates:
            is_of_it = crate["name"] == advisory["crate"]
            if is_of_it and not any(takes(requirement, crate["version"]) for requirement in advisory["safe"]):
                yield crate, name, advisory


def locked(lock):
    """The crates of a Cargo.lock, without our own."""
    return [crate for crate in tomllib.loads(lock.read_text())["package"] if "source" in crate]


def age():
    """The date of the database that the copy was made of, and whether that is long ago."""
    made = tomllib.loads(COPY.read_text())["date"]
    return made, (date.today() - made).days > OLD
