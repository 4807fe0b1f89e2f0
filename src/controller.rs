//! The loop's thread: one inside slurmctld, with a tokio runtime of its own.
//!
//! It waits until this slurmctld is the active one, reads asg.toml, takes the state lock, and
//! then turns the engine whenever something rings or time is up. Everything that can go wrong
//! is said in one line and tried again; slurmctld goes on as if the plugin were not there.

use std::fmt::Display;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use slurm_asg_aws::{AwsCloud, Calls as ApiCalls, Settings, Surveyor};
use slurm_asg_core::event::{Chronicle, Event, EventName};
use slurm_asg_core::policy::{Access, EventsPolicy, Policy};
use slurm_asg_engine::{
    Clock, Engine, FileJournal, FileStore, Followed, Journal, Look, Messages, Recorder, Retired,
};
use slurm_asg_wire::Response;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use crate::abi::slurm_version;
use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::guard::text_of;
use crate::lock::{StateLock, holder, try_lock};
use crate::pace::Pace;
use crate::scheduler::Slurmctld;
use crate::server::{Desk, Order, Rights, serve};
use crate::slurm::{HostFacts, Slurm, is_active};
use crate::status::{Board, advised};
use crate::{hook, logging};

/// How often it is looked whether this slurmctld has become the active one.
const STANDBY_PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked whether asg.toml has changed.
const CONFIG_PAUSE: Duration = Duration::from_secs(2);
/// Orders that wait for the loop; whoever has more waits.
const ORDERS_MAX: usize = 16;
/// The pause before a thread that died is started again; it doubles up to the maximum.
const RESTART_FIRST: Duration = Duration::from_secs(1);
const RESTART_MAX: Duration = Duration::from_secs(60);

static STARTED: Mutex<bool> = Mutex::new(false);
static STOPPING: AtomicBool = AtomicBool::new(false);

/// Starts the thread, once. slurmctld may call `init` again after `fini`: then the thread that
/// was told to end goes on instead.
pub fn start() {
    logging::install();
    STOPPING.store(false, Ordering::SeqCst);
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if *started {
        return;
    }
    // SAFETY: init() runs on slurmctld's main thread before it serves requests.
    let host = unsafe { HostFacts::read() };
    let spawned = without_signals(|| {
        thread::Builder::new().name("slurm-asg".to_owned()).spawn(move || watch_over(&host))
    });
    match spawned {
        Ok(_handle) => *started = true,
        Err(error) => tracing::error!("no thread for slurm-asg: {error}; it does nothing"),
    }
}

/// Tells the thread to end its work. It does not wait for it.
pub fn stop() {
    STOPPING.store(true, Ordering::SeqCst);
}

fn stopping() -> bool {
    STOPPING.load(Ordering::SeqCst)
}

/// Signals are slurmctld's business: a thread inherits the mask of the one that starts it.
fn without_signals<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: an all-zero sigset_t is a valid place for sigfillset and pthread_sigmask, which
    // only write to the places given.
    let before = unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        before
    };
    let result = work();
    // SAFETY: `before` was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    result
}

/// Runs the loop, and again if it dies.
fn watch_over(host: &HostFacts) {
    let mut pause = RESTART_FIRST;
    loop {
        let began = std::time::Instant::now();
        let ended = panic::catch_unwind(AssertUnwindSafe(|| run(host)));
        if began.elapsed() > RESTART_MAX {
            pause = RESTART_FIRST;
        }
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!("the loop cannot run: {error}; next try in {pause:?}")
            }
            Err(payload) => tracing::error!(
                "the loop died: {}; please report it; it starts again in {pause:?}",
                text_of(&*payload)
            ),
        }
        thread::sleep(pause);
        pause = (pause * 2).min(RESTART_MAX);
    }
}

fn run(host: &HostFacts) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("slurm-asg-call")
        .max_blocking_threads(4)
        .build()?;
    runtime.block_on(live(host));
    Ok(())
}

/// From standby to work, and back whenever the configuration changes.
async fn live(host: &HostFacts) {
    let board = Arc::new(Board::default());
    let mut config = Config::of(host);
    board.update(|status| {
        env!("CARGO_PKG_VERSION").clone_into(&mut status.version);
        status.slurm_version = slurm_version();
        "starting".clone_into(&mut status.state);
        status.config = config.path().display().to_string();
    });
    loop {
        if stopping() || !is_active() {
            sleep(STANDBY_PAUSE).await;
            continue;
        }
        match config.read() {
            Ok(policy) => {
                work(host, &mut config, policy, &board).await;
                if !is_active() {
                    // The lock and the socket are free for the slurmctld that has taken control.
                    tracing::info!("this slurmctld is on standby now, and so is slurm-asg");
                    board.update(|status| "starting".clone_into(&mut status.state));
                }
            }
            Err(problem) => {
                tracing::error!("{problem}");
                while !stopping() && !config.has_changed() {
                    sleep(CONFIG_PAUSE).await;
                }
            }
        }
    }
}

/// Works by one configuration, and by its successors as long as directory, socket and region
/// stay. Returns when they do not, or when there is nothing more to do.
async fn work(host: &HostFacts, config: &mut Config, policy: Arc<Policy>, board: &Arc<Board>) {
    let state_dir = config::state_dir(&policy, host);
    let Some(_lock) = take_lock(&state_dir, config).await else { return };
    let slurm = match Slurm::in_this_process() {
        Ok(slurm) => slurm,
        Err(error) => {
            tracing::error!("{error}");
            while !stopping() && !config.has_changed() {
                sleep(CONFIG_PAUSE).await;
            }
            return;
        }
    };
    let look_now = Arc::new(Notify::new());
    let journal = open_journal(&policy, &state_dir, board);
    let recorder = journal.as_ref().map(FileJournal::recorder);
    let (orders, mut ordered) = mpsc::channel(ORDERS_MAX);
    let masters = host.slurm_user.into_iter().collect();
    let desk = Arc::new(Desk {
        board: Arc::clone(board),
        look_now: Arc::clone(&look_now),
        orders,
        rights: Rights::new(masters, Access::default()),
        recorder: recorder.clone(),
    });
    desk.rights.set_access(policy.access.clone());
    let socket = config::socket(&policy);
    let server = serve(socket.clone(), Arc::clone(&desk));
    if host.controllers > 1 && !is_shared(&state_dir, host) {
        tracing::warn!(
            "slurm.conf has {} SlurmctldHost, and state_dir {} is not below StateSaveLocation: \
             it must be on storage that all of them share, or two of them may work at once",
            host.controllers,
            state_dir.display()
        );
    }
    tracing::info!(
        "started: {} groups of {}, state in {}, socket {}",
        policy.groups.len(),
        config.path().display(),
        state_dir.display(),
        socket.display()
    );
    let told = Told { recorder, config: config.path().display().to_string() };
    told.started();
    let (region, events_queue) = (policy.region.clone(), policy.events_queue.clone());
    let cloud = AwsCloud::connect(Settings { region, events_queue }).await;
    let (api_calls, arrived) = (cloud.calls(), cloud.arrived());
    let surveyor = cloud.surveyor();
    let store = FileStore::new(&state_dir);
    // slurmctld does not start without a ClusterName.
    let cluster = host.cluster.clone().unwrap_or_default();
    let slurmctld = Slurmctld::new(slurm, cluster, host.sharing);
    let engine = Engine::new(Arc::clone(&policy), cloud, slurmctld, SystemClock, store, journal);
    let calls =
        Calls { look_now: &look_now, arrived: &arrived, orders: &mut ordered, api_calls, surveyor };
    turn_until_changed(engine, config, policy, &desk, calls, &told).await;
    server.abort();
    // Whoever comes next finds nobody at the socket.
    server.await.ok();
}

/// Whether a directory is where slurmctld keeps what a backup takes over from it.
fn is_shared(state_dir: &Path, host: &HostFacts) -> bool {
    host.state_save_location.as_ref().is_some_and(|shared| state_dir.starts_with(shared))
}

async fn take_lock(state_dir: &Path, config: &Config) -> Option<StateLock> {
    let mut said = String::new();
    while !stopping() && is_active() && !config.has_changed() {
        let problem = match try_lock(state_dir) {
            Ok(Some(lock)) => return Some(lock),
            Ok(None) => format!(
                "another slurm-asg works with {} ({}); this one waits until it has ended",
                state_dir.display(),
                holder(state_dir).unwrap_or_else(|| "its lock does not say whose".to_owned())
            ),
            Err(error) => format!(
                "{} cannot be used: {error}; make it writable for SlurmUser, or set `state_dir` \
                 in asg.toml",
                state_dir.display()
            ),
        };
        if problem != said {
            tracing::error!("{problem}");
            said = problem;
        }
        sleep(STANDBY_PAUSE).await;
    }
    None
}

async fn turn_until_changed(
    mut engine: Engine<AwsCloud, Slurmctld, SystemClock, FileStore, Option<FileJournal>>,
    config: &mut Config,
    mut policy: Arc<Policy>,
    desk: &Desk,
    mut calls: Calls<'_>,
    told: &Told,
) {
    let board = &desk.board;
    let mut pace = Pace::default();
    let mut chronicle = Chronicle::default();
    let mut due: Option<Instant> = None;
    board.update(|status| "active".clone_into(&mut status.state));
    while !stopping() && is_active() {
        let began = Instant::now();
        let look = engine.turn().await;
        let now = Instant::now();
        let lag = due.map_or(Duration::ZERO, |due| began.saturating_duration_since(due));
        note_look(board, now - began, lag, &calls.api_calls, engine.messages());
        pace.looked(now, look.pause, look.quiet);
        let rest = now + look.rest;
        told.look(&mut chronicle, &policy, &look);
        board.show(&policy, look);
        due = pace.next().map(|next| next.max(rest));
        let mut new_policy = None;
        let call = loop {
            let call = wait(&mut pace, &mut calls, config).await;
            // Most of an account's messages may be about instances of others.
            if !matches!(call, Call::Messages) || engine.take_messages() {
                break call;
            }
        };
        match call {
            Call::Look | Call::Messages => {}
            Call::Order(Order::ReadQueue(answer)) => {
                engine.want_queue();
                drop(answer.send(Response::Ok));
            }
            Call::Order(Order::FollowAdvice(answer)) => {
                // Whoever asked may be gone.
                drop(answer.send(follow_advice(&mut engine).await));
            }
            Call::Order(Order::Survey(answer)) => {
                survey(&policy, calls.surveyor.clone(), answer);
                continue;
            }
            Call::Order(Order::Retire { what, why, user, answer }) => {
                drop(answer.send(retire(&mut engine, &what, &why, user).await));
            }
            Call::Order(Order::Command(command, answer)) => {
                drop(answer.send(commanded(engine.command(&command))));
                continue;
            }
            Call::Order(Order::Keep(keeping, answer)) => {
                drop(answer.send(commanded(engine.keep(&keeping))));
                continue;
            }
            Call::Order(Order::Reload { user, answer }) => {
                let read = read_again(config, desk, told, Some(user));
                let response = match &read {
                    Ok(_) => Response::Document {
                        content: serde_json::json!({ "path": config.path().display().to_string() }),
                    },
                    Err(why) => Response::Refused { why: why.clone() },
                };
                drop(answer.send(response));
                new_policy = read.ok();
            }
            Call::Configuration => new_policy = read_again(config, desk, told, None).ok(),
        }
        if let Some(new) = new_policy {
            if needs_restart(&policy, &new) {
                return;
            }
            engine.set_policy(Arc::clone(&new));
            policy = new;
        }
        sleep_until(rest).await;
    }
}

/// Puts a look's own figures on the board.
fn note_look(
    board: &Board,
    took: Duration,
    lag: Duration,
    api_calls: &ApiCalls,
    messages: Messages,
) {
    let call = |(operation, outcome, count): (String, &str, u64)| slurm_asg_wire::ApiCalls {
        operation,
        outcome: outcome.to_owned(),
        count,
    };
    let api_calls = api_calls.read().into_iter().map(call).collect();
    board.update(|status| {
        status.figures.looked(took, lag);
        status.figures.api_calls = api_calls;
        let Messages { notices, unknown, other, malformed } = messages;
        let counts =
            [("notice", notices), ("unknown", unknown), ("other", other), ("malformed", malformed)];
        let counts = counts.into_iter().map(|(word, count)| (word.to_owned(), count));
        status.figures.messages = counts.collect();
    });
}

/// Reads the file again, because it has changed or because `user` says so. If it is wrong, what was
/// read before stays in force.
fn read_again(
    config: &mut Config,
    desk: &Desk,
    told: &Told,
    user: Option<u32>,
) -> Result<Arc<Policy>, String> {
    match config.read() {
        Ok(new) => {
            let by = user.map_or_else(String::new, |user| format!(", as user {user} says"));
            tracing::info!("{} read again{by}", config.path().display());
            told.configuration(None, user);
            desk.board.update(|status| status.problem = None);
            desk.rights.set_access(new.access.clone());
            Ok(new)
        }
        Err(problem) => {
            let kept = format!("{problem}; the configuration in force is kept");
            tracing::error!("{kept}");
            told.configuration(Some(&kept), user);
            desk.board.update(|status| status.problem = Some(kept.clone()));
            Err(kept)
        }
    }
}

/// What cannot be changed under way.
fn needs_restart(old: &Policy, new: &Policy) -> bool {
    let places =
        |policy: &Policy| (policy.region.clone(), policy.state_dir.clone(), policy.socket.clone());
    let queue = |policy: &Policy| policy.events_queue.clone();
    // The time between heartbeats can.
    let log = |policy: &Policy| {
        let heartbeat = Duration::ZERO;
        let for_all = policy.access.readers.is_none();
        (EventsPolicy { heartbeat, ..policy.events.clone() }, for_all)
    };
    (places(old), queue(old), log(old)) != (places(new), queue(new), log(new))
}

/// Opens the event log that asg.toml asks for. Without one the loop works all the same.
fn open_journal(policy: &Policy, state_dir: &Path, board: &Board) -> Option<FileJournal> {
    let place = config::events(policy, state_dir);
    board.update(|status| {
        status.events = place.as_ref().map(|place| place.path.display().to_string());
    });
    match FileJournal::start(place?) {
        Ok(journal) => Some(journal),
        Err(error) => {
            tracing::error!("no thread for the event log: {error}; no events are written");
            None
        }
    }
}

/// What the event log is told of the plugin itself.
struct Told {
    recorder: Option<Recorder>,
    /// The configuration file.
    config: String,
}

impl Told {
    fn started(&self) {
        let version = Some(env!("CARGO_PKG_VERSION").to_owned());
        self.tell(Event { version, ..Event::new(SystemClock.now(), EventName::Started) });
        self.configuration(None, None);
    }

    /// The file was read, or refused with this line; because `user` has said so, if anybody has.
    fn configuration(&self, problem: Option<&str>, user: Option<u32>) {
        let name = match problem {
            None => EventName::ConfigurationRead,
            Some(_) => EventName::ConfigurationRefused,
        };
        let path = Some(self.config.clone());
        let reason = problem.map(str::to_owned);
        self.tell(Event { path, reason, user, ..Event::new(SystemClock.now(), name) });
    }

    /// What a look shows beside the decisions that were made.
    fn look(&self, chronicle: &mut Chronicle, policy: &Policy, look: &Look) {
        if let Some(recorder) = &self.recorder {
            let Look { at, snapshot, memory, plan, .. } = look;
            recorder.tell(chronicle.of_look(policy, memory, snapshot, plan, *at));
        }
    }

    fn tell(&self, event: Event) {
        if let Some(recorder) = &self.recorder {
            recorder.tell([event]);
        }
    }
}

/// What calls the loop.
struct Calls<'a> {
    /// Rung by whoever wants a look at once.
    look_now: &'a Notify,
    /// Rung when messages of AWS have come.
    arrived: &'a Notify,
    orders: &'a mut mpsc::Receiver<Order>,
    /// Counts what is asked of AWS.
    api_calls: ApiCalls,
    /// Asks for more than the loop does.
    surveyor: Surveyor,
}

/// What the loop was called for.
enum Call {
    /// The next look.
    Look,
    /// Messages of AWS have come.
    Messages,
    /// The configuration file has changed.
    Configuration,
    /// Something else.
    Order(Order),
}

/// What is answered to a command: the groups or nodes for which it has changed something.
fn commanded<N: Display>(result: Result<Vec<N>, String>) -> Response {
    match result {
        Ok(changed) => {
            Response::Document { content: changed.iter().map(ToString::to_string).collect() }
        }
        Err(why) => Response::Refused { why },
    }
}

/// Asks AWS beside the loop, which does not wait for it.
fn survey(policy: &Policy, surveyor: Surveyor, answer: oneshot::Sender<Response>) {
    let groups: Vec<_> = policy.asgs().iter().map(|asg| asg.as_str().to_owned()).collect();
    tokio::spawn(async move {
        let survey = surveyor.survey(&groups, &[]).await;
        let response = match serde_json::to_value(survey) {
            Ok(content) => Response::Document { content },
            Err(error) => Response::Refused { why: error.to_string() },
        };
        // Whoever asked may be gone.
        drop(answer.send(response));
    });
}

/// Has the settings changed that are advised.
async fn follow_advice<J: Journal>(
    engine: &mut Engine<AwsCloud, Slurmctld, SystemClock, FileStore, J>,
) -> Response {
    match engine.follow_advice().await {
        Ok(followed) => {
            let line = |it: Followed| advised(&it.advice, it.result.err().map(|e| e.to_string()));
            let lines: Vec<_> = followed.into_iter().map(line).collect();
            match serde_json::to_value(lines) {
                Ok(content) => Response::Document { content },
                Err(error) => Response::Refused { why: error.to_string() },
            }
        }
        Err(why) => Response::Refused { why },
    }
}

/// Has a node drained that somebody wants to go.
async fn retire<J: Journal>(
    engine: &mut Engine<AwsCloud, Slurmctld, SystemClock, FileStore, J>,
    what: &str,
    why: &str,
    user: u32,
) -> Response {
    match engine.retire(what, why, user).await {
        Ok(Retired { node, instance }) => Response::Document {
            content: serde_json::json!({ "node": node, "instance": instance }),
        },
        Err(why) => Response::Refused { why },
    }
}

/// Waits until the next look is due, or until something else is to be done.
async fn wait(pace: &mut Pace, calls: &mut Calls<'_>, config: &Config) -> Call {
    let mut next_check = Instant::now() + CONFIG_PAUSE;
    loop {
        let next = pace.next().unwrap_or_else(Instant::now);
        tokio::select! {
            () = calls.look_now.notified() => return Call::Look,
            Some(order) = calls.orders.recv() => return Call::Order(order),
            () = calls.arrived.notified() => return Call::Messages,
            () = hook::heard() => pace.ring(Instant::now()),
            () = sleep_until(next) => return Call::Look,
            () = sleep_until(next_check) => {
                if config.has_changed() {
                    return Call::Configuration;
                }
                next_check = Instant::now() + CONFIG_PAUSE;
            }
        }
    }
}
