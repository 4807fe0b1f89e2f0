//! The socket, the clock, and the one task that steps the world and carries out what it says.

use crate::config::Config;
use crate::process::Processes;
use crate::world::{Effect, World};
use crate::{cbor, cloudwatch, control, frontend, imds, sqs};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};

/// Longest request body, in bytes.
pub const BODY_MAX: usize = 1 << 20;
/// How long the end waits for killed instances.
const SHUTDOWN_MAX: Duration = Duration::from_secs(10);
/// Rest of the driver when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

/// What requests and the driver share.
#[derive(Debug)]
pub struct Shared {
    world: Mutex<World>,
    changed: Notify,
    started: Instant,
    started_ms: u64,
}

impl Shared {
    fn new(config: Config) -> Self {
        let since_epoch =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let started_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(0);
        let world = Mutex::new(World::new(config, started_ms));
        Self { world, changed: Notify::new(), started: Instant::now(), started_ms }
    }

    /// The world, locked.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unix epoch milliseconds that never step back.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.started_ms + u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Has the driver step the world.
    pub fn changed(&self) {
        self.changed.notify_one();
    }
}

/// Whether the sandbox may listen there: it checks no signatures, so loopback only.
pub fn check_listen(address: SocketAddr) -> Result<(), String> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err(format!(
        "--listen {address}: the sandbox checks no signatures, so only loopback addresses are allowed (127.0.0.1, [::1])"
    ))
}

/// Serves until `stop` is ready; then ends all instances. Use on a current-thread runtime: the instances are tied to the
/// thread that starts them.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    std::fs::create_dir_all(&config.log_dir)?;
    let address = listener.local_addr()?;
    check_listen(address).map_err(io::Error::other)?;
    let shared = Arc::new(Shared::new(config.clone()));
    let mut driver =
        Driver { processes: Processes::new(&config), shared: Arc::clone(&shared), config, address };
    tokio::select! {
        () = accept(&listener, &shared) => {}
        () = driver.run() => {}
        () = stop => {}
    }
    driver.end().await;
    Ok(())
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(shared);
                tokio::spawn(async move {
                    let service = service_fn(|request| respond(Arc::clone(&shared), request));
                    let served = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                    if let Err(error) = served {
                        tracing::debug!("connection: {error}");
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely; a moment lets some be closed.
                tracing::warn!("accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// No answer is wanted: hyper closes the connection on a service's error.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
struct Silence;

async fn respond(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Silence> {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let Ok(body) =
        Limited::new(body, BODY_MAX).collect().await.map(http_body_util::Collected::to_bytes)
    else {
        return Ok(response(413, "text/plain", "request too long\n"));
    };
    let path =
        percent_encoding::percent_decode_str(head.uri.path()).decode_utf8_lossy().into_owned();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match (&head.method, segments.as_slice()) {
        (method, ["sandbox", rest @ ..]) => {
            let (status, text) = control::handle(&shared, method, rest, &body);
            Ok(response(
                status,
                if status == 200 { "application/json" } else { "text/plain" },
                text,
            ))
        }
        (&Method::PUT, ["imds", id, "latest", "api", "token"]) => {
            let ttl = header("x-aws-ec2-metadata-token-ttl-seconds");
            let (status, text) = imds::put_token(&mut shared.world(), id, ttl, shared.now_ms());
            Ok(response(status, "text/plain", text))
        }
        (&Method::GET, ["imds", id, "latest", "meta-data", rest @ ..]) => {
            let (status, text) = imds::get(
                &shared.world(),
                id,
                rest,
                header("x-aws-ec2-metadata-token"),
                shared.now_ms(),
            );
            Ok(response(status, "text/plain", text))
        }
        (&Method::POST, [""]) if header("x-amz-target").is_some() => {
            let target = header("x-amz-target").unwrap_or_default();
            let operation = target.strip_prefix(sqs::TARGET).unwrap_or(target);
            aws(shared, frontend::Request::json(operation, &body), &head.headers).await
        }
        (&Method::POST, [""]) => aws(shared, frontend::Request::query(&body), &head.headers).await,
        (&Method::POST, ["service", cloudwatch::SERVICE, "operation", operation]) => {
            let is_zipped = header("content-encoding") == Some("gzip");
            aws(shared, frontend::Request::cbor(operation, &body, is_zipped), &head.headers).await
        }
        _ => Ok(response(
            404,
            "text/plain",
            "not found: POST / (AWS), POST /service/… (CloudWatch), /imds/INSTANCE/…, /sandbox/…\n",
        )),
    }
}

/// Serves a call of AWS's APIs.
async fn aws(
    shared: Arc<Shared>,
    request: frontend::Request,
    headers: &HeaderMap,
) -> Result<Response<Full<Bytes>>, Silence> {
    let signed = headers.contains_key("authorization");
    let may_wait = request.may_wait();
    let call = frontend::call(shared, request, signed);
    // A request that is held open for a caller who has gone would take messages from others.
    let reply = if may_wait { call.await } else { tokio::spawn(call).await.ok().flatten() };
    let reply = reply.ok_or(Silence)?;
    let content_type = match reply.form {
        frontend::Form::Query => "text/xml",
        frontend::Form::Cbor => cbor::CONTENT_TYPE,
        frontend::Form::Json => sqs::CONTENT_TYPE,
    };
    let mut answer = response(reply.status, content_type, reply.body);
    if reply.form != frontend::Form::Query {
        let headers = answer.headers_mut();
        if reply.form == frontend::Form::Cbor {
            headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
        }
        // How the services that once spoke the query protocol tell its error codes.
        let side = if reply.status >= 500 { "Receiver" } else { "Sender" };
        let code = reply.error_code.map(sqs::old_code);
        let code = code.map(|code| HeaderValue::try_from(format!("{code};{side}")));
        if let Some(Ok(code)) = code {
            headers.insert("x-amzn-query-error", code);
        }
    }
    Ok(answer)
}

fn response(status: u16, content_type: &str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let body = Full::new(body.into());
    let built = Response::builder().status(status).header("content-type", content_type).body(body);
    built.unwrap_or_else(|_| Response::new(Full::default()))
}

/// Steps the world when something changed or is due, and carries out the effects.
struct Driver {
    shared: Arc<Shared>,
    config: Config,
    address: SocketAddr,
    processes: Processes,
}

impl Driver {
    async fn run(&mut self) {
        loop {
            let now_ms = self.shared.now_ms();
            let step = self.shared.world().step(now_ms);
            step.effects.into_iter().for_each(|effect| self.carry_out(effect));
            let rest = step
                .wake_at_ms
                .map_or(IDLE, |at_ms| Duration::from_millis(at_ms.saturating_sub(now_ms)));
            tokio::select! {
                () = self.shared.changed.notified() => {}
                () = tokio::time::sleep(rest) => {}
                Some((id, how)) = self.processes.ended() => self.note_end(&id, &how),
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Boot(id) => self.boot(&id),
            Effect::Kill(id) => {
                tracing::info!("{id}: power off");
                self.processes.kill(&id);
            }
        }
    }

    fn boot(&mut self, id: &str) {
        let metadata = format!("http://{}/imds/{id}/", self.address);
        match self.processes.start(&self.config, id, &metadata) {
            Ok(pid) => {
                tracing::info!("{id}: boots as process {pid}");
                self.shared.world().booted(id, pid);
            }
            Err(error) => {
                tracing::error!("{id}: cannot run {:?}: {error}", self.config.boot_command)
            }
        }
    }

    fn note_end(&self, id: &str, how: &str) {
        tracing::info!("{id}: boot command ended: {how}");
        self.shared.world().boot_ended(id);
    }

    async fn end(&mut self) {
        self.processes.kill_all();
        let all = async { while self.processes.ended().await.is_some() {} };
        if tokio::time::timeout(SHUTDOWN_MAX, all).await.is_err() {
            tracing::warn!("some instances did not end in {SHUTDOWN_MAX:?}");
        }
    }
}

/// A sandbox on a thread of this process, for tests. Dropping it ends it and all its instances.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<io::Result<()>>>,
}

impl Sandbox {
    /// Starts one on a free port of 127.0.0.1.
    pub fn start(config: Config) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("sandbox".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let stop = async { drop(stopped.await) };
                serve(config, TcpListener::from_std(listener)?, stop).await
            })
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of its control interface.
    #[must_use]
    pub fn client(&self) -> crate::SandboxClient {
        crate::SandboxClient::new(self.address)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(Err(_)) = self.thread.take().map(std::thread::JoinHandle::join) {
            tracing::error!("the sandbox's thread panicked");
        }
    }
}
