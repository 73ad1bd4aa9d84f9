//! `~/.netrc`, as ftp(1) and curl(1) read it: logins and passwords of hosts.

/// Login and password for a host, or those of `default` if the host has none of its own.
#[must_use]
pub fn find(netrc: &str, host: &str) -> Option<(String, String)> {
    let mut words = netrc.split_whitespace();
    let (mut ours, mut login, mut password) = (false, None, None);
    while let Some(word) = words.next() {
        match word {
            "machine" | "default" if ours => break,
            "machine" => ours = words.next() == Some(host),
            "default" => ours = true,
            "login" if ours => login = words.next(),
            "password" if ours => password = words.next(),
            "login" | "password" | "account" => drop(words.next()),
            _ => {}
        }
    }
    Some((login?.to_owned(), password?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_or_the_default() {
        let netrc = "machine a login u password p\nmachine b\n  login machine password default\ndefault login x password y";
        let found = |host| find(netrc, host).unwrap();
        assert_eq!(found("a"), ("u".into(), "p".into()));
        assert_eq!(found("b"), ("machine".into(), "default".into()));
        assert_eq!(found("c"), ("x".into(), "y".into()));
        assert_eq!(find("machine a login u", "a"), None);
        assert_eq!(find("machine a login u password p", "b"), None);
    }
}
