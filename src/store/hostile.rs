//! Servers and files that say anything: the bodies of the fuzz targets of this layer. See
//! [`crate::hostile`].

use super::sxcu::{Answer, Upload, Uploader};
use super::{Config, Host, Retry, S3, Store, Timeouts, Web, aws, netrc, route};
use crate::hostile::parts;
use crate::key::{Digest, Name};
use crate::wire::carrier::container;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};

/// Opens connections to nowhere: each reads the next of some texts, whatever is written to it.
#[derive(Debug, Clone)]
pub struct Canned(Arc<Mutex<Vec<Vec<u8>>>>);

impl Canned {
    /// These texts, in this order.
    fn new(mut texts: Vec<Vec<u8>>) -> Self {
        texts.reverse();
        Canned(Arc::new(Mutex::new(texts)))
    }
}

/// Opens connections as the configuration says: canned ones, or those that users get.
#[derive(Debug)]
pub struct Connections<C> {
    canned: Option<Canned>,
    real: C,
}

impl<C> Connections<C> {
    pub fn new(real: C, config: &Config) -> Self {
        let canned = config.answers.clone();
        Connections { canned, real }
    }
}

impl<C: Connector> Connector for Connections<C> {
    type Out = Either<CannedTransport, C::Out>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(Canned(texts)) = &self.canned else {
            let real = self.real.connect(details, chained)?;
            return Ok(real.map(Either::B));
        };
        let text = texts.lock().unwrap().pop();
        let text = text.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(Some(Either::A(CannedTransport {
            buffers: LazyBuffers::new(1 << 14, 1 << 14),
            text: io::Cursor::new(text),
        })))
    }
}

/// A connection that reads a text.
#[derive(Debug)]
pub struct CannedTransport {
    buffers: LazyBuffers,
    text: io::Cursor<Vec<u8>>,
}

impl Transport for CannedTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, _amount: usize, _timeout: NextTimeout) -> Result<(), Error> {
        Ok(())
    }

    fn await_input(&mut self, _timeout: NextTimeout) -> Result<bool, Error> {
        let count = io::Read::read(&mut self.text, self.buffers.input_append_buf())?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        self.text.position() < self.text.get_ref().len() as u64
    }
}

/// An uploader file for the answers of an image host.
const HOST: &str = r#"{"Version": "15.0.0", "DestinationType": "ImageUploader", "RequestURL": "http://127.0.0.1/up",
    "Body": "MultipartFormData", "FileFormName": "file", "URL": "{json:url}", "DeletionURL": "{header:x-delete}",
    "ErrorMessage": "{regex:error (.*)|1}"}"#;

/// Sends a picture to a server, and asks it for one. The first byte says which kind of server it is; the
/// rest is what it answers, where a line with a dot separates what one connection reads from what the
/// next does.
pub fn http(data: &[u8]) {
    let Some((kind, answers)) = data.split_first() else {
        return;
    };
    let texts = parts(answers).map(<[u8]>::to_vec).collect();
    let config = Config {
        answers: Some(Canned::new(texts)),
        retry: Retry {
            tries: 1, // a second waits as long as the server asks
            first: Duration::ZERO,
            longest: Duration::ZERO,
        },
        timeouts: Timeouts {
            appear: Duration::ZERO,
            ..Config::default().timeouts
        },
        variables: BTreeMap::from([
            ("AWS_ENDPOINT_URL".into(), "http://127.0.0.1/".into()),
            ("SX_HTTP_TOKEN".into(), "token".into()),
        ]),
        ..Config::default()
    };
    let base = "http://127.0.0.1/store/".parse().unwrap();
    let store: Box<dyn Store> = match kind % 3 {
        0 => Box::new(Web::new(base, &config).unwrap()),
        1 => Box::new(S3::new("bucket", "", &config).unwrap()),
        _ => Box::new(Host::with(Uploader::parse(HOST).unwrap(), None, &config).unwrap()),
    };
    let name = Name::from(Digest::of(b""));
    let put = store.put(&name, b"a picture");
    let Some(location) = put.ok().or_else(|| store.locate(&name)) else {
        return;
    };
    let _ = store.made(&location);
    let mut png = Vec::new();
    let _ = store.get(&location, &mut |bytes| {
        container::single(bytes, 1 << 16, &mut png)
    });
    let _ = store.replace(&name, b"a picture");
}

/// Reads an uploader file and what its host answers: the file, a line with a dot, the answer's headers,
/// such a line, and its body.
pub fn sxcu(data: &[u8]) {
    let mut parts = parts(data).map(|part| String::from_utf8_lossy(part).into_owned());
    let mut next = || parts.next().unwrap_or_default();
    let (file, headers, body) = (next(), next(), next());
    let Ok(uploader) = Uploader::parse(&file) else {
        return;
    };
    let answers = ["inputbox", "prompt", "select"].map(|name| (name.to_owned(), "x".to_owned()));
    let set = BTreeMap::from(answers);
    let upload = Upload {
        filename: "picture.png",
        set: &set,
        random: &|below| below / 2,
    };
    if let Ok(request) = uploader.request(&upload) {
        url::Url::parse(&request.url).unwrap();
    }
    let pairs = headers.lines().filter_map(|line| line.split_once(": "));
    let pairs: Vec<_> = pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let answer = Answer {
        status: 200,
        url: "https://host.example/up",
        headers: &pairs,
        body: &body,
    };
    let _ = (uploader.name(), uploader.reads_body());
    if let Ok(links) = uploader.answer(&upload, &answer) {
        url::Url::parse(&links.url).unwrap();
    }
    let _ = uploader.complaint(&upload, &answer);
}

/// Reads the files and variables that say how stores are reached: netrc, credentials and config of AWS,
/// and a proxy.
pub fn conf(data: &[u8]) {
    let mut parts = parts(data).map(|part| String::from_utf8_lossy(part).into_owned());
    let mut next = || parts.next().unwrap_or_default();
    let _ = netrc::find(&next(), "host");
    let (credentials, config) = (next(), next());
    let variables = [
        ("AWS_PROFILE", "p"),
        ("http_proxy", &next()),
        ("no_proxy", &next()),
    ];
    for count in 0..variables.len() {
        let owned = variables[count..].iter();
        let config_of = Config {
            variables: owned
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            ..Config::default()
        };
        let _ = route::Proxies::new(&config_of);
        if let Some(profile) = aws::Profile::parse("p", &credentials, &config) {
            let _ = aws::bucket_of("bucket", &config_of, &profile);
        }
    }
}
