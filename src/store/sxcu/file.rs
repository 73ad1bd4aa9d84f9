//! Reading an uploader file: its fields, of all generations, and what they mean.
//!
//! Like `ShareX`, this ignores the case of field names, and takes numbers and booleans for text.

use super::Uploader;
use super::function::Source;
use super::syntax::Function;
use super::syntax::{Bad, Spelling, Template};
use crate::error::{Error, Kind, Result, shown};
use serde_json::{Map, Value};
use url::Url;

/// The last version that writes calls between dollars.
const LAST_OF_DOLLARS: [u32; 3] = [13, 7, 1];

/// Fields whose values can be secrets.
const SECRET: [&str; 4] = ["RequestURL", "Parameters", "Headers", "Arguments"];

/// The fields of a file.
struct Fields(Map<String, Value>);

/// Reads an uploader file.
pub(super) fn parse(json: &str) -> Result<Uploader> {
    let fields = Fields::read(json)?;
    fields.check_destination()?;
    let spelling = fields.spelling()?;
    let read = |field| template(spelling, field, field, &fields.text(field)?);
    let all = |field| -> Result<Vec<(String, Template)>> {
        let pairs = fields.pairs(field)?.into_iter();
        let read = |(name, text): (String, String)| {
            let place = format!("{field}: {}", shown(&name));
            let template = template(spelling, field, &place, &text)?;
            Ok((name, template))
        };
        pairs.map(read).collect()
    };
    let source = fields.source()?;
    Ok(Uploader {
        name: fields.name()?,
        method: fields.method()?,
        request_url: read("RequestURL")?,
        parameters: all("Parameters")?,
        headers: check_names(all("Headers")?)?,
        file_field: fields.file_field()?,
        arguments: all("Arguments")?,
        source,
        regexes: fields.list("RegexList")?,
        url: match read("URL")? {
            url if !url.is_empty() => url,
            _ if source == Source::Headers => {
                return Err(bad("URL", "nothing, expected it with ResponseType Headers"));
            }
            _ => Template::call(Function::Response),
        },
        thumbnail: read("ThumbnailURL")?,
        deletion: read("DeletionURL")?,
        complaint: read("ErrorMessage")?,
    })
}

/// The text as an absolute URL, https if it names no scheme.
pub(super) fn absolute(text: &str) -> Option<Url> {
    let text = text.trim();
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("https://{text}")),
    };
    url.ok().filter(is_http)
}

/// Whether a URL is an http or https URL.
pub(super) fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

impl Fields {
    fn read(json: &str) -> Result<Self> {
        let value = serde_json::from_str(json.trim_start_matches('\u{feff}'));
        let what = match value {
            Ok(Value::Object(fields)) => return Ok(Fields(fields)),
            Ok(_) => "other JSON".into(),
            Err(e) => format!("invalid JSON at line {}, column {}", e.line(), e.column()),
        };
        let expected = "expected a ShareX uploader file";
        Err(Kind::Store(format!("{what}, {expected}")).into())
    }

    fn get(&self, field: &str) -> Option<&Value> {
        let mut fields = self.0.iter();
        let found = fields.find(|(name, _)| name.eq_ignore_ascii_case(field));
        found.map(|(_, value)| value)
    }

    /// The text of a field; empty if the field is absent.
    fn text(&self, field: &str) -> Result<String> {
        scalar(self.get(field).unwrap_or(&Value::Null))
            .ok_or_else(|| bad(field, "not a string, expected one"))
    }

    /// The first of these fields that isn't empty.
    fn either(&self, fields: [&str; 2]) -> Result<String> {
        match self.text(fields[0])? {
            text if text.is_empty() => self.text(fields[1]),
            text => Ok(text),
        }
    }

    /// Names and values of a field. PHP writes no pairs as `[]`.
    fn pairs(&self, field: &str) -> Result<Vec<(String, String)>> {
        let expected = || bad(field, "not names and strings, expected an object of them");
        let pair = |(name, value): (&String, &Value)| {
            let value = scalar(value).ok_or_else(expected)?;
            Ok((name.clone(), value))
        };
        match self.get(field) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(none)) if none.is_empty() => Ok(Vec::new()),
            Some(Value::Object(pairs)) => pairs.iter().map(pair).collect(),
            Some(_) => Err(expected()),
        }
    }

    fn list(&self, field: &str) -> Result<Vec<String>> {
        let expected = || bad(field, "not a list of strings, expected one");
        match self.get(field) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => {
                let texts = list.iter().map(|value| scalar(value).ok_or_else(expected));
                texts.collect()
            }
            Some(_) => Err(expected()),
        }
    }

    /// Refuses a file that isn't for pictures.
    fn check_destination(&self) -> Result<()> {
        const OTHER: [&str; 3] = ["TextUploader", "URLShortener", "URLSharingService"];
        let types = self.text("DestinationType")?;
        let is_other = |t: &str| OTHER.iter().any(|other| other.eq_ignore_ascii_case(t));
        if types.split(',').all(|t| is_other(t.trim())) {
            let what = format!("{}, expected ImageUploader", shown(&types));
            return Err(bad("DestinationType", &what));
        }
        Ok(())
    }

    /// The spelling of calls: the one that the file uses. If it uses both or none, the version
    /// decides; without a version, braces.
    fn spelling(&self) -> Result<Spelling> {
        let mut texts = Vec::new();
        for field in [
            "RequestURL",
            "URL",
            "ThumbnailURL",
            "DeletionURL",
            "ErrorMessage",
        ] {
            texts.push(self.text(field)?);
        }
        for field in ["Parameters", "Headers", "Arguments"] {
            texts.extend(self.pairs(field)?.into_iter().map(|(_, value)| value));
        }
        let seen = |spelling: Spelling| texts.iter().any(|text| spelling.is_in(text));
        Ok(match (seen(Spelling::Braces), seen(Spelling::Dollars)) {
            (true, false) => Spelling::Braces,
            (false, true) => Spelling::Dollars,
            _ if self.is_of_dollars()? => Spelling::Dollars,
            _ => Spelling::Braces,
        })
    }

    fn is_of_dollars(&self) -> Result<bool> {
        let version = self.text("Version")?;
        let numbers: Vec<u32> = version.split('.').map_while(|n| n.parse().ok()).collect();
        Ok(!numbers.is_empty() && numbers[..] <= LAST_OF_DOLLARS[..])
    }

    fn name(&self) -> Result<String> {
        let name = self.text("Name")?;
        if !name.trim().is_empty() {
            return Ok(super::line(&name));
        }
        let url = absolute(&self.text("RequestURL")?);
        let host = url.as_ref().and_then(Url::host_str);
        Ok(host.unwrap_or("image host").to_owned())
    }

    fn method(&self) -> Result<String> {
        let method = self.either(["RequestMethod", "RequestType"])?;
        match method.trim().to_ascii_uppercase().as_str() {
            "" => Ok("POST".into()),
            known @ ("POST" | "PUT" | "PATCH") => Ok(known.into()),
            other => {
                let what = format!("{}, expected POST, PUT or PATCH", shown(other));
                Err(bad("RequestMethod", &what))
            }
        }
    }

    /// The name of the picture's part; None if the body is the picture. Files before 12.4 have no
    /// Body, and some of them have `RequestFormat`.
    fn file_field(&self) -> Result<Option<String>> {
        let body = self.either(["Body", "RequestFormat"])?;
        let field = self.text("FileFormName")?;
        match body.trim().to_ascii_lowercase().as_str() {
            "binary" => Ok(None),
            "multipartformdata" | "none" | "automatic" | "" if !field.is_empty() => Ok(Some(field)),
            "multipartformdata" | "automatic" => {
                Err(bad("FileFormName", "nothing, expected a name"))
            }
            "none" | "" => Err(bad("Body", "nothing, expected MultipartFormData or Binary")),
            _ => {
                let what = format!(
                    "{}, which carries no picture, expected MultipartFormData or Binary",
                    shown(&body)
                );
                Err(bad("Body", &what))
            }
        }
    }

    fn source(&self) -> Result<Source> {
        let source = self.text("ResponseType")?;
        match source.trim().to_ascii_lowercase().as_str() {
            "" | "text" => Ok(Source::Body),
            "redirectionurl" => Ok(Source::Url),
            "headers" => Ok(Source::Headers),
            "locationheader" => Ok(Source::Location),
            _ => {
                let expected = "Text, RedirectionURL, Headers or LocationHeader";
                let what = format!("{}, expected {expected}", shown(&source));
                Err(bad("ResponseType", &what))
            }
        }
    }
}

/// A template. If its text can be a secret, errors don't quote it, and only a name of letters
/// counts as the name of a function.
fn template(spelling: Spelling, field: &str, place: &str, text: &str) -> Result<Template> {
    spelling.parse(text).map_err(|e| match e {
        Bad::Syntax(what) => bad(place, what),
        Bad::Unknown(name) => {
            let is_name = name.len() <= 16 && name.bytes().all(|c| c.is_ascii_alphabetic());
            match is_name || !SECRET.contains(&field) {
                true => bad(place, &format!("unknown function '{}'", shown(&name))),
                false => bad(place, "a call of an unknown function"),
            }
        }
    })
}

/// Refuses invalid names of headers.
fn check_names(headers: Vec<(String, Template)>) -> Result<Vec<(String, Template)>> {
    let is_token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    for (name, _) in &headers {
        if name.is_empty() || !name.bytes().all(is_token) {
            let what = format!("'{}', expected the name of a header", shown(name));
            return Err(bad("Headers", &what));
        }
    }
    Ok(headers)
}

/// Text, a number or a boolean as text; null as nothing.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn bad(place: &str, what: &str) -> Error {
    Error::from(Kind::Store(what.to_owned())).at(place)
}
