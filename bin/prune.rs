//! What sx-put --prune keeps, forgets and prunes.

use super::common::live::{self, Verb};
use super::{common, keys, keys_of};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use storagex::put::forget::{Moment, Rules};
use storagex::put::places::{Place, places};
use storagex::put::prune::{Options, Pruned, Tally, prune};
use storagex::put::prune_deletions;
use storagex::store::{self, Config, Store};
use storagex::{Error, Keys, Kind, Result, counted};

/// Days that pictures stay set aside, where the user doesn't say.
const GRACE: f64 = 7.0;

/// The options of --prune.
#[derive(clap::Args)]
pub struct Pruning {
    /// Set aside the pictures that none of these keys reaches, and remove those that were set aside long
    /// enough ago, in every store that the keys name, or in the one of --to; reads no frames
    #[arg(long, conflicts_with_all = [
        "keys", "name", "verify", "reuse", "resume", "parity", "spread", "min_copies", "size", "probe",
    ])]
    pub prune: bool,

    /// With --prune: change nothing, and print what would happen
    #[arg(long)]
    dry_run: bool,

    /// With --prune: the least time that pictures stay set aside [default: 7]
    #[arg(long, value_name = "DAYS", value_parser = days, allow_negative_numbers = true)]
    grace: Option<f64>,

    /// With --prune: of the backups in this folder, files DATE.key, remove those that no rule keeps;
    /// may be given more than once
    #[arg(long, value_name = "FOLDER", requires = "rules")]
    forget: Vec<PathBuf>,

    #[command(flatten)]
    rules: RuleArgs,
}

/// Which backups --forget keeps.
#[derive(clap::Args)]
#[group(id = "rules", multiple = true)]
struct RuleArgs {
    /// With --forget: keep the N newest backups
    #[arg(long = "keep-last", value_name = "N", requires = "forget", value_parser = clap::value_parser!(u32).range(1..))]
    last: Option<u32>,

    /// With --forget: keep the newest backup of each of the last N days that have one
    #[arg(long = "keep-daily", value_name = "N", requires = "forget", value_parser = clap::value_parser!(u32).range(1..))]
    daily: Option<u32>,

    /// With --forget: the same for weeks
    #[arg(long = "keep-weekly", value_name = "N", requires = "forget", value_parser = clap::value_parser!(u32).range(1..))]
    weekly: Option<u32>,

    /// With --forget: the same for months
    #[arg(long = "keep-monthly", value_name = "N", requires = "forget", value_parser = clap::value_parser!(u32).range(1..))]
    monthly: Option<u32>,
}

impl Pruning {
    /// Checks that options come with --prune.
    pub fn check(&self) -> Result<()> {
        common::needs(&[
            (self.dry_run, "--dry-run", self.prune, "--prune"),
            (self.grace.is_some(), "--grace", self.prune, "--prune"),
            (!self.forget.is_empty(), "--forget", self.prune, "--prune"),
        ])
    }
}

impl RuleArgs {
    fn rules(&self) -> Rules {
        Rules {
            last: self.last.unwrap_or_default(),
            daily: self.daily.unwrap_or_default(),
            weekly: self.weekly.unwrap_or_default(),
            monthly: self.monthly.unwrap_or_default(),
        }
    }
}

fn days(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(days) if (0.0..=36500.0).contains(&days) => Ok(days),
        _ => Err("expected a number of days, 0 to 36500".into()),
    }
}

/// Forgets backups, and prunes the store, or every store that a key names. All keys are read before
/// anything is changed.
pub fn run(args: &super::Args, config: &Config) -> Result<ExitCode> {
    let started = SystemTime::now(); // before any key is read
    let of_prune = &args.pruning;
    if args.keep.is_empty() && of_prune.forget.is_empty() {
        return Err(Kind::Usage(
            "--prune without a key, expected the keys of all streams to keep".into(),
        )
        .into());
    }
    let options = Options {
        grace: Duration::from_secs_f64(of_prune.grace.unwrap_or(GRACE) * 86400.0),
        dry_run: of_prune.dry_run,
        jobs: args.jobs,
        limit: args.limit.bytes(),
        folder: std::env::temp_dir(),
        ..Options::new(started)
    };
    let config = Config {
        deletions: None, // which is read, and not added to
        ..config.clone()
    };
    let store = one_store(args, &config)?;
    let forgotten = forgotten(of_prune)?;
    let sets = Sets::read(&args.keep, &of_prune.forget, &forgotten)?;
    let hosts = match store {
        None => hosts(&of_prune.forget, &forgotten)?,
        Some(_) => Vec::new(),
    };
    let places = places(sets.kept[..sets.naming].iter().chain(&sets.old));
    if store.is_none() && places.is_empty() && hosts.is_empty() {
        let what = "no key of a store that can be pruned, expected --deletions for an image host";
        return Err(Kind::Usage(what.into()).into());
    }
    live::start(verb(options.dry_run), &config.progress);
    common::to(args.output.as_deref(), common::stdout, |output| {
        let mut lines = Lines::to(output, options.dry_run);
        forget(&forgotten, options.dry_run, &mut lines)?;
        let Some((name, store)) = store else {
            let mut worst = prune_all(&places, &sets.kept, &config, &options, &mut lines);
            for host in hosts {
                worst = common::worse(worst, host.prune(&config, &options, &mut lines));
            }
            return lines.end().map(|()| ExitCode::from(worst));
        };
        live::doing(format!("pruning {}", name.display()));
        let pruned = match &args.deletions {
            Some(file) => prune_deletions(file, &store, &sets.kept, &options)?,
            None => prune(&store, &sets.kept, &options)?,
        };
        lines.report(None, &pruned);
        lines.end().map(|()| ExitCode::SUCCESS)
    })
}

fn verb(dry_run: bool) -> Verb {
    Verb {
        done: "pruned",
        kept: match dry_run {
            true => "nothing was changed".into(),
            false => "what was moved or removed stays so; run it again for the rest".into(),
        },
        shows: true,
    }
}

/// The lines on stdout. That nobody reads them, or that there is no room for them, doesn't stop the work.
struct Lines<'a> {
    output: &'a mut dyn Write,
    dry_run: bool,
    written: Result<()>,
    /// What has become of all stores together.
    stores: u64,
    kept: u64,
    fossils: u64,
    removed: u64,
}

impl<'a> Lines<'a> {
    fn to(output: &'a mut dyn Write, dry_run: bool) -> Self {
        Lines {
            output,
            dry_run,
            written: Ok(()),
            stores: 0,
            kept: 0,
            fossils: 0,
            removed: 0,
        }
    }

    /// Writes what has become of the pictures of a store, below its name if that is to be told.
    fn report(&mut self, name: Option<&str>, pruned: &Pruned) {
        let name = name.map(|name| format!("{name}:\n"));
        let text = report(pruned, self.dry_run);
        self.write(&format!("{}{text}", name.unwrap_or_default()));
        self.stores += 1;
        self.kept += pruned.kept.pictures;
        self.fossils += pruned.fossils.pictures;
        self.removed += pruned.removed.pictures;
    }

    /// Writes text, unless writing has failed before.
    fn write(&mut self, text: &str) {
        if self.written.is_ok() {
            self.written = live::aside(|| common::write(self.output, text));
        }
    }

    /// Gives the first error of writing. That the reader closed the pipe isn't one.
    fn end(self) -> Result<()> {
        let (stores, kept) = (counted(self.stores, "store"), counted(self.kept, "picture"));
        let (fossils, dry) = (self.fossils, if self.dry_run { " (dry run)" } else { "" });
        live::done(&format!(
            "pruned {stores}{dry}: {kept} kept, {fossils} fossils, {} removed",
            self.removed
        ));
        match self.written {
            Err(e) if e.kind() == &Kind::ClosedPipe => Ok(()),
            written => written,
        }
    }
}

/// The only store to prune and its name, if there is one: that of --to, or an image host.
fn one_store(args: &super::Args, config: &Config) -> Result<Option<(OsString, Arc<dyn Store>)>> {
    let name = match (&args.to[..], &args.deletions) {
        ([], None) => return Ok(None),
        ([], Some(_)) => common::default_store()?,
        ([name], _) => name.clone(),
        _ => return Err(Kind::Usage("--prune of several stores, expected one".into()).into()),
    };
    let store = store::open(&name, config)?;
    Ok(Some((name, store)))
}

/// Lines of keys.
struct Sets {
    kept: Vec<Keys>,
    /// The first ones of these, which name the stores to prune: those in the folders of backups, if there
    /// are any.
    naming: usize,
    /// Of backups that are forgotten.
    old: Vec<Keys>,
}

impl Sets {
    /// Reads the keys of all that is given, and of what is left in the folders of backups.
    fn read(given: &[OsString], folders: &[PathBuf], forgotten: &[Backup]) -> Result<Self> {
        let old: Vec<&PathBuf> = forgotten.iter().flat_map(|backup| &backup.files).collect();
        let mut seen: BTreeSet<_> = old.iter().map(|file| keys::canonical(file)).collect();
        let old: Vec<OsString> = old.into_iter().map(|file| file.clone().into()).collect();
        let folders: Vec<OsString> = folders.iter().map(|folder| folder.clone().into()).collect();
        let mut kept = keys_of(keys::read_below(&folders, &mut seen)?, "--prune")?;
        let in_folders = kept.len();
        kept.extend(keys_of(keys::read_below(given, &mut seen)?, "--prune")?);
        Ok(Sets {
            naming: if folders.is_empty() {
                kept.len()
            } else {
                in_folders
            },
            kept,
            old: keys_of(keys::read_below(&old, &mut BTreeSet::new())?, "--forget")?,
        })
    }
}

/// A backup that no rule keeps.
struct Backup {
    /// The last part of the path of its folder.
    folder: String,
    made: Moment,
    /// In the order in which they are removed: a backup is there for as long as its key.
    files: Vec<PathBuf>,
}

/// The backups in all folders that no rule keeps, newest first.
fn forgotten(args: &Pruning) -> Result<Vec<Backup>> {
    let mut forgotten = Vec::new();
    for folder in &args.forget {
        let path = keys::canonical(folder);
        let name = path.file_name().unwrap_or(path.as_os_str());
        for made in args.rules.rules().forgotten(&backups(folder)?) {
            let catalogue = path.join(format!("{made}.files"));
            let mut files = vec![path.join(format!("{made}.key"))];
            if catalogue.symlink_metadata().is_ok() {
                files.insert(0, catalogue);
            }
            forgotten.push(Backup {
                folder: name.display().to_string(),
                made,
                files,
            });
        }
    }
    Ok(forgotten)
}

/// When the backups in a folder were made, by the names of the files of their keys.
fn backups(folder: &Path) -> Result<Vec<Moment>> {
    let unreadable = |e| Error::io("cannot read", e).at(folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".key"));
        found.extend(stem.and_then(Moment::parse));
    }
    match found.is_empty() {
        true => {
            let what = "no backup would be kept, expected files such as 2026-11-24T03:30:00Z.key";
            Err(Error::from(Kind::Key(what.into())).at(folder.display()))
        }
        false => Ok(found),
    }
}

/// Removes the keys of backups: before the first of their pictures, so that every backup with a key
/// can be restored.
fn forget(backups: &[Backup], dry_run: bool, lines: &mut Lines) -> Result<()> {
    let would = if dry_run { "would be " } else { "" };
    for Backup {
        folder,
        made,
        files,
    } in backups
    {
        let folder = shown(folder);
        lines.write(&format!("{folder} {made}: {would}forgotten\n"));
        if dry_run {
            continue;
        }
        for file in files {
            match fs::remove_file(file) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                done => done.map_err(|e| Error::io("cannot remove", e).at(file.display()))?,
            }
        }
    }
    let folders: BTreeSet<_> = backups
        .iter()
        .filter_map(|backup| backup.files[0].parent())
        .collect();
    for folder in folders.into_iter().filter(|_| !dry_run) {
        // Some file systems can't sync folders.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// An image host, whose pictures go by the URLs that delete them.
struct Host {
    /// The folder of backups, and in it the file of URLs.
    folder: PathBuf,
    deletions: PathBuf,
    /// Its name in the newest file of keys that names one.
    name: Option<OsString>,
    kept: Vec<Keys>,
}

/// The image hosts of folders of backups: those with a file `deletions`. Which files of keys are of the
/// host, their comments say.
fn hosts(folders: &[PathBuf], forgotten: &[Backup]) -> Result<Vec<Host>> {
    let gone = forgotten.iter().flat_map(|backup| &backup.files);
    let gone: BTreeSet<_> = gone.map(|file| keys::canonical(file)).collect();
    let mut hosts = Vec::new();
    for folder in folders {
        let deletions = folder.join("deletions");
        if !fs::metadata(&deletions).is_ok_and(|file| file.len() > 0) {
            continue;
        }
        let mut host = Host {
            folder: folder.clone(),
            deletions,
            name: None,
            kept: Vec::new(),
        };
        for file in keys::files(folder)? {
            let stores = keys::stores_with_a_host(&file).map_err(|e| e.at(file.display()))?;
            let name = stores
                .into_iter()
                .find(|store| store.to_str().is_some_and(common::is_host));
            if name.is_some() && !gone.contains(&keys::canonical(&file)) {
                host.name = name;
                host.kept
                    .extend(keys_of(keys::read_file(&file)?, "--prune")?);
            }
        }
        hosts.push(host);
    }
    Ok(hosts)
}

impl Host {
    /// Gives the exit status.
    fn prune(&self, config: &Config, options: &Options, lines: &mut Lines) -> u8 {
        let deletions = &self.deletions;
        let Some(name) = &self.name else {
            let (folder, file) = (self.folder.display(), deletions.display());
            common::note(&format!(
                "no backup of {folder} is left on its image host: {file} has the URLs that delete its pictures"
            ));
            return 0;
        };
        let shown = shown(&name.display().to_string());
        live::doing(format!("pruning {shown}"));
        let pruned = store::open(name, config)
            .and_then(|store| prune_deletions(deletions, &store, &self.kept, options));
        match pruned {
            Ok(pruned) => {
                lines.report(Some(&shown), &pruned);
                0
            }
            Err(e) => {
                lines.write(&format!("{shown}:\n"));
                common::complain(&e)
            }
        }
    }
}

/// Prunes every store that a key names, also after an error; gives the worst exit status.
fn prune_all(
    places: &[Place],
    kept: &[Keys],
    config: &Config,
    options: &Options,
    lines: &mut Lines,
) -> u8 {
    let mut worst = 0;
    for place in places {
        let name = shown(&place.name.display().to_string());
        live::doing(format!("pruning {name}"));
        let pruned = store::open(&place.name, config).and_then(|store| {
            let kept = place.kept(&store, kept, options)?;
            match kept.is_empty() {
                true => Ok(None),
                false => prune(&store, &kept, options).map(Some),
            }
        });
        match pruned {
            Ok(Some(pruned)) => lines.report(Some(&name), &pruned),
            Ok(None) => common::note(&format!(
                "no backup is left in {name}: you can remove it as a whole"
            )),
            Err(e) => {
                lines.write(&format!("{name}:\n"));
                worst = common::worse(worst, common::complain(&e));
            }
        }
    }
    worst
}

/// What has become of the pictures, or would have.
fn report(pruned: &Pruned, dry_run: bool) -> String {
    let would = if dry_run { "would be " } else { "" };
    let line = |would: &str, what: &str, tally: Tally| {
        let (pictures, bytes) = (counted(tally.pictures, "picture"), tally.bytes);
        format!("{would}{what}: {pictures}, {bytes} bytes\n")
    };
    [
        line("", "kept", pruned.kept),
        line(would, "revived", pruned.revived),
        line(would, "fossils", pruned.fossils),
        line(would, "removed", pruned.removed),
    ]
    .concat()
}

/// A name without control characters.
fn shown(name: &str) -> String {
    name.chars().flat_map(common::escape).collect()
}
