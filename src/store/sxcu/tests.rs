use super::*;
use proptest::prelude::*;

/// A file with these fields, besides the required ones.
fn file(fields: &str) -> String {
    format!(
        r#"{{"RequestURL":"https://img.example.org/up","FileFormName":"f","Body":"MultipartFormData"{}{fields}}}"#,
        if fields.is_empty() { "" } else { "," }
    )
}

fn uploader(fields: &str) -> Uploader {
    Uploader::parse(&file(fields)).unwrap()
}

fn refused(fields: &str) -> String {
    let error = Uploader::parse(&file(fields)).unwrap_err();
    assert!(matches!(error.kind(), Kind::Store(_)), "{error}");
    error.to_string()
}

/// Calls `run` with an upload for which the user has set these values.
fn with<T>(set: &[(&str, &str)], run: impl FnOnce(&Upload) -> T) -> T {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    run(&Upload {
        filename: "a b.png",
        set: &set.iter().map(pair).collect(),
        random: &|n| n - 1,
    })
}

fn answer(body: &str) -> Answer<'_> {
    Answer {
        status: 200,
        url: "https://img.example.org/up/done#x",
        headers: &[],
        body,
    }
}

fn url(fields: &str, body: &str) -> Result<String> {
    with(&[], |upload| uploader(fields).answer(upload, &answer(body))).map(|links| links.url)
}

#[test]
fn the_spelling_is_the_one_that_is_seen() {
    let body = r#"{"url":"https://x.org/a"}"#;
    for fields in [
        r#""URL":"{json:url}""#,
        r#""URL":"$json:url$""#,
        r#""URL":"{json:url}","Version":"1.0.0""#,
        r#""URL":"$JSON:url$","Version":"15.0.0""#,
        r#""URL":"{json:url}","Version":"14.0.0","Headers":{"A":"$filename$"}"#,
        r#""URL":"$json:url$","Version":"13.7.1","Headers":{"A":"{filename}"}"#,
        r#""URL":"{json:url}","Headers":{"A":"$filename$"}"#,
        r#""url":"{json:url}","VERSION":14"#,
    ] {
        assert_eq!(url(fields, body).unwrap(), "https://x.org/a", "{fields}");
    }
}

#[test]
fn a_url_is_absolute_and_without_fragment() {
    for (body, expected) in [
        (" https://x.org/a.png#f \r\n", "https://x.org/a.png"),
        ("//x.org/a", "https://x.org/a"),
        ("/i/a.png", "https://img.example.org/i/a.png"),
        ("a.png?b", "https://img.example.org/up/a.png?b"),
        ("HTTP://X.org/é", "http://x.org/%C3%A9"),
    ] {
        assert_eq!(url("", body).unwrap(), expected, "{body}");
    }
    for (body, expected) in [
        ("", "nothing"),
        ("OK", "'OK'"),
        ("file too large.", "'file too large.'"),
        ("<html>https://x.org/a</html>", "a page"),
        (r#"{"url":"https://x.org/a"}"#, "JSON"),
        ("ftp://x.org/a", "'ftp://x.org/a'"),
        ("javascript:a.b", "'javascript:a.b'"),
        ("https://", "'https://'"),
        (
            "https://x.org/a\nhttps://x.org/b",
            r"'https://x.org/a\nhttps://x.org/b'",
        ),
        (&"a ".repeat(50), "a text of 99 bytes"),
    ] {
        let error = url("", body).unwrap_err();
        assert!(matches!(error.kind(), Kind::Host(_)), "{error}");
        let expected = format!("img.example.org: URL: {expected}, expected an http or https URL");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn an_old_file_says_what_its_answer_is() {
    let headers = [("location".to_owned(), "/l.png".to_owned())];
    let answer = Answer {
        headers: &headers,
        ..answer("https://x.org/body")
    };
    for (fields, expected) in [
        (r#""ResponseType":"Text""#, "https://x.org/body"),
        (
            r#""ResponseType":"RedirectionURL""#,
            "https://img.example.org/up/done",
        ),
        (
            r#""ResponseType":"LocationHeader""#,
            "https://img.example.org/l.png",
        ),
        (
            r#""ResponseType":"LocationHeader","URL":"https://cdn.org$response$""#,
            "https://cdn.org/l.png",
        ),
        (
            r#""ResponseType":"Headers","RegexList":["location: (.+)"],"URL":"https://cdn.org$regex:1,1$""#,
            "https://cdn.org/l.png",
        ),
    ] {
        let links = with(&[], |upload| uploader(fields).answer(upload, &answer));
        assert_eq!(links.unwrap().url, expected, "{fields}");
    }
    let error = refused(r#""ResponseType":"Headers""#);
    assert_eq!(error, "URL: nothing, expected it with ResponseType Headers");
}

#[test]
fn what_carries_no_picture_is_refused() {
    for (fields, expected) in [
        (
            r#""RequestMethod":"get""#,
            "RequestMethod: GET, expected POST, PUT or PATCH",
        ),
        (
            r#""RequestType":"DELETE""#,
            "RequestMethod: DELETE, expected POST, PUT or PATCH",
        ),
        (
            r#""DestinationType":"TextUploader, URLShortener""#,
            "DestinationType: TextUploader, URLShortener, expected ImageUploader",
        ),
        (
            r#""ResponseType":"Mail""#,
            "ResponseType: Mail, expected Text, RedirectionURL, Headers or LocationHeader",
        ),
        (
            r#""Headers":["a"]"#,
            "Headers: not names and strings, expected an object of them",
        ),
        (
            r#""Headers":{"a b":"c"}"#,
            "Headers: 'a b', expected the name of a header",
        ),
        (r#""URL":{}"#, "URL: not a string, expected one"),
        (
            r#""RegexList":"a""#,
            "RegexList: not a list of strings, expected one",
        ),
        (
            r#""URL":"{sha256:{response}}""#,
            "URL: unknown function 'sha256'",
        ),
        (r#""URL":"{json:a""#, "URL: a '{' without its '}'"),
    ] {
        assert_eq!(refused(fields), expected);
    }
    for body in ["JSON", "XML", "FormURLEncoded"] {
        let file = format!(r#"{{"RequestURL":"a.org","FileFormName":"f","Body":"{body}"}}"#);
        let error = Uploader::parse(&file).unwrap_err().to_string();
        let expected = "which carries no picture, expected MultipartFormData or Binary";
        assert_eq!(error, format!("Body: {body}, {expected}"));
    }
    for (file, expected) in [
        (
            "",
            "invalid JSON at line 1, column 0, expected a ShareX uploader file",
        ),
        ("[]", "other JSON, expected a ShareX uploader file"),
        (
            r#"{"Body":"MultipartFormData"}"#,
            "FileFormName: nothing, expected a name",
        ),
        ("{}", "Body: nothing, expected MultipartFormData or Binary"),
    ] {
        assert_eq!(Uploader::parse(file).unwrap_err().to_string(), expected);
    }
    for fields in [
        r#""DestinationType":"None""#,
        r#""DestinationType":"TextUploader, FileUploader""#,
        r#""DestinationType":null,"Arguments":[],"Headers":null"#,
    ] {
        uploader(fields);
    }
}

#[test]
fn a_request_has_what_the_file_gives() {
    let fields = r#""Parameters":{"a":"x y&","b":"","c":1},"Headers":{"A":" {base64:u:p}\n",
        "Content-Type":"image/png","content-length":"1"},
        "Arguments":{"n":"{filename}","i":"{input}","t":true,"r":"{random:x|y}","p":"%y {"}"#;
    let error = refused(fields);
    assert_eq!(error, "Arguments: p: a '{' without its '}'");
    let request = with(&[], |u| uploader(&fields.replace("%y {", "%y")).request(u)).unwrap();
    assert_eq!(request.url, "https://img.example.org/up?a=x+y%26&b&c=1");
    assert_eq!(request.headers, [("A".to_owned(), "dTpw".to_owned())]);
    let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let arguments = vec![
        text("i", ""),
        text("n", "a b.png"),
        text("p", "%y"),
        text("r", "y"),
        text("t", "true"),
    ];
    let file_field = "f".to_owned();
    assert!(
        request.body
            == Body::Multipart {
                file_field,
                arguments
            }
    );

    let binary = r#"{"RequestURL":"u:p@a.org/{filename}?x=1#f","RequestMethod":"put","Body":"Binary",
        "Headers":{"content-type":"image/png"},"Parameters":{"y":"2"}}"#;
    let uploader = Uploader::parse(binary).unwrap();
    let request = with(&[], |u| uploader.request(u)).unwrap();
    assert_eq!((uploader.name(), &*request.method), ("a.org", "PUT"));
    assert_eq!(request.url, "https://u:p@a.org/a%20b.png?x=1&y=2");
    assert_eq!(request.headers.len(), 1);
    assert!(request.body == Body::Binary);
}

#[test]
fn a_question_is_answered_beforehand_or_refused() {
    let ask = |field: &str, call: &str, set: &[(&str, &str)]| {
        let file = uploader(&format!(r#""{field}":{{"A":"{call}"}}"#));
        let request = with(set, |upload| file.request(upload));
        request.map(|r| r.headers[0].1.clone())
    };
    for (call, set) in [
        ("{inputbox}", [("inputbox", "v")]),
        ("{InputBox:API key|default}", [("API key", "v")]),
        ("{prompt:API key}", [("prompt", "v")]),
        ("$prompt:API key|default$", [("API key", "v")]),
        ("{select:u|v}", [("select", "v")]),
        ("$select:u|v$", [("select", "v")]),
    ] {
        assert_eq!(ask("Headers", call, &set).unwrap(), "v", "{call}");
        let error = ask("Headers", call, &[("other", "v")]).unwrap_err();
        assert!(matches!(error.kind(), Kind::Store(_)));
        assert!(
            error.to_string().ends_with("or --set NAME=VALUE"),
            "{error}"
        );
    }
    let error = ask("Headers", "{prompt:API key|s3cret}", &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Headers: A: prompt asks for 'API key', expected the value in the file, or --set NAME=VALUE"
    );
    let error = ask("Headers", "{select:s3cret|v}", &[("select", "w")]).unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
    let late = uploader(r#""URL":"https://{select:a.org|b.org}/{json:id}""#);
    assert!(with(&[], |upload| late.request(upload)).is_err());
    assert!(with(&[("select", "a.org")], |upload| late.request(upload)).is_ok());
}

#[test]
fn no_message_shows_a_secret() {
    let secret = "s3cretT0ken";
    for (field, text) in [
        ("Headers", "{SECRET}"),
        ("Headers", "{SECRET:"),
        ("Arguments", "{SECRET:x}"),
        ("Headers", "{json:{SECRET:x}|a}"),
        ("Parameters", "$SECRET$$filename$"),
        ("Headers", r"SECRET\nSet: x"),
        ("Headers", "{json:[\\\"SECRET\\\"]|a}"),
        ("Headers", "{regex:SECRET|(SECRET|1}"),
        ("Headers", "{header:x}SECRET"),
    ] {
        let text = text.replace("SECRET", secret);
        let file = file(&format!(r#""{field}":{{"A":"{text}"}}"#));
        let request = Uploader::parse(&file).and_then(|file| with(&[], |u| file.request(u)));
        let error = request.unwrap_err();
        let (short, long) = (error.to_string(), format!("{error:?}"));
        assert!(!short.contains(secret) && !long.contains(secret), "{long}");
        assert!(matches!(error.kind(), Kind::Store(_) | Kind::Host(_)));
    }
    let file = uploader(r#""Headers":{"A":"s3cretT0ken"},"DeletionURL":"https://x/s3cretT0ken""#);
    let request = with(&[], |upload| file.request(upload)).unwrap();
    let links = with(&[], |upload| file.answer(upload, &answer("/a"))).unwrap();
    let debug = format!("{file:?} {request:?} {links:?}");
    assert!(!debug.contains(secret), "{debug}");
    let bad = format!(r#"{{"RequestURL":"ftp://{secret}","Body":"Binary"}}"#);
    let bad = Uploader::parse(&bad).unwrap();
    let error = with(&[], |upload| bad.request(upload)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "RequestURL: not a URL, expected one of http or https"
    );
}

#[test]
fn a_host_says_what_went_wrong() {
    let file = uploader(r#""URL":"{json:data.link}","ErrorMessage":"{json:error}""#);
    let says = |body| with(&[], |upload| file.complaint(upload, &answer(body)));
    assert_eq!(
        says(r#"{"error":" too\n large "}"#).unwrap(),
        r"too\n large"
    );
    assert_eq!(says(r#"{"error":""}"#), None);
    assert_eq!(says("<html>"), None);
    let body = r#"{"error":"too large"}"#;
    let error = with(&[], |upload| file.answer(upload, &answer(body))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "img.example.org: URL: nothing at data.link in the answer, expected a string; \
         the host says \"too large\""
    );
}

proptest! {
    #[test]
    fn any_file_and_any_answer_give_or_fail(
        text in r"([{}$|:\\\[\].,/]|json|regex|response|select|xml|header|https://a|\PC){0,12}",
        field in "URL|Headers|RegexList|RequestURL|Body|ResponseType|Version|ErrorMessage",
        body in r#"([{}\[\]",:<>/#]|a|https://|\PC){0,12}"#,
    ) {
        let text = serde_json::to_string(&text).unwrap();
        let (list, map) = (format!("[{text}]"), format!(r#"{{"A":{text}}}"#));
        let _ = Uploader::parse(&body);
        for value in [text, list, map] {
            let file = format!(r#"{{"{field}":{value},"RequestURL":"a.org","FileFormName":"f"}}"#);
            let Ok(file) = Uploader::parse(&file) else { continue };
            with(&[], |upload| {
                let _ = (file.request(upload), file.complaint(upload, &answer(&body)));
                let links = file.answer(upload, &answer(&body));
                assert!(links.is_err() || links.unwrap().url.starts_with("http"));
            });
        }
    }
}
