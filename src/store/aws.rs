//! How to reach S3, as in every S3 tool: the `AWS_*` variables, then the profile in
//! `~/.aws/credentials` and `~/.aws/config`.

use super::Config;
use crate::error::{Error, Kind, Result};
use configparser::ini::Ini;
use rusty_s3::{Bucket, Credentials, UrlStyle};
use url::Url;

/// A profile of the two files. Sections of the second are named `profile NAME`.
pub struct Profile {
    name: String,
    credentials: Ini,
    config: Ini,
}

impl Profile {
    fn read(config: &Config) -> Result<Self> {
        let name = config.first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]);
        let read = |variable, below_home| match config.file(variable, below_home) {
            Some(path) => read_ini(&path),
            None => Ok(Ini::new_cs()),
        };
        Ok(Profile {
            name: name.unwrap_or("default").to_owned(),
            credentials: read("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")?,
            config: read("AWS_CONFIG_FILE", ".aws/config")?,
        })
    }

    /// The profile of this name in the text of the two files.
    #[cfg(any(test, fuzzing))]
    pub fn parse(name: &str, credentials: &str, config: &str) -> Option<Self> {
        Some(Profile {
            name: name.to_owned(),
            credentials: parse_ini(credentials.to_owned())?,
            config: parse_ini(config.to_owned())?,
        })
    }

    fn get(&self, key: &str) -> Option<String> {
        let section = match self.name.as_str() {
            "default" => "default".to_owned(),
            name => format!("profile {name}"),
        };
        let value = self.credentials.get(&self.name, key);
        value.or_else(|| self.config.get(&section, key))
    }
}

fn read_ini(path: &std::path::Path) -> Result<Ini> {
    match std::fs::read_to_string(path) {
        // What is wrong in it isn't said: it holds secrets.
        Ok(text) => parse_ini(text).ok_or_else(|| {
            let what = format!("{}, expected sections and KEY = VALUE", path.display());
            Error::from(Kind::Store(what))
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Ini::new_cs()),
        Err(e) => Err(Error::io("cannot read", e).at(path.display())),
    }
}

fn parse_ini(text: String) -> Option<Ini> {
    let mut ini = Ini::new_cs();
    ini.set_inline_comment_symbols(Some(&[]));
    ini.read(text).ok()?;
    Some(ini)
}

/// The bucket of this name, and the credentials to sign with, if there are any.
pub fn bucket(name: &str, config: &Config) -> Result<(Bucket, Option<Credentials>)> {
    bucket_of(name, config, &Profile::read(config)?)
}

/// The same, with a profile that has been read.
pub fn bucket_of(
    name: &str,
    config: &Config,
    profile: &Profile,
) -> Result<(Bucket, Option<Credentials>)> {
    let set = |variables: &[&str], key: &str| {
        let variable = config.first(variables).map(str::to_owned);
        variable.or_else(|| profile.get(key))
    };
    let region = set(&["AWS_REGION", "AWS_DEFAULT_REGION"], "region");
    let region = region.unwrap_or_else(|| "us-east-1".to_owned());
    let endpoint = set(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"], "endpoint_url");
    let style = match &endpoint {
        None if !name.contains('.') => UrlStyle::VirtualHost,
        _ => UrlStyle::Path,
    };
    let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
    let bad = |what: String| Error::from(Kind::Store(what));
    let url: Url = endpoint.parse().map_err(|e| {
        bad(format!(
            "AWS_ENDPOINT_URL: {e}, expected http://HOST:PORT or https://HOST"
        ))
    })?;
    let bucket = Bucket::new(url, style, name.to_owned(), region)
        .map_err(|e| bad(format!("S3 bucket '{name}': {e}")))?;
    Ok((bucket, credentials(config, profile)?))
}

/// The credentials from the variables if they name a key, else from the profile, never mixed.
fn credentials(config: &Config, profile: &Profile) -> Result<Option<Credentials>> {
    let names = ["access_key_id", "secret_access_key", "session_token"];
    let [key, secret, token] = match config.variable("AWS_ACCESS_KEY_ID") {
        None => names.map(|name| profile.get(&format!("aws_{name}"))),
        Some(_) => names.map(|name| {
            let name = format!("AWS_{}", name.to_uppercase());
            config.variable(&name).map(str::to_owned)
        }),
    };
    match (key, secret, token) {
        (Some(key), Some(secret), Some(token)) => {
            Ok(Some(Credentials::new_with_token(key, secret, token)))
        }
        (Some(key), Some(secret), None) => Ok(Some(Credentials::new(key, secret))),
        (Some(_), None, _) => {
            let what = "an access key without a secret, expected AWS_SECRET_ACCESS_KEY too";
            Err(Kind::Store(what.into()).into())
        }
        (None, ..) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Config {
        let owned = variables
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        Config {
            variables: owned.collect(),
            ..Config::default()
        }
    }

    #[test]
    fn variables_come_first() {
        let (bucket, credentials) = bucket(
            "b",
            &config(&[
                ("AWS_ACCESS_KEY_ID", "AK"),
                ("AWS_SECRET_ACCESS_KEY", "SK"),
                ("AWS_SESSION_TOKEN", "T"),
                ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000/"),
                ("AWS_DEFAULT_REGION", "eu-west-3"),
            ]),
        )
        .unwrap();
        assert_eq!(bucket.base_url().as_str(), "http://127.0.0.1:9000/b/");
        assert_eq!(bucket.region(), "eu-west-3");
        assert_eq!(credentials.unwrap().token(), Some("T"));
    }

    #[test]
    fn amazon_has_hosts_for_buckets() {
        let url = |name| bucket(name, &config(&[])).unwrap().0.base_url().to_string();
        assert_eq!(url("b"), "https://b.s3.us-east-1.amazonaws.com/");
        assert_eq!(url("a.b"), "https://s3.us-east-1.amazonaws.com/a.b/");
    }

    #[test]
    fn a_profile_of_the_files() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
        write(
            ".aws/credentials",
            "[default]\naws_access_key_id = A\naws_secret_access_key = a;b#c\n\
             [other]\naws_access_key_id=B\naws_secret_access_key=b=/+\n",
        );
        write(
            ".aws/config",
            "# a comment\n[default]\nregion = r1\n[profile other]\nregion = r2\nendpoint_url = http://h:1\n",
        );
        let home = home.path().to_str().unwrap();
        let (one, key) = bucket("b", &config(&[("HOME", home)])).unwrap();
        let key = key.unwrap();
        assert_eq!(
            (one.region(), key.key(), key.secret()),
            ("r1", "A", "a;b#c")
        );
        let (two, key) = bucket("b", &config(&[("HOME", home), ("AWS_PROFILE", "other")])).unwrap();
        let key = key.unwrap();
        assert_eq!((two.region(), key.key(), key.secret()), ("r2", "B", "b=/+"));
        assert_eq!(two.base_url().as_str(), "http://h:1/b/");
    }

    #[test]
    fn half_of_the_credentials_is_an_error() {
        let error = bucket("b", &config(&[("AWS_ACCESS_KEY_ID", "AK")])).unwrap_err();
        assert!(
            error.to_string().contains("AWS_SECRET_ACCESS_KEY"),
            "{error}"
        );
    }
}
