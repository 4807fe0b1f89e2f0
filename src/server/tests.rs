use std::collections::BTreeMap;

use slurm_asg_core::demand::{Counted, Demand};
use slurm_asg_core::memory::Memory;
use slurm_asg_core::plan::Plan;
use slurm_asg_core::policy::{self, Access};
use slurm_asg_core::snapshot::{Seen, Snapshot};
use slurm_asg_core::time::Timestamp;
use slurm_asg_engine::Look;

use super::*;

const SLURM: u32 = 64030;
const SUSPEND: &str = "{\"request\":\"suspend\",\"nodes\":\"n1\"}\n";
const STATUS: &str = "{\"request\":\"status\"}\n";

fn desk() -> Desk {
    Desk {
        board: Arc::default(),
        look_now: Arc::default(),
        orders: mpsc::channel(1).0,
        rights: Rights::new(vec![SLURM], Access::default()),
        recorder: None,
    }
}

/// Asks as this user, in the groups of these numbers.
async fn ask(desk: &Desk, user: u32, groups: &[u32], line: &str) -> Response {
    let peer = Peer { user, groups: groups.to_vec() };
    answer_line(line.as_bytes(), &peer, desk).await
}

/// Why a request is refused.
async fn refused(desk: &Desk, user: u32, groups: &[u32], line: &str) -> String {
    let response = ask(desk, user, groups, line).await;
    let Response::Refused { why } = response else { panic!("{response:?}") };
    why
}

#[tokio::test]
async fn root_and_slurm_user_may_change_and_everybody_may_read() {
    let desk = desk();
    assert_eq!(ask(&desk, 0, &[], SUSPEND).await, Response::Ok);
    assert_eq!(ask(&desk, SLURM, &[], SUSPEND).await, Response::Ok);
    let why = refused(&desk, 1000, &[0], SUSPEND).await;
    assert!(why.contains("user 1000 may not do this; only root, SlurmUser and the `operators`"));
    assert!(matches!(ask(&desk, 1000, &[], STATUS).await, Response::Status(_)));
}

#[tokio::test]
async fn operators_may_change_and_readers_may_read_by_name_or_by_group() {
    // Users and groups that every Debian has: daemon and bin; sys and games.
    let text = "operators = ['daemon', '@sys', 'no-such-user']\nreaders = ['bin', '@games']\n\
                [[group]]\nname = 'c'\nnodes = 'c1'\nasg = 'a'\n";
    let policy = slurm_asg_core::policy::parse("asg.toml".as_ref(), text).unwrap();
    let desk = desk();
    desk.rights.set_access(policy.access.clone());
    for (user, groups, changes, reads) in [
        (0, &[][..], true, true),
        (SLURM, &[], true, true),
        (1, &[1], true, true),
        (1000, &[1000, 3], true, true),
        (2, &[2], false, true),
        (1000, &[1000, 60], false, true),
        (1000, &[1000, 1, 2], false, false),
    ] {
        let done = |response| !matches!(response, Response::Refused { .. });
        assert_eq!(done(ask(&desk, user, groups, SUSPEND).await), changes, "{user} {groups:?}");
        assert_eq!(done(ask(&desk, user, groups, STATUS).await), reads, "{user} {groups:?}");
    }
    let why = refused(&desk, 1000, &[], STATUS).await;
    assert!(why.contains("user 1000 may not read; only root, SlurmUser, and the"), "{why}");
    assert_eq!(
        rights::unknown_names(&policy.access),
        ["operators in asg.toml: this host has no user `no-such-user`"]
    );
    desk.rights.set_access(Access::default());
    assert!(matches!(ask(&desk, 1000, &[], STATUS).await, Response::Status(_)));
}

#[tokio::test]
async fn only_masters_may_order_and_a_loop_that_has_ended_is_said() {
    let (desk, line) = (desk(), "{\"request\":\"follow_advice\"}");
    assert!(refused(&desk, 1000, &[], line).await.contains("may not do this"));
    assert!(refused(&desk, 0, &[], line).await.contains("has ended"));
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_the_reason() {
    for line in ["", "x", "{}", "{\"request\":\"fly\"}", "{\"request\":\"status\",\"x\":1}"] {
        assert!(refused(&desk(), 0, &[], line).await.starts_with("not a request: "), "{line}");
    }
}

#[tokio::test]
async fn before_the_first_look_there_is_nothing_to_explain() {
    let line = "{\"request\":\"explain\",\"what\":\"12\"}";
    assert!(refused(&desk(), 1000, &[], line).await.contains("not looked yet"));
}

/// The line that comes back.
async fn line_of(client: UnixStream) -> String {
    let mut answer = String::new();
    BufReader::new(client).read_line(&mut answer).await.ok();
    answer
}

/// Sends bytes as this user, and takes what comes back.
async fn talk(user: u32, bytes: &[u8], limits: Limits) -> String {
    let (server, mut client) = UnixStream::pair().unwrap();
    let peer = Peer { user, groups: Vec::new() };
    let desk = desk();
    let talked = async {
        // It may be answered before all is said.
        client.write_all(bytes).await.ok();
        line_of(client).await
    };
    tokio::join!(talked, async { exchange(server, &peer, &desk, limits).await.ok() }).0
}

#[tokio::test]
async fn a_request_has_a_size_and_a_time() {
    let long = |bytes: usize| vec![b' '; bytes];
    let too_long = talk(0, &long(REQUEST_BYTES_MAX + 1), LIMITS).await;
    assert!(too_long.contains("a request is one line of at most 4194304 bytes"), "{too_long}");
    let too_long = talk(1000, &long(OTHERS_REQUEST_BYTES_MAX + 1), LIMITS).await;
    assert!(too_long.contains("a request is one line of at most 65536 bytes"), "{too_long}");
    // What Slurm's programs send for the largest clusters fits.
    let nodes = "n".repeat(REQUEST_BYTES_MAX - 64);
    let request = Request::Resume { nodes, file: None };
    let mut line = serde_json::to_vec(&request).unwrap();
    line.push(b'\n');
    assert!(talk(0, &line, LIMITS).await.contains("\"ok\""));
    let hurried = Limits { question: Duration::from_millis(50), ..LIMITS };
    let silent = talk(0, b"{\"request\":", hurried).await;
    assert!(silent.contains("no request within"), "{silent}");
}

#[tokio::test]
async fn who_does_not_take_the_answer_is_let_go() {
    let (server, mut client) = UnixStream::pair().unwrap();
    let peer = Peer { user: 0, groups: Vec::new() };
    let desk = desk();
    // Far more than a socket's buffer holds.
    desk.board.update(|status| status.config = "x".repeat(2 << 20));
    client.write_all(STATUS.as_bytes()).await.unwrap();
    let hurried = Limits { delivery: Duration::from_millis(50), ..LIMITS };
    let ended = exchange(server, &peer, &desk, hurried).await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

/// A server on a socket of its own.
fn serving() -> (tempfile::TempDir, PathBuf, JoinHandle<()>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/asg.sock");
    let server = serve(path.clone(), Arc::new(desk()));
    (dir, path, server)
}

/// Waits until the server answers a status.
async fn answered(path: &Path) -> bool {
    for _ in 0..200 {
        if let Ok(mut client) = UnixStream::connect(path).await
            && client.write_all(STATUS.as_bytes()).await.is_ok()
            && line_of(client).await.contains("\"response\":\"status\"")
        {
            return true;
        }
        sleep(Duration::from_millis(50)).await;
    }
    false
}

#[tokio::test]
async fn a_socket_that_is_removed_is_made_again() {
    let (_dir, path, server) = serving();
    assert!(answered(&path).await);
    std::fs::remove_file(&path).unwrap();
    assert!(answered(&path).await, "after the file");
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    assert!(answered(&path).await, "after the directory");
    server.abort();
    server.await.unwrap_err();
    assert!(!path.exists(), "nothing is left behind");
}

#[tokio::test]
async fn a_socket_that_cannot_be_made_is_made_once_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/asg.sock");
    std::fs::write(path.parent().unwrap(), "in the way").unwrap();
    let server = serve(path.clone(), Arc::new(desk()));
    sleep(Duration::from_millis(100)).await;
    std::fs::remove_file(path.parent().unwrap()).unwrap();
    assert!(answered(&path).await);
    server.abort();
}

#[tokio::test]
async fn more_clients_than_there_are_places_are_turned_away_at_once_with_the_reason() {
    let (_dir, path, server) = serving();
    assert!(answered(&path).await);
    // Tests run as root, or as somebody who has fewer places.
    let mut held = Vec::new();
    let mut turned_away = None;
    for _ in 0..64 {
        let client = UnixStream::connect(&path).await.unwrap();
        let (read, write) = client.into_split();
        let mut read = BufReader::new(read);
        let mut answer = String::new();
        if timeout(Duration::from_millis(20), read.read_line(&mut answer)).await.is_ok() {
            turned_away = Some(answer);
            break;
        }
        held.push((read, write));
    }
    let why = turned_away.expect("there is a limit");
    assert!(why.contains("try again"), "{why}");
    assert!([8, 32].contains(&held.len()), "{}", held.len());
    drop(held);
    assert!(answered(&path).await, "places are free again");
    server.abort();
}

/// A look whose queue was counted so many seconds before.
fn look(counted_before: Option<u64>) -> Look {
    let now = SystemClock.now();
    let counted = counted_before.map(|secs| {
        let at = Timestamp::from_millis(now.millis() - secs * 1000);
        Counted::new(Demand::default(), &Arc::default(), at)
    });
    let snapshot = Snapshot {
        now,
        nodes: Seen::Known(Arc::default()),
        queue: Seen::Known(Arc::default()),
        counted,
        asgs: BTreeMap::new(),
        machines: BTreeMap::new(),
    };
    Look {
        at: now,
        snapshot,
        memory: Memory::default(),
        plan: Plan::default(),
        troubles: Vec::new(),
        pause: Duration::ZERO,
        rest: Duration::ZERO,
        quiet: Duration::ZERO,
    }
}

#[tokio::test]
async fn who_asks_about_jobs_has_a_queue_read_that_was_read_long_ago() {
    const GROUP: &str = "[[group]]\nname = 'g'\nnodes = 'n1'\nasg = 'a'";
    let policy = Arc::new(policy::parse(Path::new("asg.toml"), GROUP).unwrap());
    let (orders, mut ordered) = mpsc::channel(1);
    let desk = Desk { orders, ..desk() };
    let plan = "{\"request\":\"plan\"}\n";
    for (counted_before, is_read) in [(None, false), (Some(1), false), (Some(40), true)] {
        desk.board.show(&policy, look(counted_before));
        let serve = async {
            let Some(Order::ReadQueue(answer)) = ordered.recv().await else { panic!("no order") };
            answer.send(Response::Ok).unwrap();
            tokio::task::yield_now().await;
            desk.board.show(&policy, look(None));
        };
        let asked = ask(&desk, 1000, &[], plan);
        if is_read {
            let (response, ()) = tokio::join!(asked, serve);
            assert!(matches!(response, Response::Document { .. }), "{response:?}");
            let last = desk.board.last().unwrap();
            assert_eq!(last.look.snapshot.counted, None);
        } else {
            assert!(matches!(asked.await, Response::Document { .. }));
        }
    }
}
