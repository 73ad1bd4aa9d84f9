#!/usr/bin/env python3
"""Makes the vectors, from storagex(5) and not from our code: python3 make.py (blake3, cryptography,
pillow, zstandard).

A vector is a file named after the rule that it shows. It starts with lines `name: value`, ends them
with an empty line, and goes on with the frames as sx-decode gets them:

    rule     the rule, in a sentence
    secret   the secret that opens them, if they are to be opened with one
    expect   the bytes that come out, as the CRC-32 and the length of them; or
    error    what the message says, after `sx-decode: error: `
    writer   that a writer makes exactly these frames: level, width and height of sturdy pictures

The files are committed; this is here to show how they were made, and to make more.
"""

import io
import struct
import zlib
from pathlib import Path

import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from PIL import Image

import sturdy

HERE = Path(__file__).parent
LAST, POSITIONED, SEALED = 1, 2, 4
SECRET = bytes(range(32))


def pixels(
    payload=b"", size=(16, 16), kind=0, codec=0, flags=LAST | POSITIONED, raw=None, offset=0, stream_crc=None,
    reserved=0, magic=b"SXFR", version=2, length=None, padding=b"\0", crc=None, content=None, end=None,
):
    """The pixel bytes of a frame, or its frame bytes, if it has `end` of them; every field can be given a wrong value."""
    content = payload if content is None else content
    raw = len(content) if raw is None else raw
    if stream_crc is None:
        stream_crc = zlib.crc32(content) if flags & LAST else 0
    end = end or size[0] * size[1] * 3
    body = struct.pack("<I", len(payload) if length is None else length) + payload
    body += (padding * end)[: end - 32 - len(body)]
    body += magic + bytes([version, kind, codec, flags])
    body += struct.pack("<IQII", raw, offset, stream_crc, reserved)
    return body + struct.pack("<I", zlib.crc32(body) if crc is None else crc)


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def stored(rows):
    out = b"\x78\x01"
    for at in range(0, len(rows), 65535):
        block = rows[at : at + 65535]
        out += struct.pack("<BHH", at + 65535 >= len(rows), len(block), len(block) ^ 0xFFFF) + block
    return out + struct.pack(">I", zlib.adler32(rows))


def png(
    samples, size, bits=8, color=2, interlace=0, bytes_per_pixel=3, squeeze=stored, before=b"", after=b"", split=None,
    rows=None,
):
    """A PNG of these samples, unfiltered; or of `rows`, which have their filter bytes."""
    width, height = size
    if rows is None:
        line = width * bytes_per_pixel
        rows = b"".join(b"\0" + samples[y * line : (y + 1) * line] for y in range(height))
    data = squeeze(rows)
    parts = [data] if split is None else [data[i : i + split] for i in range(0, len(data), split)]
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlace)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + b"".join(chunk(b"IDAT", p) for p in parts)
        + after + chunk(b"IEND", b"")
    )


def frame(payload=b"", size=(16, 16), **fields):
    return png(pixels(payload, size, **fields), size)


def bech32(prefix, data):
    """BIP 173."""
    letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

    def polymod(values):
        check = 1
        for value in values:
            top = check >> 25
            check = (check & 0x1FFFFFF) << 5 ^ value
            for i, g in enumerate([0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]):
                check ^= g if top >> i & 1 else 0
        return check

    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    words = [int(bits[i : i + 5], 2) for i in range(0, len(bits), 5)]
    start = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = polymod(start + words + [0] * 6) ^ 1
    words += [check >> 5 * (5 - i) & 31 for i in range(6)]
    return prefix + "1" + "".join(letters[word] for word in words)


def line(secret):
    return bech32("sx-secret-", secret).upper()


def key(secret, purpose):
    context = "storagex 2 seal" + (" " + purpose if purpose else "")
    return blake3(secret, derive_key_context=context).digest()


def seal(
    chunk, size=(16, 16), codec=0, flags=LAST | POSITIONED, offset=0, content=None, marks=(), secret=SECRET, chain=None,
    trailer_offset=None, spoil=None, check=None,
):
    """A sealed frame, and its mark. `spoil` flips a bit of a byte of the payload; the CRC-32 fits that."""
    raw = len(chunk if content is None else content)
    flags |= SEALED
    head = b"SXFR" + bytes([2, 0, codec, flags]) + struct.pack("<IQ", raw, offset)
    plain = chunk
    if flags & LAST:
        plain += blake3(b"".join(marks), key=key(secret, "chain")).digest() if chain is None else chain
    nonce = blake3(head + plain, key=key(secret, "nonce")).digest()[:12]
    payload = bytearray(nonce + AESGCMSIV(key(secret, "")).encrypt(nonce, plain, head))
    mark = bytes(payload[:12] + payload[-16:])
    if check is None:
        (check,) = struct.unpack("<I", blake3(nonce, key=key(secret, "check")).digest()[:4])
    if spoil is not None:
        payload[spoil] ^= 1
    offset = offset if trailer_offset is None else trailer_offset
    return frame(bytes(payload), size, codec=codec, flags=flags, raw=raw, offset=offset, stream_crc=check), mark


def adam7(samples, size):
    width, height = size
    rows = b""
    for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        for y in range(y0, height, dy):
            line = b"".join(samples[(y * width + x) * 3 :][:3] for x in range(x0, width, dx))
            rows += b"\0" + line if line else b""
    return rows


def palette(samples, size, bits):
    colors = sorted({samples[i : i + 3] for i in range(0, len(samples), 3)})
    assert len(colors) <= 1 << bits
    index = [colors.index(samples[i : i + 3]) for i in range(0, len(samples), 3)]
    rows = b""
    for y in range(size[1]):
        line = index[y * size[0] : (y + 1) * size[0]]
        packed = "".join(f"{i:0{bits}b}" for i in line)
        packed += "0" * (-len(packed) % 8)
        rows += b"\0" + bytes(int(packed[i : i + 8], 2) for i in range(0, len(packed), 8))
    plte = chunk(b"PLTE", b"".join(colors))
    return png(samples, size, bits, 3, rows=rows, squeeze=zlib.compress, before=plte)


def old_piece(payload, size=(16, 16)):
    body = struct.pack("<I", len(payload)) + payload
    return body + b"\0" * (size[0] * size[1] * 3 - len(body))


def bits_16(samples):
    return bytes(b for s in samples for b in (s, s))


def alpha(samples, a):
    return b"".join(samples[i : i + 3] + bytes([a]) for i in range(0, len(samples), 3))


def filtered(samples, size):
    """Rows with the filters Sub, Up, Average and Paeth in turn."""
    line, out, above = size[0] * 3, b"", bytes(size[0] * 3)
    for y in range(size[1]):
        row = samples[y * line : (y + 1) * line]
        kind = 1 + y % 4
        cooked = bytearray()
        for x, value in enumerate(row):
            a = row[x - 3] if x >= 3 else 0
            b = above[x]
            c = above[x - 3] if x >= 3 else 0
            p = a + b - c
            paeth = min((a, b, c), key=lambda v: (abs(p - v)))
            cooked.append((value - [0, a, b, (a + b) // 2, paeth][kind]) & 255)
        out += bytes([kind]) + cooked
        above = row
    return out


def vector(name, rule, body, expect=None, error=None, secret=None, writer=None):
    """`expect`: the bytes that come out. `error`: what the message has."""
    rule += f"\nsecret: {line(secret)}" if secret else ""
    rule += f"\nwriter: {writer}" if writer else ""
    wanted = f"error: {error}" if error else f"expect: {zlib.crc32(expect):08x} {len(expect)}"
    (HERE / name).write_bytes(f"rule: {rule}\n{wanted}\n\n".encode() + body)


def saved(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def jpegs(photo):
    """What is said of JPEGs that hold no frame."""
    whole = saved(photo, "jpeg", quality=75)
    progressive = saved(photo, "jpeg", quality=60, progressive=True, subsampling=2)
    header = whole.index(b"\xff\xc0")
    scan = whole.index(b"\xff\xda")

    def changed(at, to):
        return whole[: header + at] + to + whole[header + at + len(to) :]

    vector("jpeg_of_something_else", "a photo is named, and about its quality", whole, error="frame 0: a photo or a drawing, a 40 x 30 JPEG of quality 75, expected a frame")
    vector("jpeg_progressive", "a progressive JPEG is read as a baseline one", progressive, error="frame 0: a photo or a drawing, a 40 x 30 JPEG of quality 60, expected a frame")
    vector("jpeg_restarts", "and so is one with restart markers", saved(photo, "jpeg", quality=75, restart_marker_blocks=1), error="frame 0: a photo or a drawing, a 40 x 30 JPEG of quality 75, expected a frame")
    vector("jpeg_gray", "and one without colours", saved(photo.convert("L"), "jpeg", quality=75), error="frame 0: a photo or a drawing, a 40 x 30 JPEG of quality 75, expected a frame")
    vector("jpeg_rgb", "and one whose components are red, green and blue", saved(photo, "jpeg", quality=75, keep_rgb=True), error="frame 0: a photo or a drawing, a 40 x 30 JPEG of quality 75, expected a frame")
    vector("jpeg_cmyk", "four colours are refused", saved(photo.convert("CMYK"), "jpeg"), error="frame 0: a CMYK JPEG picture, expected a gray one or one in colour")
    vector("jpeg_12_bit", "samples have 8 bits", changed(4, b"\x0c"), error="frame 0: a 12-bit JPEG picture, expected one of 8 bits")
    vector("jpeg_arithmetic", "arithmetic coding is refused", changed(1, b"\xc9"), error="frame 0: an arithmetic-coded JPEG picture, expected a Huffman-coded one")
    vector("jpeg_lossless", "a lossless JPEG is refused", changed(1, b"\xc3"), error="frame 0: a lossless JPEG picture, expected a lossy one")
    vector("jpeg_65535_x_65535", "a header that claims too many pixels is refused before memory is taken", changed(5, b"\xff\xff\xff\xff"), error="frame 0: 65535 x 65535 pixels, expected at most 22369621 pixels")
    vector("jpeg_without_height", "the header has the size", changed(5, b"\0\0"), error="frame 0: damaged JPEG: its header has no size")
    vector("jpeg_without_header", "a JPEG has a header, also one that ends before its first scan", whole[:header] + b"\xff\xd9", error="frame 0: damaged JPEG: it has no header")
    vector("jpeg_cut_in_scan", "a JPEG that is cut short shows", whole[:-20], error=f"frame 0: input ends after {len(whole) - 20} bytes of a picture")
    vector("jpeg_cut_in_header", "in its header, too", whole[:100], error="frame 0: input ends after 100 bytes of a picture")
    vector("jpeg_scan_missing", "the blocks are all there", whole[: scan + 40] + b"\xff\xd9", error="frame 0: damaged JPEG: a scan ends early")
    vector("jpeg_too_many_scans", "there are at most 64 scans", progressive[:-2] + progressive[progressive.index(b"\xff\xda") : -2] * 65 + b"\xff\xd9", error="frame 0: damaged JPEG: over 64 scans")
    vector("jpeg_too_long", "a JPEG is not much longer than its samples", whole[:2] + (b"\xff\xfe\xff\xff" + bytes(65533)) * 17 + whole[2:], error="frame 0: damaged JPEG: over 1048576 bytes")
    vector("jpeg_fill_bytes", "any marker may have fill bytes before it", whole[:2] + b"\xff\xff" + whole[2:-2] + b"\xff\xff\xff\xd9", error="frame 0: a photo or a drawing")
    vector("jpeg_fill_bytes_late", "also beyond the first mebibyte", whole[:scan] + (b"\xff\xfe\xff\xff" + bytes(65533)) * 16 + b"\xff\xff\xff" + whole[scan:], error="frame 0: a photo or a drawing")
    vector("jpeg_bytes_after", "nothing stands between pictures", whole + b"\n", error="frame 0: a photo or a drawing")


def webps(photo, frame, content, noise):
    """Lossless WebP is as good as PNG."""
    lossless = saved(frame, "webp", lossless=True, exact=True)
    lossy = saved(photo, "webp", quality=75)
    vector("webp_lossless", "a lossless WebP of a frame is that frame", lossless, content)
    vector("webp_and_png", "kinds of pictures may be mixed", lossless + png(frame.tobytes(), frame.size) + lossless, content * 3)
    vector("webp_lossless_alpha", "alpha is dropped", saved(frame.convert("RGBA"), "webp", lossless=True, exact=True), content)
    vector("webp_of_plain_frame", "a plain frame that was made a lossy WebP is named", saved(noise, "webp", quality=90), error="frame 0: pixels changed all over, as by a JPEG round trip")
    vector("webp_of_something_else", "a photo is named", lossy, error="frame 0: a photo or a drawing, a 40 x 30 WebP of about quality ")
    vector("webp_animated", "an animated WebP is refused", saved(photo, "webp", save_all=True, append_images=[photo.rotate(180)]), error="frame 0: an animated WebP picture, expected a still one")
    vector("webp_cut", "a WebP that is cut short shows", lossy[:-10], error=f"frame 0: input ends after {len(lossy) - 10} bytes of a picture")
    vector("webp_claims_4_gib", "a WebP is not much longer than its samples", lossy[:4] + b"\xfe\xff\xff\xff" + lossy[8:], error="frame 0: damaged WebP: over ")
    vector("webp_of_no_size", "a picture has pixels", lossy[:26] + bytes(4) + lossy[30:], error="frame 0: damaged WebP: its first chunk is of no picture")
    vector("riff_of_something_else", "another RIFF file is named", b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\0\0\0\0\0\0\0\0", error="frame 0: a RIFF file that is no WebP")


def main():
    hello, size = b"hello, world\n", (16, 16)
    good = pixels(hello)
    whole = png(good, size)
    three = [b"a" * 700, b"b" * 700, b"c" * 9]
    crc = zlib.crc32(b"".join(three))
    first = frame(three[0], flags=POSITIONED)
    second = frame(three[1], flags=POSITIONED, offset=700)
    third = frame(three[2], offset=1400, stream_crc=crc)
    abc = b"".join(three)
    compress = zstandard.ZstdCompressor(level=3).compress
    text = b"to be or not to be, " * 200
    packed = compress(text)

    # What decodes.
    vector("frame_smallest", "the empty stream is one frame without payload, flagged last", frame(), b"")
    vector("frame_stored", "a payload can be stored", whole, hello)
    vector("frame_zstd", "a payload can be one zstd frame", frame(packed, codec=1, content=text), text)
    vector("frame_one_pixel_high", "any size will do that holds the payload", frame(hello, (20, 1)), hello)
    vector("frame_one_pixel_wide", "any size will do that holds the payload", frame(hello, (1, 40)), hello)
    vector("frame_full", "the payload may leave no padding", frame(b"x" * 732), b"x" * 732)
    vector("stream_of_three", "the stream is the payloads in order", first + second + third, abc)
    vector("streams_follow_one_another", "after a last frame the next stream may begin", whole + first + second + third + whole, hello + abc + hello)
    vector("stream_not_positioned", "frames need not be positioned", frame(three[0], flags=0) + frame(three[1], flags=0) + frame(three[2], flags=LAST, offset=1400, stream_crc=crc), abc)
    vector("last_frame_empty", "the last frame may be empty", first + frame(b"", offset=700, stream_crc=zlib.crc32(three[0])), three[0])
    vector("png_deflated", "any deflate stream will do", png(good, size, squeeze=lambda rows: zlib.compress(rows, 9)), hello)
    vector("png_split_idat", "IDAT may be divided", png(good, size, split=100), hello)
    vector("png_filtered", "any filter will do", png(good, size, rows=filtered(good, size), squeeze=zlib.compress), hello)
    vector("png_interlaced", "interlacing is undone", png(good, size, rows=adam7(good, size), interlace=1), hello)
    vector("png_16_bit", "of 16-bit samples the high byte is taken", png(bits_16(good), size, 16, bytes_per_pixel=6), hello)
    vector("png_rgba", "alpha is dropped", png(alpha(good, 255), size, color=6, bytes_per_pixel=4), hello)
    vector("png_rgba_transparent", "alpha is dropped, whatever it is", png(alpha(good, 0), size, color=6, bytes_per_pixel=4), hello)
    vector("png_rgba_16_bit", "of 16-bit samples the high byte is taken, alpha is dropped", png(bits_16(alpha(good, 9)), size, 16, 6, bytes_per_pixel=8), hello)
    vector("png_trns", "transparency by colour is dropped", png(good, size, before=chunk(b"tRNS", b"\0\0\0\0\0\0")), hello)
    vector("png_palette_8_bit", "palette indices become their colours", palette(good, size, 8), hello)
    vector("png_palette_4_bit", "palette indices of less than 8 bits become their colours", palette(pixels(b"", flags=LAST), size, 4), b"")
    vector("png_ancillary_chunks", "ancillary chunks are ignored", png(good, size, before=chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"tEXt", b"Comment\0hi"), after=chunk(b"tIME", b"\x07\xea\1\1\0\0\0")), hello)
    vector("png_ancillary_chunks_malformed", "whatever is in them", png(good, size, before=chunk(b"fcTL", b"x") + chunk(b"tRNS", b"") + chunk(b"gAMA", b"??") + chunk(b"iCCP", b"\0\0")), hello)
    vector("png_palette_of_parts", "a palette has whole colours", png(b"", (1, 4), 8, 3, rows=bytes(8), before=chunk(b"PLTE", b"abcd")), error="frame 0: damaged PNG: a palette of parts")
    vector("png_animated", "of an animated PNG the picture in IDAT counts", png(good, size, before=chunk(b"acTL", struct.pack(">II", 1, 0)), after=chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 16, 16, 0, 0, 1, 10, 0, 0)) + chunk(b"fdAT", struct.pack(">I", 1) + stored(b"".join(b"\0" + bytes(48) for _ in range(16))))), hello)

    # What doesn't: the stream.
    vector("stream_without_frames", "there must be a frame", b"", error="empty input")
    vector("last_frame_missing", "a stream ends with a last frame", first + second, error="frame 2: input ends here, expected more frames")
    vector("last_frame_missing_in_second_stream", "every stream ends with a last frame", whole + first, error="frame 2: input ends here")
    vector("frame_missing", "a frame that is left out shows at the next one", first + third, error="frame 1: offset 1400, expected 700")
    vector("frame_doubled", "a frame that is there twice shows at the second", first + first + second + third, error="frame 1: offset 0, expected 700")
    vector("frame_swapped", "frames out of order show at the first", second + first + third, error="frame 0: offset 700, expected 0")
    vector("frame_missing_before_last", "a last frame has an offset even if it isn't positioned", frame(three[0], flags=0) + frame(three[2], flags=LAST, offset=1400, stream_crc=crc), error="frame 1: offset 1400, expected 700")
    vector("stream_crc_wrong", "the last frame has the CRC-32 of the stream", frame(hello, stream_crc=1), error="frame 0: CRC-32 of the stream")
    vector("stream_failed_at_its_start", "a stream that fails before its first frame leaves a trace", frame(b"hello, world\n") + b"\x89PNG\r\n\x1a\n", error="frame 1: input ends after 8 bytes of a picture")
    vector("stream_cut_in_picture", "a picture that is cut short shows", first + second[:400], error="frame 1: input ends after 400 bytes of a picture")
    vector("stream_junk_after_last", "bytes after the last frame must be a frame", whole + b"junk" * 20, error="frame 1: bytes that aren't a picture, expected a PNG, JPEG or WebP picture")
    vector("stream_newline_after_last", "not even one byte may follow", whole + b"\n", error="frame 1: bytes that aren't a picture")
    vector("stream_junk_before_first", "the first bytes must be a frame", b"\n" + whole, error="frame 0: bytes that aren't a picture")
    vector("parity_frame_in_stream", "a parity frame is no part of a stream", frame(b"\0" * 64, kind=2, flags=0), error="frame 0: a frame of parity, expected data")
    vector("index_frame_in_stream", "an index frame is no part of a stream", frame(b"{}", kind=1, flags=0), error="frame 0: a frame of an index, expected data")

    # What doesn't: the frame.
    vector("frame_too_small", "a frame has at least 36 pixel bytes", png(b"\0" * 33, (11, 1)), error="frame 0: a 11 x 1 8-bit RGB picture, expected a frame")
    vector("frame_crc_wrong", "the CRC-32 of the pixel bytes must hold", frame(hello, crc=0), error="frame 0: CRC-32 of the frame")
    flipped = bytearray(good)
    flipped[5] ^= 0x10
    vector("frame_bit_flipped", "a changed bit shows in the CRC-32", png(bytes(flipped), size), error="frame 0: CRC-32 of the frame")
    vector("trailer_unknown_version", "the version is 2", frame(hello, version=3), error="frame 0: frame of version 3, expected 2")
    vector("trailer_unknown_kind", "the kind is 0, 1 or 2", frame(hello, kind=3), error="frame 0: kind 3, expected 0, 1 or 2")
    vector("trailer_unknown_codec", "the codec is 0 or 1", frame(hello, codec=2), error="frame 0: codec 2, expected 0 or 1")
    vector("trailer_unknown_flag", "unknown flags are zero", frame(hello, flags=15), error="frame 0: flags 15, expected at most 7")
    vector("trailer_reserved_not_zero", "the reserved field is zero", frame(hello, reserved=1), error="frame 0: reserved field 1, expected 0")
    vector("trailer_offset_without_flag", "the offset is zero where there is none", frame(hello, flags=0, offset=5), error="frame 0: offset of a frame that has none 5, expected 0")
    vector("trailer_stream_crc_without_flag", "the stream's CRC-32 is zero but in the last frame", frame(hello, flags=POSITIONED, stream_crc=5), error="frame 0: stream CRC of a frame that isn't last 5, expected 0")
    vector("trailer_offset_too_large", "offset + raw length is at most 2^63 - 1", frame(hello, offset=2**63 - 13), error="frame 0: offset 9223372036854775795, expected at most 9223372036854775794")
    vector("trailer_raw_length_not_payload", "the raw length of a stored payload is its length", frame(hello, raw=14), error="frame 0: raw length 14, expected 13")
    vector("trailer_raw_length_too_large", "the raw length is at most the limit of pixel bytes", frame(packed, codec=1, content=text, raw=2**26 + 1), error="frame 0: raw length 67108865, expected at most 67108864")
    vector("trailer_empty_not_last", "only a last frame may be empty", frame(flags=POSITIONED) + whole, error="frame 0: raw length 0, expected at least 1")
    vector("trailer_index_with_flags", "an index frame has flags 0", frame(b"{}", kind=1, flags=POSITIONED), error="frame 0: flags of an index or parity frame 2, expected 0")
    vector("trailer_parity_with_flags", "a parity frame has flags 0", frame(b"\0" * 64, kind=2, flags=POSITIONED), error="frame 0: flags of an index or parity frame 2, expected 0")
    vector("trailer_parity_with_codec", "a parity frame has codec 0", frame(b"\x28" * 63, kind=2, codec=1, flags=0, content=bytes(64)), error="frame 0: codec of a parity frame 1, expected 0")
    vector("trailer_parity_empty", "a parity frame has a payload", frame(b"", kind=2, flags=0), error="frame 0: raw length 0, expected at least 1 where it isn't the last frame")
    vector("header_claims_4_gib", "the payload is no longer than the frame", frame(hello, length=2**32 - 1), error="frame 0: payload length 4294967295, expected at most 732")
    vector("header_claims_one_too_many", "the payload is no longer than the frame", frame(hello, length=733), error="frame 0: payload length 733, expected at most 732")
    vector("padding_not_zero", "the padding is zero", frame(hello, padding=b"\x05"), error="frame 0: padding 5, expected 0")
    vector("zstd_content_too_long", "the content of a zstd frame has the raw length", frame(packed, codec=1, content=text, raw=3999), error="frame 0: payload that can't be decompressed")
    vector("zstd_content_too_short", "the content of a zstd frame has the raw length", frame(packed, codec=1, content=text, raw=4001), error="frame 0: payload that can't be decompressed: 4000 bytes of content, expected 4001")
    vector("zstd_dictionary", "it needs no dictionary", frame(zstandard.ZstdCompressor(dict_data=zstandard.ZstdCompressionDict(text[:500], zstandard.DICT_TYPE_RAWCONTENT)).compress(text), codec=1, content=text), error="frame 0: payload that can't be decompressed")
    vector("zstd_two_frames", "the payload is exactly one zstd frame", frame(packed + compress(b""), codec=1, content=text), error="frame 0: payload that can't be decompressed")
    vector("zstd_bytes_after", "nothing follows the zstd frame", frame(packed + b"\0", codec=1, content=text), error="frame 0: payload that can't be decompressed")
    vector("zstd_cut", "the zstd frame is whole", frame(packed[:-1], codec=1, content=text), error="frame 0: payload that can't be decompressed")
    vector("zstd_skippable", "a skippable frame has no content", frame(b"\x50\x2a\x4d\x18\x04\0\0\0abcd", codec=1, raw=100), error="frame 0: payload that can't be decompressed")
    bomb = compress(bytes(1 << 30))
    vector("zstd_not_smaller", "a payload that is packed is smaller than its content", frame(compress(b"abc"), codec=1, content=b"abc"), error="frame 0: raw length 3, expected more than 12, the length of the packed payload")
    vector("zstd_empty", "so an empty one is never packed", frame(b"\x50\x2a\x4d\x18\x04\0\0\0abcd", codec=1, content=b""), error="frame 0: raw length 0, expected more than 12")
    vector("zstd_bomb", "no more is decompressed than the raw length", frame(bomb, (110, 110), codec=1, content=b"x", raw=36000), error="frame 0: payload that can't be decompressed")

    # What doesn't: the PNG.
    big = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    vector("png_60000_x_60000", "a header that claims too many pixels is refused before memory is taken", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", big) + whole[33:], error="frame 0: 60000 x 60000 pixels, expected at most 22369621 pixels")
    vector("png_largest", "2^31 - 1 a side doesn't overflow", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\x7f\xff\xff\xff\x7f\xff\xff\xff" + big[8:]) + whole[33:], error="frame 0: 2147483647 x 2147483647 pixels, expected at most")
    vector("png_zero_wide", "a picture has pixels", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(4) + big[4:]) + whole[33:], error="frame 0: damaged PNG")
    gigabytes = zlib.compressobj(9, zlib.DEFLATED)
    data = gigabytes.compress(b"".join(b"\0" + good[y * 48 : y * 48 + 48] for y in range(16)))
    data += b"".join(gigabytes.compress(bytes(1 << 20)) for _ in range(100)) + gigabytes.flush()
    vector("png_inflates_to_more", "what inflates to more than the picture takes no memory", png(good, size, squeeze=lambda _: data), hello)
    vector("png_too_long", "a PNG is not much longer than its samples", png(good, size, before=b"".join(chunk(b"tEXt", b"Comment\0" + bytes(1 << 16)) for _ in range(17))), error="frame 0: damaged PNG: over ")
    vector("png_chunk_claims_2_gib", "a chunk is no longer than the picture may be", whole[:33] + b"\x7f\xff\xff\xff" + whole[37:], error="frame 0: damaged PNG: over ")
    vector("png_chunk_crc_wrong", "the CRC of every chunk holds", whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:], error="frame 0: CRC-32 of the PNG chunk IDAT")
    vector("png_ancillary_crc_wrong", "that of chunks that are ignored, too", whole[:33] + chunk(b"tEXt", b"Comment\0hi")[:-1] + b"\0" + whole[33:], error="frame 0: CRC-32 of the PNG chunk tEXt")
    vector("png_without_idat", "there are pixels", whole[:33] + whole[-12:], error="frame 0: damaged PNG")
    vector("png_pixels_missing", "all rows are there", png(good[:-96], (16, 16), squeeze=stored), error="frame 0: damaged PNG")

    # What is something else.
    vector("not_png_text", "text is no picture", b"hello, world, this is a line of text, and no picture at all\n", error="frame 0: bytes that aren't a picture, expected a PNG, JPEG or WebP picture")
    vector("not_png_short", "a few bytes are no picture", b"hi", error="frame 0: bytes that aren't a picture")
    noise = bytes((i * i * 7 + i // 3 * 11 + (i * 2654435761 >> 13)) & 255 for i in range(48 * 48 * 3 - 36))
    jpeg = io.BytesIO()
    Image.frombytes("RGB", (48, 48), pixels(noise, (48, 48))).save(jpeg, "jpeg", quality=90)
    back = Image.open(jpeg).convert("RGB").tobytes()
    vector("png_after_jpeg", "pixels that JPEG has changed are named", png(back, (48, 48)), error="frame 0: pixels changed all over, as by a JPEG round trip")
    good_jpeg = io.BytesIO()
    Image.frombytes("RGB", (48, 48), pixels(noise, (48, 48))).save(good_jpeg, "jpeg", quality=95, subsampling=0)
    fine = Image.open(good_jpeg).convert("RGB").tobytes()
    vector("png_after_fine_jpeg", "even at high quality", png(fine, (48, 48)), error="frame 0: pixels changed all over, as by a JPEG round trip")
    vector("jpeg_of_plain_frame", "a plain frame that was made a JPEG is named", jpeg.getvalue(), error="frame 0: pixels changed all over, as by a JPEG round trip")
    slope = bytes(min(255, x * 3 + y * 5 + c * 20) for y in range(30) for x in range(40) for c in range(3))
    photo = Image.frombytes("RGB", (40, 30), slope)
    jpegs(photo)
    webps(photo, Image.frombytes("RGB", size, good), hello, Image.frombytes("RGB", (48, 48), pixels(noise, (48, 48))))
    vector("avif_of_something", "AVIF is named", b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1A", error="frame 0: an AVIF picture, expected a PNG, JPEG or WebP picture")
    photo = bytes(min(255, (x * 3 + y * 5 + c * 40) & 255) for y in range(30) for x in range(40) for c in range(3))
    vector("png_of_something_else", "a picture that is no frame is named", png(photo, (40, 30), squeeze=zlib.compress), error="frame 0: a 40 x 30 8-bit RGB picture, expected a frame")
    gray = bytes(range(64)) * 16
    vector("png_gray_of_something_else", "a picture that is no frame is named", png(gray, (32, 32), 8, 0, bytes_per_pixel=1, squeeze=zlib.compress), error="frame 0: a 32 x 32 8-bit grayscale picture, expected a frame")
    vector("png_black", "a black picture is no frame", png(bytes(768), size), error="frame 0: a 16 x 16 8-bit RGB picture, expected a frame")
    vector("old_piece", "a piece of storagex 1.0 is named", png(old_piece(hello), size), error="frame 0: a piece of storagex 1.0, expected a frame")
    vector("old_piece_full", "one without padding, too", png(old_piece(b"x" * 764), size), error="frame 0: a piece of storagex 1.0")
    vector("old_piece_gray", "grey becomes three equal samples: here a length of 0x010101", png(b"\1" + bytes(160 * 160 - 1), (160, 160), 8, 0, bytes_per_pixel=1, squeeze=zlib.compress), error="frame 0: a piece of storagex 1.0")
    vector("old_piece_gray_16_bit", "and so does 16-bit grey", png(b"\1\1" + bytes(2 * (160 * 160 - 1)), (160, 160), 16, 0, bytes_per_pixel=2, squeeze=zlib.compress), error="frame 0: a piece of storagex 1.0")
    vector("old_piece_gray_alpha", "and grey with alpha", png(b"\1\xff" + bytes(2 * (160 * 160 - 1)), (160, 160), 8, 4, bytes_per_pixel=2, squeeze=zlib.compress), error="frame 0: a piece of storagex 1.0")

    vectors_of_seals(three, packed, text)
    vectors_of_sturdy_pictures()


def vectors_of_seals(three, packed, text):
    a, b, c = three[0][:600], three[1][:600], three[2]
    hello = b"hello, world\n"
    whole, _ = seal(hello)
    first, mark_a = seal(a, flags=POSITIONED)
    second, mark_b = seal(b, flags=POSITIONED, offset=600)
    third, _ = seal(c, offset=1200, marks=[mark_a, mark_b])
    # The same without positions.
    one, mark_1 = seal(a, flags=0)
    two, mark_2 = seal(b, flags=0)
    end, _ = seal(c, flags=LAST, offset=1200, marks=[mark_1, mark_2])
    other, _ = seal(b"x" * 600, flags=0)

    def good(name, rule, body, expect):
        vector(name, rule, body, expect, secret=SECRET)

    def bad(name, rule, body, error, secret=SECRET):
        vector(name, rule, body, error=error, secret=secret)

    good("sealed_frame", "a frame can be sealed", whole, hello)
    good("sealed_empty", "the empty stream can be sealed", seal(b"")[0], b"")
    good("sealed_zstd", "the packed chunk is sealed", seal(packed, codec=1, content=text)[0], text)
    good("sealed_stream_of_three", "the last frame has the chain of the others", first + second + third, a + b + c)
    good("sealed_not_positioned", "sealed frames need not be positioned", one + two + end, a + b + c)
    good("sealed_streams_follow_one_another", "each stream has its own chain", whole + first + second + third + whole, hello + a + b + c + hello)
    bad("sealed_no_secret", "without a secret a sealed frame is refused", whole, "frame 0: a sealed frame, expected a secret", None)
    bad("sealed_other_secret", "the check in the trailer is that of the secret", whole, "frame 0: a frame sealed with another secret", bytes(32))
    bad("sealed_nothing", "with a secret a frame that isn't sealed is refused", frame(hello), "frame 0: a frame that isn't sealed")
    bad("sealed_after_not_sealed", "all frames of a stream are sealed, or none", frame(a, flags=POSITIONED) + second, "frame 1: a sealed frame, expected", None)
    bad("sealed_nonce_changed", "the check is that of the nonce", seal(hello, spoil=0)[0], "frame 0: a frame sealed with another secret")
    bad("sealed_ciphertext_changed", "a changed ciphertext is refused", seal(hello, spoil=12)[0], "frame 0: sealed bytes that were changed")
    bad("sealed_tag_changed", "a changed tag is refused", seal(hello, spoil=-1)[0], "frame 0: sealed bytes that were changed")
    bad("sealed_offset_changed", "the head is under the seal: here a frame says that it stands elsewhere", seal(a, flags=POSITIONED, offset=600, trailer_offset=0)[0] + second + third, "frame 0: sealed bytes that were changed")
    bad("sealed_frame_swapped", "a positioned frame out of order shows at once", second + first + third, "frame 0: offset 600, expected 0")
    bad("sealed_frames_swapped_not_positioned", "frames out of order without positions show at the last frame", two + one + end, "frame 2: frames missing, swapped or of another stream")
    bad("sealed_frame_of_another_stream", "a frame of another stream shows at the last frame", one + other + end, "frame 2: frames missing, swapped or of another stream")
    bad("sealed_chain_wrong", "the last frame has the chain of the frames before it", seal(hello, chain=bytes(32))[0], "frame 0: frames missing, swapped or of another stream")
    bad("sealed_last_frame_missing", "a sealed stream ends with a last frame", first + second, "frame 2: input ends here")
    bad("sealed_too_short", "the payload has room for a seal", frame(b"x" * 27, flags=SEALED, raw=1, stream_crc=1), "frame 0: payload length 27, expected at least 28")
    bad("sealed_last_too_short", "and in the last frame for the chain", frame(b"x" * 59, flags=SEALED | LAST, raw=1, stream_crc=1), "frame 0: payload length 59, expected at least 60")
    bad("sealed_raw_length_not_payload", "with codec 0 the raw length is that of the packed chunk", frame(b"x" * 61, flags=SEALED | LAST, raw=61, stream_crc=1), "frame 0: raw length 61, expected 1")
    bad("sealed_zstd_not_smaller", "with codec 1 the packed chunk is shorter than the raw length", frame(b"x" * 70, flags=SEALED | LAST, codec=1, raw=10, stream_crc=1), "frame 0: raw length 10, expected more than 10")
    bad("sealed_index", "an index frame is never sealed", frame(b"{}", kind=1, flags=SEALED), "frame 0: flags of an index or parity frame 4, expected 0")



def sturdy_frame(payload, size, level, damage=lambda words: None, variant=0, **fields):
    """A sturdy picture: its samples and its PNG."""
    end = sturdy.frame_bytes(size, level)
    frame_bytes = pixels(payload, end=end, **fields)
    samples = sturdy.gray(frame_bytes, size, level, damage, variant)
    return samples, png(samples, size, 8, 0, bytes_per_pixel=1)


def vectors_of_sturdy_pictures():
    size = (64, 48)

    def spoil(count, every=False):
        def damage(words):
            for word in words if every else words[:1]:
                for at in range(count):
                    word[at * 15] ^= 0xA5 + at

        return damage

    for level in 1, 2, 3, 4:
        payload = bytes(i * i % 251 for i in range(sturdy.frame_bytes(size, level) - 36))
        samples, body = sturdy_frame(payload, size, level)
        vector(f"sturdy_level_{level}", "a writer makes these pixels", body, payload, writer=f"{level} 64 48")
    vector("sturdy_zeros", "the mask keeps zeros from being extreme", sturdy_frame(bytes(500), size, 1)[1], bytes(500))
    empty = sturdy_frame(b"", (32, 32), 4)[1]
    vector("sturdy_empty", "the empty stream; one code word that is shorter", empty, b"", writer="4 64 48")
    hello = b"hello, world\n"
    samples, body = sturdy_frame(hello, size, 2)
    rgb = b"".join(bytes([s]) * 3 for s in samples)
    vector("sturdy_rgb", "any PNG of the same samples will do", png(rgb, size, squeeze=zlib.compress), hello)
    vector("sturdy_16_bit", "of 16-bit samples the high byte is taken", png(bits_16(samples), size, 16, 0, bytes_per_pixel=2), hello)
    moved = bytes(min(255, max(0, s + (i * i // 7 % 5) - 2)) for i, s in enumerate(samples))
    vector("sturdy_noisy", "each coefficient is the nearest value", png(moved, size, 8, 0, bytes_per_pixel=1), hello)
    vector("sturdy_corrected", "16 wrong bytes in a code word are corrected", sturdy_frame(hello, size, 2, spoil(16, True))[1], hello)
    vector("sturdy_uncorrectable", "17 are not", sturdy_frame(hello, size, 2, spoil(17))[1], error="frame 0: 1 of 2 code words of a sturdy picture changed too much")
    vector("sturdy_mask_variant", "a reader finds any of 16 masks", sturdy_frame(hello, size, 1, variant=15)[1], hello)
    vector("sturdy_mask_unknown", "and no other", sturdy_frame(hello, size, 1, variant=16)[1], error="frame 0: a 64 x 48 PNG, a sturdy picture that was cropped by whole blocks, or is of an unknown kind")
    samples = sturdy_frame(bytes(1000), (96, 64), 2)[0]
    cut = b"".join(samples[at + 1 : at + 96] for at in range(0, len(samples), 96))
    vector("sturdy_cropped", "what was done to a picture is named", png(cut, (95, 64), 8, 0, bytes_per_pixel=1), error="frame 0: a 95 x 64 PNG, a sturdy picture that was cropped, its blocks start at 7, 0")
    flipped = b"".join(samples[at : at + 96][::-1] for at in range(0, len(samples), 96))
    vector("sturdy_mirrored", "what was done to a picture is named", png(flipped, (96, 64), 8, 0, bytes_per_pixel=1), error="frame 0: a 96 x 64 PNG, a sturdy picture that was mirrored")
    vector("sturdy_crc_wrong", "the CRC-32 of the frame bytes must hold", sturdy_frame(hello, size, 2, crc=0)[1], error="frame 0: CRC-32 of the frame")
    vector("sturdy_padding_not_zero", "padding is zero", sturdy_frame(hello, size, 2, padding=b"x")[1], error="frame 0: padding 120, expected 0")
    first = sturdy_frame(b"a" * 100, size, 3, flags=POSITIONED)[1]
    last = sturdy_frame(b"b" * 100, size, 1, offset=100, stream_crc=zlib.crc32(b"a" * 100 + b"b" * 100))[1]
    vector("sturdy_levels_mixed", "frames of a stream may have any carrier", first + last, b"a" * 100 + b"b" * 100)
    # With masks 0 and 1, up to 13 and 7 bytes of a word are wrong; with mask 2, up to 3.
    payload = bytes(i * i * 70 % 251 for i in range(sturdy.frame_bytes(size, 1) - 36))
    vector("sturdy_mask_chosen", "a writer takes the first mask at which no word has more than 4 wrong bytes", sturdy_frame(payload, size, 1, variant=2)[1], payload, writer="1 64 48")
    hosts(Image.frombytes("L", size, samples), hello)
    body = sturdy_frame(hello, size, 4)[0]
    vector("sturdy_webp", "and lossy WebP, whose luma goes from 16 to 235", saved(Image.frombytes("L", size, body).convert("RGB"), "webp", quality=80), hello)


def hosts(picture, expect):
    """What hosts make of a sturdy picture."""
    colour = picture.convert("RGB")
    vector("sturdy_jpeg", "a sturdy picture survives JPEG", saved(picture, "jpeg", quality=75), expect)
    vector("sturdy_jpeg_colours", "and progressive JPEG, with colours at half resolution", saved(colour, "jpeg", quality=75, subsampling=2, progressive=True), expect)
    vector("sturdy_jpeg_restarts", "and JPEG with restart markers", saved(colour, "jpeg", quality=75, restart_marker_blocks=1), expect)
    vector("sturdy_jpeg_rgb", "and JPEG of red, green and blue", saved(colour, "jpeg", quality=85, keep_rgb=True), expect)
    turned = Image.Exif()
    turned[0x112] = 6  # the first row is at the right
    vector("sturdy_jpeg_turned", "a JPEG that EXIF says is turned is read upright", saved(picture.transpose(Image.Transpose.ROTATE_90), "jpeg", quality=75, exif=turned), expect)
    # 0.299 * 30 - 0.587 * 12 - 0.114 * 18 is nearly 0: the luma stays.
    tinted = Image.merge("RGB", [picture.point(lambda s, by=by: min(255, max(0, s + by))) for by in (30, -12, -18)])
    vector("sturdy_tinted", "the luma of colours counts", png(tinted.tobytes(), picture.size), expect)


if __name__ == "__main__":
    main()
