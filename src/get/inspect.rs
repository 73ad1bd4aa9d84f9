//! Inspects every picture that a line of keys refers to, in every place where it should be.

use super::fetch::{Finder, Wait, Wanted};
use super::gather::lock;
use super::options::Options;
use super::rebuild::Rebuilder;
use super::trail::{Step, Trail};
use super::trees::Tree;
use crate::error::{Error, Kind, Result};
use crate::index::{Found, Group, Link, Lost, Piece, Role, Turn, Walker};
use crate::key::{Key, Location, Name};
use crate::pipeline;
use crate::store::Fetched;
use crate::wire::carrier::sturdy::Corrections;
use crate::wire::frame::FrameKind;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// A picture that an index refers to.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    pub role: Role,
    pub link: Link,
    /// 0, or the number of the copy.
    pub copy: u8,
    /// The home of its tree.
    pub home: usize,
    pub turn: Option<Turn>,
    /// Its group, and its number among the shards there.
    pub group: Option<(Arc<Group>, usize)>,
    /// Number, offset and size, of a data frame.
    pub stands: (u64, u64, u64),
}

impl Picture {
    pub fn name(&self) -> Name {
        Name {
            digest: self.link.digest,
            copy: self.copy,
        }
    }

    fn wanted(&self) -> Wanted<'_> {
        let is_frame = matches!(self.role, Role::Data | Role::Parity);
        Wanted {
            link: &self.link,
            home: self.home,
            turn: self.turn,
            seq: is_frame.then_some(self.stands.0),
        }
    }
}

/// The state of a picture in a place.
#[derive(Debug)]
pub(super) enum State {
    /// As it should be, after these corrections.
    Good(Corrections),
    Missing,
    /// It is there but wrong, or can't be reached: why.
    Damaged(Error),
}

/// A place of a picture, and the picture's state there.
#[derive(Debug)]
pub(super) struct Place {
    pub home: usize,
    pub location: Location,
    pub state: State,
}

/// A picture that was inspected.
#[derive(Default)]
pub(super) struct Looked {
    /// None where an index is lost: see `lost`.
    pub picture: Option<Picture>,
    pub lost: Option<Lost>,
    pub places: Vec<Place>,
    /// Whether it can be restored, from any place or from its group.
    pub can_be_had: bool,
    /// Why it can't.
    pub error: Option<Error>,
    /// The picture as fetched or rebuilt; empty if it can't be had.
    pub fetched: Fetched,
}

impl Looked {
    pub fn picture(&self) -> &Picture {
        self.picture.as_ref().expect("internal error: no picture")
    }

    /// The data frames that have been looked at, or that a lost index listed, and their bytes.
    fn stands_for(&self) -> (u64, u64) {
        match (&self.picture, &self.lost) {
            (Some(picture), _) if picture.role == Role::Data => (1, picture.stands.2),
            (None, Some(lost)) => lost.total.unwrap_or_default(),
            _ => (0, 0),
        }
    }

    /// Whether it is good in some place.
    pub fn is_good(&self) -> bool {
        self.places
            .iter()
            .any(|place| matches!(place.state, State::Good(_)))
    }
}

/// A way through the pictures of a line.
pub(super) trait Steps: Send + 'static {
    /// The next index, data frame or gap.
    fn next(&mut self) -> Result<Option<Step>>;

    /// Bytes of the stream, once that is known.
    fn size(&self) -> Option<u64>;

    /// The trees that it leads through.
    fn trees(&self) -> Vec<Tree>;
}

/// One tree from start to end, whatever the others have.
pub(super) struct Whole {
    walker: Walker,
    tree: Tree,
}

impl Whole {
    pub fn new(number: usize, finder: &Finder) -> Self {
        let trees = finder.trees();
        Whole {
            walker: trees.walker(number, 0),
            tree: trees.all()[number].clone(),
        }
    }
}

impl Steps for Whole {
    fn next(&mut self) -> Result<Option<Step>> {
        Ok(match self.walker.next()? {
            Some(Found::Lost(lost)) => Some(Step::Lost(lost)),
            Some(found) => Some(Step::Found(found, self.tree.home)),
            None => None,
        })
    }

    fn size(&self) -> Option<u64> {
        self.walker.size()
    }

    fn trees(&self) -> Vec<Tree> {
        vec![self.tree.clone()]
    }
}

impl Steps for Trail {
    fn next(&mut self) -> Result<Option<Step>> {
        self.next()
    }

    fn size(&self) -> Option<u64> {
        self.size()
    }

    fn trees(&self) -> Vec<Tree> {
        self.trees().to_vec()
    }
}

/// Inspects pictures.
pub(super) struct Inspector {
    pub finder: Arc<Finder>,
    pub rebuilder: Rebuilder,
    /// For each tree, the home of its pictures, and all homes that have them.
    homes: Vec<(usize, Vec<usize>)>,
    limit: usize,
    /// Buffers, two pairs for each worker. None is freed, as a thread may keep the memory that it has
    /// allocated.
    spare: Mutex<Vec<Fetched>>,
}

/// Inspects every picture on the way that `draw` selects, many at once: calls `work` with each, for it
/// to look, and then `drain` in order.
pub(super) fn run(
    mut steps: impl Steps,
    finder: &Arc<Finder>,
    options: &Options,
    mut draw: impl FnMut(&Picture) -> bool + Send + 'static,
    work: impl Fn(&Inspector, &mut Looked) -> Result<()> + Send + Sync + 'static,
    mut drain: impl FnMut(&mut Looked) -> Result<()>,
) -> Result<()> {
    let inspector = Inspector::new(&steps.trees(), finder, options);
    let mut waiting = VecDeque::new();
    let progress = &options.store.progress;
    let mut expecting = progress.expecting();
    pipeline::run(
        options.jobs,
        Looked::default,
        move |looked: &mut Looked| {
            *looked = Looked {
                fetched: std::mem::take(&mut looked.fetched),
                ..Looked::default()
            };
            let found = next(&mut steps, &mut waiting, &mut draw, looked)?;
            expecting.see(steps.size());
            Ok(found)
        },
        move |looked, (): &mut ()| {
            if looked.picture.is_some() {
                work(&inspector, looked)?;
            }
            Ok(())
        },
        |looked| {
            let (frames, bytes) = looked.stands_for();
            drain(looked)?;
            progress.frames(frames, bytes);
            Ok(())
        },
    )
}

/// The next selected picture, or the next lost index.
fn next(
    steps: &mut impl Steps,
    waiting: &mut VecDeque<Picture>,
    draw: &mut impl FnMut(&Picture) -> bool,
    looked: &mut Looked,
) -> Result<bool> {
    loop {
        while let Some(picture) = waiting.pop_front() {
            if draw(&picture) {
                looked.picture = Some(picture);
                return Ok(true);
            }
        }
        match steps.next()? {
            None => return Ok(false),
            Some(Step::Lost(lost) | Step::Found(Found::Lost(lost), _)) => {
                looked.lost = Some(lost);
                return Ok(true);
            }
            Some(Step::Found(Found::Index(link), home)) => waiting.extend(index(&link, home)),
            Some(Step::Found(Found::Piece(piece), home)) => {
                waiting.extend(data_and_parity(piece, home));
            }
        }
    }
}

/// An index frame and its copies.
fn index(link: &Link, home: usize) -> Vec<Picture> {
    let digest = link.digest;
    let named = |copy| {
        let is_named = |place: &&Location| place.store_of(&Name { digest, copy }).is_some();
        link.places.iter().find(is_named).cloned()
    };
    // On a host, each key of a root is a place, and each copy has its own. In stores that name pictures by
    // their digests, each key is a place of the root itself.
    let places = match link.places[0].store_of(&digest.into()) {
        Some(_) => (0..=u8::MAX).map_while(named).collect(),
        None => link.places.clone(),
    };
    let link = Link { digest, places };
    let picture = |copy| Picture {
        role: if copy == 0 { Role::Index } else { Role::Copy },
        link: link.clone(),
        copy,
        home,
        turn: None,
        group: None,
        stands: (0, 0, 0),
    };
    (0..=u8::MAX).take(link.places.len()).map(picture).collect()
}

/// A data frame, and, if it is the first of its group, the parity frames.
fn data_and_parity(piece: Piece, home: usize) -> Vec<Picture> {
    let Piece {
        link,
        seq,
        offset,
        size,
        group,
    } = piece;
    let turn = group
        .as_ref()
        .and_then(|(group, number)| group.link(*number).1);
    let is_first = group.as_ref().is_some_and(|(group, _)| group.seq == seq);
    let data = Picture {
        role: Role::Data,
        link,
        copy: 0,
        home,
        turn,
        group,
        stands: (seq, offset, size),
    };
    let group = data.group.clone().filter(|_| is_first);
    let parity = group.into_iter().flat_map(|(group, _)| {
        (group.data.len()..group.shards()).map(move |number| {
            let (link, turn) = group.link(number);
            Picture {
                role: Role::Parity,
                link: link.clone(),
                copy: 0,
                home,
                turn,
                group: Some((Arc::clone(&group), number)),
                stands: (seq, offset, 0),
            }
        })
    });
    std::iter::once(data.clone()).chain(parity).collect()
}

impl Inspector {
    fn new(trees: &[Tree], finder: &Arc<Finder>, options: &Options) -> Self {
        let homes = |tree: &Tree| {
            let mut homes = Vec::new();
            for location in &tree.root.places {
                let home = finder.home_of(&Key {
                    location: location.clone(),
                    digest: tree.root.digest,
                });
                if !homes.contains(&home) {
                    homes.push(home);
                }
            }
            (tree.home, homes)
        };
        Inspector {
            finder: Arc::clone(finder),
            rebuilder: Rebuilder::new(finder, options.jobs, options.limit),
            homes: trees.iter().map(homes).collect(),
            spare: Mutex::default(),
            limit: options.limit,
        }
    }

    /// Where a picture should be; on the way through several trees, by each of them.
    fn places(&self, picture: &Picture) -> Vec<(usize, Location)> {
        let name = picture.name();
        let own = picture.link.places[usize::from(picture.copy)].clone();
        if own.store_of(&name).is_none() {
            let own = (picture.home, own);
            let mut places = match self.homes.len() {
                1 => Vec::new(),
                _ => self.finder.elsewhere(picture.wanted(), Wait::Fully),
            };
            places.retain(|place| *place != own);
            places.insert(0, own);
            return places;
        }
        let line = self.finder.line();
        let homes = if let Some(&home) = picture.turn.and_then(|turn| line.get(turn.0)) {
            vec![home]
        } else {
            let mut trees = self.homes.iter();
            let found = trees.find(|(home, _)| *home == picture.home);
            found.map_or(vec![picture.home], |(_, homes)| homes.clone())
        };
        let named = homes.iter();
        let named = named.filter_map(|&home| Some((home, self.finder.locate(home, &name)?)));
        named.collect()
    }

    /// Inspects a picture in a store that the user named, or, if it is good in none of these, in each of
    /// its own places.
    pub fn look(&self, looked: &mut Looked) {
        let opened = self.finder.opened(&looked.picture().name());
        for place in opened {
            self.look_at(vec![place], looked);
            if looked.is_good() {
                return;
            }
        }
        self.look_at_home(looked);
    }

    /// The same; but if the user named one of the picture's own stores, inspects it in all that were named,
    /// or in all its own, whichever are more: a second copy that is lost must not go unnoticed.
    pub fn look_everywhere(&self, looked: &mut Looked) {
        let opened = self.finder.opened(&looked.picture().name());
        let own = self.places(looked.picture());
        let is_own = |(_, place): &(usize, Location)| own.iter().any(|(_, own)| own == place);
        if !opened.iter().any(is_own) {
            return self.look(looked);
        }
        let most = match opened.len() >= own.len() {
            true => opened,
            false => own,
        };
        self.look_at(most, looked);
        if !looked.is_good() {
            self.look_at_home(looked);
        }
    }

    /// Inspects a picture in each of its own places; if it is good in none, fetches it from any store,
    /// or rebuilds it.
    pub fn look_at_home(&self, looked: &mut Looked) {
        let picture = looked.picture().clone();
        self.look_at(self.places(&picture), looked);
        if !looked.is_good() {
            looked.error = self.mend(&picture, &mut looked.fetched).err();
            looked.can_be_had = looked.error.is_none();
            if !looked.can_be_had {
                // What another place has there is another picture.
                looked.fetched.png.clear();
                looked.fetched.bytes.clear();
            }
        }
    }

    /// Inspects a picture in these places.
    fn look_at(&self, places: Vec<(usize, Location)>, looked: &mut Looked) {
        let picture = looked.picture().clone();
        let mut good = self.buffers();
        if looked.fetched.png.capacity() == 0 {
            looked.fetched = self.buffers();
        }
        looked.places.clear();
        for (home, location) in places {
            let state = self.state(home, &location, &picture, &mut looked.fetched);
            if matches!(state, State::Good(_)) {
                std::mem::swap(&mut good, &mut looked.fetched);
            }
            looked.places.push(Place {
                home,
                location,
                state,
            });
        }
        if looked.is_good() {
            std::mem::swap(&mut good, &mut looked.fetched);
            looked.can_be_had = true;
        }
        lock(&self.spare).push(good);
    }

    fn buffers(&self) -> Fetched {
        lock(&self.spare).pop().unwrap_or_default()
    }

    /// Takes back the buffers of a picture whose bytes aren't needed any more.
    pub fn recycle(&self, looked: &mut Looked) {
        lock(&self.spare).push(std::mem::take(&mut looked.fetched));
    }

    fn state(
        &self,
        home: usize,
        location: &Location,
        picture: &Picture,
        to: &mut Fetched,
    ) -> State {
        let digest = &picture.link.digest;
        match self.finder.fetch_at(home, location, digest, self.limit, to) {
            Ok(trailer) if trailer.kind == kind(picture.role) => State::Good(to.corrections),
            Ok(_) => State::Damaged(Kind::Index("a frame of another kind".into()).into()),
            Err(e) if e.kind() == &Kind::NotFound => State::Missing,
            Err(e) => State::Damaged(e),
        }
    }

    /// Fetches a picture from any place, or rebuilds it.
    fn mend(&self, picture: &Picture, to: &mut Fetched) -> Result<()> {
        let home = picture.home;
        let fetched = self.finder.fetch(picture.wanted(), Wait::Fully, to);
        match (fetched, &picture.group) {
            (Ok(_), _) => Ok(()),
            (Err(_), Some((group, number))) => {
                let made = self
                    .rebuilder
                    .rebuild(group, *number, home, Wait::Fully, to);
                made.map(drop)
            }
            (Err(e), None) => Err(e),
        }
    }
}

fn kind(role: Role) -> FrameKind {
    match role {
        Role::Data => FrameKind::Data,
        Role::Parity => FrameKind::Parity,
        Role::Index | Role::Copy => FrameKind::Index,
    }
}
