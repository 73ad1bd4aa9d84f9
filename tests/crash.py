#!/usr/bin/env python3
"""What a power cut leaves in a folder: a key that got out always restores.

    PATH=.../target/release:$PATH tests/crash.py [--seed N]

Records the system calls of sx-put and sx-get --repair into a folder with strace. From the record it
builds the states in which a crash at every point can leave the file system, writes each to the folder,
and runs sx-get on it. Needs Linux, Python 3.9 and strace (Debian package strace).

The model promises no more than POSIX does. The bytes of a file are safe once an fsync of that file has
returned that began after the write; a name in a folder is safe once an fsync of the folder has
returned that began after the name was made. Of everything else, any combination may be lost: a file
may be empty, half, or zeros; a name may be there or not. Up to 2 ** 8 combinations at a point are all
tried; of more, none lost, all lost, each one lost by itself, and some at random.

That the model follows the programs is checked at the end of each record: what it has for the folder
must be what is in the folder.

That a missing sync is noticed is checked, too: each record is looked at once more as if the fsyncs of
files had not happened, and once as if those of folders had not. Both must show a loss, or the script
fails.
"""

import argparse
import itertools
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

CALLS = """open openat creat write pwrite64 writev pwritev fsync fdatasync sync_file_range link linkat
    rename renameat renameat2 mkdir mkdirat unlink unlinkat rmdir close dup dup2 dup3 fcntl ftruncate
    truncate fallocate copy_file_range sendfile splice syncfs sync""".split()
EXHAUSTIVE = 8  # unsynced operations of which all combinations are tried
AT_RANDOM = 4  # combinations to draw otherwise, at each point


def say(text):
    print(f"crash.py: {text}", flush=True)


def fail(text):
    sys.exit(f"crash.py: error: {text}")


class Unseen(Exception):
    """strace has not shown what happened: of the last call of a process that is killed it may know nothing
    but that there was one, and calls of two threads at once may have taken place in another order."""


class Call:
    """A system call: name, arguments and result as text, and the times of its start and end."""

    def __init__(self, name, arguments, result, start, end):
        self.name, self.result, self.start, self.end = name, result, start, end
        self.arguments = re.split(r", ", arguments)
        strings = re.findall(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?', arguments)
        if any(cut for _, cut in strings):
            fail(f"{name}: more bytes than strace shows")
        self.strings = [bytes.fromhex(text.replace("\\x", "")) for text, _ in strings]

    def fd(self, at=0):
        return int(self.arguments[at])


def calls(path, time):
    """The calls of a record by strace -f, in the order of their ends, from this time on."""
    begun = {}
    for line in open(path, encoding="ascii"):
        time += 1
        thread, text = line.rstrip("\n").split(None, 1)
        if text.startswith(("+++", "---")):
            continue
        start = time
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", text)
        if resumed:
            start, first = begun.pop(thread)
            text = first + resumed[1]
        elif text.endswith("<unfinished ...>"):
            begun[thread] = start, text.removesuffix("<unfinished ...>")
            continue
        whole = re.match(r"(\w+)\((.*)\)\s+= (-?\d+|\?)", text)
        if not whole:
            raise Unseen(f"not understood: {text}")
        yield Call(*whole.groups(), start, time)
    for start, text in begun.values():  # the process was killed meanwhile
        name, arguments = text.split("(", 1)
        yield Call(name, arguments.rstrip(" ,)"), "?", start, time + 1)


class Folder:
    def __init__(self):
        self.names = {}


class File:
    def __init__(self):
        self.bytes = b""


class Change:
    """What a call did: the bytes of a file from then on, or names in a folder."""

    def __init__(self, of, to, start, end):
        self.of, self.to, self.start, self.end = of, to, start, end


class Record:
    """The file system below a folder, as calls change it, and what makes each change safe."""

    def __init__(self, root):
        self.root_path = os.fsencode(root)
        self.root = Folder()
        self.time = 0
        self.first = 0  # time from which on crashes are looked at
        self.changes, self.syncs, self.keys = [], [], []
        if os.path.isdir(root):
            self.load(self.root, self.root_path)

    def load(self, folder, path):
        """Takes what is there: it is safe."""
        for entry in os.scandir(path):
            node = Folder() if entry.is_dir() else File()
            folder.names[entry.name] = node
            change = Change(folder, {entry.name: node}, -1, -1)
            self.changes.append(change)
            self.syncs.append((folder, 0, 0, True))
            if entry.is_dir():
                self.load(node, entry.path)
            else:
                node.bytes = open(entry.path, "rb").read()
                self.changes.append(Change(node, node.bytes, -1, -1))
                self.syncs.append((node, 0, 0, True))

    def find(self, path):
        """The node at a path; none outside the root or if there is none."""
        path = os.path.normpath(os.path.join(os.fsencode(os.getcwd()), path))
        below = os.path.relpath(path, self.root_path)
        if below.startswith(b".."):
            return None
        node = self.root
        for part in below.split(b"/") if below != b"." else []:
            node = node.names.get(part) if isinstance(node, Folder) else None
        return node

    def place(self, path):
        """The folder of a path, and the name there."""
        folder, name = os.path.split(os.path.normpath(path))
        return self.find(folder), name

    def change(self, of, to, call):
        if isinstance(of, Folder):
            of.names = {name: node for name, node in {**of.names, **to}.items() if node}
        else:
            of.bytes = to
        self.changes.append(Change(of, to, call.start, call.end))

    def take(self, path):
        """Follows the calls of a process."""
        fds, done = {}, sorted(calls(path, self.time), key=lambda call: call.end)
        for call in done:
            self.time = max(self.time, call.end)
            # Whether a call took place during which the process was killed, the folder tells.
            is_undone = call.result == "?" and call.name.startswith(("link", "mkdir"))
            if is_undone and not os.path.lexists(call.strings[-1]):
                continue
            if not call.result.startswith("-"):
                self.follow(call, fds)

    def follow(self, call, fds):
        name = call.name
        if name == "close":
            fds.pop(call.fd(), None)
        elif name in ("open", "openat"):
            self.opened(call, fds)
        elif name in ("write", "pwrite64", "writev"):
            node, at = fds.get(call.fd(), (None, 0))
            data = b"".join(call.strings)
            if b"#blake3=" in data and not node:
                self.keys.append((data.decode().split("\n")[0], call.start))
            if node and call.result != "?":
                if name == "pwrite64":
                    at = call.fd(3)
                data = data[: int(call.result)]
                fds[call.fd()] = (node, at + len(data))
                old = node.bytes.ljust(at, b"\0")
                self.change(node, old[:at] + data + old[at + len(data) :], call)
        elif name in ("fsync", "fdatasync"):
            node, _ = fds.get(call.fd(), (None, 0))
            if node and call.result != "?":
                is_file = isinstance(node, File)
                self.syncs.append((node, call.start, call.end, is_file))
        elif name in ("link", "linkat"):
            old, new = call.strings[0], call.strings[-1]
            by_fd = re.fullmatch(rb"/proc/self/fd/(\d+)", old)
            node = fds.get(int(by_fd[1]), (None, 0))[0] if by_fd else self.find(old)
            folder, entry = self.place(new)
            if node and folder:
                self.change(folder, {entry: node}, call)
        elif name in ("rename", "renameat", "renameat2"):
            (source, old), (target, new) = map(self.place, call.strings)
            if source is not target:
                fail("a rename from one folder to another is not in the model")
            if source:
                self.change(source, {old: None, new: source.names[old]}, call)
        elif name in ("mkdir", "mkdirat"):
            folder, entry = self.place(call.strings[0])
            if folder:
                self.change(folder, {entry: Folder()}, call)
        elif name in ("unlink", "unlinkat", "rmdir"):
            folder, entry = self.place(call.strings[0])
            if folder:
                self.change(folder, {entry: None}, call)
        elif name in ("dup", "dup2", "dup3", "fcntl"):
            if name != "fcntl" or "F_DUPFD" in call.arguments[1]:
                if call.fd() in fds:
                    fds[int(call.result)] = fds[call.fd()]
        elif any(fds.get(int(fd)) for fd in call.arguments[:1] if fd.isdigit()):
            fail(f"{name} is not in the model")

    def opened(self, call, fds):
        path, flags = call.strings[0], call.arguments[2 if call.name == "openat" else 1]
        if call.result == "?":
            return
        if "O_TMPFILE" in flags:
            node = File() if self.find(path) else None
        else:
            node = self.find(path)
            folder, entry = self.place(path)
            if "O_CREAT" in flags and folder and not node:
                node = File()
                self.change(folder, {entry: node}, call)
            if "O_TRUNC" in flags and node:
                self.change(node, b"", call)
        fds.pop(int(call.result), None)
        if node:
            fds[int(call.result)] = (node, 0)

    def tree(self):
        """What is in the folder now."""
        return tree(self.root, lambda node: node.names, lambda node: node.bytes)

    # The states that a crash can leave

    def points(self):
        """Times at which what is there or what is safe changes."""
        ends = {sync[2] for sync in self.syncs} | {start for _, start in self.keys}
        ends |= {change.start for change in self.changes} | {change.end for change in self.changes}
        return sorted(end for end in ends if end >= self.first) + [self.time + 1]

    def states(self, time, without, numbers):
        """Trees in which a crash at this time can leave the folder, if syncs of one kind are
        ignored."""
        syncs = {}
        for node, start, end, is_file in self.syncs:
            is_ignored = start > 0 and without == ("files" if is_file else "folders")
            if end <= time and not is_ignored:
                syncs[id(node)] = max(start, syncs.get(id(node), -1))
        begun = [change for change in self.changes if change.start < time]
        safe = lambda change: change.end < syncs.get(id(change.of), -1) or change.end < 0
        pending = [change for change in begun if not safe(change)]
        for lost in combinations(pending, numbers):
            yield self.state(begun, lost, numbers)

    def state(self, begun, lost, numbers):
        names, files = {}, {}
        for change in begun:
            if isinstance(change.of, Folder):
                if change not in lost:
                    names.setdefault(id(change.of), {}).update(change.to)
            elif change not in lost:
                files[id(change.of)] = change.to
            else:
                whole = change.to
                torn = [whole[: len(whole) // 2], bytes(len(whole)), files.get(id(change.of), b"")]
                files[id(change.of)] = numbers.choice(torn)
        of_folder = lambda node: {
            name: node for name, node in names.get(id(node), {}).items() if node
        }
        return tree(self.root, of_folder, lambda node: files.get(id(node), b""))


def tree(folder, names, content):
    """A folder as a tuple of names, each with bytes or another tuple."""
    inside = lambda node: tree(node, names, content) if isinstance(node, Folder) else content(node)
    return tuple(sorted((name, inside(node)) for name, node in names(folder).items()))


def combinations(pending, numbers):
    if len(pending) <= EXHAUSTIVE:
        for kept in itertools.product([False, True], repeat=len(pending)):
            yield {change for change, is_kept in zip(pending, kept) if not is_kept}
        return
    yield set()
    yield set(pending)
    for change in pending:
        yield {change}
    for _ in range(AT_RANDOM):
        chance = numbers.random()
        yield {change for change in pending if numbers.random() < chance}


def write(tree, path):
    os.mkdir(path)
    for name, inside in tree:
        to = os.path.join(path, os.fsdecode(name))
        if isinstance(inside, tuple):
            write(inside, to)
        else:
            with open(to, "wb") as file:
                file.write(inside)


class Scene:
    """A folder with streams, and what must hold of them."""

    def __init__(self, name, numbers):
        self.name, self.numbers = name, numbers
        self.work = tempfile.mkdtemp(prefix="crash.")
        self.store = os.path.join(self.work, "store")
        os.mkdir(self.store)
        self.frames = {}  # by key
        self.checked = set()  # keys that --check must call whole once they are out again
        self.seen = {}
        self.tried = 0

    def encode(self, count, seed):
        data = random.Random(seed).randbytes(count * 732 - 100)
        encode = ["sx-encode", "-0", "-W16", "-H16"]
        return subprocess.run(encode, input=data, capture_output=True, check=True).stdout

    def run(self, *command, frames=b""):
        done = subprocess.run(command, input=frames, capture_output=True)
        return done.returncode, done.stdout, done.stderr.decode()

    def put(self, frames, *options):
        status, key, said = self.run("sx-put", "-j2", "--to", self.store, *options, frames=frames)
        if status != 0:
            fail(f"{self.name}: {said}")
        self.frames[key.decode().strip()] = frames

    def record(self):
        return Record(self.store)

    def trace(self, record, *command, frames=b"", inject=(), status=0):
        """Records a command."""
        path = os.path.join(self.work, "strace")
        strace = ["strace", "-f", "-xx", "-s", "65536", "-o", path, "-e", "trace=" + ",".join(CALLS)]
        done = self.run(*strace, *inject, *command, frames=frames)
        if done[0] != status:
            fail(f"{self.name}: status {done[0]}, expected {status}: {done[2]}")
        try:
            record.take(path)
            if record.tree() != Record(self.store).tree():
                raise Unseen("the model has another folder than there is")
        except Unseen:
            shutil.rmtree(self.work)
            raise
        if b"#blake3=" in done[1]:
            self.frames[done[1].decode().strip()] = frames or self.frames[done[1].decode().strip()]

    def holds(self, state, keys, whole):
        """Whether keys restore from a state, and whether those in `whole` have lost nothing."""
        sight = (hash(state), tuple(keys), tuple(whole))
        if sight not in self.seen:
            shutil.rmtree(self.store)
            write(state, self.store)
            self.seen[sight] = all(
                self.run("sx-get", key)[:2] == (0, self.frames[key]) for key in keys
            ) and all(self.run("sx-get", "--check", key)[0] == 0 for key in whole)
        return self.seen[sight]

    def losses(self, record, old, without=None):
        """Crashes after which a key is lost that was out; all of them, or the first one if syncs
        are ignored."""
        found = 0
        for time in record.points():
            out = [key for key, start in record.keys if start < time]
            keys, whole = sorted(set(old + out)), sorted(self.checked & set(out))
            if not keys:
                continue
            for state in record.states(time, without, self.numbers):
                self.tried += 1
                if not self.holds(state, keys, whole):
                    found += 1
                    if without:
                        return found
        return found

    def judge(self, record, old, notices):
        """Checks that nothing is lost; and that it is with syncs of the kinds in `notices` left
        out."""
        found = self.losses(record, old)
        tried, states = self.tried, len(self.seen)
        if found:
            fail(f"{self.name}: {found} of {tried} crashes lose a key")
        for kind in notices:
            if not self.losses(record, old, kind):
                fail(f"{self.name}: without the syncs of {kind}, no loss was found")
        noticed = " and ".join(f"of {kind}" for kind in notices)
        crashes = f"{len(record.points())} points, {tried} crashes, {states} states to look at"
        say(f"{self.name}: {crashes}: nothing lost; a lack of the syncs {noticed} is noticed")
        shutil.rmtree(self.work)


def put(numbers):
    scene = Scene("put", numbers)
    record = scene.record()
    command = ["sx-put", "-j2", "--parity", "2+1", "--to", scene.store]
    scene.trace(record, *command, frames=scene.encode(3, 1))
    scene.judge(record, [], ["files", "folders"])


def put_beside(numbers):
    """The second stream has frames of the first, and the first one's key is out all the time."""
    scene = Scene("put beside another stream", numbers)
    frames, more = scene.encode(3, 1), scene.encode(5, 1)
    scene.put(frames)
    record, old = scene.record(), list(scene.frames)
    scene.trace(record, "sx-put", "-j2", "--to", scene.store, frames=more)
    scene.judge(record, old, ["files", "folders"])


def put_again(numbers):
    """The first run is killed when it has placed some files, whose names were never synced."""
    scene = Scene("put, killed, and put again", numbers)
    record, frames = scene.record(), scene.encode(6, 2)
    command = ["sx-put", "-j2", "--to", scene.store]
    kill = ["--inject=linkat:signal=KILL:when=2"]
    scene.trace(record, *command, frames=frames, inject=kill, status=-9)
    scene.trace(record, *command, frames=frames)
    scene.judge(record, [], ["files", "folders"])


def repair(numbers):
    """Some frames are gone and others damaged, no more than parity makes up for."""
    scene = Scene("repair", numbers)
    scene.put(scene.encode(4, 3), "--parity", "2+1")
    (key,) = scene.frames
    listed = scene.run("sx-get", "--list", key)[1].decode().splitlines()
    path = lambda line: line.split("#")[0].removeprefix("file://")
    data = [path(line) for line in listed if line.endswith("\tdata")]
    copies = [path(line) for line in listed if line.endswith("\tcopy")]
    os.remove(data[0])
    os.truncate(data[2], 100)
    open(copies[0], "wb").close()
    scene.checked = {key}
    record = scene.record()
    scene.trace(record, "sx-get", "-j2", "--repair", key)
    scene.judge(record, [key], ["files", "folders"])


def judged(scene, numbers):
    """Plays a scene until strace has shown all of it, which some of a hundred runs don't."""
    for _ in range(20):
        try:
            return scene(numbers)
        except Unseen as why:
            what = why
    fail(f"{scene.__name__}: {what}, in each of 20 runs")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    seed = arguments.parse_args().seed
    missing = [name for name in ("strace", "sx-encode", "sx-put", "sx-get") if not shutil.which(name)]
    if missing:
        fail(f"no {', '.join(missing)} on PATH")
    say(f"--seed {seed}")
    numbers = random.Random(seed)
    for scene in (put, put_beside, put_again, repair):
        judged(scene, numbers)


main()
