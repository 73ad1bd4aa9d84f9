//! What all four programs do alike: parse, run, report.

// Each program uses its part of this file.
#![allow(dead_code)]

use clap::Parser;
use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;
use storagex::get::OWN_FRAME;
use storagex::input::Files;
use storagex::output::Output;
use storagex::store::Config;
use storagex::wire::stream::CUT;
use storagex::{Error, Kind, Result};

/// The name that messages start with.
pub const PROGRAM: &str = env!("CARGO_BIN_NAME");

/// Parses the command line, runs `body` and reports: 0, or 1 for an error, or 2 for wrong usage.
pub fn main<Args: Parser>(
    arguments: impl Iterator<Item = OsString>,
    body: impl FnOnce(Args) -> Result<()>,
) -> ExitCode {
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(e) => return usage(&e),
    };
    match body(args) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough: a normal end.
        Err(e) if e.kind() == &Kind::ClosedPipe => ExitCode::SUCCESS,
        Err(e) => {
            if PICTURES.load(Ordering::Relaxed) {
                mark_cut();
            }
            say("error", &e.to_string());
            if let Some(hint) = hint(e.kind()) {
                say("hint", &hint);
            }
            match e.kind() {
                Kind::Size(_) | Kind::Store(_) | Kind::Name(_) | Kind::Usage(_) => {
                    ExitCode::from(2)
                }
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Whether pictures go to stdout.
static PICTURES: AtomicBool = AtomicBool::new(false);

/// Sees to it that no reader takes what has been written for the whole: among streams that follow
/// one another, one that fails before its first frame would leave no trace.
fn mark_cut() {
    let _ = stdout().map(|mut stdout| stdout.write_all(CUT));
}

/// Writes a line to stderr, whatever control characters a name has in it; if that fails, there is
/// nobody to tell.
fn say(what: &str, message: &str) {
    let plain: String = message.chars().flat_map(escape).collect();
    let _ = writeln!(io::stderr(), "{PROGRAM}: {what}: {plain}");
}

/// A character as it is, or as an escape if it is a control character.
pub fn escape(c: char) -> impl Iterator<Item = char> {
    let (plain, escaped) = match c.is_control() {
        true => (None, Some(c.escape_default())),
        false => (Some(c), None),
    };
    plain.into_iter().chain(escaped.into_iter().flatten())
}

/// Shows the help that was asked for, or what is wrong with the command line.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if writes_pictures(env::args_os()) {
        mark_cut();
    }
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let message = words.join(" ");
    say("error", message.strip_prefix("error: ").unwrap_or(&message));
    say("hint", &format!("{PROGRAM} --help shows the options"));
    ExitCode::from(2)
}

/// Whether a command line that can't be parsed would have made pictures for stdout.
fn writes_pictures(mut arguments: impl Iterator<Item = OsString>) -> bool {
    let others = ["-o", "--output", "--list", "--info", "--check"];
    let is_other = |argument: &str| others.iter().any(|other| argument.starts_with(other));
    matches!(PROGRAM, "sx-encode" | "sx-get")
        && !io::stdout().is_terminal()
        && !arguments.any(|argument| is_other(&argument.to_string_lossy()))
}

/// What the user can do about an error, where there is something.
fn hint(kind: &Kind) -> Option<String> {
    Some(match kind {
        Kind::Empty => "did what should give the frames fail?".into(),
        Kind::Truncated | Kind::CutShort(_) if PROGRAM == "sx-put" => {
            "did what gives the frames fail? those that came are stored, but have no key".into()
        }
        Kind::Truncated | Kind::CutShort(_) => {
            "did what gives the frames fail? don't take what came out for the whole".into()
        }
        Kind::BadPng | Kind::Checksum { .. } | Kind::Payload => {
            "the frame was damaged on its way or where it was kept".into()
        }
        Kind::NotPng("a key") => "sx-get brings back the frames that a key is of".into(),
        Kind::NotPng(
            "a JPEG picture"
            | "a WebP picture or another RIFF file"
            | "a lossy or animated WebP picture",
        )
        | Kind::Lossy => {
            "whatever kept the picture changed it, and its bytes are lost; keep PNGs as they are"
                .into()
        }
        Kind::NotPng(_) => "sx-encode makes frames of any bytes".into(),
        Kind::NotPiece(what) if what == OWN_FRAME => {
            "a key of this storagex ends in #blake3= and a digest".into()
        }
        Kind::NotFrame(_) | Kind::NotPiece(_) => {
            "if it was one, whatever kept it has shrunk or re-encoded it, and its bytes are lost"
                .into()
        }
        Kind::OldPiece => "pieces of storagex 1.0 are brought back by the key that it gave".into(),
        Kind::Version(3..) => "a newer storagex has written it".into(),
        Kind::TooLarge { .. } => {
            "--max-frame raises the limit, if you trust where it comes from".into()
        }
        Kind::Offset { found, expected } if found > expected => {
            "a frame is missing before this one, or stands elsewhere".into()
        }
        Kind::Offset { .. } => "a frame stands here twice, or stood elsewhere".into(),
        Kind::WrongKind("a frame of an index, expected data") => {
            "sx-get KEY brings back the data that an index is of".into()
        }
        Kind::WrongKind("a frame of data, expected an index") => {
            "a key of one frame, as --keys and --list print it, brings back no stream".into()
        }
        Kind::Conflict(_) => "sort the files of one stream at a time".into(),
        Kind::NotPositioned => "the order of such frames is in their index only".into(),
        Kind::Size(_) => "-W and -H set width and height of a frame".into(),
        Kind::Name(_) => "--name gives a shorter one".into(),
        Kind::Key(_) => {
            "a key is the line that sx-put printed; a file of keys can be given by its path".into()
        }
        // Where it isn't the name that is wrong, but a login, a variable or a file, that is named.
        Kind::Store(what) if !what.starts_with("store") && !what.starts_with("no store") => {
            return None;
        }
        Kind::Store(_) => {
            "--to names the store, or SX_STORE; a folder here is written ./NAME".into()
        }
        Kind::Usage(_) => format!("{PROGRAM} --help shows the options"),
        Kind::Terminal("stdin") => format!("see {PROGRAM} --help, or man {PROGRAM}"),
        Kind::Terminal(_) => "redirect it with > FILE, or | sx-put".into(),
        Kind::NotFound => "has the store been moved or pruned? where it was is in the key".into(),
        Kind::Untrusted(_) => {
            "SSL_CERT_FILE names the certificates to trust: those of an authority of your own"
                .into()
        }
        Kind::Refused { status, said } => refused(*status, said)?.into(),
        Kind::Digest { .. } => "the store, or somebody, has changed the picture".into(),
        Kind::Command(_) => "the stream has no last frame, so that no key comes of it".into(),
        _ => return None,
    })
}

/// What to do about a refusal, by the code of S3 if there is one, else by the status.
fn refused(status: u16, said: &str) -> Option<&'static str> {
    Some(match said.split(':').next().unwrap_or_default() {
        "SignatureDoesNotMatch" => "AWS_SECRET_ACCESS_KEY isn't the secret of AWS_ACCESS_KEY_ID",
        "InvalidAccessKeyId" | "NotSignedUp" => "the server doesn't know AWS_ACCESS_KEY_ID",
        "InvalidToken" | "ExpiredToken" => "AWS_SESSION_TOKEN is wrong or has expired",
        "NoSuchBucket" => "make the bucket, or see whether AWS_ENDPOINT_URL names the right server",
        "AuthorizationHeaderMalformed"
        | "PermanentRedirect"
        | "IllegalLocationConstraintException" => "AWS_REGION isn't the region of the bucket",
        "RequestTimeTooSkewed" | "AccessDenied"
            if said.contains("expired") || said.contains("Skew") =>
        {
            "is the clock of this machine right?"
        }
        "EntityTooLarge" => "make smaller frames: sx-encode -W and -H",
        _ => match status {
            401 => {
                "SX_HTTP_USER and SX_HTTP_PASSWORD, SX_HTTP_TOKEN, or netrc log in; to an image host, its file does"
            }
            403 => {
                "see whether AWS_ACCESS_KEY_ID, SX_HTTP_USER, or the token in the file of an image host may do this"
            }
            412 | 413 => "make smaller frames: sx-encode -W and -H",
            429 | 503 => "the server asks for less: -j 1, or try again later",
            507 => "the store is full",
            _ => return None,
        },
    })
}

/// The number of cores.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Options that all programs have.
#[derive(clap::Args)]
pub struct Limit {
    /// Largest frame to make or accept, in MiB of pixels (1 to 1024)
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    max_frame: u16,
}

impl Limit {
    /// In bytes.
    pub fn bytes(&self) -> usize {
        usize::from(self.max_frame) << 20
    }
}

/// Reads a number of threads or requests: 1 to 1024.
pub fn jobs(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(jobs @ 1..=1024) => Ok(jobs),
        _ => Err("expected 1 to 1024".into()),
    }
}

/// Stdin, unbuffered.
pub fn stdin() -> Result<File> {
    widen(io::stdin().as_fd());
    let own = io::stdin().as_fd().try_clone_to_owned();
    own.map(File::from)
        .map_err(|e| Error::io("cannot read stdin", e))
}

/// Stdin, where pictures are to come from.
pub fn stdin_pictures() -> Result<File> {
    match io::stdin().is_terminal() {
        true => Err(Kind::Terminal("stdin").into()),
        false => stdin(),
    }
}

/// The files, one after another, or stdin where there are none, or only `-`.
pub fn pictures(files: Vec<PathBuf>) -> Result<Box<dyn io::Read + Send>> {
    match &files[..] {
        [] => Ok(Box::new(stdin_pictures()?)),
        [only] if only == Path::new("-") => Ok(Box::new(stdin_pictures()?)),
        _ => Ok(Box::new(Files::new(files.into_iter()))),
    }
}

/// Stdout, unbuffered.
pub fn stdout() -> Result<File> {
    widen(io::stdout().as_fd());
    let own = io::stdout().as_fd().try_clone_to_owned();
    own.map(File::from)
        .map_err(|e| Error::io("cannot write to stdout", e))
}

/// Stdout, where pictures are to go to.
pub fn stdout_pictures() -> Result<File> {
    if io::stdout().is_terminal() {
        return Err(Kind::Terminal("stdout").into());
    }
    PICTURES.store(true, Ordering::Relaxed);
    stdout()
}

/// Makes a pipe hold a mebibyte, so that a frame passes in a few writes; 64 KiB is what it has by
/// default. What isn't a pipe, or may not grow, stays as it is.
pub fn widen(fd: BorrowedFd) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(fd, 1 << 20);
    #[cfg(not(target_os = "linux"))]
    let _ = fd;
}

/// Runs `body` with where output goes: `default` for none or `-`, or a file that appears at `path` when, and only
/// when, `body` succeeds. Devices and pipes are written as they are.
pub fn to<T>(
    path: Option<&Path>,
    default: impl FnOnce() -> Result<File>,
    body: impl FnOnce(&mut dyn Write) -> Result<T>,
) -> Result<T> {
    let Some(path) = path.filter(|path| *path != Path::new("-")) else {
        return body(&mut default()?);
    };
    if std::fs::metadata(path).is_ok_and(|old| !old.is_file()) {
        let file = File::options().write(true).open(path);
        let unwritable = |e| Error::io("cannot write", e).at(path.display());
        return body(&mut file.map_err(unwritable)?);
    }
    let mut output = Output::new(path)?;
    let done = body(&mut output)?;
    output.replace()?;
    Ok(done)
}

/// Writes text.
pub fn write(output: &mut (impl Write + ?Sized), text: &str) -> Result<()> {
    output.write_all(text.as_bytes()).map_err(Error::output)
}

/// A time as people and programs read it: RFC 3339, in UTC, to the second.
pub fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The store where `--to` names none: `$SX_STORE`, or the folder `storagex` in `$XDG_DATA_HOME`,
/// which is `~/.local/share` by default.
pub fn default_store() -> Result<OsString> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    let folder = |base: OsString| Some(PathBuf::from(base)).filter(|base| base.is_absolute());
    let data = variable("XDG_DATA_HOME").and_then(folder);
    let home = || Some(variable("HOME").and_then(folder)?.join(".local/share"));
    match (variable("SX_STORE"), data.or_else(home)) {
        (Some(store), _) => Ok(store),
        (None, Some(data)) => Ok(data.join("storagex").into_os_string()),
        (None, None) => Err(Kind::Store("no store, expected --to, SX_STORE or HOME".into()).into()),
    }
}

/// How stores are reached, by what the environment says; waiting for one is told on stderr.
pub fn store_config(jobs: usize) -> Config {
    Config {
        variables: env::vars_os()
            .filter_map(|(name, value)| {
                // What isn't text becomes something that isn't there, and is complained about.
                Some((
                    name.into_string().ok()?,
                    value.to_string_lossy().into_owned(),
                ))
            })
            .collect(),
        jobs,
        note: Arc::new(|message| say("note", message)),
        ..Config::default()
    }
}
