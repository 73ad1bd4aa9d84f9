//! Sources of bytes: several files as one run of bytes, and the output of a command.

use crate::error::{Error, Kind};
use std::fs::File;
use std::io::{self, IoSliceMut, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// Files, one after another; each is opened when its turn comes.
pub struct Files {
    left: Box<dyn Iterator<Item = PathBuf> + Send>,
    open: Option<(PathBuf, File)>,
}

impl Files {
    /// These files, in this order.
    pub fn new(paths: impl Iterator<Item = PathBuf> + Send + 'static) -> Self {
        Files {
            left: Box::new(paths),
            open: None,
        }
    }
}

impl Read for Files {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_vectored(&mut [IoSliceMut::new(buffer)])
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        loop {
            if let Some((path, file)) = &mut self.open {
                match file.read_vectored(buffers) {
                    Ok(0) if !is_empty(buffers) => {}
                    Err(e) if e.kind() != io::ErrorKind::Interrupted => {
                        return Err(Error::io("cannot read", e).at(path.display()).into_io());
                    }
                    other => return other,
                }
            }
            let Some(path) = self.left.next() else {
                self.open = None;
                return Ok(0);
            };
            let file = open(&path).map_err(Error::into_io)?;
            self.open = Some((path, file));
        }
    }
}

/// Opens a file to read.
///
/// # Errors
///
/// [`Kind::Io`], with the path as the place.
pub fn open(path: &std::path::Path) -> crate::Result<File> {
    File::open(path).map_err(|e| Error::io("cannot open", e).at(path.display()))
}

/// The output of a command. If the command fails or is killed, the end of its output is an error,
/// [`Kind::Command`].
pub struct CommandOutput {
    name: String,
    child: Child,
    output: ChildStdout,
}

impl CommandOutput {
    /// Starts the command; its stdin and stderr are ours.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`] if it can't be started.
    pub fn start(mut command: Command) -> crate::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| Error::io("cannot run", e).at(format_args!("command '{name}'")))?;
        let output = child.stdout.take().expect("internal error: a piped stdout");
        Ok(CommandOutput {
            name,
            child,
            output,
        })
    }

    /// The pipe that carries the output.
    #[must_use]
    pub fn pipe(&self) -> &ChildStdout {
        &self.output
    }
}

impl Read for CommandOutput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_vectored(&mut [IoSliceMut::new(buffer)])
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let count = self.output.read_vectored(buffers)?;
        if count > 0 || is_empty(buffers) {
            return Ok(count);
        }
        let status = self.child.wait()?;
        match status.success() {
            true => Ok(0),
            false => Err(Error::from(Kind::Command(how(status)))
                .at(format_args!("command '{}'", self.name))
                .into_io()),
        }
    }
}

fn is_empty(buffers: &[IoSliceMut]) -> bool {
    buffers.iter().all(|buffer| buffer.is_empty())
}

/// How a command ended, in words.
fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}
