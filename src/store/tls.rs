//! TLS: which certificates to trust, and what is wrong with the others.
//!
//! ureq's own connector accepts only authorities, so this one replaces it. It also accepts a server
//! whose own certificate is in the file that `SSL_CERT_FILE` names, as curl(1) does, even if that
//! certificate claims to be an authority's, as those of `openssl req -x509` do.

use super::Config;
use crate::error::{Error, Kind, Result, shown};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct};
use rustls::{RootCertStore, SignatureScheme, StreamOwned};
use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use ureq::tls::{PemItem, parse_pem};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

/// Adds TLS to connections for https.
pub struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Trusts the certificates in the PEM file that `SSL_CERT_FILE` names, or else Mozilla's list.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`], and [`Kind::Store`] if there is no certificate in that file.
    pub fn new(config: &Config) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier::new(config, Arc::clone(&provider))?;
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder
            .with_safe_default_protocol_versions()
            .expect("internal error: versions of TLS");
        let builder = builder.dangerous();
        let config = builder
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Tls {
            config: Arc::new(config),
        })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, Secure>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> std::result::Result<Option<Self::Out>, ureq::Error> {
        let Some(below) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() || below.is_tls() {
            return Ok(Some(Either::A(below)));
        }
        let host = details.uri.host().unwrap_or_default();
        let name = ServerName::try_from(host.trim_matches(['[', ']']));
        let name = name.map_err(|_| ureq::Error::Tls("no valid host name"))?;
        let mut connection = ClientConnection::new(Arc::clone(&self.config), name.to_owned())?;
        let below: Box<dyn Transport> = Box::new(below);
        let mut below = TransportAdapter::new(below, details.current_time.clone());
        below.set_timeout(details.timeout);
        while connection.is_handshaking() {
            connection.complete_io(&mut below)?;
        }
        let sizes = details.config;
        Ok(Some(Either::B(Secure {
            buffers: LazyBuffers::new(sizes.input_buffer_size(), sizes.output_buffer_size()),
            stream: StreamOwned::new(connection, below),
        })))
    }
}

/// A connection with TLS.
pub struct Secure {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secure")
    }
}

impl Transport for Secure {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(
        &mut self,
        amount: usize,
        timeout: NextTimeout,
    ) -> std::result::Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = &self.buffers.output()[..amount];
        Ok(self.stream.write_all(output)?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> std::result::Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// Verifies certificates as browsers do, and accepts those that the user has named.
#[derive(Debug)]
struct Verifier {
    authorities: Arc<WebPkiServerVerifier>,
    /// The certificates that the user has named.
    own: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(config: &Config, provider: Arc<CryptoProvider>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        let mut own = Vec::new();
        match config.variable("SSL_CERT_FILE") {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(path) => {
                let pem = std::fs::read(path).map_err(|e| Error::io("cannot read", e).at(path))?;
                own = certificates(&pem);
                if roots.add_parsable_certificates(own.iter().cloned()).0 == 0 {
                    let what =
                        "no certificate, expected some in PEM: SSL_CERT_FILE names this file";
                    return Err(Error::from(Kind::Store(what.into())).at(path));
                }
            }
        }
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(Verifier {
            authorities: authorities.build().expect("internal error: no authorities"),
            own,
        })
    }
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    let items = parse_pem(pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    items
        .map(|certificate| certificate.der().to_vec().into())
        .collect()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let verified = self
            .authorities
            .verify_server_cert(certificate, others, name, ocsp, now);
        match verified {
            // At this point its dates have been checked, but not its name.
            Err(rustls::Error::InvalidCertificate(e))
                if is_of_authority(&e) && self.own.contains(certificate) =>
            {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// Whether a certificate was refused because a server uses an authority's as its own.
fn is_of_authority(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity")
}

/// Why TLS refuses a server, if a retry wouldn't help.
pub fn refusal(error: &ureq::Error) -> Option<Kind> {
    let error = match error {
        ureq::Error::Rustls(error) => error,
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref()?,
        _ => return None,
    };
    Some(match error {
        rustls::Error::InvalidCertificate(why) => bad_certificate(why),
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            Kind::Host("no TLS on this port, expected https; does it speak http?".into())
        }
        _ => return None,
    })
}

fn bad_certificate(why: &CertificateError) -> Kind {
    let date = |time: &UnixTime| {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs());
        humantime::format_rfc3339_seconds(time)
    };
    match why {
        CertificateError::UnknownIssuer => {
            Kind::Untrusted("from an unknown authority, expected a trusted one".into())
        }
        why if is_of_authority(why) => {
            Kind::Untrusted("self-signed, expected a trusted authority".into())
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            Kind::Certificate(format!("expired at {}", date(not_after)))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            Kind::Certificate(format!("not valid before {}", date(not_before)))
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let presented = match presented.join(", ") {
                none if none.is_empty() => "no name".to_owned(),
                names => shown(&names.replace("DnsName(\"", "").replace("\")", "")),
            };
            let expected = expected.to_str();
            Kind::Certificate(format!("valid for {presented}, expected {expected}"))
        }
        why => Kind::Certificate(shown(&format!("{why:?}"))),
    }
}
