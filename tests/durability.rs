//! What has been put outlives a power cut: a store that records what is done to it, and forgets, at
//! every moment, what was not synced.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use storagex::key::{Location, Name};
use storagex::store::Store;
use storagex::wire::frame::{FrameKind, Size};
use storagex::{Index, Kind, Result, encode, get, put};

enum Event {
    Put(String, Vec<u8>),
    Synced,
}

/// Pictures by their places.
type Pictures = BTreeMap<String, Vec<u8>>;

/// Keeps pictures in memory, and a log of what happened.
#[derive(Default)]
struct Recorder {
    kept: Mutex<Pictures>,
    log: Mutex<Vec<Event>>,
}

impl Recorder {
    fn with(kept: Pictures) -> Arc<Self> {
        Arc::new(Recorder {
            kept: Mutex::new(kept),
            log: Mutex::default(),
        })
    }
}

fn place(name: &Name) -> Location {
    format!("file:///store/{name}").parse().unwrap()
}

impl Store for Recorder {
    fn put(&self, name: &Name, png: &[u8]) -> Result<Location> {
        let location = place(name);
        let mut log = self.log.lock().unwrap();
        log.push(Event::Put(location.to_string(), png.to_vec()));
        let mut kept = self.kept.lock().unwrap();
        kept.insert(location.to_string(), png.to_vec());
        Ok(location)
    }

    fn replace(&self, name: &Name, png: &[u8]) -> Result<Location> {
        self.put(name, png)
    }

    fn locate(&self, name: &Name) -> Option<Location> {
        Some(place(name))
    }

    fn sync(&self) -> Result<()> {
        self.log.lock().unwrap().push(Event::Synced);
        Ok(())
    }

    fn get(
        &self,
        location: &Location,
        read: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let picture = self
            .kept
            .lock()
            .unwrap()
            .get(&location.to_string())
            .cloned();
        read(&mut Cursor::new(picture.ok_or(Kind::NotFound)?))
    }

    fn made(&self, _: &Location) -> Result<Option<SystemTime>> {
        Ok(None)
    }
}

/// What each index refers to: data frames, parity frames and indexes, but not copies.
fn references(kept: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for (place, png) in kept {
        let mut bytes = Vec::new();
        let frame = storagex::wire::read_frame(png, 1 << 20, &mut bytes).unwrap();
        let trailer = frame.trailer;
        if trailer.kind != FrameKind::Index {
            continue;
        }
        let text = storagex::wire::frame::payload(&bytes);
        let index: Index = serde_json::from_slice(text).unwrap();
        let entries = index.pieces.iter().chain(&index.indexes).flatten();
        let parity = index
            .groups
            .iter()
            .flatten()
            .flat_map(|group| &group.parity);
        let keys = entries
            .map(|entry| &entry.key)
            .chain(parity.map(|entry| &entry.key));
        let absolute = |key: &String| format!("file:///store/{}", key.strip_prefix("../").unwrap());
        all.insert(place.clone(), keys.map(absolute).collect());
    }
    all
}

/// Whether an index, if it is there, has all that it reaches.
fn is_whole(
    at: &str,
    there: &BTreeSet<String>,
    references: &BTreeMap<String, BTreeSet<String>>,
) -> bool {
    there.contains(at)
        && references
            .get(at)
            .is_none_or(|below| below.iter().all(|at| is_whole(at, there, references)))
}

/// Cuts the power after every event, and calls `each` with what is there then: of what was not synced,
/// 20 times a random choice. Gives what is durable at the end.
fn cut_everywhere(before: Pictures, log: &[Event], mut each: impl FnMut(&Pictures)) -> Pictures {
    let mut numbers = fastrand::Rng::with_seed(4);
    let (mut durable, mut loose) = (before, Vec::new());
    for event in log {
        match event {
            Event::Put(place, png) => loose.push((place.clone(), png.clone())),
            Event::Synced => durable.extend(loose.drain(..)),
        }
        for _ in 0..20 {
            let kept = loose.iter().filter(|_| numbers.bool()).cloned();
            let mut there = durable.clone();
            there.extend(kept);
            each(&there);
        }
    }
    durable
}

/// If the root is there, all is that it reaches. At the end of the log, when the key is given, it is
/// there for sure. Fails where a sync before or after the root is left out.
fn check(store: &Recorder, root: &str) {
    let references = references(&store.kept.lock().unwrap());
    let places = |there: &Pictures| there.keys().cloned().collect::<BTreeSet<String>>();
    let log = store.log.lock().unwrap();
    let durable = cut_everywhere(Pictures::new(), &log, |there| {
        assert!(
            !there.contains_key(root) || is_whole(root, &places(there), &references),
            "a root without its frames"
        );
    });
    assert!(
        is_whole(root, &places(&durable), &references),
        "a key of what isn't durable"
    );
}

fn frames() -> Vec<u8> {
    let mut frames = Vec::new();
    let encoding = encode::Options {
        size: size(16),
        level: 0,
        ..Default::default()
    };
    let bytes: Vec<u8> = (0..60_000u32)
        .map(|i| ((i * i) >> 5).to_le_bytes()[0])
        .collect();
    encode(Cursor::new(bytes), &mut frames, &encoding).unwrap();
    frames
}

fn size(side: u32) -> Size {
    Size {
        width: side,
        height: side,
    }
}

#[test]
fn a_key_that_got_out_restores_after_a_power_cut() {
    let frames = frames();
    for (parity, side) in [
        (None, 1000),
        (None, 32),
        (Some("4+2"), 1000),
        (Some("2+1"), 64),
    ] {
        for jobs in [1, 8] {
            let store = Arc::new(Recorder::default());
            let options = put::Options {
                jobs,
                parity: parity.map(|parity| parity.parse().unwrap()),
                index_size: size(side),
                ..Default::default()
            };
            let stores: [Arc<dyn Store>; 1] = [store.clone()];
            let done = put::put(Cursor::new(frames.clone()), &stores, &options).unwrap();
            check(&store, &done.keys.first().location.to_string());
        }
    }
}

/// How a store of these pictures is read and repaired.
fn of(store: &Arc<Recorder>) -> get::Options {
    let own: Arc<dyn Store> = store.clone();
    let mut options = get::Options::default();
    options.store.own.push(("file:///store".to_owned(), own));
    options
}

/// Pictures of each group and of each index are missing or damaged: while they are repaired, the key
/// brings back everything at any moment, and a repair that was cut off can be run again.
#[test]
fn a_repair_never_loses_what_a_key_had() {
    let frames = frames();
    let whole = Recorder::with(Pictures::new());
    let options = put::Options {
        parity: Some("4+2".parse().unwrap()),
        index_size: size(64),
        ..Default::default()
    };
    let stores: [Arc<dyn Store>; 1] = [whole.clone()];
    let keys = put::put(Cursor::new(frames.clone()), &stores, &options)
        .unwrap()
        .keys;
    let whole = whole.kept.lock().unwrap().clone();

    // One in six is missing, one in six is damaged, in the order of the stream: two of a group.
    let mut harmed = whole.clone();
    let mut turn = 0;
    get::list(&keys, &of(&Recorder::with(whole.clone())), |source, _| {
        let place = source.location().to_string();
        match turn % 6 {
            1 => drop(harmed.remove(&place)),
            4 => harmed.get_mut(&place).unwrap().truncate(200),
            _ => {}
        }
        turn += 1;
        Ok(())
    })
    .unwrap();
    let store = Recorder::with(harmed.clone());
    let repaired = get::repair(&keys, &of(&store)).unwrap();
    assert!(repaired.stored > 20, "{}", repaired.stored);
    let log = store.log.lock().unwrap();
    let mut turn = 0;
    let durable = cut_everywhere(harmed, &log, |there| {
        turn += 1;
        if turn % 10 != 0 {
            return; // two of each twenty will do: it takes a while
        }
        let now = Recorder::with(there.clone());
        let mut back = Vec::new();
        get::get(&keys, &mut back, &of(&now)).unwrap();
        assert!(back == frames);
        if turn % 200 == 0 {
            get::repair(&keys, &of(&now)).unwrap();
            assert!(*now.kept.lock().unwrap() == whole);
        }
    });
    assert!(durable == whole);
}
