//! Pruning, alone and while others put and get: no picture that a key needs is ever gone.

mod net;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};
use storagex::get::{self, get};
use storagex::key::{Key, Keys, Location, Name};
use storagex::put::prune::{Options, Pruned, prune};
use storagex::put::{self, put};
use storagex::store::{self, Config, Prunable, Record, Shelf, Store};
use storagex::wire::frame::Size;
use storagex::{Error, Kind, Result, encode};

const SIDE: Size = Size {
    width: 16,
    height: 16,
};
const CAPACITY: usize = 16 * 16 * 3 - 36;
const DAY: Duration = Duration::from_secs(86400);

/// Frames of chunks that are each of one letter, and a last one that is empty but for that.
fn frames(chunks: &str) -> Vec<u8> {
    let bytes: Vec<u8> = chunks.bytes().flat_map(|c| [c; CAPACITY]).collect();
    let options = encode::Options {
        size: SIDE,
        level: 0,
        ..Default::default()
    };
    let mut frames = Vec::new();
    encode(Cursor::new(bytes), &mut frames, &options).unwrap();
    frames
}

fn folder(path: &Path) -> Arc<dyn Store> {
    store::open(path.as_os_str(), &Config::default()).unwrap()
}

fn keep(store: &Arc<dyn Store>, chunks: &str) -> Keys {
    let stores = [Arc::clone(store)];
    let done = put(
        Cursor::new(frames(chunks)),
        &stores,
        &put::Options::default(),
    );
    done.unwrap().keys
}

fn comes_back(keys: &Keys, chunks: &str) -> bool {
    let mut came = Vec::new();
    let got = get(keys, &mut came, &get::Options::default());
    got.is_ok() && came == frames(chunks)
}

/// A prune that is begun on this day.
fn on_day(day: u32) -> Options {
    let started = SystemTime::UNIX_EPOCH + DAY * (20_000 + day);
    Options {
        clock: Arc::new(move || started),
        ..Options::new(started)
    }
}

fn count(path: &Path) -> usize {
    let below = |path: &Path| {
        let entries = fs::read_dir(path).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path())
    };
    let all = below(path).map(|path| match path.is_dir() {
        true => count(&path),
        false => usize::from(path.extension().is_some_and(|extension| extension == "png")),
    });
    all.sum()
}

#[test]
fn in_two_steps() {
    let keep_ = tempfile::tempdir().unwrap();
    let path = keep_.path().join("store");
    let store = folder(&path);
    let old = keep(&store, "abcdefgh");
    let new = keep(&store, "abcdEfgh");
    let all = count(&path);
    let one = [new.clone()];
    let dry = Options {
        dry_run: true,
        ..on_day(0)
    };
    let told = prune(&store, &one, &dry).unwrap();
    assert_eq!((count(&path), path.join("fossils").exists()), (all, false));
    let first = prune(&store, &one, &on_day(0)).unwrap();
    assert_eq!(first, told);
    // One frame, the last, which has the CRC of the stream, and the index.
    let pictures = |pruned: &Pruned| {
        let all = [pruned.kept, pruned.revived, pruned.fossils, pruned.removed];
        all.map(|tally| tally.pictures)
    };
    assert_eq!(pictures(&first), [9, 0, 3, 0]);
    assert_eq!(count(&path), all);
    assert_eq!(count(&path.join("fossils")), 3);
    // A reader still finds all of it, and so does --check.
    assert!(comes_back(&old, "abcdefgh") && comes_back(&new, "abcdEfgh"));
    let report = get::check(&old, get::Sample::All, &get::Options::default()).unwrap();
    assert_eq!(report.health(), get::Health::Degraded);
    assert_eq!(
        pictures(&prune(&store, &one, &on_day(6)).unwrap()),
        [9, 0, 3, 0]
    );
    assert_eq!(
        pictures(&prune(&store, &one, &on_day(8)).unwrap()),
        [9, 0, 0, 3]
    );
    assert_eq!(count(&path), all - 3);
    assert_eq!(count(&path.join("fossils")), 0);
    assert!(comes_back(&new, "abcdEfgh") && !comes_back(&old, "abcdefgh"));
    assert_eq!(
        pictures(&prune(&store, &one, &on_day(9)).unwrap()),
        [9, 0, 0, 0]
    );
}

/// Keys of single frames have no index by which a picture could be looked for once more.
#[test]
fn keys_of_frames_are_refused_after_a_prune() {
    let keep_ = tempfile::tempdir().unwrap();
    let store = folder(keep_.path());
    let kept = [keep(&store, "abcd")];
    let mut day = 0;
    let mut put_keys = |prunes: bool| {
        put::put_keys(
            Cursor::new(frames("wxyz")),
            &[Arc::clone(&store)],
            &put::Options::default(),
            |_, _| {
                day += u32::from(prunes);
                prunes.then(|| prune(&store, &kept, &on_day(day)).unwrap());
                Ok(())
            },
        )
    };
    assert!(put_keys(false).unwrap().is_empty());
    let error = put_keys(true).unwrap_err();
    assert_eq!(error.kind(), &Kind::Gone, "{error}");
    assert!(count(&keep_.path().join("fossils")) > 0);
    // A prune that is over before the first frame is none that matters.
    assert!(put_keys(false).unwrap().is_empty());
}

#[test]
fn what_a_new_key_reaches_is_moved_back() {
    let keep_ = tempfile::tempdir().unwrap();
    let store = folder(keep_.path());
    let (first, second) = (keep(&store, "abcd"), keep(&store, "wxyz"));
    prune(&store, std::slice::from_ref(&second), &on_day(0)).unwrap();
    let both = [first.clone(), second.clone()];
    let pruned = prune(&store, &both, &on_day(30)).unwrap();
    assert_eq!((pruned.revived.pictures, pruned.removed.pictures), (5, 0));
    assert_eq!(count(&keep_.path().join("fossils")), 0);
    let report = get::check(&first, get::Sample::All, &get::Options::default()).unwrap();
    assert_eq!(report.health(), get::Health::Whole);
}

/// A writer doesn't see fossils: it puts the picture, and the fossil goes when its time has come.
#[test]
fn a_writer_puts_what_is_a_fossil() {
    let keep_ = tempfile::tempdir().unwrap();
    let store = folder(keep_.path());
    let (_, second) = (keep(&store, "abcd"), keep(&store, "wxyz"));
    prune(&store, std::slice::from_ref(&second), &on_day(0)).unwrap();
    let again = keep(&store, "abcd");
    let both = [again.clone(), second];
    let pruned = prune(&store, &both, &on_day(8)).unwrap();
    assert_eq!((pruned.revived.pictures, pruned.removed.pictures), (0, 5));
    assert!(comes_back(&again, "abcd"));
}

/// A store that is pruned while a picture is put into it.
struct PrunedMeanwhile {
    store: Arc<dyn Store>,
    kept: Keys,
    puts: AtomicUsize,
}

impl Store for PrunedMeanwhile {
    fn put(&self, name: &Name, png: &[u8]) -> Result<Location> {
        if self.puts.fetch_add(1, Ordering::Relaxed) == 3 {
            prune(&self.store, std::slice::from_ref(&self.kept), &on_day(0))?;
        }
        self.store.put(name, png)
    }

    fn replace(&self, name: &Name, png: &[u8]) -> Result<Location> {
        self.store.replace(name, png)
    }

    fn locate(&self, name: &Name) -> Option<Location> {
        self.store.locate(name)
    }

    fn prunable(&self) -> Option<&dyn Prunable> {
        self.store.prunable()
    }

    fn sync(&self) -> Result<()> {
        self.store.sync()
    }

    fn get(
        &self,
        location: &Location,
        read: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        self.store.get(location, read)
    }

    fn made(&self, location: &Location) -> Result<Option<SystemTime>> {
        self.store.made(location)
    }
}

/// What a repair into a store found there, and a prune then set aside, is moved back.
#[test]
fn a_repair_into_a_store_that_is_pruned_meanwhile() {
    let [here, there] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let key = keep(&folder(here.path()), "abcdefgh");
    let store = folder(there.path());
    keep(&store, "abcdefgh");
    let kept = keep(&store, "wxyz");
    let pruned: Arc<dyn Store> = Arc::new(PrunedMeanwhile {
        store: Arc::clone(&store),
        kept: kept.clone(),
        puts: AtomicUsize::new(0),
    });
    let options = get::Options {
        jobs: 1,
        ..get::Options::default()
    };
    let repaired = get::repair_to(&key, &[pruned], &options).unwrap().keys;
    let report = get::check(&repaired, get::Sample::All, &options).unwrap();
    assert_eq!(report.health(), get::Health::Whole);
    prune(&store, &[kept, repaired.clone()], &on_day(8)).unwrap();
    assert!(comes_back(&repaired, "abcdefgh"));
}

#[test]
fn refused_before_anything_is_touched() {
    let keep_ = tempfile::tempdir().unwrap();
    let path = keep_.path().join("store");
    let (store, other) = (folder(&path), folder(&keep_.path().join("other")));
    let (first, second) = (keep(&store, "abcd"), keep(&store, "wxyz"));
    let elsewhere = keep(&other, "1234");
    let all = count(&path);
    let refused = |keys: &[Keys]| prune(&store, keys, &on_day(0)).unwrap_err();
    assert!(matches!(refused(&[]).kind(), Kind::Usage(_)));
    let error = refused(&[first.clone(), elsewhere]);
    assert_eq!(error.kind(), &Kind::NotFound);
    assert!(error.to_string().starts_with("key file:///"), "{error}");
    // The key of a frame is none of an index.
    let mut data: Option<Key> = None;
    get::list(&first, &get::Options::default(), |source, role| {
        if let (put::Role::Data, storagex::Source::Key(keys)) = (role, source) {
            data = Some(keys.first().clone());
        }
        Ok(())
    })
    .unwrap();
    let error = refused(&[second.clone(), data.unwrap().into()]);
    assert!(matches!(error.kind(), Kind::WrongKind(_)), "{error}");
    // An index that is damaged.
    fs::write(second.first().location.path(), b"\x89PNG\r\n\x1a\n").unwrap();
    refused(&[first.clone(), second.clone()]);
    assert_eq!((count(&path), path.join("fossils").exists()), (all, false));
}

/// An index whose references lead out of the store, or go too deep, is refused as ever. None has its own
/// digest in it, but a store may give one that has in the place of another.
#[test]
fn a_key_file_of_an_adversary() {
    let keep_ = tempfile::tempdir().unwrap();
    let store = folder(keep_.path());
    let good = keep(&store, "abcd");
    let all = count(keep_.path());
    let entry = |key: &str, digest: &str| {
        format!(
            r#"{{"protocol_version": 2.0, "filename": "", "piece_width": 16, "piece_height": 16,
            "size": 1, "frames": 1, "indexes": [{{"seq": 0, "key": "{key}", "offset": 0,
            "size": 1, "checksum": "blake3:{digest}"}}]}}"#
        )
    };
    let put_index = |json: &str| -> Keys {
        let trailer = storagex::wire::frame::Trailer {
            kind: storagex::wire::frame::FrameKind::Index,
            codec: storagex::wire::frame::Codec::Stored,
            place: storagex::wire::frame::Place::Anywhere,
            raw_length: u32::try_from(json.len()).unwrap(),
            sealed: None,
        };
        let (mut png, mut pixels) = (Vec::new(), Vec::new());
        let size = Size::DEFAULT.fit(json.len());
        let plain = storagex::wire::carrier::Carrier::Plain;
        storagex::wire::write_frame(&trailer, json.as_bytes(), plain, size, &mut png);
        storagex::wire::read_frame(&png, 1 << 26, &mut pixels).unwrap();
        let digest = storagex::key::Digest::of(&pixels);
        let location = store.put(&digest.into(), &png).unwrap();
        Key { location, digest }.into()
    };
    let digest = good.first().digest;
    let name = digest.name();
    let mut deep = put_index(&entry(&format!("../{name}"), &digest.to_string()));
    for _ in 0..9 {
        let digest = deep.first().digest;
        let json = entry(&format!("../{}", digest.name()), &digest.to_string());
        deep = put_index(&json);
    }
    for bad in [
        put_index(&entry("/etc/passwd", &digest.to_string())),
        put_index(&entry("http://127.0.0.1:1/x.png", &digest.to_string())),
        put_index(&entry(&format!("../{name}"), &"0".repeat(64))),
        put_index(&entry(&format!("../{name}"), &digest.to_string())), // of other totals
        put_index("{}"),
        put_index(""),
        deep,
    ] {
        let error = prune(&store, &[good.clone(), bad], &on_day(0)).unwrap_err();
        assert!(matches!(error.kind(), Kind::Index(_)), "{error}");
    }
    let claimed = storagex::key::Digest::of(b"an index that names itself");
    let location = store.locate(&claimed.into()).unwrap();
    let cycle = put_index(&entry(
        &format!("../{}", claimed.name()),
        &claimed.to_string(),
    ));
    fs::create_dir_all(location.path().parent().unwrap()).unwrap();
    fs::copy(cycle.first().location.path(), location.path()).unwrap();
    let digest = claimed;
    for keys in [Key { location, digest }.into(), cycle] {
        let error = prune(&store, &[good.clone(), keys], &on_day(0)).unwrap_err();
        assert!(matches!(error.kind(), Kind::Digest { .. }), "{error}");
    }
    assert_eq!(count(keep_.path()), all + 17);
    // Reached twice and thrice is reached.
    let twice = [good.clone(), good.clone(), good.clone()];
    assert_eq!(prune(&store, &twice, &on_day(0)).unwrap().kept.pictures, 5);
    assert!(comes_back(&good, "abcd"));
}

#[test]
fn a_clock_that_jumps() {
    let keep_ = tempfile::tempdir().unwrap();
    let store = folder(keep_.path());
    let (_, second) = (keep(&store, "abcd"), keep(&store, "wxyz"));
    let keys = [second];
    // Ahead by years when the fossils are made: they are none the older when it is right again.
    prune(&store, &keys, &on_day(9000)).unwrap();
    assert_eq!(
        prune(&store, &keys, &on_day(1)).unwrap().removed.pictures,
        0
    );
    assert_eq!(
        prune(&store, &keys, &on_day(7)).unwrap().removed.pictures,
        0
    );
    assert_eq!(
        prune(&store, &keys, &on_day(9)).unwrap().removed.pictures,
        5
    );
}

/// A prune that was killed leaves a batch without a time, which is as old as the next one.
#[test]
fn a_prune_that_was_killed() {
    let keep_ = tempfile::tempdir().unwrap();
    let store = folder(keep_.path());
    let (first, second) = (keep(&store, "abcd"), keep(&store, "wxyz"));
    prune(&store, std::slice::from_ref(&second), &on_day(0)).unwrap();
    let shelves = store.prunable().unwrap();
    let mut record = Record::parse(&shelves.record().unwrap().unwrap()).unwrap();
    record.batches[0].1 = None;
    shelves.set_record(&record.render()).unwrap();
    assert!(comes_back(&first, "abcd"));
    // While it is open, each writer looks again at the end.
    keep(&store, "wxyz1");
    let keys = [second.clone()];
    assert_eq!(
        prune(&store, &keys, &on_day(30)).unwrap().removed.pictures,
        0
    );
    assert_eq!(
        prune(&store, &keys, &on_day(33)).unwrap().removed.pictures,
        0
    );
    assert!(prune(&store, &keys, &on_day(38)).unwrap().removed.pictures >= 5);
}

// Interleavings: a store in memory at which one actor at a time takes a step.

/// Pictures by their places, the record of prunes, and whose turn it is.
#[derive(Default)]
struct Memory {
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
    record: Mutex<Option<String>>,
    turn: Turns,
}

/// Lets actors take their steps in a given order.
#[derive(Default)]
struct Turns {
    state: Mutex<Option<State>>,
    changed: Condvar,
}

struct State {
    /// Who takes the next steps; when it is used up, whoever is left.
    schedule: Vec<usize>,
    at: usize,
    running: Vec<bool>,
    /// Those that wait for their turn.
    waiting: Vec<bool>,
}

impl State {
    fn current(&mut self) -> Option<usize> {
        while let Some(&actor) = self.schedule.get(self.at) {
            if self.running[actor] {
                return Some(actor);
            }
            self.at += 1;
        }
        self.running.iter().position(|running| *running)
    }

    /// Whether it is the actor's turn, and nobody is between two steps: what an actor does after its
    /// last one, such as giving a key, belongs to that.
    fn may_go(&mut self, actor: usize) -> bool {
        let mut all = self.running.iter().zip(&self.waiting);
        all.all(|(running, waiting)| !running || *waiting) && self.current() == Some(actor)
    }
}

impl Turns {
    /// Waits for the actor's turn, and takes one step. A worker that goes on when its actor has ended, as
    /// those of a put that has failed do, waits for the end of the play.
    fn step<T>(&self, actor: usize, work: impl FnOnce() -> T) -> T {
        let mut state = self.state.lock().unwrap();
        if let Some(state) = state.as_mut() {
            state.waiting[actor] = true;
            self.changed.notify_all();
        }
        while state.as_mut().is_some_and(|state| !state.may_go(actor)) {
            state = self.changed.wait(state).unwrap();
        }
        let done = work();
        if let Some(state) = state.as_mut() {
            state.waiting[actor] = false;
            state.at += 1;
        }
        self.changed.notify_all();
        done
    }

    /// Ends the play: from now on everybody goes on as they like.
    fn stop(&self) -> Option<State> {
        let state = self.state.lock().unwrap().take();
        self.changed.notify_all();
        state
    }

    /// Ends an actor's turns, also where it panics.
    fn until_end(&self, actor: usize) -> impl Drop + use<'_> {
        struct End<'a>(&'a Turns, usize);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.end(self.1);
            }
        }
        End(self, actor)
    }

    fn end(&self, actor: usize) {
        let mut state = self.state.lock().unwrap();
        if let Some(state) = state.as_mut() {
            state.running[actor] = false;
        }
        self.changed.notify_all();
    }
}

/// A store as one actor has it.
struct Actor {
    memory: Arc<Memory>,
    number: usize,
}

impl Actor {
    fn step<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> T {
        self.memory
            .turn
            .step(self.number, || work(&mut self.memory.kept.lock().unwrap()))
    }
}

fn place(shelf: Shelf, name: &Name) -> String {
    format!("file:///store/{}{name}", shelf.prefix())
}

impl Store for Actor {
    fn put(&self, name: &Name, png: &[u8]) -> Result<Location> {
        let place = place(Shelf::Pictures, name);
        // A look, and then the upload: what is there isn't sent.
        if !self.step(|kept| kept.contains_key(&place)) {
            self.step(|kept| kept.insert(place.clone(), png.to_vec()));
        }
        place.parse()
    }

    fn replace(&self, name: &Name, png: &[u8]) -> Result<Location> {
        self.put(name, png)
    }

    fn locate(&self, name: &Name) -> Option<Location> {
        place(Shelf::Pictures, name).parse().ok()
    }

    fn prunable(&self) -> Option<&dyn Prunable> {
        Some(self)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn get(
        &self,
        location: &Location,
        read: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let found = self.step(|kept| kept.get(&location.to_string()).cloned());
        let found = found.ok_or_else(|| Error::from(Kind::NotFound))?;
        read(&mut Cursor::new(found))
    }

    fn made(&self, location: &Location) -> Result<Option<SystemTime>> {
        match self.step(|kept| kept.contains_key(&location.to_string())) {
            true => Ok(None),
            false => Err(Kind::NotFound.into()),
        }
    }
}

impl Prunable for Actor {
    fn record(&self) -> Result<Option<String>> {
        Ok(self.step(|_| self.memory.record.lock().unwrap().clone()))
    }

    fn set_record(&self, text: &str) -> Result<()> {
        self.step(|_| *self.memory.record.lock().unwrap() = Some(text.to_owned()));
        Ok(())
    }

    fn list(
        &self,
        shelf: Shelf,
        first: u8,
        each: &mut dyn FnMut(Name, u64) -> Result<()>,
    ) -> Result<()> {
        let start = format!("file:///store/{}{first:02x}/", shelf.prefix());
        let list = |kept: &mut BTreeMap<String, Vec<u8>>| {
            let names = kept.iter().filter_map(|(place, png)| {
                let name = Name::from_file(place.strip_prefix(&start)?)?;
                Some((name, png.len() as u64))
            });
            names.collect::<Vec<_>>()
        };
        // One step for all that is listed, at the first folder.
        let names = match first {
            0 => self.step(list),
            _ => list(&mut self.memory.kept.lock().unwrap()),
        };
        names
            .into_iter()
            .try_for_each(|(name, bytes)| each(name, bytes))
    }

    /// As in S3: a copy, then a removal.
    fn relocate(&self, name: &Name, from: Shelf, to: Shelf) -> Result<()> {
        let (from, to) = (place(from, name), place(to, name));
        let copied = self.step(|kept| {
            let png = kept.get(&from).cloned();
            png.map(|png| kept.insert(to, png))
        });
        copied.ok_or_else(|| Error::from(Kind::NotFound))?;
        self.step(|kept| kept.remove(&from));
        Ok(())
    }

    fn remove(&self, name: &Name, from: Shelf) -> Result<()> {
        self.step(|kept| kept.remove(&place(from, name)));
        Ok(())
    }
}

/// What became of one interleaving.
struct Outcome {
    steps: Vec<usize>,
    gone: usize,
}

/// Two writers, a pruner and a reader, with steps in the order of `schedule`. The store has `abcd`, whose
/// key is given up, and `wxyz`, whose isn't. The pruner prunes twice, `days` apart, first with the key of
/// `wxyz` alone, then with those that writers have given by then.
fn play(schedule: Vec<usize>, days: u32, prunes: u32) -> Outcome {
    let memory = Arc::new(Memory::default());
    let actor = |number| -> Arc<dyn Store> {
        Arc::new(Actor {
            memory: Arc::clone(&memory),
            number,
        })
    };
    let kept = keep(&actor(0), "wxyz");
    keep(&actor(0), "abcd");
    let options = put::Options {
        jobs: 1,
        ..put::Options::default()
    };
    *memory.turn.state.lock().unwrap() = Some(State {
        schedule,
        at: 0,
        running: vec![true; 4],
        waiting: vec![false; 4],
    });
    let given: Mutex<Vec<(Keys, &str)>> = Mutex::new(vec![(kept.clone(), "wxyz")]);
    let gone = Mutex::new(0);
    std::thread::scope(|scope| {
        for (number, chunks) in [(0, "abcd"), (1, "abwz")] {
            let (store, given, gone, memory) = (actor(number), &given, &gone, &memory);
            let options = &options;
            scope.spawn(move || {
                let _end = memory.turn.until_end(number);
                match put(Cursor::new(frames(chunks)), &[Arc::clone(&store)], options) {
                    Ok(done) => given.lock().unwrap().push((done.keys, chunks)),
                    Err(e) => {
                        assert!(matches!(e.kind(), Kind::Gone | Kind::NotFound), "{e}");
                        *gone.lock().unwrap() += 1;
                    }
                }
            });
        }
        let (store, given_, memory_) = (actor(2), &given, &memory);
        scope.spawn(move || {
            let _end = memory_.turn.until_end(2);
            for round in 0..prunes {
                let mut options = on_day(round * days);
                options.jobs = 1;
                let keys = memory_.turn.step(2, || given_.lock().unwrap().clone());
                let keys: Vec<Keys> = keys.into_iter().map(|(keys, _)| keys).collect();
                prune(&store, &keys, &options).unwrap();
            }
        });
        let (store, memory_) = (actor(3), &memory);
        let kept = &kept;
        scope.spawn(move || {
            let _end = memory_.turn.until_end(3);
            let place = kept.first().location.clone();
            let read = store.get(&place, &mut |from| {
                from.read_to_end(&mut Vec::new())
                    .map(drop)
                    .map_err(Error::input)
            });
            assert!(read.is_ok(), "a key that is kept");
        });
    });
    let state = memory.turn.stop().unwrap();
    // However it went, the keys that were given bring everything back, also after more prunes.
    let given = given.into_inner().unwrap();
    let keys: Vec<Keys> = given.iter().map(|(keys, _)| keys.clone()).collect();
    for day in [100, 200, 300] {
        let mut options = on_day(day);
        options.jobs = 1;
        prune(&actor(0), &keys, &options).unwrap();
    }
    let there = memory.kept.lock().unwrap();
    for (keys, chunks) in &given {
        let missing = missing(&there, keys);
        assert!(missing == 0, "{missing} pictures of {chunks} are gone");
    }
    Outcome {
        steps: state.schedule,
        gone: gone.into_inner().unwrap(),
    }
}

/// How many pictures that a key leads to aren't in their places.
fn missing(kept: &BTreeMap<String, Vec<u8>>, keys: &Keys) -> usize {
    let Some(root) = kept.get(&keys.first().location.to_string()) else {
        return 1;
    };
    let mut pixels = Vec::new();
    storagex::wire::read_frame(root, 1 << 26, &mut pixels).unwrap();
    let text = storagex::wire::frame::payload(&pixels);
    let index: storagex::Index = serde_json::from_slice(text).unwrap();
    let pieces = index.pieces.unwrap();
    let place = |key: &str| key.replacen("..", "file:///store", 1);
    let there = pieces
        .iter()
        .filter(|piece| kept.contains_key(&place(&piece.key)));
    pieces.len() - there.count()
}

/// Writers and a pruner whose turns are changed twice by force, at every other and every fourth step, in
/// four orders, and many that are drawn at random: within the grace period no put fails, and no key is
/// false.
#[test]
fn interleavings_within_the_grace_period() {
    let mut gone = 0;
    let mut played = 0;
    let orders = [[0, 1, 2, 3], [2, 0, 1, 3], [0, 2, 1, 3], [3, 1, 2, 0]];
    for order in orders {
        for first in (0..40).step_by(2) {
            for second in (0..40).step_by(4) {
                let mut schedule = vec![order[0]; first];
                schedule.extend(vec![order[1]; second]);
                schedule.extend(vec![order[2]; 60]);
                gone += play(schedule, 1, 2).gone;
                played += 1;
            }
        }
    }
    let mut numbers = fastrand::Rng::with_seed(12);
    for _ in 0..200 {
        let schedule = (0..200).map(|_| numbers.usize(0..4)).collect();
        gone += play(schedule, 1, 2).gone;
        played += 1;
    }
    println!("{played} interleavings");
    assert_eq!(gone, 0);
}

/// Where the clock jumps, so that the grace period is over at once, a put may fail; but no key is
/// false.
#[test]
fn interleavings_with_a_clock_that_jumps() {
    let mut numbers = fastrand::Rng::with_seed(13);
    let (mut gone, mut longest) = (0, 0);
    for round in 0..400 {
        let mut schedule = Vec::new();
        while schedule.len() < 200 {
            let length = numbers.usize(1..=1 + round % 40);
            schedule.extend(vec![numbers.usize(0..3); length]);
        }
        let outcome = play(schedule, 30, 3);
        longest = longest.max(outcome.steps.len());
        gone += outcome.gone;
    }
    println!("{gone} puts found that a picture was gone, of 800; {longest} steps");
    assert!(gone > 0, "the race was never run");
}

/// Two machines put, a third prunes, all at once and for real; fossils are removed at once.
#[test]
fn writers_and_a_pruner_for_real() {
    let keep_ = tempfile::tempdir().unwrap();
    let path = keep_.path().join("store");
    let given: Mutex<Vec<(Keys, String)>> = Mutex::default();
    let base = keep(&folder(&path), "wxyz");
    let mut failed = 0;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2u8)
            .map(|writer| {
                let (path, given) = (&path, &given);
                scope.spawn(move || {
                    let mut failed = 0;
                    for round in 0..60u8 {
                        let letter = |n: u8| char::from(b'a' + (round / 3 + n) % 20);
                        let chunks: String = (0..8).map(letter).collect();
                        let stores = [folder(path)];
                        let frames = Cursor::new(frames(&chunks));
                        match put(frames, &stores, &put::Options::default()) {
                            Ok(done) => given.lock().unwrap().push((done.keys, chunks)),
                            Err(e) => {
                                assert_eq!(e.kind(), &Kind::Gone, "writer {writer}: {e}");
                                failed += 1;
                            }
                        }
                    }
                    failed
                })
            })
            .collect();
        let pruner = folder(&path);
        for round in 0..60 {
            // All keys but the older ones are kept.
            let started = SystemTime::now();
            let mut keys = vec![base.clone()];
            let all = given.lock().unwrap();
            keys.extend(all.iter().skip(all.len() / 2).map(|(keys, _)| keys.clone()));
            let options = Options {
                grace: if round % 3 == 0 { Duration::ZERO } else { DAY },
                ..Options::new(started)
            };
            drop(all);
            prune(&pruner, &keys, &options).unwrap();
        }
        failed = writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum();
    });
    println!("{failed} of 120 puts found that a picture was gone");
    assert!(comes_back(&base, "wxyz"));
    // These were among the keys of every prune that began after they had been given.
    let given = given.into_inner().unwrap();
    let kept = &given[given.len() / 2..];
    assert!(kept.len() > 10, "only {} keys", given.len());
    for (keys, chunks) in kept {
        assert!(comes_back(keys, chunks), "{keys} of {chunks}");
    }
}

/// The most resident memory that this process has had, in MiB.
#[cfg(target_os = "linux")]
fn peak() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.unwrap().split_whitespace().nth(1).unwrap();
    number.parse::<u64>().unwrap() / 1024
}

/// Prunes a folder of so many pictures in each of its 256 folders, all but 5 of which no key reaches:
/// once, which makes fossils of them, and again, which removes these.
#[cfg(target_os = "linux")]
fn prune_many(each: u64) {
    let keep_ = tempfile::tempdir().unwrap();
    let store = folder(keep_.path());
    let kept = keep(&store, "abcd");
    for first in 0..=u8::MAX {
        let folder = keep_.path().join(format!("{first:02x}"));
        fs::create_dir_all(&folder).unwrap();
        for number in 0..each {
            let mut bytes = [first; 32];
            bytes[8..16].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            let name = Name::from(storagex::key::Digest::from_bytes(bytes));
            fs::write(keep_.path().join(name.to_string()), b"x").unwrap();
        }
    }
    let all = 256 * each;
    for (day, fossils, removed) in [(0, all, 0), (8, 0, all)] {
        let started = std::time::Instant::now();
        let pruned = prune(&store, std::slice::from_ref(&kept), &on_day(day)).unwrap();
        println!(
            "{all} pictures, day {day}: {:?}, peak {} MiB",
            started.elapsed(),
            peak()
        );
        let found = (pruned.fossils.pictures, pruned.removed.pictures);
        assert_eq!(found, (fossils, removed));
        assert_eq!(pruned.kept.pictures, 5);
        assert!(peak() < 96);
    }
}

/// In a process of its own, whose memory is that of the prune alone.
#[test]
#[cfg(target_os = "linux")]
fn many_pictures_take_little_memory() {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let test = "forty_thousand_pictures";
    let done = command.args(["--ignored", "--nocapture", "--exact", test]);
    let done = done.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    println!("{said}");
    assert!(done.status.success() && said.contains("peak"), "{said}");
}

#[test]
#[ignore = "run by many_pictures_take_little_memory"]
#[cfg(target_os = "linux")]
fn forty_thousand_pictures() {
    prune_many(157);
    assert!(peak() < 32, "{} MiB", peak());
}

/// `.ci/run` runs it; how long it takes is in tests/bench.
#[test]
#[ignore = "takes minutes"]
#[cfg(target_os = "linux")]
fn a_million_pictures() {
    prune_many(3907);
}

/// Of two prunes of a folder at the same time, one is refused before it changes anything.
#[test]
fn one_prune_at_a_time() {
    let here = tempfile::tempdir().unwrap();
    let store = folder(here.path());
    let key = keep(&store, "abcd");
    let other = store.prunable().unwrap().lock().unwrap().unwrap();
    let error = prune(&store, std::slice::from_ref(&key), &on_day(0)).unwrap_err();
    assert!(
        error.to_string().contains("another prune is running"),
        "{error}"
    );
    drop(other);
    prune(&store, &[key], &on_day(0)).unwrap();
}
