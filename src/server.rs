//! The socket: the programs wake the loop through it, the command line asks it.
//!
//! Who may do what is decided by the kernel's word on who is there ([`peer`], [`rights`]). Size,
//! number and time are limited ([`places`], [`Limits`]), and the socket is made again if somebody
//! removes it ([`door`]).

mod door;
mod peer;
mod places;
mod rights;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use slurm_asg_core::event::{Event, EventName, of_request};
use slurm_asg_core::explain::{Subject, explain};
use slurm_asg_core::resume_file;
use slurm_asg_core::snapshot::file::File;
use slurm_asg_core::time::Timestamp;
use slurm_asg_core::view::PlanView;
use slurm_asg_engine::{About, Clock, Command, Keeping, Recorder, Troubles, What};
use slurm_asg_wire::{OTHERS_REQUEST_BYTES_MAX, REQUEST_BYTES_MAX, Request, Response};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{interval, sleep, timeout};

use crate::clock::SystemClock;
use crate::status::{Board, LastLook};
use door::Door;
use peer::Peer;
use places::Places;
pub use rights::Rights;

/// How often it is looked whether the socket is in its place.
const DOOR_PAUSE: Duration = Duration::from_secs(2);
/// How long the reason of a command may be.
const REASON_BYTES_MAX: usize = 500;
/// A status older than this is made anew for whoever asks.
const STATUS_AGE_MAX: Duration = Duration::from_secs(2);
/// How long that may take.
const STATUS_WAIT_MAX: Duration = Duration::from_secs(1);
/// How long it may take with a queue that is so long that it is read seldom.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(15);

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// To say what it wants.
    question: Duration,
    /// To be answered, with all calls to AWS.
    answer: Duration,
    /// To take the answer.
    delivery: Duration,
}

const LIMITS: Limits = Limits {
    question: Duration::from_secs(5),
    answer: Duration::from_secs(60),
    delivery: Duration::from_secs(10),
};

/// Something that the loop is to do beside its turns, and where the answer goes.
#[derive(Debug)]
pub enum Order {
    /// Read Slurm's queue with the next look, although it is long and was read not long ago.
    ReadQueue(oneshot::Sender<Response>),
    /// Give the Auto Scaling groups the settings that are advised.
    FollowAdvice(oneshot::Sender<Response>),
    /// Ask AWS for more than the loop needs.
    Survey(oneshot::Sender<Response>),
    /// Have a node drained.
    Retire {
        /// The node, or the instance that serves it.
        what: String,
        /// Why.
        why: String,
        /// Who wants it, by the kernel's word.
        user: u32,
        /// Where the answer goes.
        answer: oneshot::Sender<Response>,
    },
    /// Do something with groups.
    Command(Command, oneshot::Sender<Response>),
    /// Protect nodes from suspension, or end that.
    Keep(Keeping, oneshot::Sender<Response>),
    /// Read asg.toml again.
    Reload {
        /// Who wants it, by the kernel's word.
        user: u32,
        /// Where the answer goes.
        answer: oneshot::Sender<Response>,
    },
}

/// What the socket's clients reach.
pub struct Desk {
    /// The last look.
    pub board: Arc<Board>,
    /// Wakes the loop at once.
    pub look_now: Arc<Notify>,
    /// Takes what the loop is to do beside its turns.
    pub orders: mpsc::Sender<Order>,
    /// Who may do what.
    pub rights: Rights,
    /// Takes what Slurm's programs ask for, if there is an event log.
    pub recorder: Option<Recorder>,
}

impl Desk {
    fn record(&self, events: impl IntoIterator<Item = Event>) {
        if let Some(recorder) = &self.recorder {
            recorder.tell(events);
        }
    }
}

/// Listens on `path` until the handle is aborted.
pub fn serve(path: PathBuf, desk: Arc<Desk>) -> JoinHandle<()> {
    tokio::spawn(async move { keep_open(&path, &desk).await })
}

/// Opens the socket, and again if it is removed. Without it the loop still sees what Slurm wants,
/// only later.
async fn keep_open(path: &Path, desk: &Arc<Desk>) {
    let mut troubles = Troubles::default();
    let places = Arc::default();
    loop {
        let opened = Door::open(path).await;
        let error = opened.as_ref().err().map(|error| {
            format!(
                "no socket at {}: {error}; set `socket` in asg.toml to a place that SlurmUser may \
                 write",
                path.display()
            )
        });
        troubles.note(&About::Socket, SystemClock.now(), error.as_ref());
        desk.record(troubles.news());
        match opened {
            Ok(door) => {
                receive(&door, &places, desk).await;
                let gone = format!("the socket {} was removed", path.display());
                troubles.report(&About::Socket, SystemClock.now(), &gone);
            }
            Err(_) => sleep(DOOR_PAUSE).await,
        }
    }
}

/// Receives clients until the socket is removed.
async fn receive(door: &Door, places: &Arc<Places>, desk: &Arc<Desk>) {
    let mut rounds = interval(DOOR_PAUSE);
    loop {
        let client = tokio::select! {
            client = door.listener.accept() => client,
            _ = rounds.tick() => {
                if door.is_in_place() { continue } else { return }
            }
        };
        match client.and_then(|(stream, _)| Ok((Peer::of(&stream)?, stream))) {
            Ok((peer, stream)) => admit(peer, stream, places, desk),
            Err(error) => {
                // Out of descriptors, for instance: slurmctld needs them more.
                tracing::debug!("accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Has a client served if there is a place for it.
fn admit(peer: Peer, stream: UnixStream, places: &Arc<Places>, desk: &Arc<Desk>) {
    let user = (!desk.rights.is_master(&peer)).then_some(peer.user);
    match places.take(user) {
        Ok(place) => {
            let desk = Arc::clone(desk);
            tokio::spawn(async move {
                if let Err(error) = exchange(stream, &peer, &desk, LIMITS).await {
                    tracing::debug!("a client went away: {error}");
                }
                drop(place);
            });
        }
        Err(why) => turn_away(stream, why),
    }
}

/// Says why, without waiting: one line fits into a socket's buffer.
fn turn_away(stream: UnixStream, why: String) {
    let line = to_line(&Response::Refused { why });
    let said = line.and_then(|line| stream.into_std()?.write_all(&line));
    if let Err(error) = said {
        tracing::debug!("a client went away: {error}");
    }
}

fn to_line(response: &Response) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(response).map_err(io::Error::other)?;
    line.push(b'\n');
    Ok(line)
}

async fn exchange(
    mut stream: UnixStream,
    peer: &Peer,
    desk: &Desk,
    limits: Limits,
) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let bytes_max = match desk.rights.is_master(peer) {
        true => REQUEST_BYTES_MAX,
        false => OTHERS_REQUEST_BYTES_MAX,
    };
    let mut line = Vec::new();
    let mut read = BufReader::new(read.take(bytes_max as u64));
    let question = timeout(limits.question, read.read_until(b'\n', &mut line)).await;
    let refused = |why: String| Response::Refused { why };
    let response = match question {
        Err(_) => refused(format!("no request within {} s", limits.question.as_secs())),
        Ok(Err(error)) => return Err(error),
        // It has only looked whether somebody is there.
        Ok(Ok(0)) => return Ok(()),
        Ok(Ok(_)) if !line.ends_with(b"\n") => {
            refused(format!("a request is one line of at most {bytes_max} bytes"))
        }
        Ok(Ok(_)) => timeout(limits.answer, answer_line(&line, peer, desk))
            .await
            .unwrap_or_else(|_| refused(format!("no answer within {:?}", limits.answer))),
    };
    timeout(limits.delivery, write.write_all(&to_line(&response)?)).await?
}

async fn answer_line(line: &[u8], peer: &Peer, desk: &Desk) -> Response {
    let judged = async {
        let request = Request::read(line)?;
        desk.rights.judge(peer, &request).await.map(|()| request)
    };
    match judged.await {
        Ok(request) => answer(request, peer.user, desk).await,
        Err(why) => Response::Refused { why },
    }
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

/// The same for what is said of single jobs: with a long queue most looks do not read it.
async fn look_at_jobs_afresh(desk: &Desk) {
    let now = SystemClock.now();
    let is_old = |last: Arc<LastLook>| {
        let counted = last.look.snapshot.counted.as_ref();
        counted.is_some_and(|counted| now.since(counted.at) >= STATUS_AGE_MAX)
    };
    if !desk.board.last().is_some_and(is_old) {
        return look_afresh(desk).await;
    }
    // Orders are taken between looks: the next one has it.
    order(desk, Order::ReadQueue).await;
    tokio::time::timeout(QUEUE_WAIT_MAX, desk.board.next_look()).await.ok();
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
        Request::Glance {} => Response::Status(Box::new(desk.board.read())),
        Request::Plan {} => document(desk, Document::Plan).await,
        Request::Snapshot {} => document(desk, Document::Snapshot).await,
        Request::Explain { what } => document(desk, Document::Explanation(what)).await,
        Request::Survey {} => order(desk, Order::Survey).await,
        Request::FollowAdvice {} => order(desk, Order::FollowAdvice).await,
        Request::Retire { what, why } => {
            order(desk, |answer| Order::Retire { what, why, user, answer }).await
        }
        Request::Reload {} => order(desk, |answer| Order::Reload { user, answer }).await,
        Request::Protect { nodes, until_ms, reason } => {
            let until = Some(Timestamp::from_millis(until_ms));
            keep(desk, Keeping { nodes, until, user, reason }).await
        }
        Request::Release { nodes, reason } => {
            keep(desk, Keeping { nodes, until: None, user, reason }).await
        }
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
    match plain(command.reason) {
        Ok(reason) => command.reason = reason,
        Err(why) => return Response::Refused { why },
    }
    order(desk, |answer| Order::Command(command, answer)).await
}

async fn keep(desk: &Desk, mut keeping: Keeping) -> Response {
    match plain(keeping.reason) {
        Ok(reason) => keeping.reason = reason,
        Err(why) => return Response::Refused { why },
    }
    order(desk, |answer| Order::Keep(keeping, answer)).await
}

/// A reason as it goes into lines of the log and of the status.
fn plain(reason: Option<String>) -> Result<Option<String>, String> {
    if reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        return Err(format!("a reason has at most {REASON_BYTES_MAX} bytes"));
    }
    Ok(reason.map(|reason| reason.replace(char::is_control, " ")))
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
    let policy = desk.board.last().map(|last| Arc::clone(&last.policy));
    let events = of_request(policy.as_deref(), name, nodes, jobs, SystemClock.now());
    for event in &events {
        tracing::info!("{event}");
    }
    desk.record(events);
}

/// Something larger that is made from the last look.
enum Document {
    Plan,
    Snapshot,
    Explanation(String),
}

async fn document(desk: &Desk, what: Document) -> Response {
    look_at_jobs_afresh(desk).await;
    let Some(last) = desk.board.last() else {
        let why = "slurm-asg has not looked yet; slurmctld's log says what it waits for";
        return Response::Refused { why: why.to_owned() };
    };
    // A large cluster takes its time, and the loop is not to wait for it.
    let made = spawn_blocking(move || make(&what, &last)).await;
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
mod tests;
