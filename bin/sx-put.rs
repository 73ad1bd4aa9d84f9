//! Frames to a store: see sx-put(1).

mod common;
mod keys;
mod prune;

use clap::Parser;
use common::help::Help;
use common::live::{self, Verb};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use storagex::probe::{Fate, Picture, Report, probe};
use storagex::put::{Done, Options, Sources};
use storagex::store::Comparison;
use storagex::store::{Config, Store, Verify};
use storagex::wire::Carrier;
use storagex::wire::carrier::sturdy::Corrections;
use storagex::wire::frame::Size;
use storagex::wire::parity::Parity;
use storagex::{Error, Keys, Kind, Progress, Result, Source, counted, put, store};

/// Store frames and print the key that restores them.
#[derive(Parser)]
#[command(name = common::PROGRAM, version)]
struct Args {
    /// With --prune: keys to keep, files of keys, or folders with files *.key and *.files; - for stdin
    #[arg(value_name = "KEY|FILE|FOLDER")]
    keep: Vec<OsString>,

    #[arg(long, value_name = "STORE", help = TO_HELP)]
    to: Vec<OsString>,

    /// After every K data frames add M parity frames, 1+1 to 128+64: any M of the K + M may be lost
    #[arg(long, value_name = "K+M")]
    parity: Option<Parity>,

    /// Distribute the frames of each group over the stores, so that any one store may be lost
    #[arg(long, requires = "parity")]
    spread: bool,

    /// Print keys if at least N stores have stored everything [default: all]
    #[arg(long, value_name = "N", conflicts_with = "spread")]
    min_copies: Option<usize>,

    /// Don't store again what this earlier key lists: a key, or a file of keys, one a line; may be
    /// given more than once
    #[arg(long, value_name = "KEY|FILE")]
    reuse: Vec<OsString>,

    /// Keep a journal of stored pictures in this file, and skip those that it lists; one for each store
    #[arg(long, value_name = "FILE")]
    resume: Vec<PathBuf>,

    /// Write the key to this file instead of stdout; an old key stays until the new one replaces it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Name to record in the index
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    name: OsString,

    /// Write comments before the key: the stores, and how much was stored
    #[arg(long, conflicts_with_all = ["keys", "prune", "probe"])]
    comment: bool,

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

    /// Answer to a question in an image host's file; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = common::setting)]
    set: Vec<(String, String)>,

    /// Which pictures to read back and compare: all, first, none, or a share such as 5%
    #[arg(long, value_name = "WHICH", default_value = "first")]
    verify: Verify,

    /// Append the URLs that delete pictures of an image host to this file; with --prune, call them; they
    /// are secrets
    #[arg(long, value_name = "FILE")]
    deletions: Option<PathBuf>,

    #[command(flatten)]
    pruning: prune::Pruning,

    /// Try the store with pictures of growing size, plain and sturdy, and report what comes back; reads no frames
    #[arg(long, conflicts_with_all = [
        "keys", "name", "verify", "reuse", "resume", "parity", "spread", "min_copies", "size",
    ])]
    probe: bool,

    /// With --probe: print a JSON object
    #[arg(long)]
    json: bool,

    /// Size of the stream, so that progress shows the time left: 1200000000, 1.2G or 1200M
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    size: Option<u64>,

    #[command(flatten)]
    limit: common::Limit,

    #[command(flatten)]
    show: live::Show,
}

const HELP: Help = Help {
    first: &["to", "output", "parity", "name", "jobs"],
    groups: &[
        (
            "Stores",
            &[
                "to",
                "reuse",
                "resume",
                "min-copies",
                "spread",
                "set",
                "verify",
                "deletions",
                "probe",
                "json",
            ],
        ),
        (
            "The key and the index",
            &[
                "output", "comment", "name", "keys", "parity", "width", "height",
            ],
        ),
        (
            "Pruning",
            &[
                "prune",
                "grace",
                "dry-run",
                "forget",
                "keep-last",
                "keep-daily",
                "keep-weekly",
                "keep-monthly",
            ],
        ),
        ("Running", &["jobs", "max-frame"]),
        ("Messages", &["quiet", "verbose", "size", "log-json"]),
    ],
    examples: "  tar -c dir | sx-encode | sx-put -o dir.key       store a folder
  sx-encode disk.img | sx-put --to s3://bucket/a   store a file in an S3 bucket
  sx-encode a | sx-put --parity 20+2 --to ./p      any 2 of 22 pictures may be lost
  sx-encode a | sx-put --to s3://bucket --to ./p   a copy in each of two stores
  sx-put --prune keys                              free the space of what no key needs
  sx-put --probe --to my-host.sxcu                 what an image host does to pictures",
};

/// Reads a number of bytes, in decimal units.
fn bytes(text: &str) -> std::result::Result<u64, String> {
    let units = [("k", 3), ("M", 6), ("G", 9), ("T", 12)];
    let unit = units
        .iter()
        .find_map(|(unit, power)| Some((text.strip_suffix(unit)?, *power)));
    let (number, power) = unit.unwrap_or((text, 0));
    let number: Option<f64> = number.parse().ok();
    let bytes = number.map(|number| number * 10_f64.powi(power));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked
    let bytes = bytes
        .filter(|bytes| (0.0..1e18).contains(bytes))
        .map(|bytes| bytes as u64);
    bytes.ok_or_else(|| "expected a number of bytes, such as 1.2G".into())
}

const TO_HELP: &str = "The store: file:DIR, a path with a slash, s3://BUCKET/PREFIX, http(s)://HOST/FOLDER/, FILE.sxcu or host:NAME [default: $SX_STORE, or storagex in $XDG_DATA_HOME]";

/// Where to learn what is in the stores already.
fn known(args: &Args) -> Result<Option<Sources>> {
    if args.reuse.is_empty() && args.resume.is_empty() {
        return Ok(None);
    }
    let keys = match &args.reuse[..] {
        [] => Vec::new(),
        reuse => keys_of(keys::read(reuse)?, "--reuse")?,
    };
    Ok(Some(Sources {
        keys,
        journals: args.resume.clone(),
        verify: args.verify,
        folder: std::env::temp_dir(),
        note: Arc::new(common::note),
    }))
}

/// The keys that an option is given, none of them of storagex 1.0.
fn keys_of(keys: Vec<Source>, option: &str) -> Result<Vec<Keys>> {
    let keys = keys.into_iter().map(|source| match source {
        Source::Key(keys) => Ok(keys),
        Source::V1(_) => {
            let what = format!("{option} with a key of storagex 1.0, which proves nothing");
            Err(Kind::Usage(what).into())
        }
    });
    keys.collect()
}

fn main() -> ExitCode {
    common::main(std::env::args_os(), &HELP, run)
}

fn run(args: Args) -> Result<ExitCode> {
    live::show(args.show);
    common::needs(&[(args.json, "--json", args.probe, "--probe")])?;
    args.pruning.check()?;
    let progress = Progress::default();
    progress.expect(args.size.unwrap_or_default());
    let size = Size {
        width: args.width,
        height: args.height,
    };
    let options = Options {
        jobs: args.jobs,
        limit: args.limit.bytes(),
        index_size: size,
        name: args.name.to_string_lossy().into_owned(),
        parity: args.parity,
        spread: args.spread,
        min_copies: args.min_copies,
        known: known(&args)?,
        progress: progress.clone(),
    };
    let config = Config {
        set: args.set.iter().cloned().collect(),
        verify: args.verify,
        deletions: args.deletions.clone(),
        ..common::store_config(args.jobs, &progress)
    };
    if args.pruning.prune {
        return prune::run(&args, &config);
    }
    let names = match &args.to[..] {
        [] => vec![common::default_store()?],
        names => names.to_vec(),
    };
    if let Some(argument) = args.keep.first() {
        let what = argument.display();
        let what = format!("unexpected argument '{what}', expected frames on stdin, or --prune");
        return Err(Kind::Usage(what).into());
    }
    if args.probe {
        let [name] = &names[..] else {
            return Err(Kind::Usage("--probe of several stores, expected one".into()).into());
        };
        let report = probed(name, &config, size, options.limit)?;
        let show = if args.json { json } else { text };
        common::to(args.output.as_deref(), common::stdout, |output| {
            common::write(output, &show(&report))
        })?;
        return usable(&report).map(|()| ExitCode::SUCCESS);
    }
    let stores = names.iter().map(|name| store::open(name, &config));
    let stores = stores.collect::<Result<Vec<_>>>()?;
    let input = common::stdin_pictures()?;
    live::start(verb(&names, &args.resume), &progress);
    if args.keys {
        let missing = common::to(args.output.as_deref(), common::stdout, |output| {
            put::put_keys(input, &stores, &options, |key, role| {
                common::write_key(output, &format!("{key}\t{role}"))
            })
        })?;
        note_missing(&names, &missing);
        return Ok(ExitCode::SUCCESS);
    }
    let mut key = None;
    let written = common::to(args.output.as_deref(), common::stdout, |output| {
        let done = put(input, &stores, &options)?;
        let line = key.insert(done.keys.to_string());
        note_missing(&names, &done.missing);
        let comments = if args.comment {
            comments(&names)
        } else {
            String::new()
        };
        common::write(output, &format!("{comments}{line}\n"))?;
        note_headers(&names, &stores, &done);
        Ok(())
    });
    match (written, key) {
        (Err(e), Some(key)) => Err(common::not_taken(&e, &key)),
        (written, _) => written.map(|()| ExitCode::SUCCESS),
    }
}

/// What a store does to pictures.
fn probed(name: &OsStr, config: &Config, size: Size, limit: usize) -> Result<Report> {
    let verb = Verb {
        done: "probed",
        kept: "the pictures that were sent stay in the store".into(),
        shows: true,
    };
    live::start(verb, &config.progress);
    let store = plain(&name.display().to_string());
    live::doing(format!("probing {store}"));
    let report = probe(name, config, size, limit)?;
    let pictures = counted(report.pictures.len() as u64, "picture");
    live::done(&format!("probed {store} with {pictures}"));
    Ok(report)
}

/// What a file of keys says of a key: the stores as they were named, and what -v prints.
fn comments(names: &[OsString]) -> String {
    let stores = names
        .iter()
        .map(|name| format!("store: {}", name.display()));
    let lines = stores.chain([live::summary()]);
    let lines = lines.map(|line| format!("# {}\n", plain(&line)));
    lines.collect()
}

/// Says which stores have failed.
fn note_missing(names: &[OsString], missing: &[(usize, Error)]) {
    for (at, error) in missing {
        let store = names[*at].display();
        common::note(&format!("no copy in store {store}: {error}"));
    }
}

/// Says which image hosts can't be read with the key alone.
fn note_headers(names: &[OsString], stores: &[Arc<dyn Store>], done: &Done) {
    for (at, keys) in &done.by_store {
        if stores[*at].needs_headers(keys.first()) {
            let file = names[*at].display();
            common::note(&format!(
                "this host needs headers to read: fetch with sx-get --from {file}"
            ));
        }
    }
}

fn verb(names: &[OsString], journals: &[PathBuf]) -> Verb {
    let is_host = |name: &OsString| common::is_host(&name.to_string_lossy());
    let again = match names.iter().any(is_host) && journals.is_empty() {
        true => "run the pipe again; with --resume JOURNAL a host isn't sent what it has",
        false => "run the pipe again: no stored frame is sent twice",
    };
    Verb {
        done: "stored",
        kept: format!("{{frames}} stored, and no key was made; {again}"),
        shows: true,
    }
}

/// An error if no picture came back well enough.
fn usable(report: &Report) -> Result<()> {
    let what = match report.largest() {
        Some(_) => return Ok(()),
        None if report.keeps => "no picture came back with its frame, or with enough to spare",
        None => "not every picture came back a second time, expected a host that keeps them",
    };
    Err(Kind::Host(what.into()).into())
}

/// What became of a picture in a word or two, and more about it.
fn fate(picture: &Picture) -> (&'static str, Option<String>) {
    match &picture.fate {
        Fate::Came(Comparison::SameBytes) => ("same bytes", None),
        Fate::Came(Comparison::SamePixels) => ("same pixels", None),
        Fate::Came(Comparison::Corrected {
            encoding,
            corrections,
        }) => ("corrected", Some(corrected(encoding, corrections))),
        Fate::Came(Comparison::Changed { what, .. }) => ("changed", Some(what.clone())),
        Fate::Refused(why) => ("refused", Some(why.clone())),
    }
}

/// How a sturdy picture came back, and what was corrected.
fn corrected(encoding: &str, corrections: &Corrections) -> String {
    let (share, worst, most) = (
        corrections.mean() * 100.0,
        corrections.worst,
        Corrections::MOST,
    );
    format!("{encoding}, {share:.2} % of bytes corrected, at most {worst} of {most} in a code word")
}

/// What sx-encode is to be told so that its frames come back.
fn options(report: &Report) -> Option<String> {
    let Picture { carrier, size, .. } = report.best()?;
    let Size { width, height } = size;
    let level = match carrier {
        Carrier::Plain => String::new(),
        Carrier::Sturdy(level) => format!("--sturdy {level} "),
    };
    Some(format!("{level}-W {width} -H {height}"))
}

/// How much a picture holds that is like the best one.
fn advice(report: &Report) -> Option<String> {
    let (options, best) = (options(report)?, report.best()?);
    let holds = best.carrier.capacity(best.size).div_ceil(1000);
    let holds = match best.carrier {
        Carrier::Plain => String::new(),
        Carrier::Sturdy(_) => format!(" ({holds} kB a picture)"),
    };
    Some(format!("use: sx-encode {options}{holds}\n"))
}

fn text(report: &Report) -> String {
    let limits = report.rate_limits.iter();
    let pictures = report.pictures.iter().map(line);
    let limits = limits.map(|(name, value)| format!("{name}: {}\n", plain(value)));
    pictures.chain(limits).chain(advice(report)).collect()
}

fn line(picture: &Picture) -> String {
    let put = picture.put.as_secs_f64();
    let get = picture.get.map(|got| got.as_secs_f64());
    let get = get.map(|got| format!(", back {got:.3} s"));
    let (result, more) = fate(picture);
    let more = more.map(|more| format!(": {}", plain(&more)));
    let level = match picture.carrier {
        Carrier::Plain => String::new(),
        sturdy @ Carrier::Sturdy(_) => format!(", {sturdy}"),
    };
    format!(
        "{}{level}: {} bytes, there {put:.3} s{}: {result}{}\n",
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
        let (encoding, corrections) = match &picture.fate {
            Fate::Came(Comparison::Corrected {
                encoding,
                corrections,
            }) => (Some(encoding), Some(corrections)),
            _ => (None, None),
        };
        serde_json::json!({
            "carrier": picture.carrier.to_string(),
            "capacity": picture.carrier.capacity(picture.size),
            "encoding": encoding,
            "corrected_share": corrections.map(Corrections::mean),
            "corrected_worst": corrections.map(|corrections| corrections.worst),
            "correctable": corrections.map(|_| Corrections::MOST),
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

#[cfg(test)]
mod tests {
    #[test]
    fn every_option_has_a_group_and_completions_are_true() {
        super::common::help::check::<super::Args>(&super::HELP);
    }
}
