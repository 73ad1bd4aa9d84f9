//! Keys to frames: see sx-get(1).

mod common;

use clap::Parser;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::ExitCode;
use storagex::get::{Info, Options};
use storagex::{Error, Kind, Result, Source, get, input};

/// Bring back the pictures that keys are of.
#[derive(Parser)]
#[command(name = common::PROGRAM, version)]
struct Args {
    /// Keys, or files of keys, one a line; - or nothing for stdin
    #[arg(value_name = "KEY|FILE")]
    keys: Vec<OsString>,

    /// Print the keys of everything that the keys reach, fetch nothing but indexes
    #[arg(long, group = "instead")]
    list: bool,

    /// Show name, size, frames, store and time
    #[arg(long, group = "instead")]
    info: bool,

    /// With --info: an object of JSON for each key
    #[arg(long, requires = "info")]
    json: bool,

    /// Fetch everything and check it by its digests, write nothing
    #[arg(long, group = "instead")]
    check: bool,

    /// Frames to fetch at once
    #[arg(short, long, value_name = "N", default_value_t = 8, value_parser = common::jobs)]
    jobs: usize,

    #[command(flatten)]
    limit: common::Limit,
}

fn main() -> ExitCode {
    common::main(std::env::args_os(), run)
}

fn run(args: Args) -> Result<()> {
    let options = Options {
        jobs: args.jobs,
        limit: args.limit.bytes(),
        store: common::store_config(args.jobs),
    };
    let mut output = match args.list || args.info || args.check {
        true => common::stdout()?,
        false => common::stdout_pictures()?,
    };
    for key in keys(&args.keys)? {
        if args.list {
            get::list(&key, &options, |key| {
                common::write(&mut output, &format!("{key}\n"))
            })?;
        } else if args.info {
            let show = if args.json { json } else { text };
            common::write(&mut output, &show(&get::info(&key, &options)?))?;
        } else if args.check {
            get::check(&key, &options)?;
        } else {
            get(&key, &mut output, &options)?;
        }
    }
    Ok(())
}

/// The keys that the arguments give: all of them are read before the first one is used.
fn keys(arguments: &[OsString]) -> Result<Vec<Source>> {
    if arguments.is_empty() {
        return parse("stdin", common::stdin()?);
    }
    let mut keys = Vec::new();
    for argument in arguments {
        match argument.to_str() {
            Some("-") => keys.extend(parse("stdin", common::stdin()?)?),
            Some(key) if is_key(key) => keys.push(key.parse()?),
            _ => {
                let path = Path::new(argument);
                keys.extend(parse(&path.display().to_string(), input::open(path)?)?);
            }
        }
    }
    Ok(keys)
}

/// Whether an argument is a key, or is meant to be one, rather than a file: by its scheme (RFC 3986,
/// 3.1) or its digest. The empty one is no file either.
fn is_key(argument: &str) -> bool {
    argument.is_empty() || argument.contains("#blake3=") || has_scheme(argument)
}

fn has_scheme(argument: &str) -> bool {
    let of_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    argument.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(of_scheme)
    })
}

/// Bytes of a file of keys that are read: some 100,000 keys. More are no keys.
const MOST_KEYS: u64 = 16 << 20;

/// The keys in a file, one a line; there must be one.
fn parse(name: &str, file: File) -> Result<Vec<Source>> {
    let text = std::io::read_to_string(file.take(MOST_KEYS + 1)).map_err(|e| {
        match e.kind() {
            ErrorKind::InvalidData => Error::from(Kind::Key(
                "bytes that are no text, expected keys, one a line".into(),
            )),
            _ => Error::io("cannot read keys", e),
        }
        .at(name)
    })?;
    if text.len() as u64 > MOST_KEYS {
        let what = format!("over {MOST_KEYS} bytes, expected keys, one a line");
        return Err(Error::from(Kind::Key(what)).at(name));
    }
    let keys: Result<Vec<Source>> = (text.lines().map(str::trim_ascii).zip(1..))
        .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, n)| {
            line.parse()
                .map_err(|e: Error| e.at(format_args!("{name}: line {n}")))
        })
        .collect();
    match keys? {
        keys if keys.is_empty() => {
            Err(Error::from(Kind::Key("no key, expected one a line".into())).at(name))
        }
        keys => Ok(keys),
    }
}

fn text(info: &Info) -> String {
    let made = info.made.map_or("unknown".to_owned(), common::time);
    let name = info.name.replace('\\', "\\\\");
    let escaped: String = name.chars().flat_map(common::escape).collect();
    format!(
        "name: {}\nsize: {}\nframes: {}\nstore: {}\nmade: {made}\n",
        escaped, info.size, info.frames, info.store,
    )
}

fn json(info: &Info) -> String {
    let object = serde_json::json!({
        "name": info.name,
        "size": info.size,
        "frames": info.frames,
        "store": info.store,
        "made": info.made.map(common::time),
    });
    format!("{object}\n")
}
