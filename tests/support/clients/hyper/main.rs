// SPDX-License-Identifier: Apache-2.0
//! Posts one body many times at once, on one HTTP/2 connection over rustls:
//! hyper-client '{"url": "https://127.0.0.1:PORT/path", "body": "…", "ca": "FILE", "headers": {…}, "calls": 1}'
use std::{env, error::Error, sync::Arc};

use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, client::conn::http2, Request, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::{net::TcpStream, runtime, sync::Barrier, task::JoinSet};
use tokio_rustls::rustls::pki_types::{pem::PemObject, CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_rustls::{client::TlsStream, TlsConnector};

type Failure = Box<dyn Error + Send + Sync>;
type Sender = http2::SendRequest<Full<Bytes>>;

async fn connect(ca: &str, url: &Uri) -> Result<TlsStream<TcpStream>, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (host, port) = (
        url.host().ok_or("no host")?,
        url.port_u16().ok_or("no port")?,
    );
    let socket = TcpStream::connect((host, port)).await?;
    Ok(TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from(host.to_owned())?, socket)
        .await?)
}

fn request(spec: &Value) -> Result<Request<Full<Bytes>>, Failure> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut request = Request::post(text(&spec["url"]));
    for (name, value) in spec["headers"].as_object().into_iter().flatten() {
        request = request.header(name, text(value));
    }
    Ok(request.body(Full::from(text(&spec["body"])))?)
}

/// Reads its reply when every call has one: all streams are open together.
async fn call(
    mut sender: Sender,
    request: Request<Full<Bytes>>,
    all_answered: Arc<Barrier>,
) -> Result<(), Failure> {
    sender.ready().await?;
    let mut reply = sender.send_request(request).await?;
    all_answered.wait().await;
    assert_eq!(reply.version(), Version::HTTP_2);
    while let Some(frame) = reply.frame().await {
        frame?;
    }
    Ok(())
}

async fn run(spec: Value) -> Result<(), Failure> {
    let url: Uri = spec["url"].as_str().ok_or("no url")?.parse()?;
    let stream = connect(spec["ca"].as_str().ok_or("no ca")?, &url).await?;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::spawn(connection);
    let count = spec["calls"].as_u64().ok_or("no calls")? as usize;
    let all_answered = Arc::new(Barrier::new(count));
    let mut calls = JoinSet::new();
    for _ in 0..count {
        calls.spawn(call(sender.clone(), request(&spec)?, all_answered.clone()));
    }
    while let Some(done) = calls.join_next().await {
        done??;
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let spec = serde_json::from_str(&env::args().nth(1).ok_or("no specification")?)?;
    runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_io()
        .build()?
        .block_on(run(spec))
}
