//! Frames to bytes: see sx-decode(1).

mod common;

use clap::Parser;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use storagex::decode::{Listed, Options};
use storagex::wire::frame::{Codec, FrameKind, Place};
use storagex::{Result, decode};

/// Bring back the bytes that are in pictures.
#[derive(Parser)]
#[command(name = common::PROGRAM, version)]
struct Args {
    /// Read these files, one after another, instead of stdin
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Check everything, write nothing
    #[arg(short, long, conflicts_with_all = ["output", "list"])]
    test: bool,

    /// Show a line for each frame, write nothing else
    #[arg(short, long, conflicts_with = "sort")]
    list: bool,

    /// With --list: an object of JSON for each frame
    #[arg(long, requires = "list")]
    json: bool,

    /// Put files that hold a frame each in order first
    #[arg(long, requires = "files")]
    sort: bool,

    /// Write to this file instead of stdout; it appears when it is whole
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Threads that decompress [default: all cores]
    #[arg(short, long, value_name = "N", value_parser = common::jobs)]
    jobs: Option<usize>,

    #[command(flatten)]
    limit: common::Limit,
}

fn main() -> ExitCode {
    common::main(std::env::args_os(), run)
}

fn run(args: Args) -> Result<()> {
    let options = Options {
        jobs: args.jobs.unwrap_or_else(common::cores),
        limit: args.limit.bytes(),
    };
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
    if args.test {
        return decode(input, &mut std::io::sink(), &options).map(drop);
    }
    common::to(args.output.as_deref(), common::stdout, |mut output| {
        decode(input, &mut output, &options).map(drop)
    })
}

/// Number, kind, codec, width x height, offset, raw and stored size, flags.
fn text(frame: &Listed) -> String {
    let (kind, codec) = names(frame);
    let (offset, flags) = place(frame);
    format!(
        "{}  {kind}  {codec}  {}x{}  {}  {}  {}  {}\n",
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
    )
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
    });
    format!("{object}\n")
}

fn names(frame: &Listed) -> (&'static str, &'static str) {
    let kind = match frame.trailer.kind {
        FrameKind::Data => "data",
        FrameKind::Index => "index",
    };
    let codec = match frame.trailer.codec {
        Codec::Stored => "stored",
        Codec::Zstd => "zstd",
    };
    (kind, codec)
}

fn place(frame: &Listed) -> (Option<u64>, Vec<&'static str>) {
    match frame.trailer.place {
        Place::Anywhere => (None, vec![]),
        Place::At(offset) => (Some(offset), vec!["positioned"]),
        Place::Last {
            offset,
            positioned: true,
            ..
        } => (Some(offset), vec!["last", "positioned"]),
        Place::Last { offset, .. } => (Some(offset), vec!["last"]),
    }
}
