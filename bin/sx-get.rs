//! Keys to frames: see sx-get(1).

mod common;
mod keys;
mod report;

use clap::Parser;
use common::help::Help;
use common::live::{self, Verb};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use storagex::get::{Health, Info, Options, Repaired, Sample};
use storagex::store::Config;
use storagex::{ByteRange, Error, Kind, Progress, Result, Source, counted, get, store};

/// Fetch the frames of a backup.
#[derive(Parser)]
#[command(name = common::PROGRAM, version)]
struct Args {
    /// Keys, or files with one key a line; - or no argument for stdin
    #[arg(value_name = "KEY|FILE")]
    keys: Vec<OsString>,

    /// Print the key and kind of every frame and index; fetch only indexes
    #[arg(long, group = "instead")]
    list: bool,

    /// Print name, size, frames, store and time
    #[arg(long, group = "instead")]
    info: bool,

    /// Print the last component of the name, and nothing else; fails if it is no valid file name
    #[arg(long, group = "instead")]
    filename: bool,

    /// Fetch every picture, check its digest, and report what each store still has
    #[arg(long, group = "instead")]
    check: bool,

    /// With --check: check only N frames, or N percent of them, drawn at random
    #[arg(long, value_name = "N|N%", value_parser = sample)]
    sample: Option<Sample>,

    /// With --info or --check: print a JSON object for each line of keys
    #[arg(long)]
    json: bool,

    /// Store missing and damaged pictures again, and print the line of keys that is valid now
    #[arg(long, group = "instead")]
    repair: bool,

    /// With --repair: where the line of keys changes, replace it in the file, and print nothing
    #[arg(short, long)]
    in_place: bool,

    /// With --repair: copy the stream to this store, with its own index; may be given more than
    /// once
    #[arg(long, value_name = "STORE")]
    to: Vec<OsString>,

    /// With --repair: answer to a question in an image host's file; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = common::setting)]
    set: Vec<(String, String)>,

    /// With --repair: append the URLs that delete pictures of an image host to this file; they are
    /// secrets
    #[arg(long, value_name = "FILE")]
    deletions: Option<PathBuf>,

    /// Write what is left, with zeros in place of lost data
    #[arg(long, group = "instead")]
    salvage: bool,

    /// With --salvage: write a GNU ddrescue map of the lost bytes to this file
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,

    /// Only these bytes of the stream, as a stream of their own: OFFSET:LENGTH, OFFSET: or -LENGTH
    #[arg(
        long,
        value_name = "RANGE",
        group = "instead",
        allow_hyphen_values = true
    )]
    range: Option<ByteRange>,

    /// Look in this store first, by the same names; may be given more than once
    #[arg(long, value_name = "STORE")]
    from: Vec<OsString>,

    /// Frames to fetch at once
    #[arg(short, long, value_name = "N", default_value_t = 8, value_parser = common::jobs)]
    jobs: usize,

    #[command(flatten)]
    limit: common::Limit,

    #[command(flatten)]
    show: live::Show,
}

const HELP: Help = Help {
    first: &["from", "check", "repair", "info", "jobs"],
    groups: &[
        (
            "Instead of frames",
            &["list", "info", "filename", "check", "sample", "json"],
        ),
        (
            "Lost pictures",
            &[
                "repair",
                "in-place",
                "to",
                "set",
                "deletions",
                "salvage",
                "map",
            ],
        ),
        ("Running", &["range", "from", "jobs", "max-frame"]),
        ("Messages", &["quiet", "verbose", "log-json"]),
    ],
    examples: "  sx-get dir.key | sx-decode | tar -x              restore a folder
  sx-get --check dir.key                           show what is left in each store
  sx-get --repair dir.key > new.key                store again what was lost
  sx-get --from /mnt/copy dir.key | sx-decode      the store has moved",
};

fn sample(text: &str) -> std::result::Result<Sample, String> {
    let (number, make): (&str, fn(f64) -> Option<Sample>) = match text.strip_suffix('%') {
        Some(percent) => (percent, |n| {
            (n > 0.0 && n <= 100.0).then_some(Sample::Percent(n))
        }),
        None => {
            return match text.parse() {
                Ok(frames @ 1..) => Ok(Sample::Frames(frames)),
                _ => Err("expected a number of frames, or of percent with %".into()),
            };
        }
    };
    let percent = number.parse().ok().and_then(make);
    percent.ok_or_else(|| "expected a number of frames, or of percent with %".into())
}

fn main() -> ExitCode {
    common::main(std::env::args_os(), &HELP, run)
}

/// Checks that options come with the one that they are for.
fn check_options(args: &Args) -> Result<()> {
    common::needs(&[
        (
            args.json,
            "--json",
            args.info || args.check,
            "--info or --check",
        ),
        (args.sample.is_some(), "--sample", args.check, "--check"),
        (args.in_place, "--in-place", args.repair, "--repair"),
        (!args.to.is_empty(), "--to", args.repair, "--repair"),
        (!args.set.is_empty(), "--set", args.repair, "--repair"),
        (
            args.deletions.is_some(),
            "--deletions",
            args.repair,
            "--repair",
        ),
        (args.map.is_some(), "--map", args.salvage, "--salvage"),
    ])
}

fn run(args: Args) -> Result<ExitCode> {
    live::show(args.show);
    let progress = Progress::default();
    check_options(&args)?;
    let options = Options {
        jobs: args.jobs,
        limit: args.limit.bytes(),
        store: Config {
            set: args.set.iter().cloned().collect(),
            deletions: args.deletions.clone(),
            ..common::store_config(args.jobs, &progress)
        },
        from: args.from.clone(),
    };
    let is_text = args.list || args.info || args.filename || args.check || args.repair;
    let mut output = match is_text {
        true => common::stdout()?,
        false => common::stdout_pictures()?,
    };
    if args.in_place {
        let files = keys::in_files(&args.keys)?;
        live::start(verb(&args), &progress);
        return each(&files, |(file, key)| {
            let repaired = repair_in(file, key, &args.to, &options, &mut output);
            repaired.map_err(|e| e.at(file.display()))
        });
    }
    let (files, keys): (Vec<_>, Vec<_>) = keys::read_named(&args.keys)?.into_iter().unzip();
    if args.map.is_some() && keys.len() > 1 {
        return Err(Kind::Usage("--map of several streams, expected one key".into()).into());
    }
    if args.filename {
        let [key] = &keys[..] else {
            return Err(Kind::Usage("--filename of several keys, expected one".into()).into());
        };
        live::start(verb(&args), &progress);
        let info = get::info(key, &options).map_err(|e| explained(e, key, &options))?;
        common::write(&mut output, &format!("{}\n", info.file_name()?))?;
        return Ok(ExitCode::SUCCESS);
    }
    live::start(verb(&args), &progress);
    if args.check {
        let mut files = files.into_iter();
        return each(&keys, |key| {
            let file = files.next().flatten();
            check(key, file.as_deref(), &args, &options, &mut output)
        });
    }
    if args.repair {
        return each(&keys, |key| repair(key, &args.to, &options, &mut output));
    }
    for key in keys {
        let fetched = fetch(&key, &args, &options, &mut output);
        fetched.map_err(|e| explained(e, &key, &options))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes what is wanted of a stream.
fn fetch(key: &Source, args: &Args, options: &Options, output: &mut File) -> Result<()> {
    if args.list {
        return get::list(key, options, |key, role| {
            common::write(output, &format!("{key}\t{role}\n"))
        });
    }
    if args.info {
        let show = if args.json { json } else { text };
        return common::write(output, &show(&get::info(key, options)?));
    }
    if args.salvage {
        return salvage(key, args.map.as_deref(), options, output);
    }
    let got = match args.range {
        None => get(key, output, options)?,
        Some(range) => get::get_range(key, range, output, options)?,
    };
    if got.rebuilt > 0 {
        let frames = counted(got.rebuilt, "frame");
        common::note(&format!("{frames} rebuilt from parity"));
    }
    Ok(())
}

/// Where a whole stream isn't found, and neither is the folder of its store, the error is about that.
fn explained(error: Error, key: &Source, options: &Options) -> Error {
    let is_lost = matches!(
        error.kind(),
        Kind::NotFound
            | Kind::Lost {
                frames: u64::MAX,
                ..
            }
    );
    match no_folder(key, options).filter(|_| is_lost) {
        Some(folder) => Kind::NoFolder(folder.display().to_string()).into(),
        None => error,
    }
}

/// The folder of the store, if it isn't there, and no other one is named.
fn no_folder(key: &Source, options: &Options) -> Option<PathBuf> {
    keys::no_folder(key).filter(|_| options.from.is_empty())
}

/// Calls `work` for each key, also after an error; gives the worst exit status.
fn each<T>(keys: &[T], mut work: impl FnMut(&T) -> Result<Health>) -> Result<ExitCode> {
    let mut worst = 0;
    for key in keys {
        let status = match work(key) {
            Ok(Health::Whole) => 0,
            Ok(Health::Degraded) => common::DEGRADED,
            Ok(Health::Lost) => 1,
            Err(e) if e.kind() == &Kind::ClosedPipe => return Err(e),
            Err(e) => common::complain(&e),
        };
        worst = common::worse(worst, status);
    }
    Ok(ExitCode::from(worst))
}

fn verb(args: &Args) -> Verb {
    let (done, kept) = if args.check {
        ("checked", "{frames} checked, and nothing was changed")
    } else if args.repair {
        (
            "repaired",
            "what was stored again stays; run it again for the rest",
        )
    } else if args.list || args.info || args.filename {
        (
            "fetched",
            "only indexes have been read, and the output is incomplete",
        )
    } else {
        ("fetched", "{frames} written, and not the rest")
    };
    Verb {
        done,
        kept: kept.into(),
        shows: true,
    }
}

fn check(
    key: &Source,
    file: Option<&str>,
    args: &Args,
    options: &Options,
    output: &mut File,
) -> Result<Health> {
    let report = get::check(key, args.sample.unwrap_or(Sample::All), options)?;
    let no_folder = no_folder(key, options).filter(|_| report::is_index_lost(&report));
    let shown = match args.json {
        true => report::json(key, file, &report),
        false => report::text(key, file, &report, no_folder.as_deref()),
    };
    common::write(output, &shown)?;
    let error = report.error().map(|error| error.at(key.location()));
    match error.map(|error| explained(error, key, options)) {
        Some(error) if report::is_nothing_left(&report) => {
            common::complain_with(&error, Some(common::ELSEWHERE));
            Ok(Health::Lost)
        }
        Some(error) => Err(error),
        None => Ok(report.health()),
    }
}

/// Prints the line that is valid now, and fails if it doesn't restore everything.
fn repair(key: &Source, to: &[OsString], options: &Options, output: &mut File) -> Result<Health> {
    let repaired = store_again(key, to, options)?;
    note_stored(&repaired, "", to);
    common::write_key(output, &repaired.keys.to_string())?;
    whole(key, &repaired, options)
}

/// Puts the line that is valid now in the place of the old one, and fails if it doesn't restore
/// everything. A line that can't be put there is printed. Pictures of an image host have other URLs when they
/// are stored again, in the stores that comments in the file name.
fn repair_in(
    file: &Path,
    key: &Source,
    to: &[OsString],
    options: &Options,
    output: &mut File,
) -> Result<Health> {
    let repaired = match to {
        [] => store_again(key, &keys::stores_with_a_host(file)?, options)?,
        to => store_again(key, to, options)?,
    };
    note_stored(&repaired, &format!("{}: ", file.display()), to);
    if let Err(e) = keys::replace(file, key, &repaired.keys) {
        common::write_key(output, &repaired.keys.to_string())?;
        return Err(e);
    }
    whole(key, &repaired, options)
}

fn store_again(key: &Source, to: &[OsString], options: &Options) -> Result<Repaired> {
    let stores = to.iter().map(|name| store::open(name, &options.store));
    let stores = stores.collect::<Result<Vec<_>>>()?;
    let repaired = match stores.is_empty() {
        true => get::repair(key, options),
        false => get::repair_to(key, &stores, options),
    };
    repaired.map_err(|e| explained(e, key, options))
}

/// In another store, what is stored may be its first copy.
fn note_stored(repaired: &Repaired, place: &str, to: &[OsString]) {
    if repaired.stored > 0 {
        let pictures = counted(repaired.stored, "picture");
        let again = if to.is_empty() { " again" } else { "" };
        common::note(&format!("{place}{pictures} stored{again}"));
    }
}

fn whole(key: &Source, repaired: &Repaired, options: &Options) -> Result<Health> {
    match repaired.report.error() {
        Some(error) => Err(explained(error.at(key.location()), key, options)),
        None => Ok(Health::Whole),
    }
}

/// Writes what is left, and fails if that isn't all.
fn salvage(key: &Source, map: Option<&Path>, options: &Options, output: &mut File) -> Result<()> {
    let salvaged = get::salvage(key, output, options)?;
    if let Some(path) = map {
        let gaps = salvaged.gaps.iter().map(|gap| gap.bytes.clone());
        let text = common::mapfile(salvaged.size, gaps);
        common::to(Some(path), common::stdout, |map| common::write(map, &text))?;
    }
    salvaged.error().map_or(Ok(()), Err)
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

#[cfg(test)]
mod tests {
    #[test]
    fn every_option_has_a_group_and_completions_are_true() {
        super::common::help::check::<super::Args>(&super::HELP);
    }
}
