//! Bytes to frames: see sx-encode(1).

mod common;

use clap::Parser;
use common::help::Help;
use common::live::{self, Verb};
use std::ffi::OsString;
use std::fs::Permissions;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use storagex::encode::Options;
use storagex::input::{CommandOutput, Files};
use storagex::wire::Carrier;
use storagex::wire::carrier::sturdy::Level;
use storagex::wire::chunk::MAX_LEVEL;
use storagex::wire::frame::Size;
use storagex::{Error, Kind, Progress, Result, encode, range, secret};

/// Turn a stream of bytes into pictures.
#[derive(Parser)]
#[command(name = common::PROGRAM, version)]
#[command(
    override_usage = "sx-encode [OPTIONS] [FILE]\n       sx-encode [OPTIONS] -- COMMAND [ARG]..."
)]
struct Args {
    /// Read this file instead of stdin
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Run this command and encode its output; if it fails, so does sx-encode
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "file")]
    command: Vec<OsString>,

    /// Compression level: 0 none, 1 fast to 19 small; also -0 to -19
    #[arg(long, value_name = "LEVEL", overrides_with = "level", default_value_t = 3, value_parser = common::within(0, MAX_LEVEL))]
    level: i32,

    /// Width of a frame, in pixels
    #[arg(short = 'W', long, value_name = "PIXELS", default_value_t = Size::DEFAULT.width)]
    width: u32,

    /// Height of a frame, in pixels
    #[arg(short = 'H', long, value_name = "PIXELS", default_value_t = Size::DEFAULT.height)]
    height: u32,

    /// Make gray pictures that survive JPEG and lossy WebP: 1 carries the most bytes, 4
    /// survives the most
    #[arg(long, value_name = "LEVEL")]
    sturdy: Option<Level>,

    /// End chunks where the content says so, about every AVERAGE bytes, such as 64K or 1M, so that equal
    /// content gives equal pictures [default AVERAGE: 256K, or half a frame]
    #[arg(long, value_name = "AVERAGE", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = average)]
    cdc: Option<Average>,

    #[command(flatten)]
    secret: common::SecretFile,

    /// Write a new secret to stdout, and encode nothing
    #[arg(long, exclusive = true)]
    new_secret: bool,

    /// Threads that compress [default: all cores]
    #[arg(short, long, value_name = "N", value_parser = common::jobs)]
    jobs: Option<usize>,

    /// Write to this file instead of stdout; it appears only when it is complete
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    limit: common::Limit,

    #[command(flatten)]
    show: live::Show,
}

const HELP: Help = Help {
    first: &["level", "output", "jobs", "width", "height"],
    groups: &[
        (
            "Frames",
            &[
                "level",
                "sturdy",
                "cdc",
                "secret",
                "new-secret",
                "width",
                "height",
                "max-frame",
            ],
        ),
        ("Running", &["output", "jobs"]),
        ("Messages", &["quiet", "verbose", "log-json"]),
    ],
    examples: "  tar -c dir | sx-encode | sx-put -o dir.key       store a folder
  sx-encode disk.img | sx-put > disk.key           store a file
  sx-encode -- pg_dump db | sx-put -o db.key       no key if the command fails
  tar -c dir | zstd | sx-encode -0 | sx-put > key  the fewest pictures",
};

fn main() -> ExitCode {
    common::main(levels(std::env::args_os()), &HELP, run)
}

fn run(args: Args) -> Result<()> {
    live::show(args.show);
    let progress = Progress::default();
    if args.new_secret {
        return new_secret();
    }
    let mut options = Options {
        size: Size {
            width: args.width,
            height: args.height,
        },
        carrier: args.sturdy.map_or(Carrier::Plain, Carrier::Sturdy),
        level: args.level,
        average: None,
        secret: None,
        jobs: args.jobs.unwrap_or_else(common::cores),
        limit: args.limit.bytes(),
        progress: progress.clone(),
    };
    common::to(
        args.output.as_deref(),
        common::stdout_pictures,
        |mut output| {
            options.secret = args.secret.read()?;
            options.average = match args.cdc {
                None => None,
                Some(Average::Usual) => Some(options.usual_average()?),
                Some(Average::Bytes(bytes)) => Some(bytes),
            };
            options.check()?;
            if args.command.is_empty() && std::env::args_os().any(|argument| argument == "--") {
                return Err(Kind::Usage("no command after --, expected one".into()).into());
            }
            let input = open(args.file.as_deref(), &args.command, &progress)?;
            live::start(verb(args.output.as_deref()), &progress);
            encode(input, &mut output, &options).map(drop)
        },
    )
}

/// sx-put says how far things are, where frames go to a pipe.
fn verb(output: Option<&Path>) -> Verb {
    let kept = match output {
        Some(path) => format!("{} is as it was", path.display()),
        None => "the stream has no last frame, so readers see that it is incomplete".into(),
    };
    Verb {
        done: "encoded",
        kept,
        shows: output.is_some() || !live::is_pipe(std::io::stdout()),
    }
}

fn open(
    file: Option<&Path>,
    command: &[OsString],
    progress: &Progress,
) -> Result<Box<dyn Read + Send>> {
    if let [program, arguments @ ..] = command {
        let mut command = Command::new(program);
        command.args(arguments);
        let output = CommandOutput::start(command)?;
        common::widen(output.pipe().as_fd());
        return Ok(Box::new(output));
    }
    match file {
        Some(path) if path != Path::new("-") => {
            let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
            progress.expect(size);
            Ok(Box::new(Files::new(std::iter::once(path.to_owned()))))
        }
        _ => Ok(Box::new(common::stdin()?)),
    }
}

/// Writes a new secret. Where stdout is a file, only its owner can read it from now on: else it would
/// be refused.
fn new_secret() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut stdout = common::stdout()?;
    let unwritable = |e| Error::io("cannot make stdout private", e);
    let metadata = stdout.metadata().map_err(unwritable)?;
    let mode = metadata.permissions().mode() & 0o700;
    if metadata.is_file() {
        let private = Permissions::from_mode(mode);
        stdout.set_permissions(private).map_err(unwritable)?;
    }
    common::write(&mut stdout, &secret::render(&secret::generate()?))
}

/// The average length of chunks that `--cdc` wants.
#[derive(Clone, Copy)]
enum Average {
    /// The user names none.
    Usual,
    Bytes(usize),
}

fn average(text: &str) -> std::result::Result<Average, String> {
    if text.is_empty() {
        return Ok(Average::Usual);
    }
    let bytes = range::size(text).and_then(|bytes| usize::try_from(bytes).ok());
    let bytes = bytes.map(Average::Bytes);
    bytes.ok_or_else(|| "expected bytes, such as 65536, 64K or 1M".into())
}

/// Turns `-0` to `-99` before `--` into `--level=`, which clap has no way to say.
fn levels(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut options = true;
    arguments.map(move |argument| {
        options &= argument != "--";
        let digits = argument.to_str().and_then(|a| a.strip_prefix('-'));
        let is_number =
            |d: &&str| (1..=2).contains(&d.len()) && d.bytes().all(|c| c.is_ascii_digit());
        match digits.filter(is_number) {
            Some(level) if options => format!("--level={level}").into(),
            _ => argument,
        }
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_option_has_a_group_and_completions_are_true() {
        super::common::help::check::<super::Args>(&super::HELP);
    }
}
