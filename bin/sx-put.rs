//! Frames to a store: see sx-put(1).

mod common;

use clap::Parser;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use storagex::probe::{Fate, Picture, Report, probe};
use storagex::put::Options;
use storagex::store::Comparison;
use storagex::store::{Config, Verify};
use storagex::wire::frame::Size;
use storagex::{Kind, Result, put, store};

/// Keep pictures in a store and print the key that brings them back.
#[derive(Parser)]
#[command(name = common::PROGRAM, version)]
struct Args {
    #[arg(long, value_name = "STORE", help = TO_HELP)]
    to: Option<OsString>,

    /// Write the key to this file instead of stdout; an old one stays until the new one is there
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// A name to keep in the index
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    name: OsString,

    /// Print the key of each frame, one a line, and make no index
    #[arg(long, conflicts_with = "name")]
    keys: bool,

    /// Frames to store at once
    #[arg(short, long, value_name = "N", default_value_t = 8, value_parser = common::jobs)]
    jobs: usize,

    /// Width of an index frame, in pixels
    #[arg(short = 'W', long, value_name = "PIXELS", default_value_t = Size::DEFAULT.width)]
    width: u32,

    /// Height of an index frame, in pixels
    #[arg(short = 'H', long, value_name = "PIXELS", default_value_t = Size::DEFAULT.height)]
    height: u32,

    /// An answer to what an image host asks; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,

    /// Pictures to read back from an image host: all, first or none
    #[arg(long, value_name = "WHICH", default_value = "first", value_parser = verify)]
    verify: Verify,

    /// Add the URLs that delete pictures of an image host to this file; they are secrets
    #[arg(long, value_name = "FILE")]
    deletions: Option<PathBuf>,

    /// Try the store with three pictures of growing size, and report what comes back; reads no frames
    #[arg(long, conflicts_with_all = ["keys", "name", "verify"])]
    probe: bool,

    /// With --probe: an object of JSON
    #[arg(long, requires = "probe")]
    json: bool,

    #[command(flatten)]
    limit: common::Limit,
}

const TO_HELP: &str = "The store: file:DIR, a path with a slash, s3://BUCKET/PREFIX, http(s)://HOST/FOLDER/, FILE.sxcu or host:NAME [default: $SX_STORE, or storagex in $XDG_DATA_HOME]";

fn setting(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn verify(text: &str) -> std::result::Result<Verify, String> {
    match text {
        "all" => Ok(Verify::All),
        "first" => Ok(Verify::First),
        "none" => Ok(Verify::None),
        _ => Err("expected all, first or none".into()),
    }
}

fn main() -> ExitCode {
    common::main(std::env::args_os(), run)
}

fn run(args: Args) -> Result<()> {
    let size = Size {
        width: args.width,
        height: args.height,
    };
    let options = Options {
        jobs: args.jobs,
        limit: args.limit.bytes(),
        index_size: size,
        name: args.name.to_string_lossy().into_owned(),
    };
    let config = Config {
        set: args.set.into_iter().collect(),
        verify: args.verify,
        deletions: args.deletions,
        ..common::store_config(args.jobs)
    };
    let name = args.to.map_or_else(common::default_store, Ok)?;
    if args.probe {
        let report = probe(&name, &config, size, options.limit)?;
        let show = if args.json { json } else { text };
        common::to(args.output.as_deref(), common::stdout, |output| {
            common::write(output, &show(&report))
        })?;
        return usable(&report);
    }
    let store = store::open(&name, &config)?;
    let input = common::stdin_pictures()?;
    common::to(args.output.as_deref(), common::stdout, |output| {
        if args.keys {
            return put::put_keys(input, &store, &options, |key| {
                common::write(output, &format!("{key}\n"))
            });
        }
        let (key, _) = put(input, &store, &options)?;
        common::write(output, &format!("{key}\n"))
    })
}

/// An error where no picture came back with its pixels.
fn usable(report: &Report) -> Result<()> {
    match report.largest() {
        Some(_) => Ok(()),
        None => Err(Kind::Host("no picture came back with its pixels".into()).into()),
    }
}

/// What became of a picture in a word or two, and more about it.
fn fate(picture: &Picture) -> (&'static str, Option<&str>) {
    match &picture.fate {
        Fate::Came(Comparison::SameBytes) => ("same bytes", None),
        Fate::Came(Comparison::SamePixels) => ("same pixels", None),
        Fate::Came(Comparison::Changed(what)) => ("changed", Some(what)),
        Fate::Refused(why) => ("refused", Some(why)),
    }
}

/// What sx-encode is to be told so that its frames come back.
fn options(report: &Report) -> Option<String> {
    let Size { width, height } = report.largest()?;
    Some(format!("-W {width} -H {height}"))
}

fn text(report: &Report) -> String {
    let limits = report.rate_limits.iter();
    let pictures = report.pictures.iter().map(line);
    let limits = limits.map(|(name, value)| format!("{name}: {}\n", plain(value)));
    let advice = options(report).map(|options| format!("use: sx-encode {options}\n"));
    pictures.chain(limits).chain(advice).collect()
}

fn line(picture: &Picture) -> String {
    let put = picture.put.as_secs_f64();
    let get = picture.get.map(|got| got.as_secs_f64());
    let get = get.map(|got| format!(", back {got:.3} s"));
    let (result, more) = fate(picture);
    let more = more.map(|more| format!(": {}", plain(more)));
    format!(
        "{}: {} bytes, there {put:.3} s{}: {result}{}\n",
        picture.size,
        picture.bytes,
        get.unwrap_or_default(),
        more.unwrap_or_default(),
    )
}

/// Text from outside without control characters.
fn plain(text: &str) -> String {
    text.chars().flat_map(common::escape).collect()
}

fn json(report: &Report) -> String {
    let picture = |picture: &Picture| {
        let (result, more) = fate(picture);
        serde_json::json!({
            "width": picture.size.width,
            "height": picture.size.height,
            "bytes": picture.bytes,
            "put_seconds": picture.put.as_secs_f64(),
            "get_seconds": picture.get.map(|got| got.as_secs_f64()),
            "result": result,
            "detail": more,
        })
    };
    let object = serde_json::json!({
        "pictures": report.pictures.iter().map(picture).collect::<Vec<_>>(),
        "rate_limits": report.rate_limits,
        "options": options(report),
    });
    format!("{object}\n")
}
