#!/usr/bin/env python3
"""Makes the vectors of journals, records of prunes and files of deletions, from storagex(5) and not from
our code: python3 records.py.

A vector is a file named after the rule that it shows. It starts with lines `name: value`, ends them with
an empty line, and goes on with the text of the journal (suffix .journal), the record (.prunes) or the file
of deletions (.deletions).

    rule     the rule, in a sentence
    error    a part of the message with which a writer or a prune refuses the text

and if it isn't refused,

    store    of a journal: the store that is written to, which has no record of prunes
    keep     of a journal: how many bytes of it a writer keeps before it appends
    batches  of a record: how many there are
    open     of a record: whether a prune is under way, or was interrupted
    lines    of a file of deletions: how many there are
"""

from pathlib import Path

HERE = Path(__file__).parent
STORE = "s3://vectors"
HOST = "https://host.example"
DIGESTS = [byte * 32 for byte in ("1f", "a0", "ff")]


def vector(name, rule, text, **values):
    lines = [f"rule: {rule}"] + [f"{key}: {value}" for key, value in values.items()]
    (HERE / name).write_bytes("\n".join(lines).encode() + b"\n\n" + text.encode())


def journals():
    head = f"storagex-journal 1 {STORE} -\n"

    def line(digest, copy=None, name=None):
        name = name or (f"{digest}.{copy}" if copy else digest)
        return f"{name} {STORE}/{digest[:2]}/{name}.png\n"

    def good(name, rule, text, keep=None, store=STORE):
        keep = len(text) if keep is None else keep
        vector(f"journal_{name}.journal", rule, text, store=store, keep=keep)

    def bad(name, rule, text, error):
        vector(f"journal_{name}.journal", rule, text, store=STORE, error=error)

    two = head + line(DIGESTS[0]) + line(DIGESTS[1])
    good("of_two", "what a line lists is there", two)
    good("of_nothing", "a head alone lists nothing", head)
    good("empty", "an empty file is a new journal", "")
    good("with_copies", "a copy has its number after a dot", head + line(DIGESTS[0], 1) + line(DIGESTS[0], 255))
    good("twice", "a name may come again", two + line(DIGESTS[0]))
    places = "".join(f"{digest} https://cdn.example/{n}.jpg?x=y\n" for n, digest in enumerate(DIGESTS))
    good("of_a_host", "an image host gives any URL", f"storagex-journal 1 {HOST} -\n{places}", store=HOST)
    good("head_torn", "a head without a newline is that of an empty journal", head[:-3], keep=0)
    good("line_torn", "a last line without a newline is cut off", two[:-1], keep=len(head + line(DIGESTS[0])))
    pruned = f"storagex-journal 1 {STORE} {DIGESTS[2]}\n{line(DIGESTS[0])}"
    good("pruned_since", "if the store was pruned since, all lines are forgotten", pruned, keep=0)
    bad("of_another_store", "a journal belongs to one store", two.replace(f"1 {STORE}", "1 s3://other"), "journal of store s3://other, expected s3://vectors")
    bad("of_version_2", "there is one version", two.replace(" 1 ", " 2 "), "version 2, expected 1")
    bad("of_something_else", "a file of something else stays as it is", "precious\n", "no journal of an upload")
    bad("of_something_torn", "also one without a newline", "precious", "no journal of an upload")
    bad("head_with_more", "the head has four words", two.replace(" -", " - -"), "no journal of an upload")
    bad("line_without_location", "a line is a name and a location", head + DIGESTS[0] + "\n", "line 2: ")
    bad("line_empty", "an empty line is none", head + "\n" + line(DIGESTS[0]), "line 2: ")
    bad("location_relative", "a location is absolute", head + f"{DIGESTS[0]} ../1f/x.png\n", "line 2: ")
    bad("location_of_another", "a store named by digests has each picture in its place", head + line(DIGESTS[0]).replace("/1f/", "/a0/"), "expected the place of " + DIGESTS[0])
    bad("digest_upper_case", "digits are lower case", head + line(DIGESTS[1]).replace("a0a0", "A0A0", 1), "line 2: ")
    bad("digest_short", "a digest has 64 digits", head + line(DIGESTS[0])[1:], "line 2: ")
    for name, copy in ("0", "0"), ("256", "256"), ("with_a_sign", "+1"), ("nothing", ""):
        bad(f"copy_{name}", "a copy has a number from 1 to 255", head + line(DIGESTS[0], name=f"{DIGESTS[0]}.{copy}"), "line 2: ")
    bad("head_not_ascii", "a journal is ASCII text", two.replace(" -", "\u00da -"), "bytes that aren't ASCII")
    bad("line_not_ascii", "a journal is ASCII text", head + line(DIGESTS[0]).replace(".png", "\u00da.png"), "bytes that aren't ASCII")
    bad("line_too_long", "a line has 65535 bytes at most", head + "x" * 65536 + "\n", "too long")


def records():
    head = "storagex-prunes 1 0123456789abcdef\n"
    batch = "fedcba9876543210"

    def good(name, rule, text, batches, is_open=False):
        vector(f"prunes_{name}.prunes", rule, text, batches=batches, open="yes" if is_open else "no")

    def bad(name, rule, text, error="a line that is no batch"):
        vector(f"prunes_{name}.prunes", rule, text, error=error)

    good("of_no_batch", "a head alone: there are no fossils", head, 0)
    good("done", "a batch has the time when it was done", f"{head}{batch} 1790000000\n", 1)
    good("under_way", "a batch has no time while a prune is under way", f"{head}{batch} 1790000000\n{batch[::-1]} -\n", 2, True)
    good("at_time_0", "the time may be any number of seconds", f"{head}{batch} 0\n", 1)
    for name, text in ("empty", ""), ("of_version_2", head.replace(" 1 ", " 2 ")), ("change_short", head.replace("0123", "")), ("change_no_hex", head.replace("0123", "wxyz")), ("change_with_a_sign", head.replace("0", "+")), ("change_upper_case", head.replace("abcdef", "ABCDEF")), ("head_torn", head[:-1]), ("head_with_a_carriage_return", head[:-1] + "\r\n"):
        bad(name, "the head is of one form", text, "no record of prunes")
    bad("line_torn", "a record ends with a newline", f"{head}{batch} 1790000000", "no record of prunes")
    for name, line in ("time_missing", batch), ("time_with_a_sign", f"{batch} +1"), ("time_negative", f"{batch} -1"), ("time_empty", f"{batch} "), ("time_too_large", f"{batch} {2**64}"), ("batch_short", f"{batch[1:]} 1"), ("batch_with_a_path", "../../../../../x 1"), ("batch_upper_case", f"{batch.upper()} 1"), ("line_empty", ""), ("line_with_more", f"{batch} 1 2"):
        bad(name, "a line is a batch and its time", f"{head}{line}\n")


def deletions():
    keys = [f"{HOST}/u/{n}.png#blake3={digest}" for n, digest in enumerate(DIGESTS)]
    lines = "".join(f"{key}\t{HOST}/delete?secret={n}\n" for n, key in enumerate(keys))

    def good(name, rule, text):
        vector(f"deletions_{name}.deletions", rule, text, lines=text.count("\n"))

    def bad(name, text):
        number = text.count("\n", 0, -1) + 1
        vector(f"deletions_{name}.deletions", "a line is a key, a URL, and maybe a time", text, error=f"line {number}: ")

    good("of_three", "a line for each picture", lines)
    good("empty", "no picture can be deleted", "")
    good("marked", "a prune notes when it found that no key reaches a picture", lines[:-1] + "\t1790000000\n")
    good("twice", "a host may have a picture twice", lines + lines)
    bad("line_torn", lines[:-1])
    bad("line_empty", lines + "\n")
    bad("url_missing", lines + keys[0] + "\n")
    bad("url_empty", lines + keys[0] + "\t\n")
    bad("key_missing", lines + f"\t{HOST}/delete\n")
    bad("key_without_digest", lines + f"{HOST}/u/9.png\t{HOST}/delete\n")
    bad("key_of_something_else", lines + f"precious\t{HOST}/delete\n")
    for name, time in ("with_a_sign", "+1"), ("negative", "-1"), ("empty", ""), ("no_number", "soon"), ("too_large", 2**64):
        bad(f"time_{name}", f"{lines[:-1]}\t{time}\n")
    bad("with_more", f"{lines[:-1]}\t1\t2\n")


if __name__ == "__main__":
    journals()
    records()
    deletions()
