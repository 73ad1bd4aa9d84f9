//! Frames to bytes: see sx-decode(1).

mod common;

use clap::Parser;
use common::help::Help;
use common::live::{self, Verb};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use storagex::decode::{Listed, Options};
use storagex::members::Members;
use storagex::wire::Carrier;
use storagex::wire::carrier::sturdy::Corrections;
use storagex::wire::frame::{Codec, FrameKind, Place};
use storagex::{ByteRange, Progress, Result, decode};

/// Turn pictures back into a stream of bytes.
#[derive(Parser)]
#[command(name = common::PROGRAM, version)]
struct Args {
    /// Read these files, one after another, instead of stdin
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Check everything, write nothing
    #[arg(short, long, conflicts_with_all = ["output", "list"])]
    test: bool,

    /// Print a line for each frame instead of the bytes
    #[arg(short, long, conflicts_with = "sort")]
    list: bool,

    /// With --list: print a JSON object for each frame
    #[arg(long)]
    json: bool,

    /// First put the files, one frame each, in order
    #[arg(long, requires = "files")]
    sort: bool,

    /// Write the frames that are there, with zeros for the missing ones
    #[arg(long, conflicts_with_all = ["test", "list"])]
    salvage: bool,

    /// With --salvage: write a GNU ddrescue map of the missing bytes to this file
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,

    /// Write only these bytes: OFFSET:LENGTH, OFFSET: to the end, or -LENGTH for the last bytes
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true, conflicts_with_all = ["list", "salvage"])]
    range: Option<ByteRange>,

    /// Read the output of `tar -R`, and print the ranges of the archive that hold these members
    #[arg(long, value_name = "PATH", num_args = 1.., allow_hyphen_values = true, conflicts_with_all = ["list", "salvage", "test", "range"])]
    locate: Vec<OsString>,

    /// Write to this file instead of stdout; it appears only when it is complete
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Threads that decompress [default: all cores]
    #[arg(short, long, value_name = "N", value_parser = common::jobs)]
    jobs: Option<usize>,

    #[command(flatten)]
    secret: common::SecretFile,

    #[command(flatten)]
    limit: common::Limit,

    #[command(flatten)]
    show: live::Show,
}

const HELP: Help = Help {
    first: &["output", "test", "list", "sort", "jobs"],
    groups: &[
        ("Instead of bytes", &["test", "list", "json", "locate"]),
        ("Frames without an index", &["sort", "salvage", "map"]),
        (
            "Running",
            &["output", "range", "secret", "jobs", "max-frame"],
        ),
        ("Messages", &["quiet", "verbose", "log-json"]),
    ],
    examples: "  sx-get dir.key | sx-decode | tar -x              restore a folder
  sx-get disk.key | sx-decode -o disk.img          restore a file, whole or not at all
  sx-get key | sx-decode -t                        check everything, write nothing
  sx-decode --sort pictures/*/*.png > out          restore without an index",
};

fn main() -> ExitCode {
    common::main(std::env::args_os(), &HELP, run)
}

fn run(args: Args) -> Result<()> {
    live::show(args.show);
    common::needs(&[
        (args.json, "--json", args.list, "--list"),
        (args.map.is_some(), "--map", args.salvage, "--salvage"),
    ])?;
    let progress = Progress::default();
    let options = Options {
        jobs: args.jobs.unwrap_or_else(common::cores),
        limit: args.limit.bytes(),
        secret: match args.list {
            true => None, // it opens nothing
            false => args.secret.read()?,
        },
        progress: progress.clone(),
    };
    if args.salvage {
        return salvage(args, &options);
    }
    let reads_stdin = args.files.is_empty();
    let input: Box<dyn Read + Send> = match args.sort {
        true => Box::new(decode::sort(args.files, &options)?),
        false => common::pictures(args.files)?,
    };
    if args.list {
        return common::to(args.output.as_deref(), common::stdout, |output| {
            let line = if args.json { json } else { text };
            decode::list(input, &options, |frame| common::write(output, &line(frame)))
        });
    }
    live::start(verb(args.output.as_deref(), reads_stdin), &progress);
    if let Some(range) = args.range {
        let output = |output: &mut dyn Write| {
            let mut output = output;
            decode::decode_range(input, &mut output, range, &options)
        };
        return match args.test {
            true => output(&mut std::io::sink()),
            false => to(args.output.as_deref(), output),
        };
    }
    if !args.locate.is_empty() {
        let mut members = Members::of(args.locate.iter().map(|path| path.as_bytes()));
        decode(input, &mut members, &options)?;
        let ranges = members.finish()?;
        return common::to(args.output.as_deref(), common::stdout, |output| {
            ranges
                .iter()
                .try_for_each(|range| common::write(output, &format!("{range}\n")))
        });
    }
    if args.test {
        return decode(input, &mut std::io::sink(), &options).map(drop);
    }
    to(args.output.as_deref(), |mut output| {
        decode(input, &mut output, &options).map(drop)
    })
}

/// Runs `body` with its output. A terminal is one for text, unless the user names it.
fn to<T>(path: Option<&Path>, body: impl FnOnce(&mut dyn Write) -> Result<T>) -> Result<T> {
    match path {
        None => body(&mut *common::stdout_text()?),
        Some(_) => common::to(path, common::stdout, body),
    }
}

/// sx-get says how far things are, where frames come from a pipe.
fn verb(output: Option<&Path>, reads_stdin: bool) -> Verb {
    let kept = match output {
        Some(path) => format!("{} is as it was", path.display()),
        None => "{frames} written, and not the rest".into(),
    };
    Verb {
        done: "decoded",
        kept,
        shows: !(reads_stdin && live::is_pipe(std::io::stdin())),
    }
}

/// Writes what is left, and fails if that isn't all.
fn salvage(args: Args, options: &Options) -> Result<()> {
    let salvaged = to(args.output.as_deref(), |mut output| match args.sort {
        true => decode::salvage(args.files, &mut output, options),
        false => decode::salvage_stream(common::pictures(args.files)?, &mut output, options),
    })?;
    for file in &salvaged.left_out {
        common::note(&format!("left out: {file}"));
    }
    if let Some(path) = args.map {
        let text = common::mapfile(salvaged.size, salvaged.gaps.iter().cloned());
        common::to(Some(&path), common::stdout, |map| common::write(map, &text))?;
    }
    salvaged.error().map_or(Ok(()), Err)
}

/// Number, kind, codec, width x height, offset, raw and stored size, flags.
fn text(frame: &Listed) -> String {
    let (kind, codec) = names(frame);
    let (offset, flags) = place(frame);
    format!(
        "{}  {kind}  {codec}  {}x{}  {}  {}  {}  {}{}\n",
        frame.seq,
        frame.size.width,
        frame.size.height,
        offset.map_or("-".to_owned(), |offset| offset.to_string()),
        frame.trailer.raw_length,
        frame.stored,
        if flags.is_empty() {
            "-".to_owned()
        } else {
            flags.join(",")
        },
        sturdy(frame),
    )
}

/// Two more columns for a sturdy picture: the level, and what had to be corrected.
fn sturdy(frame: &Listed) -> String {
    match frame.carrier {
        Carrier::Plain => String::new(),
        Carrier::Sturdy(level) => {
            let corrected = 100.0 * frame.corrections.mean();
            let (worst, most) = (frame.corrections.worst, Corrections::MOST);
            format!("  sturdy-{level}  {corrected:.2}%,{worst}/{most}")
        }
    }
}

fn json(frame: &Listed) -> String {
    let (kind, codec) = names(frame);
    let (offset, flags) = place(frame);
    let object = serde_json::json!({
        "number": frame.seq,
        "kind": kind,
        "codec": codec,
        "width": frame.size.width,
        "height": frame.size.height,
        "offset": offset,
        "raw_size": frame.trailer.raw_length,
        "stored_size": frame.stored,
        "flags": flags,
        "level": frame.carrier.number(),
        "corrected": frame.corrections.mean(),
        "worst": frame.corrections.worst,
    });
    format!("{object}\n")
}

fn names(frame: &Listed) -> (&'static str, &'static str) {
    let kind = match frame.trailer.kind {
        FrameKind::Data => "data",
        FrameKind::Index => "index",
        FrameKind::Parity => "parity",
    };
    let codec = match frame.trailer.codec {
        Codec::Stored => "stored",
        Codec::Zstd => "zstd",
    };
    (kind, codec)
}

fn place(frame: &Listed) -> (Option<u64>, Vec<&'static str>) {
    let (offset, mut flags) = match frame.trailer.place {
        Place::Anywhere => (None, vec![]),
        Place::At(offset) => (Some(offset), vec!["positioned"]),
        Place::Last {
            offset,
            positioned: true,
            ..
        } => (Some(offset), vec!["last", "positioned"]),
        Place::Last { offset, .. } => (Some(offset), vec!["last"]),
    };
    if frame.trailer.sealed.is_some() {
        flags.push("sealed");
    }
    (offset, flags)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_option_has_a_group_and_completions_are_true() {
        super::common::help::check::<super::Args>(&super::HELP);
    }
}
