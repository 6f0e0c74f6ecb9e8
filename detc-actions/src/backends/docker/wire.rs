//! Carries requests over whatever leads to the engine, on connections that are kept, in a version of the API that it speaks.

use std::error::Error as _;
use std::fmt::{self, Debug};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::errors::Error;
use bollard::{BollardRequest, ClientVersion};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tower_service::Service;

use super::dial::{Dial, DialError, Duplex};

/// How long a way to an engine may take: a handshake through another machine is done in a few seconds.
const DIAL_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a connection that nobody uses is kept, and how many: for as many calls as are made at once in a usual run.
const IDLE: (Duration, usize) = (Duration::from_secs(30), 64);

/// The version of the API that is spoken where the engine does: the oldest whose words are known to be enough. What it says is the
/// same on all engines since 20.10, which is more than can be said of the newest one of each.
pub(super) const SPOKEN: ApiVersion = ApiVersion(1, 41);

/// A version of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion(u32, u32);

impl ApiVersion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }

    /// What is spoken with an engine that speaks these; `None`: we have no version in common.
    fn common(oldest: Self, newest: Self) -> Option<Self> {
        Some(oldest.max(SPOKEN)).filter(|common| *common <= newest && common.0 == SPOKEN.0)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Carries requests to one engine.
#[derive(Clone)]
pub(super) struct Wire(Arc<Inner>);

struct Inner {
    client: Client<Connector, <BollardRequest as Unpacked>::Body>,
    version: OnceCell<ApiVersion>,
}

/// Names the type of a request's body, which bollard does not.
trait Unpacked {
    type Body;
}

impl<B> Unpacked for Request<B> {
    type Body = B;
}

impl Wire {
    pub(super) fn new(dial: Arc<dyn Dial>) -> Self {
        let mut builder = Client::builder(Tasks::default());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE.0).pool_max_idle_per_host(IDLE.1);
        let client = builder.build(Connector { dial });
        Self(Arc::new(Inner { client, version: OnceCell::new() }))
    }

    /// Sends a request, in the version that is spoken with this engine.
    pub(super) async fn send(&self, mut request: BollardRequest) -> Result<Response<Incoming>, Error> {
        let version = self.0.version.get_or_try_init(|| self.negotiate()).await?;
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = uri(&format!("/v{version}{path}"))?;
        self.call(request).await
    }

    /// A request that there was no connection for ends in an error of [`DialError`]; any other was sent.
    async fn call(&self, request: BollardRequest) -> Result<Response<Incoming>, Error> {
        self.0.client.request(request).await.map_err(|error| {
            let cause = match no_connection(&error) {
                Some(dial) => io::Error::other(dial),
                None => io::Error::other(error),
            };
            cause.into()
        })
    }

    async fn negotiate(&self) -> Result<ApiVersion, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Told {
            api_version: String,
            #[serde(rename = "MinAPIVersion", default)]
            min_api_version: String,
        }
        /// Far more than any engine says of itself.
        const LEN_MAX: usize = 1 << 20;
        let request = Request::get(uri("/version")?).body(bollard::body_full(Bytes::new()))?;
        let response = self.call(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LEN_MAX).collect().await;
        let body = body.map_err(|error| io::Error::other(error.to_string()))?.to_bytes();
        if status != StatusCode::OK {
            let message = String::from_utf8_lossy(&body).trim().to_owned();
            return Err(Error::DockerResponseServerError { status_code: status.as_u16(), message });
        }
        let told: Told = serde_json::from_slice(&body)?;
        let newest = ApiVersion::parse(&told.api_version).ok_or(Error::APIVersionParseError {})?;
        let oldest = ApiVersion::parse(&told.min_api_version).unwrap_or(ApiVersion(1, 12));
        ApiVersion::common(oldest, newest).ok_or_else(|| {
            let what = format!(
                "it speaks API {oldest} to {newest}, and {SPOKEN} (Docker 20.10) or newer of the first major version is needed"
            );
            io::Error::other(DialError::Unreachable { what }).into()
        })
    }
}

fn uri(path: &str) -> Result<Uri, Error> {
    Ok(format!("http://docker{path}").parse::<Uri>()?)
}

/// The client of an engine. The version is only told to it: what is spoken is for the [`Wire`] to say.
pub(super) fn client(wire: Wire, timeout: Duration) -> bollard::Docker {
    let spoken = ClientVersion { major_version: SPOKEN.0 as usize, minor_version: SPOKEN.1 as usize };
    let transport = move |request: BollardRequest| {
        let wire = wire.clone();
        async move { wire.send(request).await }
    };
    bollard::Docker::connect_with_custom_transport(
        transport,
        Some("http://docker"),
        timeout.as_secs(),
        &spoken,
    )
    .expect("invariant: a transport of our own is taken as it is")
}

/// What of an error says that there was no connection.
fn no_connection(error: &hyper_util::client::legacy::Error) -> Option<DialError> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(dial) = inner.downcast_ref::<DialError>() {
            return Some(dial.clone());
        }
        // An engine tells only after the handshake that it does not take a certificate.
        if let Some(dial) = inner.downcast_ref::<io::Error>().and_then(super::dial::of_tls) {
            return Some(dial);
        }
        cause = inner.source();
    }
    error.is_connect().then(|| DialError::Unreachable { what: error.to_string() })
}

/// Runs what serves the connections. They end when the engine's client is dropped.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

#[derive(Clone)]
struct Connector {
    dial: Arc<dyn Dial>,
}

impl Service<Uri> for Connector {
    type Response = Carrier;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Carrier, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dial = Arc::clone(&self.dial);
        Box::pin(async move {
            match tokio::time::timeout(DIAL_TIMEOUT, dial.dial()).await {
                Ok(stream) => Ok(Carrier(TokioIo::new(stream?))),
                Err(_) => {
                    let what = format!("there was no connection within {} s", DIAL_TIMEOUT.as_secs());
                    Err(DialError::Unreachable { what })
                }
            }
        })
    }
}

/// A stream as hyper wants it.
struct Carrier(TokioIo<Box<dyn Duplex>>);

impl Connection for Carrier {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Carrier {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Carrier {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("version", &self.0.version.get()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_version_that_is_enough_and_that_both_speak_is_spoken() {
        let check = |oldest: &str, newest: &str, common: Option<&str>| {
            let parse = |text| ApiVersion::parse(text).unwrap();
            let found = ApiVersion::common(parse(oldest), parse(newest));
            assert_eq!(found.map(|version| version.to_string()).as_deref(), common, "{oldest} to {newest}");
        };
        check("1.12", "1.41", Some("1.41"));
        check("1.24", "1.50", Some("1.41"));
        check("1.44", "1.52", Some("1.44"));
        check("1.12", "1.40", None);
        check("2.0", "2.3", None);
        assert_eq!(ApiVersion::parse("1"), None);
        assert_eq!(ApiVersion::parse("1.x"), None);
    }
}
