//! A server with TLS that gives one picture for whatever is asked.

use super::proxy::read_message;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What is special about its certificate, which signs itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// It says that it is an authority, as those of `openssl req -x509` do.
    Authority,
    /// It says that it is none.
    Plain,
    /// It expired in 2001.
    Expired,
    /// It is for another host.
    OtherName,
}

/// A server that runs for as long as the test process.
pub struct TlsServer {
    pub address: SocketAddr,
    /// The certificate, as PEM.
    pub pem: String,
    /// How many connections were made.
    pub connections: Arc<AtomicUsize>,
}

impl TlsServer {
    pub fn new(special: Certificate, picture: &[u8]) -> Self {
        let name = match special {
            Certificate::OtherName => "example.org",
            _ => "localhost",
        };
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.is_ca = match special {
            Certificate::Plain => IsCa::ExplicitNoCa,
            _ => IsCa::Ca(BasicConstraints::Unconstrained),
        };
        if special == Certificate::Expired {
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let text = BASE64_STANDARD.encode(certificate.der());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = TlsServer {
            address: listener.local_addr().unwrap(),
            pem,
            connections: Arc::default(),
        };
        let (config, count) = (Arc::new(config), Arc::clone(&server.connections));
        let head = format!(
            "HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n",
            picture.len()
        );
        let answer = [head.as_bytes(), picture].concat();
        thread::spawn(move || {
            for client in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
                let (config, answer) = (Arc::clone(&config), answer.clone());
                thread::spawn(move || {
                    let connection = ServerConnection::new(config).unwrap();
                    let mut stream = BufReader::new(StreamOwned::new(connection, client.unwrap()));
                    while let Ok(Some(_)) = read_message(&mut stream, false) {
                        stream.get_mut().write_all(&answer).unwrap();
                    }
                });
            }
        });
        server
    }
}
