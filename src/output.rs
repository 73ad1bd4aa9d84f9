//! A file that appears whole or not at all.

use crate::error::{Error, Kind, Result};
use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tempfile::{Builder, NamedTempFile};

/// A file being written, which has no name yet.
///
/// Until [`Output::replace`], an existing file at the path stays as it is, and if the program
/// fails, is interrupted or killed, no new file is left. On a file system without unnamed files
/// (`O_TMPFILE`), the file has a temporary name beside the path, and stays there if the program is
/// killed; [`discard_unfinished`] removes it.
pub struct Output {
    path: PathBuf,
    file: Pending,
}

enum Pending {
    Unnamed(File),
    Named(NamedTempFile, Listed),
}

/// Files that have a temporary name at this moment.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A file that is on the list of those that are unfinished.
struct Listed(PathBuf);

impl Listed {
    fn new(path: &Path) -> Self {
        if let Ok(mut unfinished) = UNFINISHED.lock() {
            unfinished.insert(path.to_owned());
        }
        Listed(path.to_owned())
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if let Ok(mut unfinished) = UNFINISHED.lock() {
            unfinished.remove(&self.0);
        }
    }
}

/// Removes the files of this process that are being written and have a temporary name: for a program
/// that a signal ends, which drops nothing.
pub fn discard_unfinished() {
    // Whoever holds the list is about to end, too.
    let Ok(unfinished) = UNFINISHED.try_lock() else {
        return;
    };
    for path in unfinished.iter() {
        let _ = fs::remove_file(path);
    }
}

impl Output {
    /// Starts a file that will appear at `path`; follows a symbolic link to a file.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`] if the folder doesn't exist or can't be written.
    pub fn new(path: &Path) -> Result<Self> {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let is_file = fs::metadata(&path).map_or(!ends_in_slash(&path), |old| old.is_file());
        if !is_file {
            let error = Error::from(Kind::Io("cannot write")).because("not a regular file");
            return Err(error.at(path.display()));
        }
        let folder = folder_of(&path);
        let file = match unnamed(folder) {
            Err(e) if has_none(&e) => named(folder).map(|file| {
                let listed = Listed::new(file.path());
                Pending::Named(file, listed)
            }),
            other => other.map(Pending::Unnamed),
        };
        match file {
            Ok(file) => Ok(Output { path, file }),
            Err(e) => Err(Error::io("cannot write", e).at(path.display())),
        }
    }

    /// Gives the file its name, replacing an existing file and keeping its permissions; durable
    /// when this returns.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`]; then the old file is unchanged, unless only making the folder durable failed.
    pub fn replace(self) -> Result<()> {
        let path = self.path.clone();
        self.place()?;
        sync_folder(folder_of(&path))
    }

    /// As [`Output::replace`], except that the name is durable only after [`sync_folder`].
    pub(crate) fn place(self) -> Result<()> {
        let path = self.path.clone();
        self.try_place()
            .map_err(|e| Error::io("cannot write", e).at(path.display()))
    }

    fn try_place(self) -> io::Result<()> {
        let folder = folder_of(&self.path);
        if let Ok(old) = fs::metadata(&self.path) {
            self.file().set_permissions(old.permissions())?;
        }
        self.file().sync_all()?;
        match self.file {
            Pending::Named(named, _listed) => named.persist(&self.path)?,
            Pending::Unnamed(file) => match link(&file, &self.path) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                    let linked = builder().make_in(folder, |name| link(&file, name))?;
                    linked.persist(&self.path)?;
                    file
                }
                other => other.map(|()| file)?,
            },
        };
        Ok(())
    }

    fn file(&self) -> &File {
        match &self.file {
            Pending::Unnamed(file) => file,
            Pending::Named(named, _) => named.as_file(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file().write(bytes);
        written.map_err(|e| match e.kind() {
            ErrorKind::Interrupted => e,
            _ => Error::io("cannot write", e)
                .at(self.path.display())
                .into_io(),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

fn ends_in_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// The folder of a path.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    match synced {
        // A folder that can be written but not read, and file systems that can't sync folders.
        Err(e)
            if matches!(
                e.kind(),
                ErrorKind::PermissionDenied | ErrorKind::InvalidInput
            ) =>
        {
            Ok(())
        }
        other => other.map_err(|e| Error::io("cannot make durable", e).at(folder.display())),
    }
}

fn builder<'a>() -> Builder<'a, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".storagex-");
    builder
}

fn named(folder: &Path) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    builder()
        .permissions(Permissions::from_mode(0o666)) // less the umask
        .tempfile_in(folder)
}

#[cfg(target_os = "linux")]
fn unnamed(folder: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    if !Path::new("/proc/self/fd").exists() {
        return Err(ErrorKind::Unsupported.into()); // it couldn't be given a name
    }
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666))?;
    Ok(File::from(file))
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_folder: &Path) -> io::Result<File> {
    Err(ErrorKind::Unsupported.into())
}

/// Whether an error of open(2) means that this file system or kernel has no unnamed files.
fn has_none(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unsupported | ErrorKind::IsADirectory
    )
}

/// Gives an unnamed file a free name, as open(2) shows under `O_TMPFILE`.
fn link(file: &File, name: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD};
    use std::os::fd::AsRawFd;
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, unnamed, CWD, name, AtFlags::SYMLINK_FOLLOW)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        let mut output = Output::new(&path).unwrap();
        output.write_all(b"ne").unwrap();
        drop(output);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let mut output = Output::new(&path).unwrap();
        output.write_all(b"new").unwrap();
        output.replace().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_and_permissions_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("link"), folder.path().join("file"));
        fs::write(&other, "old").unwrap();
        fs::set_permissions(&other, Permissions::from_mode(0o640)).unwrap();
        symlink("file", &path).unwrap();
        Output::new(&path).unwrap().replace().unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        let now = fs::metadata(&other).unwrap();
        assert_eq!((now.len(), now.permissions().mode() & 0o777), (0, 0o640));
    }
}
