//! Frames to a store: see sx-put(1).

mod common;

use clap::Parser;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use storagex::put::Options;
use storagex::store::{Config, Verify};
use storagex::wire::frame::Size;
use storagex::{Result, put, store};

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
    let options = Options {
        jobs: args.jobs,
        limit: args.limit.bytes(),
        index_size: Size {
            width: args.width,
            height: args.height,
        },
        name: args.name.to_string_lossy().into_owned(),
    };
    let config = Config {
        set: args.set.into_iter().collect(),
        verify: args.verify,
        deletions: args.deletions,
        ..common::store_config(args.jobs)
    };
    let store = store::open(&args.to.map_or_else(common::default_store, Ok)?, &config)?;
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
