//! What all four programs do alike: parse, run, report.

// Each program uses its part of this file.
#![allow(dead_code)]

pub mod help;
pub mod live;

use clap::Parser;
use help::Help;
use live::say;
use std::env;
use std::error::Error as _;
use std::ffi::OsString;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Termination};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;
use storagex::input::Files;
use storagex::output::Output;
use storagex::secret;
use storagex::store::Config;
use storagex::wire::seal::Secret;
use storagex::wire::stream::CUT;
use storagex::wire::v1::OWN_FRAME;
use storagex::{Error, Kind, Progress, Result, Service};

/// The name that messages start with.
pub const PROGRAM: &str = env!("CARGO_BIN_NAME");

/// Parses the command line, runs `body` and reports: 0, 1 for an error, 2 for wrong usage.
pub fn main<Args: Parser, Status: Termination>(
    arguments: impl Iterator<Item = OsString>,
    help: &'static Help,
    body: impl FnOnce(Args) -> Result<Status>,
) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    let is_short = arguments.iter().any(|argument| argument == "-h");
    let command = help::command::<Args>(help, is_short);
    let matches = command.try_get_matches_from(arguments);
    let args = match matches.and_then(|matches| Args::from_arg_matches(&matches)) {
        Ok(args) => args,
        Err(e) => return usage(&e),
    };
    match body(args) {
        Ok(status) => {
            live::finish();
            status.report()
        }
        // The reader closed the pipe: not an error.
        Err(e) if e.kind() == &Kind::ClosedPipe => {
            live::finish();
            ExitCode::SUCCESS
        }
        Err(e) => {
            if PICTURES.load(Ordering::Relaxed) && !is_whole(e.kind()) {
                mark_cut();
            }
            ExitCode::from(complain(&e))
        }
    }
}

/// Reports an error; gives the exit status that it calls for.
pub fn complain(error: &Error) -> u8 {
    let is_unsigned = || error.to_string().ends_with("so the request was not signed");
    let hint = match error.kind() {
        _ if is_out_of_files(error) => {
            Some("ulimit -n raises the number of files that a program may have open".into())
        }
        Kind::Refused { .. } if is_unsigned() => Some(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws, give the access key"
                .into(),
        ),
        kind => of_a_stored_picture(error).or_else(|| hint(kind)),
    };
    complain_with(error, hint.as_deref())
}

/// As [`complain`], with a hint that the kind of the error doesn't give.
pub fn complain_with(error: &Error, hint: Option<&str>) -> u8 {
    live::fail();
    say("error", &error.to_string());
    if let Some(hint) = hint {
        say("hint", hint);
    }
    match error.kind() {
        Kind::Size(_) | Kind::Store(_) | Kind::Name(_) | Kind::Usage(_) => 2,
        _ => 1,
    }
}

/// The exit status if all data can be restored, but some redundancy is lost.
pub const DEGRADED: u8 = 3;

/// The worse of two exit statuses: 1 is the worst, then 2, then 3.
pub fn worse(a: u8, b: u8) -> u8 {
    let severity = |status: &u8| [0, DEGRADED, 2, 1].iter().position(|s| s == status);
    std::cmp::max_by_key(a, b, severity)
}

/// Whether the system lets this process, or all of them, open no more files.
fn is_out_of_files(error: &Error) -> bool {
    use rustix::io::Errno;
    let full = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let system = error.downcast_ref::<io::Error>();
        let code = system.and_then(io::Error::raw_os_error);
        if code.is_some_and(|code| full.contains(&code)) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether pictures go to stdout.
static PICTURES: AtomicBool = AtomicBool::new(false);

/// Whether the stream was nevertheless written to its end, with zeros in it.
fn is_whole(error: &Kind) -> bool {
    matches!(error, Kind::Lost { frames, .. } if *frames < u64::MAX)
}

/// Marks the output as incomplete: otherwise, among streams that follow one another, one that fails
/// before its first frame would leave no trace.
fn mark_cut() {
    let _ = stdout().map(|mut stdout| stdout.write_all(CUT));
}

/// Tells the user something that isn't an error.
pub fn note(message: &str) {
    say("note", message);
}

/// Whether the name of a store is that of an image host.
pub fn is_host(store: &str) -> bool {
    store.starts_with("host:")
        || Path::new(store)
            .extension()
            .is_some_and(|end| end == "sxcu")
}

/// A character as it is, or as an escape if it is a control character.
pub fn escape(c: char) -> impl Iterator<Item = char> {
    let (plain, escaped) = match c.is_control() {
        true => (None, Some(c.escape_default())),
        false => (Some(c), None),
    };
    plain.into_iter().chain(escaped.into_iter().flatten())
}

/// Shows the requested help, or what is wrong with the command line.
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
    let mut tips = (text.lines()).filter_map(|line| line.trim().strip_prefix("tip: "));
    let tip = tips.find(|tip| !tip.starts_with("to pass")); // `sx-encode -- X` runs X
    let all = format!("{PROGRAM} --help shows the options");
    say("hint", tip.unwrap_or(&all));
    ExitCode::from(2)
}

/// Whether a command line that can't be parsed would have written pictures to stdout.
fn writes_pictures(mut arguments: impl Iterator<Item = OsString>) -> bool {
    let others = [
        "-o",
        "--output",
        "--new-secret",
        "--list",
        "--info",
        "--filename",
        "--check",
        "--repair",
    ];
    let is_other = |argument: &str| others.iter().any(|other| argument.starts_with(other));
    matches!(PROGRAM, "sx-encode" | "sx-get")
        && !io::stdout().is_terminal()
        && !arguments.any(|argument| is_other(&argument.to_string_lossy()))
}

/// The hint where a picture in a store is damaged, or something else is in its place.
fn of_a_stored_picture(error: &Error) -> Option<String> {
    let is_damaged = match error.kind() {
        Kind::NotPicture("an AVIF picture" | "a HEIC picture" | "a JPEG XL picture") => false,
        Kind::CutShort(_)
        | Kind::NotPicture(_)
        | Kind::BadPicture(_)
        | Kind::Checksum { .. }
        | Kind::Payload
        | Kind::Digest { .. } => true,
        _ => false,
    };
    // Frames on stdin have no location.
    let is_stored = match PROGRAM {
        "sx-get" => true,
        "sx-put" => error.to_string().contains("://"),
        _ => false,
    };
    let repairs = env::args_os().any(|argument| argument == "--repair");
    (is_damaged && is_stored).then(|| match repairs {
        true => format!("the picture is damaged in the store; {ELSEWHERE}"),
        false => {
            "the picture is damaged in the store: sx-get --repair KEY stores it again if parity or \
             another store has it; --from names another store to look in"
                .into()
        }
    })
}

/// What helps where nothing is left of a stream, or what is left is being written.
pub const ELSEWHERE: &str = "--from names another store to look in";

fn of_keys(what: &str) -> &'static str {
    match what.contains("expected files") {
        true => "check whether this is the folder of the backups, and whether its disk is mounted",
        false => "a key is the line that sx-put printed; pass a file of keys by its path",
    }
}

/// What the user can do about an error, if anything.
fn hint(kind: &Kind) -> Option<String> {
    Some(match kind {
        Kind::Empty => "check whether the program that writes the frames failed".into(),
        Kind::Truncated | Kind::CutShort(_) if PROGRAM == "sx-put" => {
            "check whether the program that writes the frames failed; those that arrived are stored, but have no key".into()
        }
        Kind::Truncated | Kind::CutShort(_) => {
            "check whether the program that writes the frames failed; the output is incomplete".into()
        }
        Kind::BadPicture(_) | Kind::Checksum { .. } | Kind::Payload => {
            "the frame was damaged in transit or in the store".into()
        }
        Kind::NotPicture("a key") => "sx-get fetches the frames of a key".into(),
        Kind::NotPicture("an AVIF picture" | "a HEIC picture" | "a JPEG XL picture") => {
            "pictures of this format are not read: ask the host for PNG, JPEG or WebP".into()
        }
        Kind::Unsupported(_) => "convert the picture to PNG, and try again".into(),
        Kind::NotPicture(_) => "sx-encode turns any bytes into frames".into(),
        Kind::NotPiece(what) if what == OWN_FRAME => {
            "a key of this storagex ends in #blake3= and a digest".into()
        }
        Kind::Lossy
        | Kind::NotFrame(_)
        | Kind::NotPiece(_)
        | Kind::Altered(_)
        | Kind::Uncorrectable { .. }
        | Kind::Harmed(_) => of_changed_pixels(kind).into(),
        Kind::OldPiece => "to fetch a file of storagex 1.0, pass its key to sx-get".into(),
        Kind::Version(3..) => "a newer storagex wrote it".into(),
        Kind::TooLarge { .. } => {
            "--max-frame raises the limit, if you trust the source".into()
        }
        Kind::Offset { found, expected } if found > expected => {
            "a frame is missing before this one, or the frames are out of order".into()
        }
        Kind::Offset { .. } => "this frame is a duplicate, or the frames are out of order".into(),
        Kind::WrongKind("a frame of an index, expected data") => {
            "sx-get KEY fetches the data that an index lists".into()
        }
        Kind::WrongKind("a frame of data, expected an index") => {
            "this is the key of a single frame, as --keys and --list print it; use the key of the stream".into()
        }
        Kind::WrongKind("a frame of parity, expected data") => {
            "parity frames work only through their index: sx-get KEY".into()
        }
        Kind::Lost {
            frames: u64::MAX, ..
        } => "sx-decode --salvage --sort restores positioned frames without an index".into(),
        Kind::Lost { .. } | Kind::TooFew { .. } => of_loss(kind)?.into(),
        Kind::KeyNotTaken { .. } => of_a_key_not_taken().into(),
        Kind::Conflict(_) => "sort the files of one stream at a time".into(),
        Kind::LeftOut(_) => "salvage one stream at a time: give sx-get one key".into(),
        Kind::Sealed
        | Kind::NotSealed
        | Kind::OtherSecret
        | Kind::Forged
        | Kind::Chain
        | Kind::Secret(_) => of_a_seal(kind).into(),
        Kind::NotPositioned => {
            "frames of sx-encode --cdc have none: only the index knows their order, so fetch them with sx-get KEY".into()
        }
        Kind::Size(what) => of_a_size(what).into(),
        Kind::Name(_) => "set a shorter name with --name".into(),
        Kind::Key(what) => of_keys(what).into(),
        Kind::Store(what) => return of_a_store(what),
        Kind::NoFileName(_) => "storagex download KEY FILE chooses another name".into(),
        Kind::NoMember { top, .. } => format!("the paths in it begin with '{top}'"),
        Kind::Usage(_) => format!("{PROGRAM} --help shows the options"),
        Kind::Terminal("stdin") => format!("see {PROGRAM} --help, or man {PROGRAM}"),
        Kind::Terminal(_) if PROGRAM == "sx-get" => "redirect it with > FILE, or | sx-decode".into(),
        Kind::Terminal(_) if PROGRAM == "sx-decode" => {
            "redirect it with > FILE or to a program, or write it nevertheless with -o -".into()
        }
        Kind::Terminal(_) => "redirect it with > FILE, or | sx-put".into(),
        Kind::Gone => "run it again: it stores what is gone".into(),
        Kind::Journal(_) => "each upload needs its own journals, one for each store".into(),
        Kind::NoFolder(_) => {
            "check whether the disk of this store is mounted; if the folder was moved, --from names its \
             new place"
                .into()
        }
        Kind::NotFound if PROGRAM == "sx-put" => {
            "this isn't the store of the key, or it has lost what it acknowledged".into()
        }
        Kind::NotFound => "check whether the store was moved or pruned; the key says where it was".into(),
        Kind::Untrusted(_) => {
            "SSL_CERT_FILE names the certificates to trust: those of your own authority, or that of the server"
                .into()
        }
        Kind::Refused { by, status, said } => refused(*by, *status, said)?.into(),
        Kind::Digest { .. } => "the store or someone else changed the picture".into(),
        Kind::Command(_) => "the stream has no last frame, so sx-put makes no key".into(),
        _ => return None,
    })
}

/// How to get a key that couldn't be written.
fn of_a_key_not_taken() -> &'static str {
    if PROGRAM == "sx-get" {
        return "save this key: it has the pictures that were stored again";
    }
    match env::args_os().any(|argument| argument == "--keys") {
        true => {
            "run the pipe again: it prints all keys, and sends nothing again, except to an image \
             host without --resume"
        }
        false => {
            "everything is stored: save this key, or run the pipe again, which sends nothing again, \
             except to an image host without --resume"
        }
    }
}

/// The hint where frames, or their chunks, can't have a size.
fn of_a_size(what: &str) -> &'static str {
    match what.contains(" pixels, expected at most ") {
        true => "-W and -H set width and height of a frame; --max-frame raises the limit",
        false if what.contains("chunks: average ") => {
            "--cdc=16K is the least average; larger frames, set by -W and -H, allow larger ones, at \
             most 4M"
        }
        false => "-W and -H set width and height of a frame",
    }
}

/// The hint where frames are lost, but not the index.
fn of_loss(kind: &Kind) -> Option<&'static str> {
    Some(match kind {
        _ if env::args_os().any(|argument| argument == "--salvage") => ELSEWHERE,
        Kind::Lost { .. } if PROGRAM != "sx-get" => return None,
        Kind::TooFew { found: 0, .. } => {
            "--from names another store to look in; --check shows what is left"
        }
        _ => "--salvage writes the rest; --from names another store to look in",
    })
}

/// The hint where pixels of a picture have changed.
fn of_changed_pixels(kind: &Kind) -> &'static str {
    match kind {
        Kind::Lossy => {
            "something re-encoded the picture, and its data is lost; sx-put --probe shows what a \
             host does, and pictures of sx-encode --sturdy survive it"
        }
        Kind::Altered(_) => {
            "sx-put --probe shows what a host does to pictures, and which ones survive it, such as \
             those of sx-encode --sturdy"
        }
        Kind::NotFrame(_) | Kind::NotPiece(_) => {
            "if it was a frame, something shrank, cropped or re-encoded it; sx-put --probe shows \
             what a host does, and pictures of sx-encode --sturdy survive re-encoding"
        }
        _ => {
            "sx-put --probe shows what a host does to pictures, and the level of sx-encode --sturdy \
             that survives it"
        }
    }
}

/// What to do about a sealed frame, or a secret.
fn of_a_seal(kind: &Kind) -> &'static str {
    match kind {
        Kind::Sealed if PROGRAM == "sx-decode" => "--secret, or SX_SECRET, names the secret file",
        Kind::Sealed => "sx-get has no secret: only sx-decode opens what is sealed",
        Kind::NotSealed => {
            "an attacker may have put it there; to read frames that were never sealed, leave out the secret"
        }
        Kind::OtherSecret => "--secret, or SX_SECRET, names the file with the right secret",
        Kind::Forged => "somebody has changed the frame, and its CRC-32 to fit",
        Kind::Secret(what) if what.starts_with("permissions") => {
            "chmod 600 FILE; if others could read it, they may know the secret: consider a new one"
        }
        // In any other file, a new secret would replace what may be the only copy of an old one.
        Kind::Secret(what) if what == secret::EMPTY && PROGRAM == "sx-encode" => {
            "sx-encode --new-secret > FILE makes one, which opens nothing that was sealed before"
        }
        Kind::Secret(_) => {
            "compare the file with your other copy of the secret: no other secret opens what was sealed \
             with it"
        }
        _ => "don't use the output: it isn't the whole stream",
    }
}

/// What to do about the name of a store.
fn of_a_store(what: &str) -> Option<String> {
    // If a login, a variable or a file is wrong, not the name, the message names it.
    if !what.starts_with("store") && !what.starts_with("no store") {
        return None;
    }
    if what.contains("'~/") || what.contains("'file:~/") {
        let unquoted =
            "the shell expands ~/ only at the start of a word, without quotes: --to ~/DIR";
        let hint = format!("{unquoted}; or write \"$HOME/DIR\", or ./~/DIR for a folder named ~");
        return Some(hint);
    }
    if let Some(name) = here(what) {
        let option = option_of(name);
        return Some(format!(
            "./{name} is here: to use it as a store, write {option} ./{name}"
        ));
    }
    let hint = match PROGRAM {
        "sx-get" => "--from and --to name a store; write a folder here as ./NAME",
        _ => "--to or SX_STORE names the store; write a folder here as ./NAME",
    };
    Some(hint.into())
}

/// The name of an unknown store, if something here has that name.
fn here(what: &str) -> Option<&str> {
    let name = what.strip_prefix("store '")?.split('\'').next()?;
    (!name.is_empty() && Path::new(name).exists()).then_some(name)
}

/// The option that names this store.
fn option_of(store: &str) -> &'static str {
    let arguments: Vec<OsString> = env::args_os().collect();
    let is_from = |pair: &[OsString]| pair[0] == "--from" && pair[1] == store;
    let is_both = |argument: &OsString| *argument == *format!("--from={store}");
    match arguments.windows(2).any(is_from) || arguments.iter().any(is_both) {
        true => "--from",
        false => "--to",
    }
}

/// What to do about a refusal, by its S3 code if there is one, or else by its status.
fn refused(by: Service, status: u16, said: &str) -> Option<&'static str> {
    if by == Service::Proxy {
        return Some(match status {
            407 => {
                "put the login into the proxy's variable: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
            }
            _ => {
                "HTTP_PROXY and HTTPS_PROXY name the proxies; NO_PROXY lists hosts to reach without one"
            }
        });
    }
    let code = said.split(':').next().filter(|_| by == Service::S3);
    Some(match code.unwrap_or_default() {
        "SignatureDoesNotMatch" => "AWS_SECRET_ACCESS_KEY isn't the secret of AWS_ACCESS_KEY_ID",
        "InvalidAccessKeyId" | "NotSignedUp" => "the server doesn't know AWS_ACCESS_KEY_ID",
        "InvalidToken" | "ExpiredToken" => "AWS_SESSION_TOKEN is wrong or has expired",
        "NoSuchBucket" => {
            "create the bucket, or check whether AWS_ENDPOINT_URL names the right server"
        }
        "AuthorizationHeaderMalformed"
        | "PermanentRedirect"
        | "IllegalLocationConstraintException" => "AWS_REGION isn't the region of the bucket",
        "RequestTimeTooSkewed" | "AccessDenied"
            if said.contains("expired") || said.contains("Skew") =>
        {
            "check the clock of this machine"
        }
        "EntityTooLarge" => "make smaller frames: sx-encode -W and -H",
        _ => match (status, by) {
            (401 | 403, Service::S3) => "check whether AWS_ACCESS_KEY_ID may do this",
            (401, Service::Web) if said.contains("expected Basic or Bearer") => return None,
            (401, Service::Web) => {
                "log in with SX_HTTP_USER and SX_HTTP_PASSWORD, SX_HTTP_TOKEN, or netrc"
            }
            (403, Service::Web) => "check whether SX_HTTP_USER or SX_HTTP_TOKEN may do this",
            (401 | 403, Service::Host) => "check whether the login in the host's file may do this",
            (404 | 405 | 409, Service::Web) if PROGRAM == "sx-put" => {
                "check whether the server accepts PUT there, and has the folder or can create it"
            }
            (404 | 405, Service::S3) => "check whether AWS_ENDPOINT_URL names an S3 server",
            (412 | 413, _) => "make smaller frames: sx-encode -W and -H",
            (429 | 503, _) => "the server asks for fewer requests: use -j 1, or try again later",
            (507, _) => "the store is full",
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
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = within(1_u16, 1024))]
    max_frame: u16,
}

impl Limit {
    /// In bytes.
    pub fn bytes(&self) -> usize {
        usize::from(self.max_frame) << 20
    }
}

/// The option that opens and closes seals.
#[derive(clap::Args)]
pub struct SecretFile {
    /// Seal or open frames with the secret in this file [default: `SX_SECRET`]
    #[arg(long, value_name = "FILE")]
    secret: Option<PathBuf>,
}

impl SecretFile {
    /// The secret, if there is one: never on the command line or in the environment itself, where other
    /// processes could see it.
    pub fn read(&self) -> Result<Option<Secret>> {
        if let Some(path) = &self.secret {
            return Ok(Some(read_secret(path)?));
        }
        match env::var_os("SX_SECRET").filter(|path| !path.is_empty()) {
            Some(path) => match read_secret(Path::new(&path)) {
                Ok(secret) => Ok(Some(secret)),
                Err(error) => Err(error.at("SX_SECRET")),
            },
            None => Ok(None),
        }
    }
}

fn read_secret(path: &Path) -> Result<Secret> {
    let text = path.to_string_lossy().to_ascii_uppercase();
    if text.starts_with("SX-SECRET-1") {
        let what = "a secret itself, expected the path of the file that it is in";
        return Err(Kind::Usage(what.into()).into());
    }
    secret::read(path)
}

/// Reads a number of threads or requests: 1 to 1024.
pub fn jobs(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(jobs @ 1..=1024) => Ok(jobs),
        _ => Err("expected 1 to 1024".into()),
    }
}

/// What reads a number between two, both of which it may be.
pub fn within<N: Copy + PartialOrd + Display + FromStr>(
    least: N,
    most: N,
) -> impl Fn(&str) -> std::result::Result<N, String> + Clone {
    move |text| {
        let number = text.parse().ok();
        let number = number.filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("expected {least} to {most}"))
    }
}

/// Stdin, unbuffered.
pub fn stdin() -> Result<File> {
    widen(io::stdin().as_fd());
    let own = io::stdin().as_fd().try_clone_to_owned();
    own.map(File::from)
        .map_err(|e| Error::io("cannot read stdin", e))
}

/// Stdin, as the source of pictures.
pub fn stdin_pictures() -> Result<File> {
    match io::stdin().is_terminal() {
        true => Err(Kind::Terminal("stdin").into()),
        false => stdin(),
    }
}

/// The files, one after another, or stdin if there are none, or only `-`.
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

/// Stdout, as the target of pictures.
pub fn stdout_pictures() -> Result<File> {
    if io::stdout().is_terminal() {
        return Err(Kind::Terminal("stdout").into());
    }
    PICTURES.store(true, Ordering::Relaxed);
    stdout()
}

/// Stdout, as the target of bytes that may be text: with a terminal there, it fails at the first bytes if
/// they aren't.
pub fn stdout_text() -> Result<Box<dyn Write>> {
    let stdout = stdout()?;
    Ok(match io::stdout().is_terminal() {
        true => Box::new(TextOnly {
            stdout,
            is_text: false,
        }),
        false => Box::new(stdout),
    })
}

/// A terminal that takes no binary data, as that could set it to anything.
struct TextOnly {
    stdout: File,
    /// Whether the first bytes have come.
    is_text: bool,
}

impl Write for TextOnly {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_text && !looks_like_text(bytes) {
            return Err(Error::from(Kind::Terminal("stdout")).into_io());
        }
        self.is_text |= !bytes.is_empty();
        self.stdout.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }
}

/// Whether data that starts so is text: UTF-8 without a zero in its first 4096 bytes.
fn looks_like_text(bytes: &[u8]) -> bool {
    let first = &bytes[..bytes.len().min(4096)];
    let is_utf8 = match std::str::from_utf8(first) {
        Ok(_) => true,
        // No character that is wrong, but one that is cut.
        Err(e) => e.error_len().is_none() && first.len() < bytes.len(),
    };
    is_utf8 && !first.contains(&0)
}

/// Enlarges a pipe from the default of 64 KiB to a mebibyte, so that a frame passes in a few
/// writes. Anything that isn't a pipe, or may not grow, stays as it is.
pub fn widen(fd: BorrowedFd) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(fd, 1 << 20);
    #[cfg(not(target_os = "linux"))]
    let _ = fd;
}

/// Runs `body` with its output: `default` for no path or `-`, or else a file that appears at `path`
/// if and only if `body` succeeds. Devices and pipes are written directly.
pub fn to<T, W: Write>(
    path: Option<&Path>,
    default: impl FnOnce() -> Result<W>,
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

/// Writes the line of a key; a closed pipe is an error, too.
pub fn write_key(output: &mut (impl Write + ?Sized), line: &str) -> Result<()> {
    write(output, &format!("{line}\n")).map_err(|e| not_taken(&e, line))
}

/// The error of writing a key: its message has the key, which would be lost otherwise.
pub fn not_taken(error: &Error, line: &str) -> Error {
    let (key, why) = (line.to_owned(), error.to_string());
    Kind::KeyNotTaken { key, why }.into()
}

/// A GNU ddrescue map of `size` bytes, of which those in `gaps` are missing.
pub fn mapfile(size: u64, gaps: impl Iterator<Item = Range<u64>>) -> String {
    let head = format!(
        "# Mapfile. Created by {PROGRAM}\n# current_pos  current_status  current_pass\n\
         {size:#010x}     +               1\n#      pos        size  status\n"
    );
    let mut at = 0;
    let runs = gaps.chain(std::iter::once(size..size)).flat_map(|gap| {
        let there = at..gap.start;
        at = gap.end;
        [(there, '+'), (gap, '-')]
    });
    let lines = runs.filter(|(range, _)| !range.is_empty());
    let lines = lines.map(|(range, status)| {
        let (start, length) = (range.start, range.end - range.start);
        format!("{start:#010x}  {length:#010x}  {status}\n")
    });
    std::iter::once(head).chain(lines).collect()
}

/// A time as people and programs read it: RFC 3339, in UTC, to the second.
pub fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The store if `--to` names none: `$SX_STORE`, or the folder `storagex` in `$XDG_DATA_HOME`, which
/// is `~/.local/share` by default.
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

/// Checks that options come with those that they are for: whether one is given, its name, whether the other
/// is, and its name. clap's `requires` passes over it where a third option excludes the other.
pub fn needs(options: &[(bool, &str, bool, &str)]) -> Result<()> {
    match options.iter().find(|(given, _, fits, _)| *given && !fits) {
        Some((_, option, _, other)) => Err(Kind::Usage(format!("{option} needs {other}")).into()),
        None => Ok(()),
    }
}

/// An answer to a question of an image host, from its argument.
pub fn setting(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// How to reach stores, from the environment; notes about waiting go to stderr.
pub fn store_config(jobs: usize, progress: &Progress) -> Config {
    Config {
        progress: progress.clone(),
        variables: env::vars_os()
            .filter_map(|(name, value)| {
                // A value that isn't text becomes one that doesn't exist, so it leads to an error.
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

#[cfg(test)]
mod tests {
    use super::looks_like_text;

    #[test]
    fn text_is_utf8_without_zeros() {
        let cut = format!("{}ä", "a".repeat(4095));
        for text in ["", "hello\n", "\u{1b}[1mä", &cut] {
            assert!(looks_like_text(text.as_bytes()), "{text}");
        }
        for bytes in [&b"a\0b"[..], b"\x1f\x8b\x08", b"a\xc3"] {
            assert!(!looks_like_text(bytes), "{bytes:?}");
        }
    }
}
