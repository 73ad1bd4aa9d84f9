//! Fetches pictures from whichever store has them.

use super::home::{Home, Names};
use super::options::Options;
use super::trees::{Tree, Trees};
use crate::error::{Error, Kind, Result};
use crate::index::{self, Link, Turn};
use crate::key::{Digest, Key, Keys, Location, Name};
use crate::store::{self, Fetched};
use crate::wire::frame::Trailer;
use crate::wire::parity::MOST_PARITY;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

/// How long a store may be silent before the next one is asked for the same picture, too.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// How long to wait for a store that is silent or out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Only where nothing shows that it is so: there may be another way to the same bytes.
    Briefly,
    /// Until the store has given up by itself.
    Fully,
}

/// Finds pictures in the stores of a line of keys, and in those that the user named to look in
/// first.
pub(crate) struct Finder {
    homes: Vec<Arc<Home>>,
    /// The numbers of the homes of the line, in its order.
    line: Vec<usize>,
    trees: Trees,
    passed_over: AtomicBool,
    limit: usize,
}

/// A picture's place, and the number of the home that it is in.
type Place = (usize, Location);

/// A frame that an index refers to.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub link: &'a Link,
    /// The home of the pictures that the index refers to.
    pub home: usize,
    /// The store that the frame was dealt out to, if it was.
    pub turn: Option<Turn>,
    /// The number of the data frame, or, of a parity frame, that of the first data frame of its group.
    pub seq: Option<u64>,
}

impl Finder {
    pub fn new(keys: &Keys, options: &Options) -> Result<Arc<Self>> {
        let lent = options.lent()?;
        let mut homes = Vec::new();
        for name in &options.from {
            let opened = store::open(name, &options.store)?;
            let name = name.to_string_lossy().into();
            homes.push(Home::new(opened, Names::Opened, name));
        }
        let mut line = Vec::new();
        let mut known: Vec<(String, usize)> = Vec::new();
        for key in keys.all() {
            let names = Names::of(key);
            let id = match &names {
                Names::Store(store) => store.clone(),
                _ => key.location.scheme_and_host().to_owned(),
            };
            if known.iter().all(|(other, _)| *other != id) {
                known.push((id.clone(), homes.len()));
                line.push(homes.len());
                let store = store::at(&key.location, &lent)?;
                homes.push(Home::new(store, names, id));
            }
        }
        let trees = trees(keys, &homes, &line);
        Ok(Arc::new_cyclic(|this| Finder {
            homes,
            line,
            trees: Trees::new(trees, Weak::clone(this)),
            passed_over: AtomicBool::new(false),
            limit: options.limit,
        }))
    }

    /// The home of a key in the line.
    pub fn home_of(&self, key: &Key) -> usize {
        home_of(key, &self.homes, &self.line)
    }

    /// The trees of the line.
    pub fn trees(&self) -> &Trees {
        &self.trees
    }

    /// Notes that a home doesn't answer.
    pub fn was_silent(&self, home: usize) {
        self.pass_over();
        self.homes[home].was_silent();
    }

    /// Notes that a place was not asked, or not waited for.
    pub fn pass_over(&self) {
        self.passed_over.store(true, Relaxed);
    }

    /// The homes of the line.
    pub fn line(&self) -> &[usize] {
        &self.line
    }

    /// The stores to look in first.
    pub fn first(&self) -> std::ops::Range<usize> {
        0..self.line[0]
    }

    /// The place of a picture of this name in a home; none on an image host.
    pub fn locate(&self, home: usize, name: &Name) -> Option<Location> {
        self.homes[home].locate(name)
    }

    /// The places of a picture of this name in the stores to look in first.
    pub fn opened(&self, name: &Name) -> Vec<Place> {
        let place = |at: usize| Some((at, self.homes[at].locate(name)?));
        self.first().filter_map(place).collect()
    }

    /// The name of a home: its store, or, for an image host, its scheme and host.
    pub fn name(&self, home: usize) -> String {
        self.homes[home].name.clone()
    }

    /// Fetches the frame of this digest from one place.
    pub fn fetch_at(
        &self,
        home: usize,
        location: &Location,
        digest: &Digest,
        limit: usize,
        to: &mut Fetched,
    ) -> Result<Trailer> {
        self.homes[home].fetch(location, digest, limit, to)
    }

    /// The places where a frame may be, likeliest first.
    fn places(&self, wanted: Wanted) -> Vec<Place> {
        let Wanted {
            link, home, turn, ..
        } = wanted;
        let mut places: Vec<Place> = Vec::new();
        for (copy, own) in (0..).zip(&link.places) {
            let digest = link.digest;
            let name = Name { digest, copy };
            let here = |at: usize| Some((at, self.homes[at].locate(&name)?));
            let turn = turn.and_then(|turn| self.line.get(turn.0).copied());
            let turn = turn.filter(|_| copy == 0).and_then(here);
            let line = self.line.iter().filter_map(|&at| here(at));
            let own = [(home, own.clone())];
            for place in self
                .opened(&name)
                .into_iter()
                .chain(turn)
                .chain(own)
                .chain(line)
            {
                if places.iter().all(|(_, other)| *other != place.1) {
                    places.push(place);
                }
            }
        }
        for place in self.elsewhere(wanted, Wait::Briefly) {
            if places.iter().all(|(_, other)| *other != place.1) {
                places.push(place);
            }
        }
        places.sort_by_key(|(at, _)| self.homes[*at].is_slow());
        places
    }

    /// The places of a frame in all trees of the line.
    pub fn elsewhere(&self, wanted: Wanted, wait: Wait) -> Vec<Place> {
        let seq = wanted.seq.into_iter();
        seq.flat_map(|seq| self.trees.places(seq, &wanted.link.digest, wait))
            .collect()
    }

    /// Whether any place was not asked, or not waited for: it may have what others have lost.
    pub fn has_passed_over(&self) -> bool {
        self.passed_over.load(Relaxed)
    }

    /// Whether the store that a frame was dealt out to, if it was, is silent or out of reach.
    pub fn is_slow(&self, turn: Option<Turn>) -> bool {
        let home = turn.and_then(|turn| self.line.get(turn.0));
        home.is_some_and(|&at| self.homes[at].is_slow())
    }

    /// Fetches a frame; gives its trailer.
    ///
    /// # Errors
    ///
    /// Those of the store that it should be in.
    pub fn fetch(&self, wanted: Wanted, wait: Wait, to: &mut Fetched) -> Result<Trailer> {
        let link = wanted.link;
        let (digest, main) = (&link.digest, &link.places[0]);
        let mut places = self.places(wanted);
        if wait == Wait::Briefly && places.len() > 1 {
            let all = places.len();
            places.retain(|(at, _)| !self.homes[*at].is_slow());
            if places.len() < all {
                self.pass_over();
            }
        }
        let failed = match self.fetch_from(&places, digest, main, wait, to) {
            Ok(trailer) => return Ok(trailer),
            Err(failed) => failed,
        };
        if let Some(trailer) = self.exhume(&failed.lost, &places, link, to) {
            return Ok(trailer);
        }
        let mut late = match wait {
            Wait::Briefly => Vec::new(),
            Wait::Fully => self.elsewhere(wanted, wait),
        };
        late.retain(|place| !places.contains(place));
        if late.is_empty() {
            return Err(failed.error);
        }
        let found = self.fetch_from(&late, digest, main, wait, to);
        found.map_err(|_| failed.error)
    }

    /// Fetches a frame that a prune has made a fossil in a place that has lost it; and, as it may have been
    /// moved back meanwhile, looks into all places once more.
    fn exhume(
        &self,
        lost: &[Place],
        places: &[Place],
        link: &Link,
        to: &mut Fetched,
    ) -> Option<Trailer> {
        let digest = &link.digest;
        let mut is_pruned = false;
        for (home, place) in lost {
            let copies = (0..=link.places.len()).filter_map(|copy| u8::try_from(copy).ok());
            let mut names = copies.map(|copy| Name {
                digest: *digest,
                copy,
            });
            let Some(name) = names.find(|name| place.store_of(name).is_some()) else {
                continue;
            };
            for batch in self.homes[*home].batches(place, &name) {
                is_pruned = true;
                let fossil = store::fossil(place, &name, batch)?;
                let fetched = self.homes[*home].fetch(&fossil, digest, self.limit, to);
                if let Ok(trailer) = fetched {
                    return Some(trailer);
                }
            }
        }
        let main = &link.places[0];
        let again = || {
            self.fetch_from(places, digest, main, Wait::Briefly, to)
                .ok()
        };
        is_pruned.then(again)?
    }

    /// Fetches the first good one of these.
    fn fetch_from(
        &self,
        places: &[Place],
        digest: &Digest,
        main: &Location,
        wait: Wait,
        to: &mut Fetched,
    ) -> std::result::Result<Trailer, Failed> {
        match places {
            [] => Err(Failed::silent(Vec::new())),
            [place @ (home, location)] if wait == Wait::Fully || self.homes.len() == 1 => {
                let fetched = self.homes[*home].fetch(location, digest, self.limit, to);
                fetched.map_err(|error| Failed::of(error, place, main))
            }
            _ => self.race(places, digest, main, wait, to),
        }
    }

    /// Asks one place after another; if one doesn't answer for a while, asks the next one, too.
    fn race(
        &self,
        places: &[Place],
        digest: &Digest,
        main: &Location,
        wait: Wait,
        to: &mut Fetched,
    ) -> std::result::Result<Trailer, Failed> {
        let (sender, answers) = mpsc::channel();
        let mut left = places.iter();
        let mut running = 0;
        let mut failed: Option<Failed> = None;
        let mut asked: Vec<usize> = Vec::new();
        loop {
            if let Some((at, location)) = left.next() {
                let home = Arc::clone(&self.homes[*at]);
                let (location, digest, limit) = (location.clone(), *digest, self.limit);
                let (sender, at) = (sender.clone(), *at);
                thread::spawn(move || {
                    let mut fetched = Fetched::default();
                    let done = home.fetch(&location, &digest, limit, &mut fetched);
                    // Nobody waits for it any more where another place was faster.
                    let _ = sender.send((at, location, done.map(|trailer| (trailer, fetched))));
                });
                asked.push(at);
                running += 1;
            }
            if running == 0 {
                return Err(failed.expect("internal error: no place"));
            }
            let has_other_way = left.len() > 0 || wait == Wait::Briefly;
            let most = if has_other_way {
                PATIENCE
            } else {
                Duration::MAX
            };
            let answer = match answers.recv_timeout(most) {
                Ok(answer) => answer,
                Err(RecvTimeoutError::Timeout) => {
                    self.pass_over();
                    for at in &asked {
                        self.homes[*at].was_silent();
                    }
                    if left.len() == 0 {
                        return Err(Failed::silent(
                            failed.map_or(Vec::new(), |failed| failed.lost),
                        ));
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => unreachable!("internal error: we hold one"),
            };
            running -= 1;
            let (at, location, done) = answer;
            asked.retain(|other| *other != at);
            match done {
                Ok((trailer, fetched)) => {
                    *to = fetched;
                    return Ok(trailer);
                }
                Err(error) => {
                    let is_main = location == *main;
                    let this = Failed::of(error, &(at, location), main);
                    failed = Some(match failed {
                        Some(others) => others.and(this, is_main),
                        None => this,
                    });
                }
            }
        }
    }

    /// Fetches the text of an index that an index in `home` refers to.
    pub fn fetch_index(&self, link: &Link, home: usize) -> Result<Vec<u8>> {
        let mut fetched = Fetched::default();
        let wanted = Wanted {
            link,
            home,
            turn: None,
            seq: None,
        };
        let trailer = self.fetch(wanted, Wait::Fully, &mut fetched)?;
        index::text(&trailer, &fetched.bytes)
    }

    /// Fetches the text of a root that keys of the line name; also looks for its copies.
    pub fn fetch_root(&self, root: &Link) -> Result<Vec<u8>> {
        let mut fetched = Fetched::default();
        let key = |location: &Location| Key {
            location: location.clone(),
            digest: root.digest,
        };
        let named = |copy: u8| {
            let digest = root.digest;
            let homes = self.homes.iter().enumerate();
            homes.filter_map(move |(at, home)| Some((at, home.locate(&Name { digest, copy })?)))
        };
        let opened = named(0).filter(|(at, _)| *at < self.line[0]);
        let keys = root.places.iter();
        let keys = keys.map(|location| (self.home_of(&key(location)), location.clone()));
        let places: Vec<Place> = opened.chain(keys).collect();
        let main = &root.places[0];
        let mut done = self.fetch_from(&places, &root.digest, main, Wait::Fully, &mut fetched);
        if let Err(failed) = &done
            && let Some(trailer) = self.exhume(&failed.lost, &places, root, &mut fetched)
        {
            done = Ok(trailer);
        }
        for copy in 1..=u8::try_from(MOST_PARITY).unwrap_or(u8::MAX) {
            match &done {
                Err(failed) if !failed.lost.is_empty() => {}
                _ => break,
            }
            let places: Vec<Place> = named(copy).collect();
            if places.is_empty() {
                break;
            }
            let copy = self.fetch_from(&places, &root.digest, main, Wait::Fully, &mut fetched);
            done = copy.or(done);
        }
        let trailer = done.map_err(|failed| failed.error)?;
        index::text(&trailer, &fetched.bytes)
    }
}

/// The error of a store that isn't waited for.
pub(super) fn silent() -> Error {
    let error = Error::from(Kind::Io("no answer"));
    error.because("the store is silent or out of reach")
}

/// The home of a key in a line.
fn home_of(key: &Key, homes: &[Arc<Home>], line: &[usize]) -> usize {
    let name = Name::from(key.digest);
    let is_here = |at: &usize| {
        let home = &homes[*at];
        home.is_store() && home.locate(&name).as_ref() == Some(&key.location)
    };
    let host = key.location.scheme_and_host();
    let is_host = |at: &usize| homes[*at].is_urls() && homes[*at].name == host;
    let of_line = || line.iter().copied();
    let found = of_line().find(is_here).or_else(|| of_line().find(is_host));
    found.unwrap_or(line[0])
}

/// The trees of a line: keys of the same digest share a tree.
fn trees(keys: &Keys, homes: &[Arc<Home>], line: &[usize]) -> Vec<Tree> {
    let mut trees: Vec<Tree> = Vec::new();
    for key in keys.all() {
        match trees.iter_mut().find(|tree| tree.root.digest == key.digest) {
            Some(tree) => tree.root.places.push(key.location.clone()),
            None => trees.push(Tree {
                root: Link::new(key.clone()),
                home: home_of(key, homes, line),
            }),
        }
    }
    trees
}

/// Why no place has given a frame.
struct Failed {
    /// That of a place out of reach, which may have the frame; else that of the main place, or of the first.
    error: Error,
    /// Places that have lost it.
    lost: Vec<Place>,
}

impl Failed {
    fn of(error: Error, place: &Place, main: &Location) -> Self {
        // An error of one file says nothing of the other files.
        let is_lost = error.is_loss() || place.1.scheme() == "file";
        Failed {
            error: match place.1 == *main {
                true => error,
                false => error.at(&place.1),
            },
            lost: is_lost.then(|| place.clone()).into_iter().collect(),
        }
    }

    /// Stores are silent that are not waited for.
    fn silent(lost: Vec<Place>) -> Self {
        Failed {
            error: silent(),
            lost,
        }
    }

    /// Adds another place, which may be the main one.
    fn and(mut self, mut other: Failed, is_main: bool) -> Self {
        self.lost.append(&mut other.lost);
        let is_better = match (self.error.is_loss(), other.error.is_loss()) {
            (true, false) => true,
            (false, true) => false,
            _ => is_main,
        };
        if is_better {
            self.error = other.error;
        }
        self
    }
}
