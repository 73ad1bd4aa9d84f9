//! Any picture may go: groups with parity, copies of indexes, several stores, and what is left when
//! too much is gone.

mod net;

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use storagex::get::{self, Health, Options, Sample};
use storagex::key::Digest;
use storagex::put::{self, Role};
use storagex::store::{self, Config, Store};
use storagex::wire::frame::{Codec, FrameKind, Place, Size, Trailer};
use storagex::wire::{Carrier, DEFAULT_LIMIT, read_frame, write_frame};
use storagex::{Keys, Kind, Result, decode, encode};
use tempfile::TempDir;

const SMALL: Size = Size {
    width: 16,
    height: 16,
};

fn noise(length: usize) -> Vec<u8> {
    let mut numbers = fastrand::Rng::with_seed(length as u64);
    (0..length).map(|_| numbers.u8(..)).collect()
}

/// Frames of 16 x 16, of which each holds 732 bytes.
fn frames_of(bytes: &[u8]) -> Vec<u8> {
    let mut frames = Vec::new();
    let options = encode::Options {
        size: SMALL,
        level: 0,
        ..Default::default()
    };
    encode(Cursor::new(bytes.to_vec()), &mut frames, &options).unwrap();
    frames
}

/// A stream that was put into folders.
struct Backup {
    folder: TempDir,
    bytes: Vec<u8>,
    frames: Vec<u8>,
    keys: Keys,
    /// Data and parity frames of each group, data first.
    groups: Vec<Vec<PathBuf>>,
    /// Index frames and copies.
    indexes: Vec<PathBuf>,
}

fn path_of(text: &str) -> PathBuf {
    let location = text.split('#').next().unwrap();
    PathBuf::from(location.strip_prefix("file://").unwrap())
}

fn stores(folder: &Path, count: usize) -> Vec<Arc<dyn Store>> {
    let open = |n: usize| store::open(folder.join(format!("s{n}")).as_os_str(), &Config::default());
    (0..count).map(|n| open(n).unwrap()).collect()
}

impl Backup {
    /// `frames` data frames, the last one short, with such parity, in so many folders.
    fn new(frames: usize, parity: &str, folders: usize, spread: bool, index: u32) -> Backup {
        let folder = tempfile::tempdir().unwrap();
        let bytes = noise(frames * 732 - 100);
        let options = put::Options {
            parity: Some(parity.parse().unwrap()),
            spread,
            index_size: Size {
                width: index,
                height: index,
            },
            ..Default::default()
        };
        let frames = frames_of(&bytes);
        let stores = stores(folder.path(), folders);
        let done = put::put(Cursor::new(frames.clone()), &stores, &options).unwrap();
        let (mut groups, mut indexes): (Vec<Vec<PathBuf>>, _) = (Vec::new(), Vec::new());
        let mut waiting = Vec::new();
        get::list(&done.keys, &Options::default(), |source, role| {
            let path = path_of(&source.to_string());
            match role {
                Role::Index | Role::Copy => indexes.push(path),
                Role::Parity => waiting.push(path),
                Role::Data => {
                    if !waiting.is_empty() && waiting.len() == options.parity.unwrap().parity {
                        groups.push(Vec::new());
                        groups.last_mut().unwrap().append(&mut waiting);
                    }
                    groups.last_mut().unwrap().push(path);
                }
            }
            Ok(())
        })
        .unwrap();
        let parity = options.parity.unwrap().parity;
        for group in &mut groups {
            group.rotate_left(parity);
        }
        Backup {
            folder,
            bytes,
            frames,
            keys: done.keys,
            groups,
            indexes,
        }
    }

    fn got(&self) -> Result<(Vec<u8>, u64)> {
        let mut frames = Vec::new();
        let got = get::get(&self.keys, &mut frames, &Options::default())?;
        Ok((frames, got.rebuilt))
    }

    fn comes_back(&self, what: &str) -> u64 {
        let (frames, rebuilt) = self.got().unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(frames == self.frames, "{what}: other frames");
        rebuilt
    }

    /// Each picture that is there, and its bytes.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let all = self.groups.iter().flatten().chain(&self.indexes);
        let read = all.filter_map(|path| Some((path.clone(), fs::read(path).ok()?)));
        read.collect()
    }

    fn health(&self) -> Health {
        let report = get::check(&self.keys, Sample::All, &Options::default());
        report.unwrap().health()
    }
}

/// Ways in which a store harms pictures.
const HARMS: [&str; 5] = ["delete", "truncate", "flip", "swap", "replace by a JPEG"];

/// Harms these pictures, and gives what mends them again.
fn harm(paths: &[&PathBuf], how: &str) -> impl FnOnce() + use<> {
    harm_each(paths, &vec![how; paths.len()])
}

/// Harms each of these pictures in its way, and gives what mends them again.
fn harm_each(paths: &[&PathBuf], ways: &[&str]) -> impl FnOnce() + use<> {
    let whole: Vec<(PathBuf, Vec<u8>)> = paths
        .iter()
        .map(|path| ((*path).clone(), fs::read(path).unwrap()))
        .collect();
    for (n, (path, picture)) in whole.iter().enumerate() {
        match ways[n] {
            "delete" => fs::remove_file(path).unwrap(),
            "truncate" => fs::write(path, &picture[..picture.len() / 2]).unwrap(),
            "flip" => {
                let mut changed = picture.clone();
                changed[picture.len() / 2] ^= 1;
                fs::write(path, changed).unwrap();
            }
            "swap" => fs::write(path, &whole[(n + 1) % whole.len()].1).unwrap(),
            _ => fs::write(path, net::host::to_jpeg(picture, 90)).unwrap(),
        }
    }
    move || {
        for (path, picture) in whole {
            fs::write(path, picture).unwrap();
        }
    }
}

/// Each set of `most` numbers below `count`, or 200 random ones where there are more.
fn sets(count: usize, most: usize) -> Vec<BTreeSet<usize>> {
    let all = (0..most as u64).try_fold(1u64, |all, i| {
        all.checked_mul(count as u64 - i).map(|all| all / (i + 1))
    });
    if all.is_none_or(|all| all > 200) {
        let mut numbers = fastrand::Rng::with_seed(9);
        let mut one = || {
            let mut all: Vec<usize> = (0..count).collect();
            numbers.shuffle(&mut all);
            all[..most].iter().copied().collect()
        };
        return (0..200).map(|_| one()).collect();
    }
    let mut sets = vec![BTreeSet::new()];
    for _ in 0..most {
        let grown = sets.iter().flat_map(|set: &BTreeSet<usize>| {
            let from = set.last().map_or(0, |last| last + 1);
            (from..count).map(|next| {
                let mut set = set.clone();
                set.insert(next);
                set
            })
        });
        sets = grown.collect();
    }
    sets
}

/// Harms M pictures of a group, for every set or 200 random ones: in every way, or, in large groups,
/// each picture in a way of its own.
fn any_of(frames: usize, parity: &str) {
    let backup = Backup::new(frames, parity, 1, false, 200);
    let count: usize = parity.split_once('+').unwrap().1.parse().unwrap();
    assert_eq!(backup.comes_back("nothing lost"), 0);
    let mut numbers = fastrand::Rng::with_seed(11);
    for (at, group) in backup.groups.iter().enumerate() {
        for set in sets(group.len(), count.min(group.len())) {
            let paths: Vec<&PathBuf> = set.iter().map(|&n| &group[n]).collect();
            let mut random = || *numbers.choice(&HARMS).unwrap();
            let ways: Vec<Vec<&str>> = match group.len() {
                ..=6 => HARMS.iter().map(|&how| vec![how; paths.len()]).collect(),
                _ => vec![paths.iter().map(|_| random()).collect()],
            };
            for ways in ways {
                // One alone is swapped for a picture of another group.
                let own = fs::read(paths[0]).unwrap();
                let is_alone = ways == ["swap"];
                let mend = harm_each(&paths, &ways);
                if is_alone {
                    let other = &backup.groups[usize::from(at == 0)][0];
                    assert_ne!(fs::read(other).unwrap(), own);
                    fs::copy(other, paths[0]).unwrap();
                }
                let rebuilt = backup.comes_back(&format!("{parity}, group {at}: {ways:?} {set:?}"));
                let data = set.iter().filter(|&&n| n < group.len() - count).count();
                assert_eq!(rebuilt, data as u64, "{ways:?} {set:?}");
                mend();
            }
        }
    }
}

#[test]
fn any_m_of_1_plus_1() {
    any_of(3, "1+1");
}

#[test]
fn any_m_of_4_plus_2_and_a_short_last_group() {
    any_of(6, "4+2");
}

#[test]
fn any_m_of_20_plus_2_and_a_last_group_of_one() {
    any_of(21, "20+2");
}

#[test]
fn any_m_of_128_plus_64() {
    any_of(128, "128+64");
}

#[test]
fn more_parity_than_data() {
    any_of(5, "2+5");
}

#[test]
fn one_too_many_names_the_group_and_salvage_loses_just_these() {
    for (frames, parity, data, count, gone) in [
        (6, "1+1", 1, 1, "frame 1 and parity frame 0"),
        (10, "4+2", 4, 2, "frames 4 to 6"),
        (45, "20+2", 20, 2, "frames 20 to 22"),
        (260, "128+64", 128, 64, "frames 128 to 192"),
    ] {
        let backup = Backup::new(frames, parity, 1, false, 200);
        let group = &backup.groups[1];
        let lost: Vec<&PathBuf> = group[..=count.min(group.len() - 1)].iter().collect();
        let _ = harm(&lost, "delete");
        let error = backup.got().unwrap_err();
        assert!(matches!(error.kind(), Kind::TooFew { .. }), "{error}");
        let named = format!("group of frames {data} to {}: ", 2 * data - 1);
        assert!(error.to_string().contains(&named), "{error}");
        let others = format!(" to rebuild the others: {gone}");
        assert!(error.to_string().ends_with(&others), "{error}");
        assert_eq!(backup.health(), Health::Lost);

        let mut frames = Vec::new();
        let salvaged = get::salvage(&backup.keys, &mut frames, &Options::default()).unwrap();
        let mut bytes = Vec::new();
        decode(Cursor::new(frames), &mut bytes, &decode::Options::default()).unwrap();
        let mut expected = backup.bytes.clone();
        let lost_data = (count + 1).min(data);
        let hole = data * 732..(data + lost_data) * 732;
        expected[hole.clone()].fill(0);
        assert!(bytes == expected, "{parity}");
        assert_eq!(salvaged.gaps.len(), 1);
        assert_eq!(salvaged.gaps[0].bytes, hole.start as u64..hole.end as u64);
        let place = format!("file://{}: ", lost[0].display());
        assert!(salvaged.gaps[0].why.starts_with(&place), "{salvaged:?}");
    }
}

/// Frames that are the same picture are one shard, and one file.
#[test]
fn doubles_in_a_group_are_one_shard() {
    let folder = tempfile::tempdir().unwrap();
    let stores = stores(folder.path(), 1);
    let one = frames_of(b"the same");
    let frames = [&one[..]; 5].concat();
    let options = put::Options {
        parity: Some("3+1".parse().unwrap()),
        ..Default::default()
    };
    let done = put::put(Cursor::new(frames.clone()), &stores, &options).unwrap();
    let digest = storagex::key::Digest::of(&{
        let mut bytes = Vec::new();
        storagex::wire::carrier::pixels::parse(&one, &mut bytes).unwrap();
        bytes
    });
    fs::remove_file(folder.path().join("s0").join(digest.name())).unwrap();
    let mut back = Vec::new();
    let got = get::get(&done.keys, &mut back, &Options::default()).unwrap();
    assert!(back == frames);
    assert_eq!(got.rebuilt, 5);
}

#[test]
fn indexes_have_copies() {
    // Small index frames make a tree, of which each is kept three times.
    let backup = Backup::new(60, "2+2", 1, false, 60);
    assert!(backup.indexes.len() > 6, "{}", backup.indexes.len());
    assert_eq!(backup.indexes.len() % 3, 0);
    let names: BTreeSet<&PathBuf> = backup.indexes.iter().collect();
    assert_eq!(names.len(), backup.indexes.len());
    for (at, path) in backup.indexes.iter().enumerate() {
        let mend = harm(
            &[path],
            ["delete", "truncate", "flip", "replace by a JPEG"][at % 4],
        );
        backup.comes_back(&format!("index {at}"));
        assert_eq!(backup.health(), Health::Degraded);
        mend();
    }
    // All first copies, then all but one of each.
    let first: Vec<&PathBuf> = backup.indexes.iter().step_by(3).collect();
    let mend = harm(&first, "delete");
    backup.comes_back("all first copies gone");
    let second: Vec<&PathBuf> = backup.indexes.iter().skip(1).step_by(3).collect();
    let mend_second = harm(&second, "flip");
    backup.comes_back("one copy of each left");
    mend_second();
    mend();
    assert_eq!(backup.health(), Health::Whole);
}

#[test]
fn a_lower_index_that_is_gone_loses_what_it_lists() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(60 * 732);
    let options = put::Options {
        index_size: Size {
            width: 40,
            height: 40,
        },
        ..Default::default()
    };
    let stores = stores(folder.path(), 1);
    let done = put::put(Cursor::new(frames_of(&bytes)), &stores, &options).unwrap();
    let mut indexes = Vec::new();
    get::list(&done.keys, &Options::default(), |source, role| {
        if role == Role::Index {
            indexes.push(path_of(&source.to_string()));
        }
        Ok(())
    })
    .unwrap();
    fs::remove_file(indexes.last().unwrap()).unwrap();
    let report = get::check(&done.keys, Sample::All, &Options::default()).unwrap();
    assert_eq!(report.health(), Health::Lost);
    let mut frames = Vec::new();
    let salvaged = get::salvage(&done.keys, &mut frames, &Options::default()).unwrap();
    let mut back = Vec::new();
    decode(Cursor::new(frames), &mut back, &decode::Options::default()).unwrap();
    assert_eq!(salvaged.size, bytes.len() as u64);
    let [gap] = &salvaged.gaps[..] else {
        panic!("expected one gap")
    };
    let at = |at: u64| usize::try_from(at).unwrap();
    let (start, end) = (at(gap.bytes.start), at(gap.bytes.end));
    assert!(start > 0 && end == bytes.len());
    assert!(back[..start] == bytes[..start] && back[start..].iter().all(|&byte| byte == 0));
    // The root gone, nobody knows anything.
    fs::remove_file(&indexes[0]).unwrap();
    let mut frames = Vec::new();
    let error = get::salvage(&done.keys, &mut frames, &Options::default()).unwrap_err();
    assert!(matches!(error.kind(), Kind::Lost { .. }), "{error}");
    assert!(frames.is_empty()); // not a whole stream of nothing
}

/// What is below a root that is gone is found in the folder, and no other stream is taken for it.
#[test]
fn a_root_that_is_gone_while_lower_indexes_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let stores = stores(folder.path(), 1);
    let put = |bytes: &[u8]| {
        let options = put::Options {
            index_size: Size {
                width: 40,
                height: 40,
            },
            ..Default::default()
        };
        let done = put::put(Cursor::new(frames_of(bytes)), &stores, &options).unwrap();
        let mut indexes = Vec::new();
        get::list(&done.keys, &Options::default(), |source, role| {
            if role == Role::Index {
                indexes.push(path_of(&source.to_string()));
            }
            Ok(())
        })
        .unwrap();
        (done.keys, indexes)
    };
    let options = Options {
        from: vec![folder.path().join("s0").into_os_string()],
        ..Options::default()
    };
    let salvaged = |keys: &Keys| {
        let (mut frames, mut back) = (Vec::new(), Vec::new());
        let salvaged = get::salvage(keys, &mut frames, &options)?;
        decode(Cursor::new(frames), &mut back, &decode::Options::default())?;
        assert_eq!(salvaged.size, back.len() as u64);
        Ok::<_, storagex::Error>((salvaged, back))
    };
    let bytes = noise(60 * 732);
    let (keys, indexes) = put(&bytes);
    assert!(indexes.len() >= 4, "{}", indexes.len());
    // Other streams beside it: in one index, and in a tree of which nothing is gone.
    put(&noise(3 * 732));
    let (_, others) = put(&noise(70 * 732));

    fs::remove_file(&indexes[0]).unwrap();
    let (all, back) = salvaged(&keys).unwrap();
    assert!(back == bytes);
    assert!(all.gaps.is_empty() && all.is_open);
    let error = all.error().unwrap().to_string();
    assert!(error.contains("an unknown number at the end"), "{error}");

    // And one of the lower ones, with what it lists; and the first, whose place nobody knows then.
    for lost in [2, 1] {
        fs::remove_file(&indexes[lost]).unwrap();
        let (some, back) = salvaged(&keys).unwrap();
        let [gap] = &some.gaps[..] else {
            panic!("expected one gap, found {:?}", some.gaps)
        };
        let at = |at: u64| usize::try_from(at).unwrap();
        let (start, end) = (at(gap.bytes.start), at(gap.bytes.end));
        assert!(end > start && (start > 0) == (lost == 2) && back.len() == bytes.len());
        let mut expected = bytes.clone();
        expected[start..end].fill(0);
        assert!(back == expected);
    }

    // An index of another stream far behind.
    let put_index = |seq: u64, offset: u64, size: u64| {
        let digest = Digest::of(b"");
        let json = format!(
            r#"{{"protocol_version": 2.0, "filename": "", "piece_width": 16, "piece_height": 16,
            "size": {size}, "frames": 1, "pieces": [{{"seq": {seq}, "key": "../{}",
            "offset": {offset}, "size": {size}, "checksum": "blake3:{digest}"}}]}}"#,
            digest.name()
        );
        let trailer = Trailer {
            kind: FrameKind::Index,
            codec: Codec::Stored,
            place: Place::Anywhere,
            raw_length: u32::try_from(json.len()).unwrap(),
            sealed: None,
        };
        let size = Size::DEFAULT.fit(json.len());
        let (mut png, mut bytes) = (Vec::new(), Vec::new());
        write_frame(&trailer, json.as_bytes(), Carrier::Plain, size, &mut png);
        read_frame(&png, DEFAULT_LIMIT, &mut bytes).unwrap();
        let location = stores[0].put(&Digest::of(&bytes).into(), &png).unwrap();
        location.path()
    };
    let last = i64::MAX as u64;
    let far = put_index(60, 1 << 40, 1);
    let error = salvaged(&keys).unwrap_err().to_string();
    assert!(
        error.contains("bytes between it and the index before it"),
        "{error}"
    );
    fs::remove_file(far).unwrap();
    for (seq, offset, size) in [
        (last + 1, 60 * 732, 1),
        (60, last + 1, 1),
        (60, u64::MAX, 1),
        (u64::MAX, 60 * 732, 1),
        (60, last, 1),
        (last, 60 * 732, 1),
    ] {
        put_index(seq, offset, size); // which is none
        assert_eq!(salvaged(&keys).unwrap().1.len(), bytes.len());
    }

    // Two trees without roots can't be told from each other.
    fs::remove_file(&others[0]).unwrap();
    let error = salvaged(&keys).unwrap_err();
    assert!(error.to_string().contains("several streams"), "{error}");
}

#[test]
fn copies_in_several_stores() {
    let backup = Backup::new(30, "4+1", 3, false, 200);
    assert_eq!(backup.keys.all().len(), 3);
    for store in 0..3 {
        let gone = backup.folder.path().join(format!("s{store}"));
        fs::rename(&gone, gone.with_extension("away")).unwrap();
        assert_eq!(backup.comes_back("a store gone"), 0);
        assert_eq!(backup.health(), Health::Degraded);
        fs::rename(gone.with_extension("away"), &gone).unwrap();
    }
    // Each store has lost another part.
    for (n, path) in backup.groups.concat().iter().enumerate() {
        let name = path.strip_prefix(backup.folder.path().join("s0")).unwrap();
        let store = backup.folder.path().join(format!("s{}", n % 3));
        fs::remove_file(store.join(name)).unwrap();
    }
    assert_eq!(backup.comes_back("each store has lost a third"), 0);
    let repaired = get::repair(&backup.keys, &Options::default()).unwrap();
    assert_eq!(repaired.keys, backup.keys);
    assert_eq!(repaired.stored, backup.groups.concat().len() as u64);
    assert_eq!(backup.health(), Health::Whole);
}

#[test]
fn spread_over_three_stores_any_may_go() {
    for frames in [1, 2, 3, 30, 31] {
        let backup = Backup::new(frames, "2+1", 3, true, 200);
        for store in 0..3 {
            let gone = backup.folder.path().join(format!("s{store}"));
            fs::rename(&gone, gone.with_extension("away")).unwrap();
            backup.comes_back(&format!("{frames} frames, store {store} gone"));
            assert_eq!(backup.health(), Health::Degraded);
            fs::rename(gone.with_extension("away"), &gone).unwrap();
        }
        assert_eq!(backup.health(), Health::Whole);
        let gone = backup.folder.path().join("s1");
        fs::remove_dir_all(&gone).unwrap();
        get::repair(&backup.keys, &Options::default()).unwrap();
        assert_eq!(backup.health(), Health::Whole);
        assert_eq!(backup.comes_back("repaired"), 0);
    }
}

#[test]
fn a_spread_that_would_not_survive_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (parity, count, message) in [
        ("4+1", 3, "4+2 would do"),
        ("20+2", 2, "20+20 would do"),
        ("2+1", 1, "at least 2"),
    ] {
        let options = put::Options {
            parity: Some(parity.parse().unwrap()),
            spread: true,
            ..Default::default()
        };
        let stores = stores(folder.path(), count);
        let error = put::put(Cursor::new(frames_of(b"x")), &stores, &options).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn a_moved_store_is_found_by_from() {
    let backup = Backup::new(10, "4+2", 1, false, 200);
    let (old, new) = (
        backup.folder.path().join("s0"),
        backup.folder.path().join("new"),
    );
    fs::rename(&old, &new).unwrap();
    assert!(backup.got().is_err());
    let options = Options {
        from: vec![new.clone().into_os_string()],
        ..Options::default()
    };
    let mut frames = Vec::new();
    get::get(&backup.keys, &mut frames, &options).unwrap();
    assert!(frames == backup.frames);
    let report = get::check(&backup.keys, Sample::All, &options).unwrap();
    assert_eq!(report.health(), Health::Whole);
}

/// Options that name these stores to look in first.
fn from(stores: &[&Path]) -> Options {
    Options {
        from: stores.iter().map(Into::into).collect(),
        ..Options::default()
    }
}

/// A repair stores again in the key's own store what only the copy of it has.
#[test]
fn repair_from_a_copy() {
    for parity in [Some("4+2"), None] {
        let folder = tempfile::tempdir().unwrap();
        let (own, away) = (folder.path().join("own"), folder.path().join("away"));
        let frames = frames_of(&noise(10 * 732));
        let keys = put_into(&own, &frames, parity);
        fs::rename(&own, &away).unwrap();
        let away_alone = from(&[&away]);
        for lost in [usize::MAX, 9, 0] {
            let mut paths = Vec::new();
            get::list(&keys, &away_alone, |source, _| {
                paths.push(path_of(&source.to_string()));
                Ok(())
            })
            .unwrap();
            let harmed: Vec<&PathBuf> = paths
                .iter()
                .filter(|path| path.exists())
                .take(lost)
                .collect();
            let missing = paths.iter().filter(|path| !path.exists()).count() + harmed.len();
            let _ = harm(&harmed, "delete");
            let repaired = get::repair(&keys, &away_alone).unwrap();
            assert_eq!(repaired.stored, missing as u64, "{parity:?}, {lost} lost");
            assert_eq!(repaired.keys, keys);
            assert!(repaired.report.error().is_none());
            let report = get::check(&keys, Sample::All, &Options::default()).unwrap();
            assert_eq!(report.health(), Health::Whole, "{parity:?}, {lost} lost");
            let mut got = Vec::new();
            get::get(&keys, &mut got, &Options::default()).unwrap();
            assert!(got == frames);
        }
    }
}

/// Each kind of picture is stored again under its name, and is what it was to the byte.
#[test]
fn repair_brings_back_every_file() {
    let backup = Backup::new(50, "4+2", 1, false, 60);
    let all: Vec<PathBuf> = backup
        .groups
        .concat()
        .into_iter()
        .chain(backup.indexes.clone())
        .collect();
    let before: Vec<Vec<u8>> = all.iter().map(|path| fs::read(path).unwrap()).collect();
    for (turn, how) in ["delete", "truncate", "flip", "replace by a JPEG"]
        .iter()
        .enumerate()
    {
        // Two of each group, and two of each index and its copies.
        let mut harmed: Vec<&PathBuf> = Vec::new();
        for group in &backup.groups {
            harmed.extend(group.iter().cycle().skip(turn).take(2.min(group.len() - 1)));
        }
        for copies in backup.indexes.chunks(3) {
            harmed.extend(copies.iter().cycle().skip(turn).take(2));
        }
        let _ = harm(&harmed, how);
        assert_eq!(backup.health(), Health::Degraded);
        let repaired = get::repair(&backup.keys, &Options::default()).unwrap();
        assert_eq!(repaired.keys, backup.keys);
        assert_eq!(repaired.stored, harmed.len() as u64);
        for (path, before) in all.iter().zip(&before) {
            assert!(fs::read(path).unwrap() == *before, "{}", path.display());
        }
        let again = get::repair(&backup.keys, &Options::default()).unwrap();
        assert_eq!(again.stored, 0);
    }
}

/// What can be mended is mended, though something else is lost.
#[test]
fn repair_of_what_has_lost_too_much() {
    let backup = Backup::new(12, "4+1", 1, false, 200);
    let lost: Vec<&PathBuf> = backup.groups[0][..2].iter().collect();
    let _ = harm(&lost, "delete");
    let _ = harm(&[&backup.groups[1][0]], "delete");
    let repaired = get::repair(&backup.keys, &Options::default()).unwrap();
    assert_eq!(
        (repaired.stored, repaired.report.health()),
        (1, Health::Lost)
    );
    assert!(backup.groups[1][0].exists());
}

/// What can't be written is an error, and everything that was there stays.
#[test]
fn repair_into_a_folder_that_cannot_be_written() {
    let backup = Backup::new(12, "4+1", 1, false, 200);
    let lost = &backup.groups[1][0];
    let _ = harm(&[lost], "delete");
    let shelf = lost.parent().unwrap();
    let moved = backup.folder.path().join("moved");
    fs::rename(shelf, &moved).unwrap();
    fs::write(shelf, b"no folder").unwrap();
    let before = backup.files();
    let repair = Command::new(env!("CARGO_BIN_EXE_sx-get"))
        .args(["--repair", &backup.keys.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8(repair.stderr).unwrap();
    assert_eq!(repair.status.code(), Some(1), "{said}");
    assert!(repair.stdout.is_empty());
    assert!(said.contains(shelf.to_str().unwrap()), "{said}");
    let after = backup.files();
    assert!(before.iter().all(|file| after.contains(file)));
    fs::remove_file(shelf).unwrap();
    fs::rename(&moved, shelf).unwrap();
    backup.comes_back("after a repair that failed");
    let again = get::repair(&backup.keys, &Options::default()).unwrap();
    assert_eq!((again.stored, backup.health()), (1, Health::Whole));
}

#[test]
fn repair_into_another_store() {
    let backup = Backup::new(12, "4+1", 1, false, 200);
    let _ = harm(&[&backup.groups[1][0], &backup.indexes[0]], "delete");
    let to = store::open(
        backup.folder.path().join("to").as_os_str(),
        &Config::default(),
    )
    .unwrap();
    let repaired = get::repair_to(&backup.keys, &[to], &Options::default()).unwrap();
    fs::remove_dir_all(backup.folder.path().join("s0")).unwrap();
    let mut frames = Vec::new();
    get::get(&repaired.keys, &mut frames, &Options::default()).unwrap();
    assert!(frames == backup.frames);
    let report = get::check(&repaired.keys, Sample::All, &Options::default()).unwrap();
    assert_eq!((report.health(), report.parity.good), (Health::Whole, 3));
}

/// What was spread over more stores than it is brought into becomes a copy in each of these.
#[test]
fn repair_of_a_spread_into_fewer_stores() {
    let backup = Backup::new(12, "2+1", 3, true, 200);
    let name = |n: usize| backup.folder.path().join(format!("to{n}"));
    for count in [1, 2, 3] {
        let to: Vec<_> = (0..count)
            .map(|n| store::open(name(n).as_os_str(), &Config::default()).unwrap())
            .collect();
        let repaired = get::repair_to(&backup.keys, &to, &Options::default()).unwrap();
        let report = get::check(&repaired.keys, Sample::All, &Options::default()).unwrap();
        assert_eq!(report.health(), Health::Whole);
        let full = |pictures: u64| pictures > 12 + 6;
        let is_copied = report.stores.values().all(|count| full(count.total()));
        assert_eq!(is_copied, count < 3);
        for n in 0..count {
            fs::rename(name(n), backup.folder.path().join("gone")).unwrap();
            let mut frames = Vec::new();
            let got = get::get(&repaired.keys, &mut frames, &Options::default());
            assert_eq!(got.is_ok() && frames == backup.frames, count > 1);
            fs::rename(backup.folder.path().join("gone"), name(n)).unwrap();
        }
    }
}

/// Two stores to look in first have half of the pictures each.
#[test]
fn two_halves_are_a_whole() {
    let backup = Backup::new(12, "4+2", 1, false, 60);
    let name = |name: &str| backup.folder.path().join(name);
    let halves = [name("left"), name("right")];
    let all = || backup.groups.iter().flatten().chain(&backup.indexes);
    for (number, path) in all().enumerate() {
        let within = path.strip_prefix(name("s0")).unwrap();
        let half = halves[number % 2].join(within);
        fs::create_dir_all(half.parent().unwrap()).unwrap();
        fs::rename(path, half).unwrap();
    }
    assert!(backup.got().is_err());
    let options = from(&[&halves[0], &halves[1]]);
    let mut frames = Vec::new();
    let got = get::get(&backup.keys, &mut frames, &options).unwrap();
    assert!(frames == backup.frames);
    assert_eq!(got.rebuilt, 0);
    let report = get::check(&backup.keys, Sample::All, &options).unwrap();
    assert_eq!(report.health(), Health::Whole);
    let repaired = get::repair(&backup.keys, &options).unwrap();
    assert_eq!(repaired.stored, all().count() as u64);
    assert_eq!(backup.health(), Health::Whole);
}

/// An old backup gets parity by being put again, and its frames are the same.
#[test]
fn parity_for_an_old_backup() {
    let folder = tempfile::tempdir().unwrap();
    let stores = stores(folder.path(), 2);
    let frames = frames_of(&noise(9 * 732));
    let old = put::put(
        Cursor::new(frames.clone()),
        &stores[..1],
        &put::Options::default(),
    )
    .unwrap();
    let mut got = Vec::new();
    get::get(&old.keys, &mut got, &Options::default()).unwrap();
    let options = put::Options {
        parity: Some("10+2".parse().unwrap()),
        ..Default::default()
    };
    let new = put::put(Cursor::new(got), &stores[1..], &options).unwrap();
    let report = get::check(&new.keys, Sample::All, &Options::default()).unwrap();
    assert_eq!((report.data.good, report.parity.good), (9, 2));
}

/// The same stream, options and store make the same pictures, for any number of jobs.
#[test]
fn parity_is_deterministic() {
    let frames = frames_of(&noise(50 * 732));
    let keys = [1, 8].map(|jobs| {
        let folder = tempfile::tempdir().unwrap();
        let options = put::Options {
            jobs,
            parity: Some("7+3".parse().unwrap()),
            ..Default::default()
        };
        let stores = stores(folder.path(), 1);
        let done = put::put(Cursor::new(frames.clone()), &stores, &options).unwrap();
        done.keys.first().digest
    });
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn a_sample_says_what_it_shows() {
    let backup = Backup::new(50, "4+1", 1, false, 200);
    let look = |sample| get::check(&backup.keys, sample, &Options::default()).unwrap();
    let ten = look(Sample::Frames(10));
    assert_eq!((ten.data.good, ten.sample), (10, Some((10, 50))));
    assert!(
        (ten.confidence() - 0.2).abs() < 1e-9,
        "{}",
        ten.confidence()
    ); // 1 of 50 is bad
    let all = look(Sample::Percent(100.0));
    assert!((all.confidence() - 1.0).abs() < 1e-9);
    assert_eq!(look(Sample::Frames(1000)).data.good, 50);
    let _ = harm(&[&backup.groups[0][0]], "delete");
    assert_eq!(look(Sample::Percent(100.0)).health(), Health::Degraded);
}

/// A store that does what it is told to, or doesn't.
struct Odd {
    inner: Arc<dyn Store>,
    puts: std::sync::atomic::AtomicUsize,
    /// Puts that are taken before it fails.
    most: usize,
}

impl Store for Odd {
    fn put(&self, name: &storagex::key::Name, png: &[u8]) -> Result<storagex::key::Location> {
        let put = self.puts.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if put >= self.most {
            return Err(Kind::Host("full".into()).into());
        }
        self.inner.put(name, png)
    }

    fn replace(&self, name: &storagex::key::Name, png: &[u8]) -> Result<storagex::key::Location> {
        self.inner.replace(name, png)
    }

    fn locate(&self, name: &storagex::key::Name) -> Option<storagex::key::Location> {
        self.inner.locate(name)
    }

    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }

    fn get(
        &self,
        location: &storagex::key::Location,
        read: &mut dyn FnMut(&mut dyn std::io::Read) -> Result<()>,
    ) -> Result<()> {
        self.inner.get(location, read)
    }

    fn made(&self, location: &storagex::key::Location) -> Result<Option<std::time::SystemTime>> {
        self.inner.made(location)
    }
}

/// A store that fails at any moment fails all of it, or is left out where enough others are left.
#[test]
fn a_store_that_fails_while_it_is_put_into() {
    let frames = frames_of(&noise(20 * 732));
    for parity in [None, Some("4+1".parse().unwrap())] {
        for most in 0..30 {
            for min_copies in [None, Some(1), Some(2)] {
                let folder = tempfile::tempdir().unwrap();
                let mut stores = stores(folder.path(), 2);
                stores[1] = Arc::new(Odd {
                    inner: Arc::clone(&stores[1]),
                    puts: 0.into(),
                    most,
                });
                let options = put::Options {
                    parity,
                    min_copies,
                    ..Default::default()
                };
                // 20 data and 5 parity frames, and an index and its copy; or none of the parity.
                let needed = if parity.is_some() { 27 } else { 21 };
                let done = put::put(Cursor::new(frames.clone()), &stores, &options);
                let Ok(done) = done else {
                    assert!(most < needed && min_copies != Some(1), "{most}");
                    continue;
                };
                assert!(most >= needed || min_copies == Some(1), "{most}");
                let keys = if most >= needed { 2 } else { 1 };
                assert_eq!(
                    (done.keys.all().len(), done.missing.len()),
                    (keys, 2 - keys)
                );
                for key in done.keys.all() {
                    let mut got = Vec::new();
                    get::get(key, &mut got, &Options::default()).unwrap();
                    assert!(got == frames);
                }
            }
        }
    }
}

/// Pictures of another stream, or older ones, under the names of ours: never a wrong byte.
#[test]
fn a_store_that_lies() {
    let backup = Backup::new(12, "4+1", 2, false, 200);
    let other = Backup::new(13, "4+1", 1, false, 200);
    let theirs = other.groups.concat();
    for (path, lie) in backup.groups.concat().iter().zip(theirs.iter().cycle()) {
        fs::copy(lie, path).unwrap();
    }
    for (path, lie) in backup.indexes.iter().zip(other.indexes.iter().cycle()) {
        fs::copy(lie, path).unwrap();
    }
    // The second store has all.
    assert_eq!(backup.comes_back("lies"), 0);
    fs::remove_dir_all(backup.folder.path().join("s1")).unwrap();
    let error = backup.got().unwrap_err();
    assert!(matches!(error.kind(), Kind::Digest { .. }), "{error}");
}

/// Puts frames, with small indexes, into a folder; gives its key.
fn put_into(folder: &Path, frames: &[u8], parity: Option<&str>) -> Keys {
    let options = put::Options {
        parity: parity.map(|parity| parity.parse().unwrap()),
        index_size: Size {
            width: 40,
            height: 40,
        },
        ..Default::default()
    };
    let store = store::open(folder.as_os_str(), &Config::default()).unwrap();
    put::put(Cursor::new(frames.to_vec()), &[store], &options)
        .unwrap()
        .keys
}

/// Keys of several streams in one line: nothing is written, not even where both have the same size and
/// most frames, whatever else is lost.
#[test]
fn keys_of_several_streams_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
    let bytes = noise(100 * 732);
    let one = put_into(&a, &frames_of(&bytes), None);
    let refused = |other: &Keys, expected: &str| {
        for line in [format!("{one} {other}"), format!("{other} {one}")] {
            let line: Keys = line.parse().unwrap();
            let mut frames = Vec::new();
            let error = get::get(&line, &mut frames, &Options::default()).unwrap_err();
            let said = format!("{error}");
            assert!(said.contains("keys of several streams"), "{said}");
            assert!(said.contains(expected), "{said}");
            for key in line.all() {
                assert!(said.contains(&key.location.to_string()), "{said}");
            }
            assert!(frames.is_empty());
        }
    };
    refused(&put_into(&b, &frames_of(&bytes[1..]), Some("4+1")), "73199");
    for at in [0, 1, 50, 98, 99] {
        let mut other = bytes.clone();
        other[at * 732 + 100] ^= 1;
        let other = put_into(&b, &frames_of(&other), Some("4+1"));
        refused(&other, &format!("frame {at} of "));
        // The last index before the root of one is gone: the other one would be taken in its place.
        if at < 50 {
            let mut indexes = Vec::new();
            let listed = get::list(&one, &Options::default(), |source, role| {
                if role == Role::Index {
                    indexes.push(path_of(&source.to_string()));
                }
                Ok(())
            });
            listed.unwrap();
            assert!(indexes.len() > 2, "a tree");
            let mend = harm(&[indexes.last().unwrap()], "delete");
            refused(&other, &format!("frame {at} of "));
            mend();
        }
    }
    // Another index of the same stream is none of another one.
    let same = put_into(&b, &frames_of(&bytes), Some("4+1"));
    let line: Keys = format!("{one} {same}").parse().unwrap();
    let mut frames = Vec::new();
    get::get(&line, &mut frames, &Options::default()).unwrap();
    assert!(frames == frames_of(&bytes));
}

/// Stores an index frame with this text; gives its key.
fn forged(folder: &Path, text: &str) -> storagex::Key {
    use storagex::wire::frame::{Codec, FrameKind, Place, Trailer, to_pixels};
    let trailer = Trailer {
        kind: FrameKind::Index,
        codec: Codec::Stored,
        place: Place::Anywhere,
        raw_length: u32::try_from(text.len()).unwrap(),
        sealed: None,
    };
    let size = Size::DEFAULT.fit(text.len());
    let digest = storagex::key::Digest::of(&to_pixels(&trailer, text.as_bytes(), size));
    let mut png = Vec::new();
    let plain = storagex::wire::Carrier::Plain;
    storagex::wire::write_frame(&trailer, text.as_bytes(), plain, size, &mut png);
    let location = stores(folder, 1)[0].put(&digest.into(), &png).unwrap();
    storagex::Key { location, digest }
}

/// What an index says of groups is refused before memory is taken for it.
#[test]
fn an_index_of_somebody_else() {
    let backup = Backup::new(4, "4+1", 1, false, 200);
    let mut bytes = Vec::new();
    let png = fs::read(&backup.indexes[0]).unwrap();
    storagex::wire::carrier::pixels::parse(&png, &mut bytes).unwrap();
    let text = storagex::wire::frame::payload(&bytes);
    let good: serde_json::Value = serde_json::from_slice(text).unwrap();
    let parity = good["groups"][0]["parity"][0].clone();
    let cases: Vec<(&str, serde_json::Value, &str)> = vec![
        (
            "/groups/0/frames",
            5.into(),
            "group 0 of 5 frames, expected 1 to 4",
        ),
        ("/groups/0/frames", 0.into(), "group 0 of 0 frames"),
        ("/groups/0/frames", 3.into(), "1 pieces in no group"),
        (
            "/groups/0/frames",
            (1u64 << 31).into(),
            "group 0 of 2147483648 frames",
        ),
        (
            "/groups/0/shard",
            (1u64 << 32).into(),
            "shards of 4294967296 bytes",
        ),
        ("/groups/0/shard", 0.into(), "shards of 0 bytes"),
        ("/groups/0/shard", 100.into(), "a multiple of 64"),
        ("/groups/0/parity", serde_json::json!([]), "0 parity frames"),
        (
            "/groups/0/parity",
            vec![parity.clone(); 65].into(),
            "65 parity frames",
        ),
        (
            "/groups/0/parity/0/key",
            "../x.png".into(),
            "key \"../x.png\"",
        ),
        (
            "/groups/0/parity/0/key",
            "file:///etc/passwd".into(),
            "key \"file:///etc/passwd\"",
        ),
        (
            "/groups/0/parity/0/checksum",
            "md5:1".into(),
            "checksum \"md5:1\"",
        ),
        ("/groups", serde_json::json!([]), "4 pieces in no group"),
        ("/copies", 65.into(), "copies 65"),
    ];
    for (at, value, message) in cases {
        let mut index = good.clone();
        *index.pointer_mut(at).unwrap() = value;
        let key = forged(backup.folder.path(), &index.to_string());
        let error = get::get(&key, &mut Vec::new(), &Options::default()).unwrap_err();
        assert!(matches!(error.kind(), Kind::Index(_)), "{at}: {error}");
        assert!(error.to_string().contains(message), "{at}: {error}");
    }
    for spread in [1u64, 17, u64::MAX] {
        let mut index = good.clone();
        index["spread"] = spread.into();
        let key = forged(backup.folder.path(), &index.to_string());
        let error = get::get(&key, &mut Vec::new(), &Options::default()).unwrap_err();
        assert!(error.to_string().contains("spread"), "{error}");
    }
    // Parity of another stream, whose digest is right: the frame stays lost.
    let other = Backup::new(5, "4+1", 1, false, 200);
    let stranger = &other.groups[0][4];
    let mut index = good.clone();
    let name = stranger.file_name().unwrap().to_str().unwrap();
    let digest = name.strip_suffix(".png").unwrap();
    index["groups"][0]["parity"][0]["key"] = format!("../{}/{name}", &digest[..2]).into();
    index["groups"][0]["parity"][0]["checksum"] = format!("blake3:{digest}").into();
    let store = backup.folder.path().join("s0");
    let key = forged(backup.folder.path(), &index.to_string());
    fs::create_dir_all(store.join(&digest[..2])).unwrap();
    fs::copy(stranger, store.join(&digest[..2]).join(name)).unwrap();
    get::get(&key, &mut Vec::new(), &Options::default()).unwrap();
    fs::remove_file(&backup.groups[0][1]).unwrap();
    let error = get::get(&key, &mut Vec::new(), &Options::default()).unwrap_err();
    assert!(
        error.to_string().contains("parity of other frames"),
        "{error}"
    );
}
