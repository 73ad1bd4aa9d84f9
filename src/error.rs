//! One error type: where it happened, what was found, what was expected, and what caused it.
//!
//! A message reads `frame 17: offset 40106520, expected 37747260`: the place, then the kind, then
//! the cause. Hints are not here but in the programs, which choose them by [`Kind`].

use std::fmt;
use std::io;

/// The result of every function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Something that went wrong.
#[derive(Debug)]
pub struct Error {
    /// Outermost first: `frame 3`, or `old.key: line 2`. Empty if there is nothing to name.
    place: String,
    kind: Kind,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What went wrong, grouped by who is to blame; see [`Kind::blame`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    // The input.
    /// Input without any frame.
    Empty,
    /// A picture was expected; this came in its place.
    NotPicture(&'static str),
    /// The picture around the pixels is damaged; its format: `PNG`, `JPEG` or `WebP`.
    BadPicture(&'static str),
    /// A picture of a format that is read, in a form of it that isn't: which, such as `a 12-bit JPEG picture`.
    Unsupported(String),
    /// The input ends inside a picture, after so many bytes of it.
    CutShort(u64),
    /// A picture of more pixels, or a file of more bytes, than the limit allows.
    TooLarge {
        /// Such as `60000 x 60000 pixels` or `a PNG of over 4000000 bytes`.
        found: String,
        /// The limit.
        limit: String,
    },
    /// A PNG without our magic, described: `a 640 x 480 8-bit grayscale picture`.
    NotFrame(String),
    /// A frame whose pixels were changed a little everywhere, as by JPEG.
    Lossy,
    /// A sturdy picture that can't be read any more, and what was done to it:
    /// `a 1023 x 768 PNG, a sturdy picture that was cropped`.
    Harmed(String),
    /// A sturdy picture with more changes than can be corrected.
    Uncorrectable {
        /// Code words with too many wrong bytes.
        lost: usize,
        /// All code words.
        of: usize,
    },
    /// A piece of storagex 1.0 instead of a frame.
    OldPiece,
    /// Another picture instead of a piece of storagex 1.0, described.
    NotPiece(String),
    /// A frame of a version that this program doesn't know.
    Version(u8),
    /// A field of a frame has a value that the format forbids.
    Field {
        /// Its name in storagex(5).
        name: &'static str,
        /// Its value.
        found: u64,
        /// The allowed value.
        expected: String,
    },
    /// A checksum is wrong.
    Checksum {
        /// What it covers: `frame`, `stream`, `PNG chunk IDAT`.
        of: String,
        /// Computed from the received bytes.
        found: u32,
        /// As written.
        expected: u32,
    },
    /// The payload can't be decompressed to what the trailer says.
    Payload,
    /// A frame that is missing, doubled or swapped.
    Offset {
        /// From the frame.
        found: u64,
        /// The number of bytes before it.
        expected: u64,
    },
    /// The input ends without a last frame.
    Truncated,
    /// An index frame instead of a data frame, or the other way round.
    WrongKind(&'static str),
    /// A sealed frame, and no secret to open it.
    Sealed,
    /// A frame that isn't sealed, where a secret was given.
    NotSealed,
    /// A frame that is sealed with another secret.
    OtherSecret,
    /// A sealed frame that isn't what was sealed.
    Forged,
    /// A sealed stream whose frames aren't those that were sealed, in their order.
    Chain,
    /// A frame without an offset among frames to sort.
    NotPositioned,
    /// Two different frames for the same offset.
    Conflict(u64),
    /// The index has a filename that no file can have here.
    NoFileName(String),
    /// A line that isn't of a list of the members of a tar archive.
    NotMembers(String),
    /// An index that violates storagex(5).
    Index(String),
    /// Too many frames of a group are lost to rebuild one.
    TooFew {
        /// Number of the group's first data frame.
        first: u64,
        /// Number of its last one.
        last: u64,
        /// Available data and parity frames.
        found: usize,
        /// As many as there are data frames.
        needed: usize,
        /// The others, such as `frames 4, 6 to 7 and parity frame 0`.
        lost: String,
    },

    /// Lost data: the number of its frames and bytes, at most `u64::MAX`.
    Lost {
        /// Data frames.
        frames: u64,
        /// Bytes of the stream.
        bytes: u64,
    },

    /// Bytes of a stream that none of its frames has, and maybe more at its end.
    Missing {
        /// Their number, before the last available frame.
        bytes: u64,
        /// Whether the last available frame isn't the end of the stream.
        end: bool,
    },

    /// So many frames were left out of a salvaged stream: they may be of another one.
    LeftOut(u64),

    // The caller.
    /// A frame of this size can't be made.
    Size(String),
    /// This is not a key.
    Key(String),
    /// This is not a secret, or is one that others can read.
    Secret(String),
    /// This is not a store.
    Store(String),
    /// The index's filename is too long.
    Name(String),
    /// The stream doesn't have these bytes.
    Range {
        /// What was asked for.
        range: String,
        /// Bytes of the stream.
        size: u64,
    },
    /// An archive has no member of this name.
    NoMember {
        /// What was asked for.
        path: String,
        /// The folder that all names of the archive begin with.
        top: String,
    },
    /// The command line is wrong in another way.
    Usage(String),
    /// A journal that can't be taken up.
    Journal(String),
    /// Pictures, or other binary data, would go to a terminal, or come from one.
    Terminal(&'static str),

    // The store.
    /// The store has no such picture.
    NotFound,
    /// The folder of the store, which has this name, isn't there.
    NoFolder(String),
    /// A picture that was taken to be there, and so was not put, is gone.
    Gone,
    /// The store refused a request.
    Refused {
        /// What refused it.
        by: Service,
        /// The HTTP status.
        status: u16,
        /// Its message.
        said: String,
    },
    /// The store's answer is unusable.
    Host(String),
    /// The store has changed a picture, so that its frame is lost: what it was, and what it has become.
    Altered(String),
    /// The store's certificate isn't from a trusted authority, described.
    Untrusted(String),
    /// The store's certificate is invalid, whatever is trusted: why.
    Certificate(String),
    /// The store returned another picture than the requested one.
    Digest {
        /// Of the received picture.
        found: String,
        /// Of the requested picture.
        expected: String,
    },

    // The system.
    /// The command whose output is the stream failed: how it ended.
    Command(String),
    /// The reader closed the pipe: not an error for the user.
    ClosedPipe,
    /// A key that can't be written where it should be: everything that it names is stored.
    KeyNotTaken {
        /// The line of the key.
        key: String,
        /// The error of writing it.
        why: String,
    },
    /// An operation that the system refused: what was tried, such as `cannot read`.
    Io(&'static str),
}

/// What kind of server refused something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Service {
    /// S3.
    S3,
    /// A web server.
    Web,
    /// An image host.
    Host,
    /// A proxy on the way to any of them.
    Proxy,
}

/// A number of things in words: `1 frame`, `2 frames`.
#[must_use]
pub fn counted(number: u64, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{s}")
}

/// Who can fix an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The input is damaged, cut short, or something else.
    Input,
    /// The call or the command line is wrong.
    Caller,
    /// The store lost, changed or refused something.
    Store,
    /// The operating system refused something.
    System,
}

impl Error {
    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether a store doesn't have a picture, or has something else in its place. A picture behind any
    /// other error may still be there.
    pub(crate) fn is_loss(&self) -> bool {
        matches!(
            self.kind,
            Kind::NotFound
                | Kind::Gone
                | Kind::Altered(_)
                | Kind::Digest { .. }
                | Kind::NotPicture(_)
                | Kind::BadPicture(_)
                | Kind::Unsupported(_)
                | Kind::CutShort(_)
                | Kind::TooLarge { .. }
                | Kind::NotFrame(_)
                | Kind::Lossy
                | Kind::Harmed(_)
                | Kind::Uncorrectable { .. }
                | Kind::OldPiece
                | Kind::NotPiece(_)
                | Kind::Version(_)
                | Kind::Field { .. }
                | Kind::Checksum { .. }
                | Kind::Payload
                | Kind::WrongKind(_)
                | Kind::Index(_)
        )
    }

    /// The same error, with the place where it happened before its message.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.place = if self.place.is_empty() {
            place.to_string()
        } else {
            format!("{place}: {}", self.place)
        };
        self
    }

    /// A copy of the error, for something else that fails with it.
    #[must_use]
    pub fn again(&self) -> Self {
        Error {
            place: self.place.clone(),
            kind: self.kind.clone(),
            cause: self.cause.as_ref().map(|cause| cause.to_string().into()),
        }
    }

    /// The same error, with what caused it.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// An [`Kind::Io`] for `action`, such as `cannot read`.
    #[must_use]
    pub fn io(action: &'static str, cause: io::Error) -> Self {
        Error::from(Kind::Io(action)).because(cause)
    }

    /// The error of writing output. A closed pipe is a kind of its own; an error wrapped by
    /// [`Error::into_io`] is unwrapped.
    #[must_use]
    pub fn output(cause: io::Error) -> Self {
        match cause.downcast::<Error>() {
            Ok(own) => own,
            Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Kind::ClosedPipe.into(),
            Err(cause) => Error::io("cannot write", cause),
        }
    }

    /// The error of reading input; an error wrapped by [`Error::into_io`] is unwrapped.
    #[must_use]
    pub fn input(cause: io::Error) -> Self {
        match cause.downcast::<Error>() {
            Ok(own) => own,
            Err(cause) => Error::io("cannot read", cause),
        }
    }

    /// Wraps this error for a trait that uses [`io::Error`].
    #[must_use]
    pub fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Error {
            place: String::new(),
            kind,
            cause: None,
        }
    }
}

impl Kind {
    /// The message of a kind that has nothing else to say.
    fn fixed(&self) -> &'static str {
        match self {
            Kind::Empty => "empty input, expected at least one frame",
            Kind::Lossy => {
                "pixels changed all over, as by a JPEG round trip, expected those that were written"
            }
            Kind::OldPiece => "a piece of storagex 1.0, expected a frame",
            Kind::Payload => "payload that can't be decompressed",
            Kind::Truncated => "input ends here, expected more frames up to a last one",
            Kind::Sealed => "a sealed frame, expected a secret to open it with",
            Kind::NotSealed => "a frame that isn't sealed, expected a sealed one",
            Kind::OtherSecret => "a frame sealed with another secret, expected this one",
            Kind::Forged => "sealed bytes that were changed, expected those that were sealed",
            Kind::Chain => {
                "frames missing, swapped or of another stream before this one, \
                 expected those that were sealed, in their order"
            }
            Kind::NotPositioned => "frame without an offset, expected a positioned one",
            Kind::NotFound => "not found",
            Kind::ClosedPipe => "closed pipe",
            _ => unreachable!("internal error: a kind that has something to say"),
        }
    }

    /// Who can fix it.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Kind::Size(_)
            | Kind::Key(_)
            | Kind::Secret(_)
            | Kind::Sealed
            | Kind::Store(_)
            | Kind::Name(_)
            | Kind::Range { .. }
            | Kind::NoMember { .. }
            | Kind::Usage(_)
            | Kind::Journal(_)
            | Kind::Terminal(_) => Blame::Caller,
            Kind::NotFound
            | Kind::NoFolder(_)
            | Kind::Gone
            | Kind::Refused { .. }
            | Kind::Host(_)
            | Kind::Altered(_)
            | Kind::Untrusted(_)
            | Kind::TooFew { .. }
            | Kind::Lost { .. }
            | Kind::Certificate(_)
            | Kind::Digest { .. } => Blame::Store,
            Kind::Command(_) | Kind::ClosedPipe | Kind::KeyNotTaken { .. } | Kind::Io(_) => {
                Blame::System
            }
            _ => Blame::Input,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        write!(f, "{}", self.kind)?;
        match &self.cause {
            Some(cause) => write!(f, ": {}", plain(&cause.to_string())),
            None => Ok(()),
        }
    }
}

/// Text from outside, as shown in messages: shortened, and without control characters.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 200;
    let start: String = text.chars().take(MOST).collect();
    let rest = if start.len() < text.len() { "..." } else { "" };
    format!("{}{rest}", start.escape_debug())
}

/// A message of the system, without the number that the standard library appends.
fn plain(message: &str) -> &str {
    message
        .split_once(" (os error ")
        .map_or(message, |(text, _)| text)
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Some(cause) => Some(cause.as_ref()),
            None => None,
        }
    }
}

impl fmt::Display for Kind {
    #[allow(clippy::too_many_lines)] // a table: what each kind says
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::NotPicture(found) => write!(f, "{found}, expected a PNG, JPEG or WebP picture"),
            Kind::BadPicture(format) => write!(f, "damaged {format}"),
            Kind::CutShort(bytes) => {
                write!(
                    f,
                    "input ends after {bytes} bytes of a picture, expected the rest of it"
                )
            }
            Kind::TooLarge { found, limit } => write!(f, "{found}, expected at most {limit}"),
            Kind::NotFrame(picture) => write!(f, "{picture}, expected a frame"),
            Kind::Harmed(what) => write!(f, "{what}, expected it as it was written"),
            Kind::Uncorrectable { lost, of } => write!(
                f,
                "{lost} of {of} code words of a sturdy picture changed too much, expected at most \
                 16 wrong bytes in each"
            ),
            Kind::NotPiece(picture) => write!(f, "{picture}, expected a piece of storagex 1.0"),
            Kind::Version(found) => write!(f, "frame of version {found}, expected 2"),
            Kind::Field {
                name,
                found,
                expected,
            } => write!(f, "{name} {found}, expected {expected}"),
            Kind::Checksum {
                of,
                found,
                expected,
            } => {
                write!(f, "CRC-32 of the {of} {found:08x}, expected {expected:08x}")
            }
            Kind::Offset { found, expected } => write!(f, "offset {found}, expected {expected}"),
            Kind::WrongKind(found) => write!(f, "{found}"),
            Kind::Conflict(offset) => {
                write!(
                    f,
                    "another frame for offset {offset}, expected frames of one stream"
                )
            }
            Kind::Index(what) => write!(f, "index: {what}"),
            Kind::Lost {
                frames: u64::MAX, ..
            } => write!(f, "the index is lost, and with it everything that it lists"),
            Kind::Lost { frames, bytes } => {
                write!(
                    f,
                    "{} ({bytes} bytes) lost, expected none",
                    counted(*frames, "frame")
                )
            }
            Kind::Missing { bytes, end: false } => {
                write!(
                    f,
                    "{bytes} bytes are missing and replaced by zeros, expected none"
                )
            }
            Kind::Missing { bytes, end: true } => write!(
                f,
                "{bytes} bytes are missing and replaced by zeros, and an unknown number at the end, \
                 expected none"
            ),
            Kind::LeftOut(frames) => write!(
                f,
                "{} left out, expected those of one stream",
                counted(*frames, "frame")
            ),
            Kind::TooFew {
                first,
                last,
                found,
                needed,
                lost,
            } => write!(
                f,
                "group of frames {first} to {last}: {found} data and parity frames left, \
                 expected {needed} to rebuild the others: {lost}"
            ),
            Kind::Unsupported(what)
            | Kind::Size(what)
            | Kind::Key(what)
            | Kind::Secret(what)
            | Kind::Store(what)
            | Kind::Name(what)
            | Kind::Usage(what)
            | Kind::Journal(what)
            | Kind::Host(what)
            | Kind::Altered(what) => write!(f, "{what}"),
            Kind::Range { range, size } => {
                write!(f, "range {range}, expected one within {size} bytes")
            }
            Kind::NoMember { path, .. } => write!(f, "no '{path}' in the archive"),
            Kind::NotMembers(line) => {
                write!(
                    f,
                    "'{line}', expected 'block NUMBER: NAME', in ascending order"
                )
            }
            Kind::NoFileName(name) if name.is_empty() => {
                write!(f, "the index has no name for a file, expected one")
            }
            Kind::NoFileName(name) => {
                write!(
                    f,
                    "the index has the name '{name}', expected one for a file"
                )
            }
            Kind::Terminal(stream) => {
                let what = "a terminal, expected a pipe or a file for binary data";
                write!(f, "{stream} is {what}")
            }
            Kind::NoFolder(folder) => write!(f, "folder {folder}: not found"),
            Kind::Gone => write!(f, "gone, expected the picture that was known to be there"),
            Kind::Refused { status, said, .. } => write!(f, "HTTP {status} {said}"),
            Kind::Untrusted(why) | Kind::Certificate(why) => {
                write!(f, "certificate of the server: {why}")
            }
            Kind::Digest { found, expected } => write!(f, "digest {found}, expected {expected}"),
            Kind::Command(how) => write!(f, "{how}, expected exit status 0"),
            Kind::KeyNotTaken { key, why } => {
                write!(f, "{why}, expected to write this key: {key}")
            }
            Kind::Io(action) => write!(f, "{action}"),
            Kind::Empty
            | Kind::Lossy
            | Kind::OldPiece
            | Kind::Payload
            | Kind::Truncated
            | Kind::Sealed
            | Kind::NotSealed
            | Kind::OtherSecret
            | Kind::Forged
            | Kind::Chain
            | Kind::NotPositioned
            | Kind::NotFound
            | Kind::ClosedPipe => f.write_str(self.fixed()),
        }
    }
}
