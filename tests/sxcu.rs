//! Uploader files in the shapes of real hosts: what is sent, and what an answer gives.
//!
//! The files in `tests/sxcu` were written for this project; hosts and tokens are invented.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use storagex::store::sxcu::{Answer, Body, Upload, Uploader};

/// A file, what the user gave for it, what it is to send, and what is to be made of an answer.
struct Case {
    file: &'static str,
    set: &'static [(&'static str, &'static str)],
    name: &'static str,
    /// Method and URL.
    request: &'static str,
    headers: &'static [(&'static str, &'static str)],
    /// The name of the picture's part; empty for a body that is the picture.
    field: &'static str,
    arguments: &'static [(&'static str, &'static str)],
    /// Where the answer came from; empty for where the request went.
    from: &'static str,
    answer_headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    url: &'static str,
    thumbnail: &'static str,
    deletion: &'static str,
    /// The body of an answer of another status, and what the host says by it.
    complaint: (&'static str, &'static str),
}

/// What a case has where it says nothing.
const NONE: Case = Case {
    file: "",
    set: &[],
    name: "",
    request: "",
    headers: &[],
    field: "",
    arguments: &[],
    from: "",
    answer_headers: &[],
    body: "",
    url: "",
    thumbnail: "",
    deletion: "",
    complaint: ("", ""),
};

const CASES: &[Case] = &[
    Case {
        file: "zipline",
        name: "zipline - img.example.org",
        request: "POST https://img.example.org/api/upload",
        headers: &[
            ("authorization", "MTcwMDAwMDAwMA.aW52ZW50ZWQtdG9rZW4"),
            ("x-zipline-format", "random"),
            ("x-zipline-original-name", "true"),
        ],
        field: "file",
        body: r#"{"files":[{"id":"c1","type":"image/png","url":"https://img.example.org/u/x1.png"}]}"#,
        url: "https://img.example.org/u/x1.png",
        complaint: (r#"{"error":"invalid token","code":401}"#, "invalid token"),
        ..NONE
    },
    Case {
        file: "chibisafe",
        name: "chibisafe",
        request: "POST https://safe.example.org/api/upload",
        headers: &[("x-api-key", "invented-key-0123456789")],
        field: "file[]",
        body: r#"{"name":"x","uuid":"u","url":"https:\/\/safe.example.org\/x.png","thumb":"/thumbs/x.webp"}"#,
        url: "https://safe.example.org/x.png",
        thumbnail: "https://safe.example.org/thumbs/x.webp",
        complaint: (
            r#"{"statusCode":413,"message":"Chunk too large"}"#,
            "Chunk too large",
        ),
        ..NONE
    },
    Case {
        file: "xbackbone",
        name: "x.example.org",
        request: "POST https://x.example.org/upload",
        field: "upload",
        arguments: &[("token", "token_invented0123456789abcdef")],
        body: r#"{"message":"OK","version":"3.6","url":"https://x.example.org/aB/cD.png"}"#,
        url: "https://x.example.org/aB/cD.png/raw",
        deletion: "https://x.example.org/aB/cD.png/delete/token_invented0123456789abcdef",
        complaint: (r#"{"message":"Token not found."}"#, "Token not found."),
        ..NONE
    },
    Case {
        file: "slink",
        set: &[("API key", "42")],
        name: "Slink",
        request: "POST https://slink.example.org/api/external/upload",
        headers: &[("Authorization", "Bearer sk_invented_42")],
        field: "image",
        arguments: &[("isPublic", "true")],
        body: r#"{"url":"https://slink.example.org/image/1.png","thumbnailUrl":null,"id":"1"}"#,
        url: "https://slink.example.org/image/1.png",
        complaint: (r#"{"violations":[{"message":"no image"}]}"#, "no image"),
        ..NONE
    },
    Case {
        file: "picsur",
        name: "Picsur",
        request: "POST https://pics.example.org/api/image/upload",
        headers: &[("Authorization", "Api-Key inventedinventedinvented")],
        field: "image",
        body: r#"{"success":true,"statusCode":201,"data":{"id":"7c-1","delete_key":"dk"}}"#,
        url: "https://pics.example.org/i/7c-1.png",
        deletion: "https://pics.example.org/api/image/delete/7c-1/dk",
        complaint: ("<html>bad gateway", ""),
        ..NONE
    },
    Case {
        file: "anonymous",
        name: "anonymous, with a client's name",
        request: "POST https://api.example.net/3/image?name=ab+c.png",
        headers: &[("Authorization", "Client-ID 0123456789abcde")],
        field: "image",
        arguments: &[("type", "file")],
        body: r#"{"data":{"id":"q1","deletehash":"h1","link":"https://i.example.net/q1.png#x"},"status":200}"#,
        url: "https://i.example.net/q1.png",
        thumbnail: "https://t1.example.net/q1s.png",
        deletion: "https://example.net/delete/h1",
        complaint: (
            r#"{"data":{"error":"Over quota"},"status":429}"#,
            "429: Over quota",
        ),
        ..NONE
    },
    Case {
        file: "pomf",
        name: "pomf.example.com",
        request: "POST https://pomf.example.com/upload.php?output=text",
        field: "files[]",
        body: "https://a.pomf.example.com/abcdef.png\n",
        url: "https://a.pomf.example.com/abcdef.png",
        ..NONE
    },
    Case {
        file: "put",
        set: &[("password", "hunter2")],
        name: "PUT, answered by XML",
        request: "PUT https://put.example.com/ab%20c.png",
        headers: &[("Authorization", "Basic dXNlcjpodW50ZXIy")],
        answer_headers: &[("x-delete", "/delete/1#now")],
        body: "<?xml version='1.0'?><upload><file kind='small'><url>no</url></file>\
                   <file kind='full'><url>/f/1.png?a=1&amp;b=2</url></file><small>/s/1.png</small></upload>",
        url: "https://put.example.com/f/1.png?a=1&b=2",
        thumbnail: "https://put.example.com/s/1.png",
        deletion: "https://put.example.com/delete/1#now",
        ..NONE
    },
    Case {
        file: "page",
        name: "no version, a page that is redirected to",
        request: "POST https://page.example.com/upload",
        field: "pic",
        from: "https://page.example.com/show/1",
        body: r#"<html><p><img src="../i/1.png" alt="a"></html>"#,
        url: "https://page.example.com/i/1.png",
        deletion: "https://page.example.com/show/1?delete=1",
        ..NONE
    },
    Case {
        file: "regexlist-12",
        name: "old.example.org",
        request: "POST https://old.example.org/upload.php",
        field: "file",
        arguments: &[("key", "inv$ented"), ("user", "YTpi")],
        body: r#"<a href="/show/1"><img src="/i/1.png"></a> <a href="?delete=0af">"#,
        url: "https://old.example.org/i/1.png",
        thumbnail: "https://old.example.org/show/1",
        deletion: "https://old.example.org/?delete=0af",
        ..NONE
    },
    Case {
        file: "json-13",
        set: &[("prompt", "t0")],
        name: "up13.example.org",
        request: "POST https://up13.example.org/a",
        headers: &[("token", "t0")],
        field: "image",
        body: r#"{"data":{"url":"https://up13.example.org/1.png","delete_url":null}}"#,
        url: "https://up13.example.org/1.png",
        ..NONE
    },
    Case {
        file: "location-11",
        name: "older.example.org",
        request: "POST http://older.example.org/api.php",
        field: "fileToUpload",
        arguments: &[("reqtype", "fileupload")],
        answer_headers: &[("Server", "x"), ("location", "/files/1.png#top")],
        url: "http://older.example.org/files/1.png",
        ..NONE
    },
    Case {
        file: "redirect-11",
        name: "oldest.example.org",
        request: "POST http://oldest.example.org/",
        field: "f",
        from: "http://oldest.example.org/show?id=17",
        body: "<html>",
        url: "http://oldest.example.org/17.png",
        ..NONE
    },
];

fn read(name: &str) -> Uploader {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/sxcu/{name}.sxcu"));
    Uploader::parse(&fs::read_to_string(path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    pairs.iter().map(pair).collect()
}

impl Case {
    fn check_request(&self, uploader: &Uploader, upload: &Upload) -> String {
        let file = self.file;
        assert_eq!(uploader.name(), self.name, "{file}");
        let request = uploader
            .request(upload)
            .unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(
            format!("{} {}", request.method, request.url),
            self.request,
            "{file}"
        );
        assert_eq!(request.headers, owned(self.headers), "{file}");
        match request.body {
            Body::Binary => assert_eq!(self.field, "", "{file}"),
            Body::Multipart {
                file_field,
                arguments,
            } => {
                assert_eq!(file_field, self.field, "{file}");
                assert_eq!(arguments, owned(self.arguments), "{file}");
            }
        }
        request.url
    }

    fn check_answer(&self, uploader: &Uploader, upload: &Upload, sent_to: &str) {
        let file = self.file;
        let headers = owned(self.answer_headers);
        let answer = Answer {
            status: 200,
            url: if self.from.is_empty() {
                sent_to
            } else {
                self.from
            },
            headers: &headers,
            body: self.body,
        };
        let links = uploader.answer(upload, &answer);
        let links = links.unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(links.url, self.url, "{file}");
        assert_eq!(
            links.thumbnail.unwrap_or_default(),
            self.thumbnail,
            "{file}"
        );
        assert_eq!(links.deletion.unwrap_or_default(), self.deletion, "{file}");
        let (body, says) = self.complaint;
        let refusal = Answer {
            status: 400,
            body,
            ..answer
        };
        let complaint = uploader.complaint(upload, &refusal);
        assert_eq!(complaint.unwrap_or_default(), says, "{file}");
    }
}

#[test]
fn every_file_sends_and_finds_what_it_should() {
    for case in CASES {
        let upload = Upload {
            filename: "ab c.png",
            set: &owned(case.set).into_iter().collect(),
            random: &|_| 0,
        };
        let uploader = read(case.file);
        let sent_to = case.check_request(&uploader, &upload);
        case.check_answer(&uploader, &upload, &sent_to);
    }
}

#[test]
fn every_file_is_tested() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sxcu");
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut tested: Vec<_> = CASES.iter().map(|c| format!("{}.sxcu", c.file)).collect();
    files.sort();
    tested.sort();
    assert_eq!(files, tested);
}

#[test]
fn what_asks_is_refused_without_an_answer_before_anything_is_sent() {
    let none = BTreeMap::new();
    let upload = Upload {
        filename: "a.png",
        set: &none,
        random: &|_| 0,
    };
    for file in ["slink", "put", "json-13"] {
        let error = read(file).request(&upload).unwrap_err().to_string();
        assert!(error.starts_with("Headers: "), "{error}");
        assert!(
            error.ends_with("expected the value in the file, or --set NAME=VALUE"),
            "{error}"
        );
    }
}
