//! The template language of uploader files: text with calls in it, in two spellings.
//!
//! Braces, in `ShareX` 14.0 and later: `{name:argument|argument}`, where arguments are templates,
//! too. Dollars, up to 13.7: `$name:argument|argument$`, without nested calls. In both, a backslash
//! makes the next character plain. `function.rs` evaluates the calls.

use std::iter::Peekable;
use std::str::Chars;

/// Text with calls in it.
#[derive(Default)]
pub(super) struct Template(pub(super) Vec<Part>);

/// A piece of a template.
pub(super) enum Part {
    /// Plain text.
    Text(String),
    /// A call of a function.
    Call(Call),
}

/// A function and its arguments.
pub(super) struct Call {
    pub(super) function: Function,
    pub(super) arguments: Vec<Template>,
}

/// The spelling of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    Braces,
    Dollars,
}

/// Why a text isn't a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// No function has this name.
    Unknown(String),
    /// Anything else.
    Syntax(&'static str),
}

/// The deepest nesting of calls.
const DEPTH: usize = 16;

/// A function that a template can call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    /// The answer, or what counts as that in an old file; see [`Source`].
    Response,
    /// The URL of the answer, after redirects.
    ResponseUrl,
    /// A header of the answer.
    Header,
    /// The value at a `JSONPath` in the answer, or in the first argument.
    Json,
    /// The value at an `XPath` there.
    Xml,
    /// The match of a pattern there, or a group of it.
    Regex,
    /// The match of a pattern from `RegexList` in the answer: its number, then a group.
    Listed,
    /// The name of the file that is sent.
    FileName,
    /// The text of a text upload: nothing.
    Input,
    /// Base64 of its argument.
    Base64,
    /// One of its arguments, at random.
    Random,
    /// One of its arguments, by the user's choice.
    Select,
    /// What the user types.
    InputBox,
    /// An older name of it.
    Prompt,
    /// A window with text: nothing.
    OutputBox,
}

impl Function {
    /// The function of this name, ignoring case.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "response" => Function::Response,
            "responseurl" => Function::ResponseUrl,
            "header" => Function::Header,
            "json" => Function::Json,
            "xml" => Function::Xml,
            "regex" => Function::Regex,
            "filename" => Function::FileName,
            "input" => Function::Input,
            "base64" => Function::Base64,
            "random" => Function::Random,
            "select" => Function::Select,
            "inputbox" => Function::InputBox,
            "prompt" => Function::Prompt,
            "outputbox" => Function::OutputBox,
            _ => return None,
        })
    }

    pub(super) fn needs_argument(self) -> bool {
        use Function::{Base64, Header, Json, Random, Regex, Select, Xml};
        matches!(self, Header | Json | Xml | Regex | Base64 | Random | Select)
    }
}

impl Spelling {
    /// Whether the text has a call of a known function in this spelling.
    pub(super) fn is_in(self, text: &str) -> bool {
        let (open, ends) = match self {
            Spelling::Braces => ('{', [':', '}', '|']),
            Spelling::Dollars => ('$', [':', '$', '$']),
        };
        let calls = text.split(open).skip(1);
        let mut names = calls.filter_map(|rest| match rest.find(ends) {
            Some(end) => rest.get(..end),
            None if self == Spelling::Dollars => Some(rest), // its end is where it was split
            None => None,
        });
        names.any(|name| Function::named(name).is_some())
    }

    /// Reads a template.
    pub(super) fn parse(self, text: &str) -> Result<Template, Bad> {
        let mut chars = text.chars().peekable();
        match self {
            Spelling::Braces => braces(&mut chars, DEPTH),
            Spelling::Dollars => dollars(&mut chars),
        }
    }
}

impl Template {
    /// A template that is a call without arguments.
    pub(super) fn call(function: Function) -> Self {
        Template(vec![Part::Call(Call {
            function,
            arguments: Vec::new(),
        })])
    }

    /// Whether it is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(&mut self, c: char) {
        match self.0.last_mut() {
            Some(Part::Text(text)) => text.push(c),
            _ => self.0.push(Part::Text(c.into())),
        }
    }

    fn push_call(&mut self, name: &str, arguments: Vec<Template>) -> Result<(), Bad> {
        let function = Function::named(name).ok_or_else(|| Bad::Unknown(name.to_owned()))?;
        if function.needs_argument() && arguments.is_empty() {
            return Err(Bad::Syntax("a call without an argument, expected one"));
        }
        self.0.push(Part::Call(Call {
            function,
            arguments,
        }));
        Ok(())
    }
}

/// Text up to its end, or, inside a call, up to the end of an argument.
fn braces(chars: &mut Peekable<Chars>, depth: usize) -> Result<Template, Bad> {
    let mut template = Template::default();
    let inside = depth < DEPTH;
    while let Some(c) = chars.next_if(|&c| !(inside && matches!(c, '|' | '}'))) {
        match c {
            '{' if depth == 0 => return Err(Bad::Syntax("calls too deep in calls")),
            '{' => {
                let (name, arguments) = call_in_braces(chars, depth - 1)?;
                template.push_call(&name, arguments)?;
            }
            '\\' => template.push(chars.next().unwrap_or('\\')),
            c => template.push(c),
        }
    }
    Ok(template)
}

/// A call, from after its opening brace to after its closing one.
fn call_in_braces(
    chars: &mut Peekable<Chars>,
    depth: usize,
) -> Result<(String, Vec<Template>), Bad> {
    let mut name = String::new();
    while let Some(c) = chars.next_if(|c| !":|}".contains(*c)) {
        name.push(c);
    }
    let mut arguments = Vec::new();
    loop {
        match chars.next() {
            Some('}') => return Ok((name, arguments)),
            Some(_) => arguments.push(braces(chars, depth)?),
            None => return Err(Bad::Syntax("a '{' without its '}'")),
        }
    }
}

/// Text with calls between dollars; an empty call is nothing.
fn dollars(chars: &mut Peekable<Chars>) -> Result<Template, Bad> {
    let mut template = Template::default();
    while let Some(c) = chars.next() {
        match c {
            '$' => {
                let call = call_in_dollars(chars)?;
                let (name, rest) = match call.split_once(':') {
                    Some((name, rest)) => (name, Some(rest)),
                    None => (call.as_str(), None),
                };
                if !call.is_empty() {
                    push_dollar_call(&mut template, name, rest)?;
                }
            }
            '\\' => template.push(chars.next().unwrap_or('\\')),
            c => template.push(c),
        }
    }
    Ok(template)
}

/// The text between two dollars, without backslashes; stops after the second dollar.
fn call_in_dollars(chars: &mut Peekable<Chars>) -> Result<String, Bad> {
    let mut call = String::new();
    loop {
        match chars.next() {
            Some('$') => return Ok(call),
            Some('\\') => call.extend(chars.next()),
            Some(c) => call.push(c),
            None => return Err(Bad::Syntax("a '$' without its other one")),
        }
    }
}

/// A call with plain arguments. A regex is one of the file's list here: its number, then a group.
/// Only functions of several arguments split theirs.
fn push_dollar_call(template: &mut Template, name: &str, rest: Option<&str>) -> Result<(), Bad> {
    let known = Function::named(name).ok_or_else(|| Bad::Unknown(name.to_owned()))?;
    let rest = rest.into_iter();
    let plain: Vec<&str> = match known {
        Function::Regex => rest.flat_map(|r| r.splitn(2, ['|', ','])).collect(),
        Function::Prompt | Function::InputBox => rest.flat_map(|r| r.splitn(2, '|')).collect(),
        Function::Random | Function::Select => rest.flat_map(|r| r.split('|')).collect(),
        _ => rest.collect(),
    };
    let text = |text: &str| Template(vec![Part::Text(text.to_owned())]);
    let arguments = plain.into_iter().map(text).collect();
    template.push_call(name, arguments)?;
    if let (Function::Regex, Some(Part::Call(call))) = (known, template.0.last_mut()) {
        call.function = Function::Listed;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The template written as a tree: `text<function(argument,argument)>`.
    fn tree(template: &Template) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Call(call) => {
                let arguments: Vec<_> = call.arguments.iter().map(tree).collect();
                format!("<{:?}({})>", call.function, arguments.join(","))
            }
        };
        template.0.iter().map(part).collect()
    }

    fn braces(text: &str) -> String {
        Spelling::Braces
            .parse(text)
            .map_or("!".into(), |t| tree(&t))
    }

    fn dollars(text: &str) -> String {
        Spelling::Dollars
            .parse(text)
            .map_or("!".into(), |t| tree(&t))
    }

    #[test]
    fn braces_nest_and_split() {
        assert_eq!(braces("plain | } : $x$"), "plain | } : $x$");
        assert_eq!(braces("a{Response}b"), "a<Response()>b");
        assert_eq!(braces("{base64:user:pass}"), "<Base64(user:pass)>");
        assert_eq!(
            braces("{base64:{json:a}:{filename}}"),
            "<Base64(<Json(a)>:<FileName()>)>"
        );
        assert_eq!(
            braces(r"{regex:{response}|a\|\{2\}\:\\d|1}"),
            r"<Regex(<Response()>,a|{2}:\d,1)>"
        );
        assert_eq!(braces("{random:a||b}"), "<Random(a,,b)>");
        assert_eq!(braces(r"\{json\}\"), r"{json}\");
    }

    #[test]
    fn dollars_split_where_the_function_takes_several() {
        assert_eq!(dollars("a$response$b"), "a<Response()>b");
        assert_eq!(dollars("$base64:a:b|c$"), "<Base64(a:b|c)>");
        assert_eq!(
            dollars("$regex:1,name$$regex:2|1$"),
            "<Listed(1,name)><Listed(2,1)>"
        );
        assert_eq!(dollars("$random:a|b|c$"), "<Random(a,b,c)>");
        assert_eq!(dollars("$prompt:t|a|b$"), "<Prompt(t,a|b)>");
        assert_eq!(dollars(r"5\$ {json:x} $$|}"), "5$ {json:x} |}");
        assert_eq!(dollars(r"$json:a\$b$"), "<Json(a$b)>");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        let unknown = |name: &str| Err(Bad::Unknown(name.into()));
        let read = |spelling: Spelling, text| spelling.parse(text).map(|t| tree(&t));
        assert_eq!(read(Spelling::Braces, "{sha1:x}"), unknown("sha1"));
        assert_eq!(read(Spelling::Braces, "{{json}:x}"), unknown("{json"));
        assert_eq!(read(Spelling::Dollars, "$sha1$"), unknown("sha1"));
        for bad in ["{", "{json:a", "{json}", "{json:{json:a}", "{regex}"] {
            assert_eq!(braces(bad), "!", "{bad}");
        }
        for bad in ["$", "a$json:a", "$json$", r"$json:a\$"] {
            assert_eq!(dollars(bad), "!", "{bad}");
        }
        let nested = |n| "{base64:".repeat(n) + "x" + &"}".repeat(n);
        assert_ne!(braces(&nested(DEPTH)), "!");
        assert_eq!(braces(&nested(DEPTH + 1)), "!");
        assert_eq!(braces(&nested(1_000_000)), "!");
    }

    #[test]
    fn a_spelling_is_seen_by_a_call_of_a_known_function() {
        for text in ["{json:x}", "a{RESPONSE}", "{x{response}", "{prompt|t}"] {
            assert!(Spelling::Braces.is_in(text), "{text}");
        }
        for text in ["$json:x$", "a$Response$", "$5 $response$"] {
            assert!(Spelling::Dollars.is_in(text), "{text}");
        }
        for text in ["", "{", "{x}", "$", "$5", "^a$", "{\"json\":1}"] {
            assert!(!Spelling::Braces.is_in(text), "{text}");
            assert!(!Spelling::Dollars.is_in(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r"([{}$|:\\]|json|regex|prompt|.){0,40}") {
            for spelling in [Spelling::Braces, Spelling::Dollars] {
                let _ = (spelling.is_in(&text), spelling.parse(&text).is_ok());
            }
        }
    }
}
