//! Servers in the test process, and a proxy before them that can be told to misbehave.

#![allow(dead_code)] // each test uses its part

pub mod bare;
pub mod forward;
pub mod host;
pub mod proxy;
pub mod tls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use dav_server::{DavHandler, body::Body, fakels::FakeLs, localfs::LocalFs};
use hyper::header::AUTHORIZATION;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

pub const USER: &str = "user";
pub const PASSWORD: &str = "correct horse";
/// `USER:PASSWORD` in base64.
const LOGIN: &str = "Basic dXNlcjpjb3JyZWN0IGhvcnNl";

/// Runs a server for as long as the test process lives; gives its address.
macro_rules! serve {
    ($service:expr) => {{
        let (tell, address) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()
                .unwrap();
            let service = $service;
            runtime.block_on(tokio::task::LocalSet::new().run_until(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    let service = service.clone();
                    tokio::task::spawn_local(async move {
                        let builder =
                            hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                        let _ = builder
                            .serve_connection(TokioIo::new(socket), service)
                            .await;
                    });
                }
            }));
        });
        address.recv().unwrap()
    }};
}

/// S3 on a folder whose folders are its buckets; the key is `AK`, its secret `SK`.
pub fn s3(folder: &Path) -> SocketAddr {
    let folder = folder.to_owned();
    serve!({
        let mut builder =
            s3s::service::S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).unwrap());
        builder.set_auth(s3s::auth::SimpleAuth::from_single("AK", "SK"));
        builder.build()
    })
}

/// `WebDAV` on a folder, with a login.
pub fn dav(folder: &Path) -> SocketAddr {
    let folder = folder.to_owned();
    serve!({
        let handler = DavHandler::builder()
            .filesystem(LocalFs::new(folder, false, false, false))
            .locksystem(FakeLs::new())
            .build_handler();
        service_fn(move |request: Request<hyper::body::Incoming>| {
            let handler = handler.clone();
            async move {
                let login = request.headers().get(AUTHORIZATION).cloned();
                if login.is_none_or(|login| login != LOGIN) {
                    let mut refused = Response::new(Body::empty());
                    *refused.status_mut() = StatusCode::UNAUTHORIZED;
                    return Ok::<_, Infallible>(refused);
                }
                Ok(handler.handle(request).await)
            }
        })
    })
}
