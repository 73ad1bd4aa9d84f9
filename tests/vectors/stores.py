#!/usr/bin/env python3
"""Makes the vectors of indexes and parity, from storagex(5) and not from our code: python3 stores.py
(what make.py needs).

A vector is a file with the suffix .store, named after the rule that it shows. It starts as those that
make.py makes, and goes on with the pictures of a content-addressed store, one after another. Each has
the name that its digest gives; a picture with a chunk sxCp is the copy of that number. The root is

    key      the digest in the key

and what `expect` and `error` say is of `sx-get KEY | sx-decode`. In

    writer   K+M

a writer with this parity, or none with `none`, puts exactly these pictures for the data frames.
"""

import json
import math
import zlib

from blake3 import blake3

import sturdy
from make import HERE, LAST, POSITIONED, chunk, pixels, png


class Picture:
    """A picture: its frame bytes, size, carrier and raw length."""

    def __init__(self, bytes_, size, raw, carrier=0):
        self.bytes, self.size, self.raw, self.carrier = bytes_, size, raw, carrier
        self.digest = blake3(bytes_).hexdigest()

    def png(self, copy=None):
        mark = chunk(b"sxCp", bytes([copy])) if copy else b""
        if self.carrier:
            return sturdy.gray(self.bytes, self.size, self.carrier)
        return png(self.bytes, self.size, before=mark)

    def name(self, copy=None):
        end = f".{copy}.png" if copy else ".png"
        return f"../{self.digest[:2]}/{self.digest}{end}"

    def checksum(self):
        return f"blake3:{self.digest}"


def fit(length, full=(1024, 768)):
    """The size of a frame for a payload of this length: "Size of a frame"."""
    p = -(-(length + 36) // 3)
    w = min(full[0], max(16, math.isqrt(p - 1) + 1))
    h = min(full[1], max(16, -(-p // w)))
    return (w, h) if w * h >= p else (-(-p // h), h)


def data(payload, offset, last=None, size=None):
    """A data frame; `last` is what the stream is, if this is its end."""
    size = size or fit(len(payload))
    flags = POSITIONED | (LAST if last is not None else 0)
    crc = zlib.crc32(last or b"")
    return Picture(pixels(payload, size, flags=flags, offset=offset, stream_crc=crc), size, len(payload))


def stream(*parts, size=None):
    whole = b"".join(parts)
    frames, offset = [], 0
    for n, part in enumerate(parts):
        frames.append(data(part, offset, whole if n == len(parts) - 1 else None, size))
        offset += len(part)
    return frames


def of_kind(kind, payload, size):
    return Picture(pixels(payload, size, kind=kind, flags=0), size, len(payload))


def index(members):
    """An index frame, of members or of a text."""
    text = members if isinstance(members, bytes) else json.dumps(members, separators=(",", ":")).encode()
    return of_kind(1, text, fit(len(text)))


def entry(picture, seq, offset, size=None):
    return {
        "seq": seq, "key": picture.name(), "offset": offset, "size": picture.raw if size is None else size,
        "checksum": picture.checksum(),
    }


def leaf(frames, seq=0, offset=0, filename="", **more):
    pieces = []
    for frame in frames:
        pieces.append(entry(frame, seq + len(pieces), offset))
        offset += frame.raw
    return {
        "protocol_version": 2.0, "filename": filename, "piece_width": max(f.size[0] for f in frames),
        "piece_height": max(f.size[1] for f in frames), "size": sum(f.raw for f in frames), "frames": len(frames),
        "pieces": pieces, **more,
    }


def node(leaves, copies=0):
    """An index of indexes: of (index frame, its members)."""
    entries, seq, offset = [], 0, 0
    for picture, members in leaves:
        one = entry(picture, seq, offset, members["size"])
        if copies:
            one["copies"] = [picture.name(copy) for copy in range(1, copies + 1)]
        entries.append(one)
        seq, offset = seq + members["frames"], offset + members["size"]
    of_all = [members for _, members in leaves]
    return {
        "protocol_version": 2.0, "filename": "", "piece_width": max(m["piece_width"] for m in of_all),
        "piece_height": max(m["piece_height"] for m in of_all), "size": offset, "frames": seq, "indexes": entries,
        **({"copies": copies} if copies else {}),
    }


# The code of "PARITY".

BASIS = [
    0x0001, 0xACCA, 0x3C0E, 0x163E, 0xC582, 0xED2E, 0x914C, 0x4012,
    0x6C98, 0x10D8, 0x6A72, 0xB900, 0xFDB8, 0xFB34, 0xFF38, 0x991E,
]


def polynomial(word):
    value = 0
    for bit, element in enumerate(BASIS):
        value ^= element if word >> bit & 1 else 0
    return value


def word_of():
    words = {}
    for word in range(1 << 16):
        words[polynomial(word)] = word
    return words


WORDS = word_of()


def times(a, b):
    """The product of two words."""
    a, b, product = polynomial(a), polynomial(b), 0
    while b:
        product ^= a if b & 1 else 0
        a, b = a << 1, b >> 1
        a ^= 0x1002D if a >> 16 else 0
    return WORDS[product]


def inverse(a):
    result, power = 1, a
    for bit in range(16):  # a^(2^16 - 2)
        if bit:
            result = times(result, power)
        power = times(power, power)
    return result


def factor(i, j, parity):
    p = 1 << (parity - 1).bit_length()
    y, value = p + j, 1
    for v in range(p):
        value = times(value, y ^ v)
    for v in range(1, p):
        value = times(value, inverse(v))
    return times(value, inverse(y ^ i))


def scaled(shard, by):
    table, out = {}, bytearray(len(shard))
    for at in range(0, len(shard), 64):
        for t in range(32):
            word = shard[at + t] | shard[at + 32 + t] << 8
            if word not in table:
                table[word] = times(word, by)
            out[at + t], out[at + 32 + t] = table[word] & 255, table[word] >> 8
    return out


def shard_of(frame, length):
    head = b"".join(n.to_bytes(4, "little") for n in (frame.carrier, *frame.size))
    return (head + frame.bytes).ljust(length, b"\0")


def protect(frames, parity):
    """The parity frames of a group, and the member of `groups` for it."""
    distinct = list({frame.digest: frame for frame in frames}.values())
    length = -(-(12 + max(len(frame.bytes) for frame in distinct)) // 64) * 64
    made = []
    for i in range(parity):
        total = bytearray(length)
        for j, frame in enumerate(distinct):
            part = scaled(shard_of(frame, length), factor(i, j, parity))
            total = bytearray(a ^ b for a, b in zip(total, part))
        width = max(frame.size[0] for frame in distinct)
        made.append(of_kind(2, bytes(total), (width, -(-(length + 36) // (3 * width)))))
    return made, group(len(frames), length, made)


def group(frames, length, made):
    links = [{"key": frame.name(), "checksum": frame.checksum()} for frame in made]
    return {"frames": frames, "shard": length, "parity": links}


def vector(name, rule, root, pictures, expect=None, error=None, writer=None):
    """`pictures`: pictures, or (picture, copy)."""
    head = f"rule: {rule}\nkey: {root.digest}\n"
    head += f"writer: {writer}\n" if writer else ""
    head += f"error: {error}\n" if error else f"expect: {zlib.crc32(expect):08x} {len(expect)}\n"
    pictures = [one if isinstance(one, tuple) else (one, None) for one in pictures]
    body = b"".join(picture.png(copy) for picture, copy in pictures)
    (HERE / f"{name}.store").write_bytes(head.encode() + b"\n" + body)


def protected(frames, data_frames, parity):
    """The root of a stream with parity, and its parity frames."""
    groups, made = [], []
    for at in range(0, len(frames), data_frames):
        new, one = protect(frames[at : at + data_frames], parity)
        groups.append(one)
        made += new
    return index(leaf(frames, groups=groups, copies=parity)), made


def vectors_of_indexes():
    hello = b"hello, world\n"
    (one,) = stream(hello)
    (nothing,) = stream(b"")
    parts = [b"a" * 700, b"b" * 700, b"c" * 9]
    abc, three = b"".join(parts), stream(*parts)
    root = index(leaf([nothing]))
    assert root.digest == "8651ec2bf0dc1753c670178fcf4e2f2aac7752e1012fe1ef06c02472aa1df1f2"
    vector("index_of_the_empty_stream", "an index lists the data frames", root, [nothing, root], b"", writer="none")
    root = index(leaf(three))
    vector("index_of_three", "in the order of the stream", root, [*three, root], abc)
    both = leaf([one, *three])
    root = index(both)
    vector("index_of_two_streams", "seq and offset count over all streams", root, [one, *three, root], hello + abc)
    upper, lower = leaf(three[:2]), leaf(three[2:], seq=2, offset=1400)
    leaves = [(index(upper), upper), (index(lower), lower)]
    root = index(node(leaves))
    below = [picture for picture, _ in leaves]
    vector("index_of_indexes", "entries can be indexes of a level below", root, [*three, *below, root], abc)
    root = index(b"\n\t" + json.dumps({**leaf([one]), "unknown": [None, {"a": 1e9}]}, indent=2).encode() + b"\r\n ")
    vector("index_with_unknown_members", "a reader ignores unknown members", root, [one, root], hello)
    root = index(leaf([one], filename="../" * 3 + "etc/passwd"))
    vector("index_with_a_path", "the name is for people: a reader of the stream ignores it", root, [one, root], hello)

    def refused(name, rule, error, *more, text=None, **changes):
        members = {**leaf(three), **changes}
        root = index(text or {key: value for key, value in members.items() if value is not None})
        vector(name, rule, root, [*three, *more, root], error=error)

    def changed(at, **changes):
        pieces = leaf(three)["pieces"]
        pieces[at] = {**pieces[at], **changes}
        return pieces

    text = json.dumps(leaf(three)).encode()
    refused("index_of_version_3", "a reader refuses another version", "index: protocol_version 3.0, expected 2.0", protocol_version=3.0)
    refused("index_of_no_pieces", "there is an entry", "index: 0 entries don't add up", pieces=[], size=0, frames=0)
    refused("index_without_pieces", "pieces or indexes", "index: expected either pieces or indexes", pieces=None)
    refused("index_of_pieces_and_indexes", "one of the two", "index: expected either pieces or indexes", indexes=changed(0))
    refused("index_not_json", "an index is JSON", "index: EOF while parsing", text=text[:-1])
    refused("index_not_utf_8", "in UTF-8", "index: invalid unicode", text=text.replace(b'"filename": ""', b'"filename": "\xff"'))
    refused("index_with_a_byte_order_mark", "without a byte order mark", "index: expected value at line 1 column 1", text=b"\xef\xbb\xbf" + text)
    refused("index_member_twice", "no member occurs twice", "index: duplicate field `frames`", text=text.replace(b'"frames": 3', b'"frames": 3, "frames": 3'))
    refused("index_number_as_float", "numbers are digits", "index: invalid type: floating point", text=text.replace(b'"frames": 3', b'"frames": 3.0'))
    refused("index_number_2_to_63", "numbers are below 2^63", f"index: number {1 << 63}, expected one below 2^63", size=1 << 63, pieces=changed(2, size=(1 << 63) - 1400))
    refused("index_number_2_to_63_of_frames", "numbers are below 2^63", f"index: number {1 << 63}, expected one below 2^63", frames=1 << 63)
    refused("index_number_2_to_63_in_an_entry", "numbers are below 2^63", f"index: number {1 << 63}, expected one below 2^63", pieces=changed(0, seq=1 << 63))
    refused("index_number_negative", "numbers are digits", "index: invalid value: integer `-1`", text=text.replace(b'"frames": 3', b'"frames": -1'))
    refused("index_number_with_a_zero", "numbers are those of JSON", "index: invalid number", text=text.replace(b'"frames": 3', b'"frames": 03'))
    refused("index_width_2_to_32", "widths are below 2^32", "index: invalid value: integer `4294967296`", piece_width=1 << 32)
    refused("index_member_missing", "all members but three are there", "index: missing field `filename`", filename=None)
    refused("index_groups_null", "null is no array", "index: invalid type: null", text=text[:-1] + b', "groups": null}')
    refused("index_copies_null", "null is no number", "index: invalid type: null", text=text[:-1] + b', "copies": null}')
    refused("index_spread_null", "null is no number", "index: invalid type: null", text=text[:-1] + b', "spread": null}')
    refused("index_copies_0", "there are copies or no such member", "index: copies 0, expected 1 to 64", copies=0)
    refused("index_copies_of_a_piece", "indexes have copies", "index: copies of an entry: 1, expected at most 0", pieces=changed(1, copies=["../" + three[1].digest[:2] + "/" + three[1].digest + ".1.png"]))
    refused("index_size_wrong", "the size is what the entries add up to", "index: 3 entries don't add up to 3 frames of 1410 bytes", size=1410)
    refused("index_frames_wrong", "so is the number of frames", "index: 3 entries don't add up to 4 frames", frames=4)
    refused("index_starts_late", "the root starts at 0", "index: entry 0 with seq 1 and offset 0 is out of place", pieces=changed(0, seq=1))
    refused("index_gap", "an entry starts where the one before ends", "index: entry 1 with seq 1 and offset 701 is out of place", pieces=changed(1, offset=701))
    refused("index_raw_length_wrong", "the size of an entry is the raw length", "index: a frame of 9 bytes at 1400, expected 10 at 1400", pieces=changed(2, size=10), size=1410)
    refused("index_other_scheme", "a reference is relative or a URL", 'index: key "file:///etc/passwd", expected "../', pieces=changed(1, key="file:///etc/passwd"))
    refused("index_path", "a path is no reference", 'index: key "../../x/', pieces=changed(1, key=f"../../x/{three[1].digest}.png"))
    refused("index_name_of_another", "the name is the digest", 'index: key "../ac/', pieces=changed(1, key=three[0].name()))
    refused("index_checksum_without_method", "a checksum names its method", "expected blake3: and 64 digits", pieces=changed(1, checksum=three[1].digest))
    refused("index_spread_without_groups", "only groups are spread", "index: spread without groups", spread=2)
    refused("index_copies_65", "64 copies at most", "index: copies 65, expected 1 to 64", copies=65)
    refused("index_frame_as_piece", "pieces are data frames", "a frame of an index, expected data", index(leaf([one])), pieces=changed(2, key=index(leaf([one])).name(), checksum=index(leaf([one])).checksum()))
    root = index({**leaf(three), "pieces": changed(1, key=one.name(), checksum=one.checksum())})
    vector("index_of_another_frame", "data frames have the raw lengths that the index says", root, [*three, one, root], error="offset 0, expected 700")
    root = index(leaf(three[:2]))
    vector("index_without_last_frame", "the data frames are whole streams", root, [*three, root], error="frame 2: input ends here")
    root = index({**node(leaves), "size": 1409, "indexes": [entry(below[0], 0, 0, 1399), entry(below[1], 2, 1399, 10)]})
    vector("index_parent_disagrees", "an index is what its parent says", root, [*three, *below, root], error="index: size 1400, expected 1399")
    root = index({**node(leaves), "groups": []})
    vector("index_groups_beside_indexes", "groups are of pieces", root, [*three, *below, root], error="index: groups beside indexes")
    named = {**upper, "filename": "a"}
    named_leaves = [(index(named), named), leaves[1]]
    root = index(node(named_leaves))
    vector("index_filename_below_the_root", "only the root has a name", root, [*three, index(named), below[1], root], error="index: filename a below the root")
    deep, members = index(leaf([one])), leaf([one])
    levels = [deep]
    for _ in range(8):
        members = node([(deep, members)])
        deep = index(members)
        levels.append(deep)
    vector("index_of_9_levels", "8 levels at most", deep, [one, *levels], error="index: over 8 levels")
    vector("index_of_8_levels", "and 8 are fine", levels[-2], [one, *levels[:-1]], hello)


def vectors_of_copies():
    parts = [b"a" * 700, b"b" * 700, b"c" * 9]
    abc, three = b"".join(parts), stream(*parts)
    lower = [leaf(three[:2], copies=2), leaf(three[2:], seq=2, offset=1400, copies=2)]
    leaves = [index(members) for members in lower]
    root = index(node(list(zip(leaves, lower)), copies=2))
    vector("copies_of_the_root", "a copy of the root serves", root, [*three, *leaves, (root, 2)], abc)
    vector("copies_of_a_lower_index", "a copy of an index serves", root, [*three, (leaves[0], 2), (leaves[1], 1), root], abc)
    vector("copies_all_lost", "without any copy it is lost", root, [*three, leaves[1], root], error="not found")


def vectors_of_parity():
    (nothing,) = stream(b"")
    made, one = protect([nothing], 1)
    assert made[0].digest == "085d3cbf60dc81fdbf728f6afa17eb05f5347f62adb522dd89bfaa8c80e259ed"
    assert [factor(i, j, 3) for i in range(3) for j in range(3)] == [0xC, 0xF, 0xA, 0xF, 0xC, 8, 0xA, 8, 0xC]
    full = (16, 16)
    parts = [bytes([65 + n]) * 732 for n in range(9)] + [b"the end"]
    whole, frames = b"".join(parts), stream(*parts, size=full)

    def copies(root, count):
        return [root, *((root, copy) for copy in range(1, count + 1))]

    for k, m in [(1, 1), (2, 1), (4, 2), (4, 3), (5, 5)]:
        root, made = protected(frames, k, m)
        vector(f"parity_{k}_plus_{m}", "a writer's parity frames", root, [*frames, *made, *copies(root, m)], whole, writer=f"{k}+{m}")
    root, made = protected(frames, 4, 3)
    left = [frame for n, frame in enumerate(frames) if n not in (0, 2, 3, 5, 8, 9)]
    vector("parity_three_of_four_lost", "as many shards as data frames are enough", root, [*left, *made, root], whole)
    vector("parity_other_frames", "parity frames may be lost, too", root, [*frames[3:], made[0], made[1], made[2], root], whole)
    left = [frame for n, frame in enumerate(frames) if n not in (4, 5)]
    vector("parity_one_and_two", "any of them serve", root, [*left, made[4], made[5], root], whole)
    vector("parity_too_few", "fewer are not enough", root, [*left, made[4], root], error="group of frames 4 to 7: 3 data and parity frames left, expected 4")
    double = stream(parts[0]) + stream(parts[0], parts[1]) + stream(parts[0])
    bytes_ = parts[0] + parts[0] + parts[1] + parts[0]
    root, made = protected(double, 4, 2)
    lost = {double[0].digest, double[1].digest}
    left = [frame for frame in double if frame.digest not in lost]
    vector("parity_doubles", "equal frames are one shard", root, [*left, *made, root], bytes_)
    mixed = stream(parts[0], b"x" * 1000, b"y" * 3)
    root, made = protected(mixed, 3, 2)
    vector("parity_of_sizes", "frames of a group may have several sizes", root, [mixed[0], *made, root], parts[0] + b"x" * 1000 + b"y" * 3)
    size = (64, 48)
    payload = b"s" * (sturdy.frame_bytes(size, 2) - 36)
    flags = LAST | POSITIONED
    gray = Picture(pixels(payload, size, flags=flags, end=sturdy.frame_bytes(size, 2)), size, len(payload), carrier=2)
    root, made = protected([gray], 1, 1)
    vector("parity_of_a_sturdy_frame", "a shard says how its frame bytes are laid in the picture", root, [*made, root], payload)

    def refused(name, rule, error, *more, **changes):
        groups = [{**protect(frames[at : at + 5], 1)[1], **changes} for at in (0, 5)]
        root = index(leaf(frames, groups=groups, copies=1))
        vector(name, rule, root, [*frames, *more, root], error=error)

    refused("parity_shard_of_nothing", "a shard has a length", "index: group 0: shards of 0 bytes", shard=0)
    refused("parity_shard_odd", "a multiple of 64", "index: group 0: shards of 100 bytes", shard=100)
    refused("parity_shard_4_gib", "no shard is larger than a frame may be", "index: group 0: shards of 4294967296 bytes", shard=1 << 32)
    refused("parity_groups_too_short", "groups cover all pieces", "index: 2 pieces in no group", frames=4)
    refused("parity_group_of_nothing", "a group has frames", "index: group 0 of 0 frames", frames=0)
    refused("parity_group_of_2_to_31", "no more than there are", "index: group 0 of 2147483648 frames", frames=1 << 31)
    refused("parity_without_parity", "a group has parity", "index: group 0: 0 parity frames", parity=[])
    refused("parity_65", "64 parity frames at most", "index: group 0: 65 parity frames", parity=protect(frames[:5], 1)[1]["parity"] * 65)
    made, one = protect(frames[:5], 1)
    others, other = protect(frames[5:], 1)
    root = index(leaf(frames, groups=[other, one], copies=1))
    vector("parity_of_another_group", "what is rebuilt has the digest of what was lost", root, [*frames[1:], *made, *others, root], error="parity of other frames")
    root = index(leaf(frames, groups=[{**one, "shard": 896}, other], copies=1))
    vector("parity_of_another_length", "a shard is a parity frame's payload", root, [*frames[1:], *made, root], error="4 data and parity frames left, expected 5")
    many = [frame for n in range(129) for frame in stream(bytes([n]))]
    root = index(leaf(many, groups=[group(129, 832, made)], copies=1))
    vector("parity_of_129", "128 data shards at most", root, [*many, *made, root], error="index: group 0: 129 data frames, expected at most 128")


if __name__ == "__main__":
    vectors_of_indexes()
    vectors_of_copies()
    vectors_of_parity()
