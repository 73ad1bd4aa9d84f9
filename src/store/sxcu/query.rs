//! Finds a string in a text: by `JSONPath`, by `XPath`, by pattern.
//!
//! The text comes from outside, the query from the user's file. Neither may exhaust the stack or
//! take forever: nesting is bounded in both, and so are the steps of a pattern.

use crate::error::{Error, Kind, Result, shown};
use fancy_regex::{Regex, RegexBuilder};
use serde_json::Value;
use serde_json_path::JsonPath;
use xmloxide::Document;
use xmloxide::parser::{ParseOptions, parse_str_with_options};

/// The most bytes of a path.
const LONGEST: usize = 500;
/// The deepest nesting of brackets in a path.
const DEEPEST: usize = 8;
/// The deepest nesting of elements in an answer.
const DEEPEST_XML: u32 = 128;
/// The most memory for a part of a pattern, in bytes.
const LARGEST: usize = 1 << 20;

/// The string, number or boolean that a `JSONPath` finds. The path is in the syntax of Json.NET,
/// which `ShareX` uses; see [`standard`].
///
/// # Errors
///
/// [`Kind::Store`] for an invalid path; [`Kind::Host`] if the input isn't JSON, and if the path
/// doesn't find exactly one value, a string.
pub(super) fn json(input: &str, path: &str) -> Result<String> {
    let bad = || Kind::Store(format!("'{}', expected a JSONPath", shown(path)));
    check_size(path).ok_or_else(bad)?;
    let parsed = JsonPath::parse(&standard(path)).map_err(|_| bad())?;
    let shown = shown(path);
    let input = input.trim_start_matches('\u{feff}');
    let not_json = |_| Kind::Host(format!("answer isn't JSON, expected JSON with {shown}"));
    let value: Value = serde_json::from_str(input).map_err(not_json)?;
    let nodes = parsed.query(&value).all();
    let found = match nodes[..] {
        [Value::String(text)] => return Ok(text.clone()),
        [Value::Number(number)] => return Ok(number.to_string()),
        [Value::Bool(truth)] => return Ok(truth.to_string()),
        [] => "nothing".to_owned(),
        [Value::Null] => "null".into(),
        [Value::Array(_)] => "an array".into(),
        [Value::Object(_)] => "an object".into(),
        _ => format!("{} values", nodes.len()),
    };
    Err(Kind::Host(format!(
        "{found} at {shown} in the answer, expected a string"
    ))
    .into())
}

/// Translates a path of Json.NET, where a name is anything up to a dot or a bracket, to RFC 9535,
/// where such a name is quoted in brackets: `a.b-c[0]` becomes `$['a']['b-c'][0]`. The `$.` at the
/// start is optional, so `.a` is `$..a`, an `a` anywhere.
fn standard(path: &str) -> String {
    let mut rest = match path.strip_prefix('$') {
        Some(rest) if rest.is_empty() || rest.starts_with(['.', '[']) => rest,
        _ => &format!(".{path}"),
    };
    let mut out = String::from("$");
    while !rest.is_empty() {
        if let Some(deeper) = rest.strip_prefix("..") {
            out.push_str("..");
            rest = deeper;
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
        }
        let is_bracket = rest.starts_with('[');
        let end = match is_bracket {
            true => end_of_bracket(rest),
            false => rest.find(['.', '[']).unwrap_or(rest.len()),
        };
        let (step, after) = rest.split_at(end);
        match step {
            _ if is_bracket => out.push_str(step),
            "" => {}
            "*" => out.push_str("[*]"),
            name => {
                let name = name.replace('\\', "\\\\").replace('\'', "\\'");
                out.extend(["['", &name, "']"]);
            }
        }
        rest = after;
    }
    out
}

/// The length in bytes of the bracket at the start of the text; a quoted bracket doesn't count.
fn end_of_bracket(text: &str) -> usize {
    let (mut depth, mut quote, mut escaped) = (0, None, false);
    for (i, c) in text.char_indices() {
        match (c, quote) {
            _ if escaped => escaped = false,
            ('\\', Some(_)) => escaped = true,
            (c, Some(q)) if c == q => quote = None,
            ('\'' | '"', None) => quote = Some(c),
            ('[', None) => depth += 1,
            (']', None) if depth == 1 => return i + 1,
            (']', None) => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// The text of the first node that an `XPath` 1.0 expression finds.
///
/// # Errors
///
/// [`Kind::Store`] for an invalid expression; [`Kind::Host`] if the input isn't XML, and if nothing
/// is found.
pub(super) fn xml(input: &str, path: &str) -> Result<String> {
    let shown = shown(path);
    let bad = || Kind::Store(format!("'{shown}', expected an XPath"));
    check_size(path).ok_or_else(bad)?;
    let options = ParseOptions::default().max_depth(DEEPEST_XML);
    let not_xml = |_| Kind::Host(format!("answer isn't XML, expected XML with {shown}"));
    let input = input.trim_start_matches('\u{feff}').trim_start();
    let document: Document = parse_str_with_options(input, &options).map_err(not_xml)?;
    let found = xmloxide::xpath::evaluate(&document, document.root(), &format!("string({path})"))
        .map_err(|_| bad())?;
    match found.to_xpath_string() {
        text if text.is_empty() => {
            let what = format!("nothing at {shown} in the answer, expected a string");
            Err(Kind::Host(what).into())
        }
        text => Ok(text),
    }
}

/// The first match of a .NET pattern: all of it, or a group by number or name.
///
/// # Errors
///
/// [`Kind::Store`] for a pattern that is invalid or takes too long; [`Kind::Host`] if it finds
/// nothing. Neither shows the pattern, which may contain a token.
pub(super) fn regex(input: &str, pattern: &str, group: &str) -> Result<String> {
    let bad = |what: &str| Error::from(Kind::Store(what.into()));
    let regex: Regex = RegexBuilder::new(pattern)
        .delegate_size_limit(LARGEST)
        .build()
        .map_err(|_| bad("an invalid pattern, expected a regular expression"))?;
    let found = regex
        .captures(input)
        .map_err(|_| bad("a regular expression that takes too long"))?;
    let Some(found) = found else {
        return Err(Kind::Host("nothing in the answer that fits the pattern".into()).into());
    };
    let part = match group.parse() {
        Ok(number) => nth_group(&regex, number).and_then(|index| found.get(index)),
        Err(_) if group.is_empty() => found.get(0),
        Err(_) => found.name(group),
    };
    part.map(|part| part.as_str().to_owned()).ok_or_else(|| {
        let group = shown(group);
        Kind::Host(format!("no group {group} in the match of the pattern")).into()
    })
}

/// The group with this number in .NET, which numbers named groups after the others.
fn nth_group(regex: &Regex, number: usize) -> Option<usize> {
    let groups = || regex.capture_names().enumerate();
    let unnamed = groups().filter(|(_, name)| name.is_none());
    let named = groups().filter(|(_, name)| name.is_some());
    unnamed.chain(named).map(|(index, _)| index).nth(number)
}

/// Whether a path is small enough for its parser, which recurses at every bracket.
fn check_size(path: &str) -> Option<()> {
    let mut depth = 0_usize;
    let mut deepest = 0;
    for c in path.bytes() {
        match c {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    (path.len() <= LONGEST && deepest <= DEEPEST).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_those_of_json_net() {
        let input = r#"{"url":"u","a":{"b-c":[{"x":"\/1"},{"x":2}],"only":true,"id":1},"0":"zero",
            "it's":"quoted","none":null,"files":[{"id":7,"type":"png","url2":"y"}]}"#;
        for (path, expected) in [
            ("url", "u"),
            ("$.url", "u"),
            ("$['url']", "u"),
            (".only", "true"),
            ("$..only", "true"),
            ("a.b-c[0].x", "/1"),
            ("a.b-c[1].x", "2"),
            ("a['b-c'][-1].x", "2"),
            ("a.b-c.[0].x", "/1"),
            ("0", "zero"),
            ("it's", "quoted"),
            ("files[*].url2", "y"),
            ("files[?(@.type == 'png')].id", "7"),
            ("files.*.id", "7"),
        ] {
            assert_eq!(json(input, path).unwrap(), expected, "{path}");
        }
        assert_eq!(json("\u{feff}[{\"x\":1.5}]", "[0].x").unwrap(), "1.5");
        assert_eq!(json("[[3]]", "[0][0]").unwrap(), "3");
        assert_eq!(json("\"x\"", "$").unwrap(), "x");
        for (path, expected) in [
            ("nope", "nothing at nope in the answer, expected a string"),
            ("none", "null at none in the answer, expected a string"),
            ("a", "an object at a in the answer, expected a string"),
            (".x", "2 values at .x in the answer, expected a string"),
            ("a[", "'a[', expected a JSONPath"),
        ] {
            assert_eq!(json(input, path).unwrap_err().to_string(), expected);
        }
        let error = json("<html>", "url").unwrap_err();
        assert_eq!(
            error.to_string(),
            "answer isn't JSON, expected JSON with url"
        );
    }

    #[test]
    fn xpath_finds_elements_attributes_and_text() {
        let input = "\n<?xml version=\"1.0\"?><files><file id='1'><url>a</url></file>\
            <file id='2'><url>b<i>c</i></url></file><none/></files>";
        for (path, expected) in [
            ("/files/file[1]/url", "a"),
            ("//file[@id='2']/url", "bc"),
            ("//file[last()]/@id", "2"),
            ("//url/text()", "a"),
            ("concat('x', //url)", "xa"),
            ("count(//file)", "2"),
        ] {
            assert_eq!(xml(input, path).unwrap(), expected, "{path}");
        }
        for (path, host) in [("//nope", true), ("//none", true), ("//[", false)] {
            let error = xml(input, path).unwrap_err();
            assert_eq!(
                matches!(error.kind(), Kind::Host(_)),
                host,
                "{path}: {error}"
            );
        }
        assert!(xml("<a>", "/a").is_err());
        assert!(xml("{}", "/a").is_err());
    }

    #[test]
    fn patterns_are_those_of_dotnet() {
        let input = r#"<a href="http://x/1">"#;
        for (pattern, group, expected) in [
            (r#"(?<=href=").+(?=")"#, "", "http://x/1"),
            (r#"href="(.+)""#, "1", "http://x/1"),
            (r#"href="(?<url>.+)""#, "url", "http://x/1"),
            ("href", "0", "href"),
            ("(?<a>h)(r)", "1", "r"),
            ("(?<a>h)(r)", "2", "h"),
        ] {
            assert_eq!(regex(input, pattern, group).unwrap(), expected, "{pattern}");
        }
        for (pattern, group, host) in [
            ("nope", "", true),
            ("href", "1", true),
            ("href", "name", true),
            ("(", "", false),
        ] {
            let error = regex(input, pattern, group).unwrap_err();
            assert_eq!(matches!(error.kind(), Kind::Host(_)), host, "{pattern}");
        }
        let slow = regex(&"a".repeat(200), r"(a*)*\1b(?=c)", "").unwrap_err();
        assert!(matches!(slow.kind(), Kind::Store(_) | Kind::Host(_)));
    }

    #[test]
    fn deep_and_long_ones_are_refused() {
        let deep = |open: &str, close: &str| open.repeat(100_000) + &close.repeat(100_000);
        assert!(json(&deep("[", "]"), ".x").is_err());
        assert!(json("{}", &deep("[?(", ")]")).is_err());
        assert!(json("{}", &format!("[?{}@.a{}]", "(".repeat(7), ")".repeat(7))).is_err());
        assert!(json("{}", &".a".repeat(249)).is_err());
        assert!(xml(&deep("<a>", "</a>"), "//b").is_err());
        assert!(xml("<a/>", &deep("(", ")")).is_err());
        assert!(xml("<a/>", &"-".repeat(490)).is_err());
        assert!(regex("", &deep("(", ")"), "").is_err());
        assert!(regex("a", "((a{1000}){1000}){1000}", "").is_err());
        assert!(regex("a", "(((?=a)a{1000}){1000}){1000}", "").is_err());
    }

    #[test]
    fn entities_dont_multiply() {
        let mut input = String::from("<!DOCTYPE a [<!ENTITY e0 'xxxxxxxxxxxxxxxxxxxx'>");
        for i in 1..12 {
            let inner = format!("&e{};", i - 1).repeat(10);
            input.extend(["<!ENTITY e", &i.to_string(), " '", &inner, "'>"]);
        }
        input += "]><a>&e11;</a>";
        assert!(xml(&input, "/a").is_err());
    }

    proptest! {
        #[test]
        fn any_query_gives_or_fails(
            input in r#"([{}\[\]",:<>/a0]|null|<a>|</a>|&lt;|.){0,40}"#,
            what in r#"([\[\]().*$@?'"|/:{}\\^+-]|a|[0-9]|\.\.|==|.){0,30}"#,
            group in "[0-9]{0,25}|.{0,3}",
        ) {
            let _ = json(&input, &what);
            let _ = json(r#"{"a":[{"a":0}]}"#, &what);
            let _ = xml(&input, &what);
            let _ = xml("<a><a a='0'>a</a></a>", &what);
            let _ = regex(&input, &what, &group);
        }
    }
}
