//! Evaluates the calls in a template.

use super::syntax::{Call, Function, Part, Template};
use super::{Answer, Upload, query};
use crate::error::{Error, Kind, Result, shown};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::borrow::Cow;

/// What counts as the answer: `ResponseType` of files before 12.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Its body.
    Body,
    /// Its URL.
    Url,
    /// All its headers, one a line.
    Headers,
    /// Its header Location.
    Location,
}

/// The context in which to evaluate a template.
pub(super) struct Scope<'a> {
    pub(super) upload: &'a Upload<'a>,
    /// None while building the request.
    pub(super) answer: Option<&'a Answer<'a>>,
    pub(super) source: Source,
    pub(super) regexes: &'a [String],
    /// Whether the result is a URL, in which a filename must be percent-encoded.
    pub(super) url: bool,
}

/// Bytes that need no percent-encoding in a filename, besides letters and digits.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Function {
    /// The name under which the user answers it, if it asks the user.
    fn asks(self) -> Option<&'static str> {
        match self {
            Function::Select => Some("select"),
            Function::InputBox => Some("inputbox"),
            Function::Prompt => Some("prompt"),
            _ => None,
        }
    }
}

impl Template {
    /// Evaluates it.
    ///
    /// # Errors
    ///
    /// [`Kind::Host`] if the answer lacks something, [`Kind::Store`] for an invalid path or
    /// pattern, and for a question that the user didn't answer.
    pub(super) fn text(&self, scope: &Scope) -> Result<String> {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Call(call) => call.text(scope),
        });
        parts.collect()
    }

    /// Whether it reads the answer's body, or what counts as that in the file.
    pub(super) fn reads_answer(&self) -> bool {
        use Function::{Json, Listed, Regex, Response, Xml};
        self.0.iter().any(|part| match part {
            Part::Text(_) => false,
            Part::Call(call) => {
                matches!(call.function, Json | Listed | Regex | Response | Xml)
                    || call.arguments.iter().any(Template::reads_answer)
            }
        })
    }

    /// Checks that the user has answered all its questions.
    ///
    /// # Errors
    ///
    /// [`Kind::Store`] if not.
    pub(super) fn check_answered(&self, scope: &Scope) -> Result<()> {
        for part in &self.0 {
            let Part::Call(call) = part else { continue };
            for argument in &call.arguments {
                argument.check_answered(scope)?;
            }
            if call.function.asks().is_some() {
                call.text(scope)?;
            }
        }
        Ok(())
    }
}

impl Call {
    fn text(&self, scope: &Scope) -> Result<String> {
        let arguments: Result<Vec<String>> = self.arguments.iter().map(|a| a.text(scope)).collect();
        let arguments = arguments?;
        let all: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let first = all.first().copied().unwrap_or_default();
        match self.function {
            Function::Response => scope.response().map(Cow::into_owned),
            Function::ResponseUrl => Ok(scope.answer()?.url.to_owned()),
            Function::Header => scope.header(first).map(str::to_owned),
            Function::Json => {
                let (input, path) = scope.input_and(&all)?;
                query::json(&input, path)
            }
            Function::Xml => {
                let (input, path) = scope.input_and(&all)?;
                query::xml(&input, path)
            }
            Function::Regex => match all[..] {
                [input, pattern, group, ..] => query::regex(input, pattern, group),
                _ => query::regex(
                    &scope.response()?,
                    first,
                    all.get(1).copied().unwrap_or_default(),
                ),
            },
            Function::Listed => {
                let group = all.get(1).copied().unwrap_or_default();
                query::regex(&scope.response()?, scope.listed(first)?, group)
            }
            Function::FileName if scope.url => {
                Ok(utf8_percent_encode(scope.upload.filename, UNRESERVED).to_string())
            }
            Function::FileName => Ok(scope.upload.filename.to_owned()),
            Function::Input | Function::OutputBox => Ok(String::new()),
            Function::Base64 => Ok(STANDARD.encode(first)),
            Function::Random => {
                let index = (scope.upload.random)(all.len()) % all.len().max(1);
                Ok(all.get(index).copied().unwrap_or_default().to_owned())
            }
            Function::Select | Function::InputBox | Function::Prompt => self.user_says(&all, scope),
        }
    }

    /// The user's value from `--set`, under the title of the question or the function's name.
    fn user_says(&self, arguments: &[&str], scope: &Scope) -> Result<String> {
        let name = self.function.asks().unwrap_or_default();
        let is_choice = self.function == Function::Select;
        let title = match arguments.first() {
            Some(title) if !is_choice && !title.is_empty() => title,
            _ => name,
        };
        let set = scope.upload.set;
        let Some(value) = set.get(title).or_else(|| set.get(name)) else {
            let what = format!("{name} asks for '{}'", shown(title));
            let how = "expected the value in the file, or --set NAME=VALUE";
            return Err(Kind::Store(format!("{what}, {how}")).into());
        };
        if is_choice && !arguments.contains(&value.as_str()) {
            let what = "the value of --set select isn't one of the file's choices";
            return Err(Kind::Store(what.into()).into());
        }
        Ok(value.clone())
    }
}

impl<'a> Scope<'a> {
    fn answer(&self) -> Result<&'a Answer<'a>> {
        self.answer.ok_or_else(|| {
            Error::from(Kind::Store(
                "a function for answers, expected one for requests".into(),
            ))
        })
    }

    /// The answer, as this file defines it.
    pub(super) fn response(&self) -> Result<Cow<'a, str>> {
        let answer = self.answer()?;
        Ok(match self.source {
            Source::Body => answer.body.into(),
            Source::Url => answer.url.into(),
            Source::Location => self.header("Location")?.into(),
            Source::Headers => {
                let line = |(name, value): &(String, String)| format!("{name}: {value}\r\n");
                answer.headers.iter().map(line).collect::<String>().into()
            }
        })
    }

    fn header(&self, name: &str) -> Result<&'a str> {
        let mut headers = self.answer()?.headers.iter();
        let found = headers.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).ok_or_else(|| {
            Error::from(Kind::Host(format!(
                "answer without a header '{}'",
                shown(name)
            )))
        })
    }

    /// The input and the path: `INPUT|PATH`, or `PATH` in the answer.
    fn input_and<'b>(&self, arguments: &[&'b str]) -> Result<(Cow<'b, str>, &'b str)>
    where
        'a: 'b,
    {
        match *arguments {
            [input, path, ..] => Ok((input.into(), path)),
            [path] => Ok((self.response()?, path)),
            [] => Ok(("".into(), "")),
        }
    }

    /// The pattern in `RegexList` with this number, from 1.
    fn listed(&self, number: &str) -> Result<&'a str> {
        let index = number.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        let found = index.and_then(|i| self.regexes.get(i));
        found.map(String::as_str).ok_or_else(|| {
            let (number, most) = (shown(number), self.regexes.len());
            Error::from(Kind::Store(format!(
                "regex {number}, expected one of the {most} in RegexList"
            )))
        })
    }
}
