//! Image hosts, as `ShareX` custom uploader files (`.sxcu`) describe them.
//!
//! An [`Uploader`] builds the request for a picture, and finds the picture's URL in the answer. It
//! sends nothing itself. It reads files of every version of `ShareX` as they are, with three
//! exceptions: codes for time and random values such as `%y` or `%guid` are sent unchanged, a
//! file's values are sent in the order of their names, and questions to the user must be answered
//! beforehand, in [`Upload::set`]:
//!
//! - `{inputbox:TITLE}` and `{prompt:TITLE}`, whatever default they have, by the value named
//!   `TITLE`, else by the one named `inputbox` or `prompt`;
//! - `{inputbox}` and `{prompt}` by the one named `inputbox` or `prompt`;
//! - `{select:A|B|C}` by the one named `select`, which must be one of the choices.
//!
//! No message shows a value of Headers, Arguments or Parameters, nor `RequestURL`: they hold
//! tokens.

mod file;
mod function;
mod query;
mod syntax;

use crate::error::{Error, Kind, Result, shown};
use function::{Scope, Source};
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;
use std::fmt;
use syntax::Template;
use url::{Origin, Url};

/// An image host: a parsed uploader file.
pub struct Uploader {
    name: String,
    method: String,
    request_url: Template,
    parameters: Vec<(String, Template)>,
    headers: Vec<(String, Template)>,
    /// The name of the picture's part; None if the picture is the whole body.
    file_field: Option<String>,
    arguments: Vec<(String, Template)>,
    source: Source,
    regexes: Vec<String>,
    url: Template,
    thumbnail: Template,
    deletion: Template,
    complaint: Template,
}

/// The parameters of one upload.
#[derive(Clone, Copy)]
pub struct Upload<'a> {
    /// The name of the picture for the host.
    pub filename: &'a str,
    /// The user's answers to the uploader's questions: `--set NAME=VALUE`.
    pub set: &'a BTreeMap<String, String>,
    /// Returns a random number below its argument.
    pub random: &'a dyn Fn(usize) -> usize,
}

/// The host's answer.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// The status, such as 200.
    pub status: u16,
    /// Its URL, after redirects.
    pub url: &'a str,
    /// Names and values.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a str,
}

/// The request to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// POST, PUT or PATCH.
    pub method: String,
    /// An absolute URL, with its parameters.
    pub url: String,
    /// Names and values, except those that the body determines.
    pub headers: Vec<(String, String)>,
    /// How the picture is sent.
    pub body: Body,
}

/// How a picture is sent.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// As a part of multipart/form-data.
    Multipart {
        /// The name of its part.
        file_field: String,
        /// Names and values of the parts before it.
        arguments: Vec<(String, String)>,
    },
    /// As it is.
    Binary,
}

/// The URLs of a picture that was sent, all absolute.
#[derive(Clone, PartialEq, Eq)]
pub struct Links {
    /// The picture.
    pub url: String,
    /// Its thumbnail, if the host makes one.
    pub thumbnail: Option<String>,
    /// The URL that deletes it, if the host returns one. A secret.
    pub deletion: Option<String>,
}

impl Uploader {
    /// Reads an uploader file.
    ///
    /// # Errors
    ///
    /// [`Kind::Store`] for a file that is damaged, isn't for pictures, or does something
    /// unsupported.
    pub fn parse(json: &str) -> Result<Self> {
        file::parse(json)
    }

    /// Its name in the file, or else its host.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Builds the request for a picture.
    ///
    /// # Errors
    ///
    /// [`Kind::Store`] if the user hasn't answered a question of the file, and if the file yields
    /// an invalid URL or header.
    pub fn request(&self, upload: &Upload) -> Result<Request> {
        let scope = self.scope(upload, None);
        let answers = [
            ("URL", &self.url),
            ("ThumbnailURL", &self.thumbnail),
            ("DeletionURL", &self.deletion),
        ];
        for (field, template) in answers {
            template.check_answered(&scope).map_err(|e| e.at(field))?;
        }
        let body = match &self.file_field {
            None => Body::Binary,
            Some(file_field) => Body::Multipart {
                file_field: file_field.clone(),
                arguments: texts("Arguments", &self.arguments, &scope)?,
            },
        };
        Ok(Request {
            method: self.method.clone(),
            url: self.request_url(upload)?,
            headers: self.sendable(&self.headers, &scope)?,
            body,
        })
    }

    /// The origin of the URL that pictures are sent to.
    pub(super) fn origin(&self, upload: &Upload) -> Result<Origin> {
        let url = Url::parse(&self.request_url(upload)?);
        let bad = |_| Kind::Store("RequestURL that is no URL".into());
        Ok(url.map_err(bad)?.origin())
    }

    /// The headers that a request without a body has, too: some hosts check Referer or User-Agent
    /// of whoever reads. Those that ask something the user hasn't answered are left out.
    pub(super) fn headers_to_read(&self, upload: &Upload) -> Vec<(String, String)> {
        let scope = self.scope(upload, None);
        let each = self.headers.chunks(1);
        let answered = each.filter_map(|header| self.sendable(header, &scope).ok());
        let of_body = |name: &str| name.to_ascii_lowercase().starts_with("content-");
        let headers = answered.flatten();
        headers.filter(|(name, _)| !of_body(name)).collect()
    }

    /// Whether the body of an answer with status 2xx is needed to find the picture's URL: it may be
    /// the picture itself, which isn't text.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        let links = [&self.url, &self.thumbnail, &self.deletion];
        self.source == Source::Body && links.iter().any(|template| template.reads_answer())
    }

    /// The URLs of the picture, from an answer with status 2xx.
    ///
    /// A missing thumbnail or deletion URL is not an error: many answers lack them.
    ///
    /// # Errors
    ///
    /// [`Kind::Host`] if there is no URL in the answer.
    pub fn answer(&self, upload: &Upload, answer: &Answer) -> Result<Links> {
        let scope = Scope {
            url: true,
            ..self.scope(upload, Some(answer))
        };
        let link = |template: &Template| resolve(&template.text(&scope)?, answer.url);
        let optional = |template: &Template| match template.is_empty() {
            true => None,
            false => link(template).ok(),
        };
        let url = link(&self.url).map_err(|e| self.explain(e, upload, answer))?;
        Ok(Links {
            url: without_fragment(url),
            thumbnail: optional(&self.thumbnail).map(without_fragment),
            deletion: optional(&self.deletion).map(String::from),
        })
    }

    /// The host's error message, from an answer whose status isn't 2xx.
    #[must_use]
    pub fn complaint(&self, upload: &Upload, answer: &Answer) -> Option<String> {
        let text = self
            .complaint
            .text(&self.scope(upload, Some(answer)))
            .ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| line(text))
    }

    fn scope<'a>(&'a self, upload: &'a Upload, answer: Option<&'a Answer>) -> Scope<'a> {
        Scope {
            upload,
            answer,
            source: self.source,
            regexes: &self.regexes,
            url: false,
        }
    }

    fn request_url(&self, upload: &Upload) -> Result<String> {
        let scope = Scope {
            url: true,
            ..self.scope(upload, None)
        };
        let at = |e: Error| e.at("RequestURL");
        let text = self.request_url.text(&scope).map_err(at)?;
        let bad = || at(Kind::Store("not a URL, expected one of http or https".into()).into());
        let mut url = file::absolute(&text).ok_or_else(bad)?;
        url.set_fragment(None);
        let parameters = texts("Parameters", &self.parameters, &self.scope(upload, None))?;
        if !parameters.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in &parameters {
                match value.is_empty() {
                    true => pairs.append_key_only(name),
                    false => pairs.append_pair(name, value),
                };
            }
        }
        Ok(url.into())
    }

    /// These headers, except those that follow from the body.
    fn sendable(
        &self,
        headers: &[(String, Template)],
        scope: &Scope,
    ) -> Result<Vec<(String, String)>> {
        let mut headers = texts("Headers", headers, scope)?;
        let is_ours = |name: &str| match name.to_ascii_lowercase().as_str() {
            "content-length" | "transfer-encoding" => true,
            "content-type" => self.file_field.is_some(),
            _ => false,
        };
        headers.retain(|(name, _)| !is_ours(name));
        for (name, value) in &mut headers {
            *value = value.trim().to_owned();
            if value.contains(char::is_control) {
                let what = "control characters, expected a value without them";
                let place = format!("Headers: {}", shown(name));
                return Err(Error::from(Kind::Store(what.into())).at(place));
            }
        }
        Ok(headers)
    }

    /// The error for an answer without a URL, with the host's message.
    fn explain(&self, error: Error, upload: &Upload, answer: &Answer) -> Error {
        let place = format!("{}: URL", self.name);
        match (error.kind(), self.complaint(upload, answer)) {
            (Kind::Host(what), Some(says)) => {
                Error::from(Kind::Host(format!("{what}; the host says \"{says}\""))).at(place)
            }
            _ => error.at(place),
        }
    }
}

/// Text from outside as one line for messages: shortened, and without control characters.
fn line(text: &str) -> String {
    const MOST: usize = 200;
    let mut chars = text.trim().chars();
    let mut line = String::new();
    for c in chars.by_ref().take(MOST) {
        match c {
            '\'' | '"' | '\\' => line.push(c),
            _ => line.extend(c.escape_debug()),
        }
    }
    if chars.next().is_some() {
        line.push_str("...");
    }
    line
}

/// The values of a field's templates, with their names.
fn texts(
    field: &str,
    templates: &[(String, Template)],
    scope: &Scope,
) -> Result<Vec<(String, String)>> {
    let text = |(name, template): &(String, Template)| {
        let at = |e: Error| e.at(format!("{field}: {}", shown(name)));
        Ok((name.clone(), template.text(scope).map_err(at)?))
    };
    templates.iter().map(text).collect()
}

/// The text as a URL, which may be relative to the URL of the answer.
///
/// A text without dot and slash counts as a word, not as a relative URL. A text that is a URL only
/// after percent-decoding, such as a parameter of another URL, counts as that URL.
fn resolve(text: &str, base: &str) -> Result<Url> {
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    let is_absolute = |text: &str| Url::parse(text.trim()).is_ok();
    let text = match !is_absolute(text) && is_absolute(&decoded) {
        true => decoded.trim(),
        false => text.trim(),
    };
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>\"{}".contains(c);
    let is_url = text.chars().all(is_plain) && text.contains(['.', '/']);
    let url = match Url::parse(base) {
        Ok(base) if is_url => base.join(text).ok(),
        _ if is_url => Url::parse(text).ok(),
        _ => None,
    };
    url.filter(file::is_http).ok_or_else(|| {
        let what = sort_of(text);
        Error::from(Kind::Host(format!("{what}, expected an http or https URL")))
    })
}

/// Describes a text that should have been a URL: in full only if it is short and can't hold a
/// secret.
fn sort_of(text: &str) -> String {
    const SHORT: usize = 80;
    match text.chars().next() {
        None => "nothing".into(),
        Some('<') => "a page".into(),
        Some('{' | '[') => "JSON".into(),
        _ if text.len() > SHORT => format!("a text of {} bytes", text.len()),
        _ => format!("'{}'", shown(text)),
    }
}

fn without_fragment(mut url: Url) -> String {
    url.set_fragment(None);
    url.into()
}

impl fmt::Debug for Uploader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Uploader").field(&self.name).finish()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Request").field(&self.method).finish()
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Links").field(&self.url).finish()
    }
}

#[cfg(test)]
mod tests;
