//! One error type: where it happened, what was found, what was expected, and what caused it.
//!
//! A message reads `frame 17: offset 40106520, expected 37747260`: the place, then the kind, then
//! the cause. Hints are not here but in the programs, which choose them by [`Kind`].

use std::fmt;
use std::io;

/// What every function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Something that went wrong.
#[derive(Debug)]
pub struct Error {
    /// Outermost first: `frame 3`, or `old.key: line 2`. Empty where there is nothing to name.
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
    NotPng(&'static str),
    /// The PNG around the pixels is damaged.
    BadPng,
    /// The input ends inside a picture, after so many bytes of it.
    CutShort(u64),
    /// A picture of more pixels, or a file of more bytes, than the limit allows.
    TooLarge {
        /// Such as `60000 x 60000 pixels` or `a PNG of over 4000000 bytes`.
        found: String,
        /// What is allowed.
        limit: String,
    },
    /// A PNG without our magic: what it is, such as `a 640 x 480 8-bit grayscale picture`.
    NotFrame(String),
    /// A frame whose pixels were changed a little everywhere, as JPEG does it.
    Lossy,
    /// A piece of storagex 1.0 where a frame was expected.
    OldPiece,
    /// A picture that is none of storagex 1.0, where one was expected: what it is.
    NotPiece(String),
    /// A frame of a version that this program doesn't know.
    Version(u8),
    /// A field of a frame has a value that the format forbids.
    Field {
        /// Its name in storagex(5).
        name: &'static str,
        /// Its value.
        found: u64,
        /// What would have been right.
        expected: String,
    },
    /// A checksum doesn't fit what it is for.
    Checksum {
        /// What it is for: `frame`, `stream`, `PNG chunk IDAT`.
        of: String,
        /// Computed from what came.
        found: u32,
        /// As written.
        expected: u32,
    },
    /// The payload can't be decompressed to what the trailer says.
    Payload,
    /// A frame that is missing, doubled or swapped.
    Offset {
        /// As the frame says.
        found: u64,
        /// The number of bytes before it.
        expected: u64,
    },
    /// The input ends without a last frame.
    Truncated,
    /// A frame of kind index where data was expected, or the other way round.
    WrongKind(&'static str),
    /// A frame that has no offset, where frames are to be sorted.
    NotPositioned,
    /// Two different frames for the same offset.
    Conflict(u64),
    /// An index that is not as storagex(5) wants it.
    Index(String),

    // The caller.
    /// A frame of this size can't be made.
    Size(String),
    /// This is not a key.
    Key(String),
    /// This is not a store.
    Store(String),
    /// The index's filename is too long.
    Name(String),
    /// The command line is wrong in another way.
    Usage(String),
    /// Pictures would go to, or come from, a terminal.
    Terminal(&'static str),

    // The store.
    /// The store has no such picture.
    NotFound,
    /// The store refused a request.
    Refused {
        /// The status of HTTP.
        status: u16,
        /// What it said.
        said: String,
    },
    /// The store answered something that can't be used.
    Host(String),
    /// The store's certificate isn't trusted: why.
    Untrusted(String),
    /// The store gave another picture than the one that was asked for.
    Digest {
        /// Of what came.
        found: String,
        /// Of what was asked for.
        expected: String,
    },

    // The system.
    /// The command whose output is the stream failed; how it ended.
    Command(String),
    /// Whoever read our output went away. A normal end: nothing is to be said about it.
    ClosedPipe,
    /// An operation that the system refused: what was tried, such as `cannot read`.
    Io(&'static str),
}

/// Who can do something about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// What came in is damaged, cut short, or something else.
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

    /// The same error, with the place where it happened put before its message.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.place = if self.place.is_empty() {
            place.to_string()
        } else {
            format!("{place}: {}", self.place)
        };
        self
    }

    /// The same error once more: for something else that fails with it.
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

    /// The error of writing output. A closed pipe is a kind of its own; what [`Error::into_io`]
    /// wrapped comes out as it was.
    #[must_use]
    pub fn output(cause: io::Error) -> Self {
        match cause.downcast::<Error>() {
            Ok(own) => own,
            Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Kind::ClosedPipe.into(),
            Err(cause) => Error::io("cannot write", cause),
        }
    }

    /// The error of reading input; what [`Error::into_io`] wrapped comes out as it was.
    #[must_use]
    pub fn input(cause: io::Error) -> Self {
        match cause.downcast::<Error>() {
            Ok(own) => own,
            Err(cause) => Error::io("cannot read", cause),
        }
    }

    /// Wraps this error for a trait that speaks [`io::Error`].
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
    /// Who can do something about it.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Kind::Size(_)
            | Kind::Key(_)
            | Kind::Store(_)
            | Kind::Name(_)
            | Kind::Usage(_)
            | Kind::Terminal(_) => Blame::Caller,
            Kind::NotFound
            | Kind::Refused { .. }
            | Kind::Host(_)
            | Kind::Untrusted(_)
            | Kind::Digest { .. } => Blame::Store,
            Kind::Command(_) | Kind::ClosedPipe | Kind::Io(_) => Blame::System,
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

/// Text from outside as a message shows it: without control characters, and not all of it.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 200;
    let start: String = text.chars().take(MOST).collect();
    let rest = if start.len() < text.len() { "..." } else { "" };
    format!("{}{rest}", start.escape_debug())
}

/// A message of the system without the number that the standard library puts behind it.
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Empty => write!(f, "empty input, expected at least one frame"),
            Kind::NotPng(found) => write!(f, "{found}, expected a PNG picture"),
            Kind::BadPng => write!(f, "damaged PNG"),
            Kind::CutShort(bytes) => {
                write!(
                    f,
                    "input ends after {bytes} bytes of a picture, expected the rest of it"
                )
            }
            Kind::TooLarge { found, limit } => write!(f, "{found}, expected at most {limit}"),
            Kind::NotFrame(picture) => write!(f, "{picture}, expected a frame"),
            Kind::Lossy => write!(
                f,
                "pixels changed all over, as by a JPEG round trip, expected those that were written"
            ),
            Kind::OldPiece => write!(f, "a piece of storagex 1.0, expected a frame"),
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
            Kind::Payload => write!(f, "payload that can't be decompressed"),
            Kind::Offset { found, expected } => write!(f, "offset {found}, expected {expected}"),
            Kind::Truncated => write!(f, "input ends here, expected more frames up to a last one"),
            Kind::WrongKind(found) => write!(f, "{found}"),
            Kind::NotPositioned => write!(f, "frame without an offset, expected a positioned one"),
            Kind::Conflict(offset) => {
                write!(
                    f,
                    "another frame for offset {offset}, expected frames of one stream"
                )
            }
            Kind::Index(what) => write!(f, "index: {what}"),
            Kind::Size(what)
            | Kind::Key(what)
            | Kind::Store(what)
            | Kind::Name(what)
            | Kind::Usage(what)
            | Kind::Host(what) => write!(f, "{what}"),
            Kind::Terminal(stream) => {
                write!(
                    f,
                    "{stream} is a terminal, expected a pipe or a file for pictures"
                )
            }
            Kind::NotFound => write!(f, "not found"),
            Kind::Refused { status, said } => write!(f, "HTTP {status} {said}"),
            Kind::Untrusted(why) => {
                write!(
                    f,
                    "certificate of the server: {why}, expected one that is trusted"
                )
            }
            Kind::Digest { found, expected } => write!(f, "digest {found}, expected {expected}"),
            Kind::Command(how) => write!(f, "{how}, expected exit status 0"),
            Kind::ClosedPipe => write!(f, "closed pipe"),
            Kind::Io(action) => write!(f, "{action}"),
        }
    }
}
