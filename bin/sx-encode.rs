//! Bytes to frames: see sx-encode(1).

mod common;

use clap::Parser;
use std::ffi::OsString;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use storagex::encode::Options;
use storagex::input::{CommandOutput, Files};
use storagex::wire::chunk::MAX_LEVEL;
use storagex::wire::frame::Size;
use storagex::{Kind, Result, encode};

/// Make pictures of a stream of bytes.
#[derive(Parser)]
#[command(name = common::PROGRAM, version)]
#[command(
    override_usage = "sx-encode [OPTIONS] [FILE]\n       sx-encode [OPTIONS] -- COMMAND [ARG]..."
)]
struct Args {
    /// Read this file instead of stdin
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Run this command and take its output; if it fails, so does sx-encode
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "file")]
    command: Vec<OsString>,

    /// Compression: 0 none, 1 fast to 19 small; also written -0 to -19
    #[arg(long, value_name = "LEVEL", overrides_with = "level", default_value_t = 3, value_parser = clap::value_parser!(i32).range(0..=i64::from(MAX_LEVEL)))]
    level: i32,

    /// Width of a frame, in pixels
    #[arg(short = 'W', long, value_name = "PIXELS", default_value_t = Size::DEFAULT.width)]
    width: u32,

    /// Height of a frame, in pixels
    #[arg(short = 'H', long, value_name = "PIXELS", default_value_t = Size::DEFAULT.height)]
    height: u32,

    /// Threads that compress [default: all cores]
    #[arg(short, long, value_name = "N", value_parser = common::jobs)]
    jobs: Option<usize>,

    /// Write to this file instead of stdout; it appears when it is whole
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    limit: common::Limit,
}

fn main() -> ExitCode {
    common::main(levels(std::env::args_os()), run)
}

fn run(args: Args) -> Result<()> {
    let options = Options {
        size: Size {
            width: args.width,
            height: args.height,
        },
        level: args.level,
        jobs: args.jobs.unwrap_or_else(common::cores),
        limit: args.limit.bytes(),
    };
    common::to(
        args.output.as_deref(),
        common::stdout_pictures,
        |mut output| {
            options.size.checked(options.limit)?;
            if args.command.is_empty() && std::env::args_os().any(|argument| argument == "--") {
                return Err(Kind::Usage("no command after --, expected one".into()).into());
            }
            let input = open(args.file.as_deref(), &args.command)?;
            encode(input, &mut output, &options).map(drop)
        },
    )
}

fn open(file: Option<&Path>, command: &[OsString]) -> Result<Box<dyn Read + Send>> {
    if let [program, arguments @ ..] = command {
        let mut command = Command::new(program);
        command.args(arguments);
        let output = CommandOutput::start(command)?;
        common::widen(output.pipe().as_fd());
        return Ok(Box::new(output));
    }
    match file {
        Some(path) if path != Path::new("-") => {
            Ok(Box::new(Files::new(std::iter::once(path.to_owned()))))
        }
        _ => Ok(Box::new(common::stdin()?)),
    }
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
