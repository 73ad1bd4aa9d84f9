//! Where a secret is kept: a file that nobody else can read.

use crate::error::{Error, Kind, Result};
use crate::input;
use crate::wire::seal::Secret;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// The most bytes that a file of a secret has.
const MOST: usize = 1 << 12;

/// What [`read`] says of a file with nothing in it.
pub const EMPTY: &str = "no secret, expected one";

/// Makes a secret.
///
/// # Errors
///
/// [`Kind::Io`] where the system gives no random bytes.
pub fn generate() -> Result<Secret> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut bytes[..])
        .map_err(|e| Error::from(Kind::Io("cannot make a secret")).because(e.to_string()))?;
    Ok(Secret::new(bytes))
}

/// The text of a file that holds a secret.
#[must_use]
pub fn render(secret: &Secret) -> Zeroizing<String> {
    let line = secret.line();
    Zeroizing::new(format!(
        "# A secret of storagex: it opens what was sealed with it, and nothing else does.\n{}\n",
        *line
    ))
}

/// Reads a secret from a file: one line `SX-SECRET-1...`, and lines that are blank or start with
/// `#`. A pipe will do, too.
///
/// # Errors
///
/// [`Kind::Io`]; [`Kind::Secret`] where there isn't exactly one, or where others than the owner can
/// read the file. No message has anything of the secret.
pub fn read(path: &Path) -> Result<Secret> {
    let file = input::open(path)?;
    try_read(file).map_err(|e| e.at(path.display()))
}

fn try_read(file: File) -> Result<Secret> {
    check_private(&file)?;
    let bytes = read_all(file)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| bad("no text, expected a secret"))?;
    if text.trim().is_empty() {
        return Err(bad(EMPTY));
    }
    let lines = text.lines().map(str::trim);
    let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let secret = lines.next();
    let secret = secret.ok_or_else(|| bad("only comments, expected a secret"))?;
    let secret = Secret::parse(secret)?;
    match lines.next() {
        None => Ok(secret),
        Some(_) => Err(bad("more lines after a secret, expected one secret")),
    }
}

/// As ssh does with its keys. A pipe has no permissions that others could use.
fn check_private(file: &File) -> Result<()> {
    let unreadable = |e| Error::io("cannot read", e);
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.permissions().mode() & 0o777;
    match metadata.is_file() && mode & 0o077 != 0 {
        true => Err(bad(format!("permissions {mode:04o}, expected 0600"))),
        false => Ok(()),
    }
}

/// Reads a file that is not too large, into one buffer that is wiped: a vector that grows would leave
/// copies.
fn read_all(mut file: File) -> Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; MOST + 1]);
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io("cannot read", e)),
        }
    }
    if filled > MOST {
        return Err(bad(format!("over {MOST} bytes, expected a secret")));
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn bad(what: impl Into<String>) -> Error {
    Kind::Secret(what.into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    fn read_text(text: &[u8], mode: u32) -> Result<Secret> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        read(&path)
    }

    #[test]
    fn what_was_made_can_be_read() {
        let (secret, other) = (generate().unwrap(), generate().unwrap());
        let text = render(&secret);
        let back = read_text(text.as_bytes(), 0o600).unwrap();
        assert_eq!(back.line(), secret.line());
        assert_ne!(secret.line(), other.line());
        let text = format!("\r\n  {}\r\n\n# end", *secret.line());
        read_text(text.as_bytes(), 0o400).unwrap();
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let text = render(&generate().unwrap());
        for mode in [0o644, 0o640, 0o604, 0o660, 0o622] {
            let error = read_text(text.as_bytes(), mode).unwrap_err().to_string();
            assert!(error.ends_with("expected 0600"), "{error}");
        }
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let line = generate().unwrap().line();
        let two = format!("{0}\n{0}\n", *line);
        let long = format!("{}{}\n", "# \n".repeat(2000), *line);
        for text in ["", "# nothing\n", "hello\n", &two, &long, "\u{0}"] {
            let error = read_text(text.as_bytes(), 0o600).unwrap_err();
            assert!(matches!(error.kind(), Kind::Secret(_)), "{error}");
        }
        assert!(read_text(b"\xff\xfe", 0o600).is_err());
    }
}
