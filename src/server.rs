//! The socket: the programs wake the loop through it, the command line asks it.
//!
//! Who may do what is decided by the kernel's word on who is there (SO_PEERCRED): root and
//! SlurmUser may do everything, everybody else may read. Size, number and time are limited.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use slurm_asg_core::event::{Event, EventName, of_request};
use slurm_asg_core::explain::{Subject, explain};
use slurm_asg_core::resume_file;
use slurm_asg_core::snapshot::file::File;
use slurm_asg_core::view::PlanView;
use slurm_asg_engine::{Clock, Command, Recorder, What};
use slurm_asg_wire::{REQUEST_BYTES_MAX, Request, Response};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::clock::SystemClock;
use crate::status::{Board, LastLook};

/// How many clients are served at once; more wait.
const CONNECTIONS_MAX: usize = 64;
/// How long one client may take to say what it wants.
const QUESTION_LIMIT: Duration = Duration::from_secs(5);
/// How long an answer may take, with all calls to AWS.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(60);
/// How long the reason of a command may be.
const REASON_BYTES_MAX: usize = 500;
/// A status older than this is made anew for whoever asks.
const STATUS_AGE_MAX: Duration = Duration::from_secs(2);
/// How long that may take.
const STATUS_WAIT_MAX: Duration = Duration::from_secs(1);

/// Something that the loop is to do beside its turns, and where the answer goes.
#[derive(Debug)]
pub enum Order {
    /// Give the Auto Scaling groups the settings that are advised.
    FollowAdvice(oneshot::Sender<Response>),
    /// Do something with groups.
    Command(Command, oneshot::Sender<Response>),
}

/// What the socket's clients reach.
pub struct Desk {
    /// The last look.
    pub board: Arc<Board>,
    /// Wakes the loop at once.
    pub look_now: Arc<Notify>,
    /// Takes what the loop is to do beside its turns.
    pub orders: mpsc::Sender<Order>,
    /// Users who may change something, beside root.
    pub masters: Vec<u32>,
    /// Takes what Slurm's programs ask for, if there is an event log.
    pub recorder: Option<Recorder>,
}

/// Listens on `path` until the handle is aborted. Whatever was there before is replaced: the
/// caller holds the state lock, so nobody else listens there.
///
/// # Errors
/// If the directory or the socket cannot be made.
pub fn serve(path: &Path, desk: Arc<Desk>) -> io::Result<JoinHandle<()>> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    // Everybody may ask; what a client may do is decided for each request.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(tokio::spawn(accept(listener, desk)))
}

async fn accept(listener: UnixListener, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = Arc::clone(&desk);
                tokio::spawn(async move {
                    match tokio::time::timeout(EXCHANGE_LIMIT, exchange(stream, &desk)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!("a client went away: {error}"),
                        Err(_) => tracing::debug!("a client was too slow"),
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of descriptors, for instance: slurmctld needs them more.
                tracing::debug!("accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn exchange(mut stream: UnixStream, desk: &Desk) -> io::Result<()> {
    let user = stream.peer_cred()?.uid();
    let (read, mut write) = stream.split();
    let mut line = Vec::new();
    let mut read = BufReader::new(read.take(REQUEST_BYTES_MAX as u64));
    let question = read.read_until(b'\n', &mut line);
    tokio::time::timeout(QUESTION_LIMIT, question).await.map_err(io::Error::other)??;
    let response = if line.ends_with(b"\n") {
        match judge(&line, user, desk) {
            Ok(request) => answer(request, user, desk).await,
            Err(why) => Response::Refused { why },
        }
    } else {
        Response::Refused {
            why: format!("a request is one line of at most {REQUEST_BYTES_MAX} bytes"),
        }
    };
    let mut text = serde_json::to_vec(&response).map_err(io::Error::other)?;
    text.push(b'\n');
    write.write_all(&text).await
}

/// Has a look made if the last one is old. Whoever asks again and again gets what there is.
async fn look_afresh(desk: &Desk) {
    if desk.board.age(SystemClock.now()).is_some_and(|age| age >= STATUS_AGE_MAX) {
        let next_look = desk.board.next_look();
        desk.look_now.notify_one();
        // AWS may take its time; then the last look has to do.
        tokio::time::timeout(STATUS_WAIT_MAX, next_look).await.ok();
    }
}

/// Reads a request, and decides whether this user may make it.
fn judge(line: &[u8], user: u32, desk: &Desk) -> Result<Request, String> {
    let request: Request =
        serde_json::from_slice(line).map_err(|error| format!("not a request: {error}"))?;
    if request.only_reads() || user == 0 || desk.masters.contains(&user) {
        Ok(request)
    } else {
        Err(format!("user {user} may only read; only root and SlurmUser may do this"))
    }
}

async fn answer(request: Request, user: u32, desk: &Desk) -> Response {
    let command = |what, groups, reason| Command { what, groups, user, reason };
    match request {
        Request::Resume { nodes, file } => {
            let jobs = file.as_deref().map(resume_file::jobs).unwrap_or_default();
            tell(desk, EventName::NodesResumed, &nodes, &jobs);
            desk.look_now.notify_one();
            Response::Ok
        }
        Request::Suspend { nodes } => {
            tell(desk, EventName::NodesSuspended, &nodes, &[]);
            desk.look_now.notify_one();
            Response::Ok
        }
        Request::Status {} => {
            look_afresh(desk).await;
            Response::Status(Box::new(desk.board.read()))
        }
        Request::Plan {} => document(desk, Document::Plan).await,
        Request::Snapshot {} => document(desk, Document::Snapshot).await,
        Request::Explain { what } => document(desk, Document::Explanation(what)).await,
        Request::FollowAdvice {} => order(desk, Order::FollowAdvice).await,
        Request::Clear { groups, reason } => {
            carry_out(desk, command(What::Clear, groups, reason)).await
        }
        Request::Pause { groups, reason } => {
            carry_out(desk, command(What::Pause, groups, reason)).await
        }
        Request::ResumeScaling { groups, reason } => {
            carry_out(desk, command(What::Resume, groups, reason)).await
        }
    }
}

async fn carry_out(desk: &Desk, mut command: Command) -> Response {
    if command.reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        let why = format!("a reason has at most {REASON_BYTES_MAX} bytes");
        return Response::Refused { why };
    }
    // It goes into lines of the log and of the status.
    command.reason = command.reason.map(|reason| reason.replace(char::is_control, " "));
    order(desk, |answer| Order::Command(command, answer)).await
}

/// Has the loop do something, and waits for what comes of it.
async fn order(desk: &Desk, order: impl FnOnce(oneshot::Sender<Response>) -> Order) -> Response {
    let (answer, answered) = oneshot::channel();
    let sent = desk.orders.send(order(answer)).await.is_ok();
    match answered.await {
        Ok(response) if sent => response,
        _ => Response::Refused { why: "the loop has ended; try again".to_owned() },
    }
}

/// Notes a call of one of Slurm's programs, in the log and as events.
fn tell(desk: &Desk, name: EventName, nodes: &str, jobs: &[(u32, Option<String>)]) {
    let at = SystemClock.now();
    // The log has the call as it was, the event log by group.
    let call = Event {
        nodes: Some(nodes.to_owned()),
        jobs: jobs.iter().map(|(id, _)| *id).collect(),
        ..Event::new(at, name)
    };
    tracing::info!("{call}");
    if let Some(recorder) = &desk.recorder {
        let policy = desk.board.last().map(|last| Arc::clone(&last.policy));
        recorder.tell(of_request(policy.as_deref(), name, nodes, jobs, at));
    }
}

/// Something larger that is made from the last look.
enum Document {
    Plan,
    Snapshot,
    Explanation(String),
}

async fn document(desk: &Desk, what: Document) -> Response {
    look_afresh(desk).await;
    let Some(last) = desk.board.last() else {
        let why = "slurm-asg has not looked yet; slurmctld's log says what it waits for";
        return Response::Refused { why: why.to_owned() };
    };
    // A large cluster takes its time, and the loop is not to wait for it.
    let made = tokio::task::spawn_blocking(move || make(&what, &last)).await;
    match made {
        Ok(Ok(content)) => Response::Document { content },
        Ok(Err(error)) => Response::Refused { why: format!("it cannot be written: {error}") },
        Err(error) => Response::Refused { why: format!("it cannot be made: {error}") },
    }
}

fn make(what: &Document, last: &LastLook) -> serde_json::Result<serde_json::Value> {
    let LastLook { policy, look } = last;
    match what {
        Document::Plan => serde_json::to_value(PlanView::of(policy, &look.plan, look.snapshot.now)),
        Document::Snapshot => serde_json::to_value(File::of(policy, &look.snapshot, &look.memory)),
        Document::Explanation(what) => {
            let subject = Subject::parse(what);
            let told = explain(&subject, policy, &look.memory, &look.snapshot, &look.plan);
            serde_json::to_value(told)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk() -> Desk {
        Desk {
            board: Arc::default(),
            look_now: Arc::default(),
            orders: mpsc::channel(1).0,
            masters: vec![64030],
            recorder: None,
        }
    }

    async fn say(user: u32, line: &str) -> Response {
        let desk = desk();
        match judge(line.as_bytes(), user, &desk) {
            Ok(request) => answer(request, user, &desk).await,
            Err(why) => Response::Refused { why },
        }
    }

    #[tokio::test]
    async fn root_and_slurm_user_may_change_and_everybody_may_read() {
        let suspend = "{\"request\":\"suspend\",\"nodes\":\"n1\"}";
        assert_eq!(say(0, suspend).await, Response::Ok);
        assert_eq!(say(64030, suspend).await, Response::Ok);
        let refused = say(1000, suspend).await;
        assert!(matches!(refused, Response::Refused { why } if why.contains("1000")));
        let status = say(1000, "{\"request\":\"status\"}").await;
        assert!(matches!(status, Response::Status(_)));
    }

    #[tokio::test]
    async fn only_masters_may_order_and_a_loop_that_has_ended_is_said() {
        let line = "{\"request\":\"follow_advice\"}";
        let refused = say(1000, line).await;
        assert!(matches!(refused, Response::Refused { why } if why.contains("may only read")));
        let ended = say(0, line).await;
        assert!(matches!(ended, Response::Refused { why } if why.contains("has ended")));
    }

    #[tokio::test]
    async fn what_is_no_request_is_refused_with_the_reason() {
        for line in ["", "x", "{}", "{\"request\":\"fly\"}", "{\"request\":\"status\",\"x\":1}"] {
            assert!(matches!(say(0, line).await, Response::Refused { .. }), "{line}");
        }
    }

    #[tokio::test]
    async fn before_the_first_look_there_is_nothing_to_explain() {
        let refused = say(1000, "{\"request\":\"explain\",\"what\":\"12\"}").await;
        assert!(matches!(refused, Response::Refused { why } if why.contains("not looked yet")));
    }
}
